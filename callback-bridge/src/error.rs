//! Why a thread could not enter, or how its callback ended; why a bridge could not be closed.

use std::any::Any;
use std::ffi::CStr;
use std::{error, fmt, io};

use gosched_scheduler::embed::{self, Cancelled};

/// What [`Bridge::enter`](crate::Bridge::enter) returns instead of the callback's value.
///
/// With every variant except [`Panicked`](Self::Panicked), [`Cancelled`](Self::Cancelled) and
/// [`TimedOut`](Self::TimedOut), the callback did not run and was dropped in `enter`.
#[derive(Debug)]
#[non_exhaustive]
pub enum EnterError {
    /// No runtime is bound to the bridge yet.
    NotRunning,
    /// The runtime is shutting down, or has.
    ShutDown,
    /// The bridge was [closed](crate::Bridge::close).
    Closed,
    /// This process is a forked child of the process that built the runtime; the runtime's threads
    /// are not here.
    Forked,
    /// The call came from a signal handler.
    SignalHandler,
    /// There was no memory for another M or its signal stack.
    Resources(io::Error),
    /// The callback panicked. The payload is as in [`std::thread::Result`].
    Panicked(Box<dyn Any + Send>),
    /// The callback was cancelled and unwound: its runtime shut down while it waited, or a token or
    /// time limit around the call was over.
    Cancelled(Cancelled),
    /// The time of [`enter_timeout`](crate::Bridge::enter_timeout) was over, and ended a wait of
    /// the callback.
    TimedOut,
}

/// An [`EnterError`] as a number, for C: a program may return it to C by `as i32`.
///
/// The numbers do not change, and none is 0 or negative. New ones may come.
///
/// ```
/// use gosched::callback::{Bridge, EnterCode};
///
/// static BRIDGE: Bridge = Bridge::unbound();
///
/// extern "C" fn on_event(value: i32) -> i32 {
///     BRIDGE.enter(|| value * 2).unwrap_or_else(|error| -(error.code() as i32))
/// }
///
/// assert_eq!(on_event(4), -(EnterCode::NotRunning as i32));
/// assert_eq!(EnterCode::from_i32(1), Some(EnterCode::NotRunning));
/// assert_eq!(EnterCode::NotRunning.text(), "the callback's runtime is not running yet");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(i32)]
pub enum EnterCode {
    /// [`EnterError::NotRunning`].
    NotRunning = 1,
    /// [`EnterError::ShutDown`].
    ShutDown = 2,
    /// [`EnterError::Closed`].
    Closed = 3,
    /// [`EnterError::Forked`].
    Forked = 4,
    /// [`EnterError::SignalHandler`].
    SignalHandler = 5,
    /// [`EnterError::Resources`].
    Resources = 6,
    /// [`EnterError::Panicked`].
    Panicked = 7,
    /// [`EnterError::Cancelled`].
    Cancelled = 8,
    /// [`EnterError::TimedOut`].
    TimedOut = 9,
}

impl EnterCode {
    const ALL: [Self; 9] = [
        Self::NotRunning,
        Self::ShutDown,
        Self::Closed,
        Self::Forked,
        Self::SignalHandler,
        Self::Resources,
        Self::Panicked,
        Self::Cancelled,
        Self::TimedOut,
    ];

    /// Returns the code with this number, if there is one.
    #[must_use]
    #[inline]
    pub fn from_i32(number: i32) -> Option<Self> {
        Self::ALL.into_iter().find(|code| *code as i32 == number)
    }

    /// Returns what it means, in English.
    #[must_use]
    #[inline]
    pub fn text(self) -> &'static str {
        self.c_text().to_str().expect("all texts are ASCII")
    }

    /// Returns what it means, as C has its strings.
    #[must_use]
    #[inline]
    pub const fn c_text(self) -> &'static CStr {
        match self {
            Self::NotRunning => c"the callback's runtime is not running yet",
            Self::ShutDown => c"the callback's runtime is shut down",
            Self::Closed => c"the callback's bridge is closed",
            Self::Forked => c"the callback's runtime runs in the parent of this process",
            Self::SignalHandler => c"a signal handler cannot enter the runtime",
            Self::Resources => c"no extra M for this thread",
            Self::Panicked => c"the callback panicked",
            Self::Cancelled => c"the callback was cancelled",
            Self::TimedOut => c"the callback ran out of time",
        }
    }
}

impl fmt::Display for EnterCode {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

/// A [`CallError`](crate::CallError) as a number, for C, as [`EnterCode`] is one of an
/// [`EnterError`]. What both have is the same number.
///
/// ```
/// use gosched::callback::{Bridge, CallCode, Service};
///
/// let (service, _requests) = Service::<_, ()>::bounded(1);
/// let error = Bridge::unbound().call(&service, 'a').unwrap_err();
/// assert_eq!(error.code() as i32, 1);
/// assert_eq!(CallCode::from_i32(12), Some(CallCode::NoReply));
/// assert_eq!(CallCode::NoReply.text(), "the request was dropped without a reply");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(i32)]
pub enum CallCode {
    /// [`EnterError::NotRunning`].
    NotRunning = 1,
    /// [`EnterError::ShutDown`].
    ShutDown = 2,
    /// [`EnterError::Closed`].
    Closed = 3,
    /// [`EnterError::Forked`].
    Forked = 4,
    /// [`EnterError::SignalHandler`].
    SignalHandler = 5,
    /// [`EnterError::Resources`].
    Resources = 6,
    /// [`EnterError::Panicked`].
    Panicked = 7,
    /// [`EnterError::Cancelled`].
    Cancelled = 8,
    /// [`CallError::TimedOut`](crate::CallError::TimedOut), or [`EnterError::TimedOut`].
    TimedOut = 9,
    /// [`CallError::Full`](crate::CallError::Full).
    Full = 10,
    /// [`CallError::Disconnected`](crate::CallError::Disconnected).
    Disconnected = 11,
    /// [`CallError::NoReply`](crate::CallError::NoReply).
    NoReply = 12,
}

impl CallCode {
    const ALL: [Self; 12] = [
        Self::NotRunning,
        Self::ShutDown,
        Self::Closed,
        Self::Forked,
        Self::SignalHandler,
        Self::Resources,
        Self::Panicked,
        Self::Cancelled,
        Self::TimedOut,
        Self::Full,
        Self::Disconnected,
        Self::NoReply,
    ];

    /// Returns the code with this number, if there is one.
    #[must_use]
    #[inline]
    pub fn from_i32(number: i32) -> Option<Self> {
        Self::ALL.into_iter().find(|code| *code as i32 == number)
    }

    /// Returns what it means, in English.
    #[must_use]
    #[inline]
    pub fn text(self) -> &'static str {
        self.c_text().to_str().expect("all texts are ASCII")
    }

    /// Returns what it means, as C has its strings.
    #[must_use]
    #[inline]
    pub const fn c_text(self) -> &'static CStr {
        match self {
            Self::NotRunning => EnterCode::NotRunning.c_text(),
            Self::ShutDown => EnterCode::ShutDown.c_text(),
            Self::Closed => EnterCode::Closed.c_text(),
            Self::Forked => EnterCode::Forked.c_text(),
            Self::SignalHandler => EnterCode::SignalHandler.c_text(),
            Self::Resources => EnterCode::Resources.c_text(),
            Self::Panicked => EnterCode::Panicked.c_text(),
            Self::Cancelled => EnterCode::Cancelled.c_text(),
            Self::TimedOut => c"there was no reply in time",
            Self::Full => c"the service has no room for the request",
            Self::Disconnected => c"nobody serves the request",
            Self::NoReply => c"the request was dropped without a reply",
        }
    }
}

impl From<EnterCode> for CallCode {
    fn from(code: EnterCode) -> Self {
        match code {
            EnterCode::NotRunning => Self::NotRunning,
            EnterCode::ShutDown => Self::ShutDown,
            EnterCode::Closed => Self::Closed,
            EnterCode::Forked => Self::Forked,
            EnterCode::SignalHandler => Self::SignalHandler,
            EnterCode::Resources => Self::Resources,
            EnterCode::Panicked => Self::Panicked,
            EnterCode::Cancelled => Self::Cancelled,
            EnterCode::TimedOut => Self::TimedOut,
        }
    }
}

impl fmt::Display for CallCode {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

impl EnterError {
    /// Counts the refusal that this tells of: once for a call, where it is decided. So a call that
    /// gets in counts nothing.
    #[cold]
    pub(crate) fn refused(self) -> Self {
        embed::count_refusal();
        self
    }

    /// Returns the error of a callback that unwound with `payload`.
    #[inline]
    pub(crate) fn of_payload(payload: Box<dyn Any + Send>) -> Self {
        match payload.downcast() {
            Ok(cancelled) => Self::Cancelled(*cancelled),
            Err(payload) => Self::Panicked(payload),
        }
    }

    /// Returns its number, for C.
    #[must_use]
    #[inline]
    pub const fn code(&self) -> EnterCode {
        match self {
            Self::NotRunning => EnterCode::NotRunning,
            Self::ShutDown => EnterCode::ShutDown,
            Self::Closed => EnterCode::Closed,
            Self::Forked => EnterCode::Forked,
            Self::SignalHandler => EnterCode::SignalHandler,
            Self::Resources(_) => EnterCode::Resources,
            Self::Panicked(_) => EnterCode::Panicked,
            Self::Cancelled(_) => EnterCode::Cancelled,
            Self::TimedOut => EnterCode::TimedOut,
        }
    }
}

impl fmt::Display for EnterError {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code().text())?;
        match self {
            Self::Resources(error) => write!(f, ": {error}"),
            Self::Cancelled(how) => write!(f, ": {how}"),
            Self::Panicked(payload) => match text(payload.as_ref()) {
                Some(text) => write!(f, ": {text}"),
                None => Ok(()),
            },
            _ => Ok(()),
        }
    }
}

/// Returns the message of a payload that `panic!` made.
#[inline]
fn text(payload: &(dyn Any + Send)) -> Option<&str> {
    payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
}

impl error::Error for EnterError {
    #[inline]
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::Resources(error) => Some(error),
            Self::Cancelled(how) => Some(how),
            _ => None,
        }
    }
}

/// Why [`Bridge::close`](crate::Bridge::close) does not say that nobody is inside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CloseError {
    /// The grace is over.
    Running {
        /// Calls and guards that are still inside.
        calls: usize,
    },
    /// It was called in a forked child. Who is inside stays with the parent.
    Forked,
}

impl fmt::Display for CloseError {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Running { calls } => {
                write!(f, "{calls} callbacks have not returned within the grace")
            }
            Self::Forked => {
                f.write_str("the callbacks of a bridge cannot be awaited in a forked child")
            }
        }
    }
}

impl error::Error for CloseError {}

#[cfg(test)]
mod tests {
    use super::*;
    use std::error::Error;

    #[test]
    fn says_what_the_callback_panicked_with() {
        assert_eq!(EnterError::Panicked(Box::new("boo")).to_string(), "the callback panicked: boo");
        assert_eq!(
            EnterError::Panicked(Box::new(String::from("boo"))).to_string(),
            "the callback panicked: boo"
        );
        assert_eq!(EnterError::Panicked(Box::new(7)).to_string(), "the callback panicked");
    }

    #[test]
    fn passes_the_reason_on_for_which_there_is_no_m() {
        let error = EnterError::Resources(io::Error::from_raw_os_error(libc::ENOMEM));
        assert!(error.source().is_some());
        let EnterError::Resources(reason) = error else { panic!("{error:?}") };
        assert_eq!(reason.raw_os_error(), Some(libc::ENOMEM));
    }

    /// A number that C programs have compiled in.
    #[test]
    fn numbers_stay() {
        let numbers = EnterCode::ALL.map(|code| code as i32);
        assert_eq!(numbers, [1, 2, 3, 4, 5, 6, 7, 8, 9]);
        for (number, code) in numbers.into_iter().zip(EnterCode::ALL) {
            assert_eq!(EnterCode::from_i32(number), Some(code));
            assert_eq!(code.to_string(), code.text());
        }
        assert_eq!([0, -1, 10].map(EnterCode::from_i32), [None; 3]);
        assert_eq!(EnterError::TimedOut.code() as i32, 9);
        assert_eq!(EnterError::Closed.to_string(), EnterCode::Closed.text());
        let numbers = CallCode::ALL.map(|code| code as i32);
        assert_eq!(numbers, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
        for (number, code) in numbers.into_iter().zip(CallCode::ALL) {
            assert_eq!(CallCode::from_i32(number), Some(code));
            let entering = EnterCode::from_i32(number).map(CallCode::from);
            assert!(entering.is_none_or(|same| same == code), "{number}");
        }
        assert_eq!([0, -1, 13].map(CallCode::from_i32), [None; 3]);
    }
}
