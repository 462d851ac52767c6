//! Why a thread could not enter, or how its callback ended.

use std::any::Any;
use std::{error, fmt, io};

use gosched_scheduler::embed::Cancelled;

/// What [`Bridge::enter`](crate::Bridge::enter) returns instead of the callback's value.
///
/// With every variant except [`Panicked`](Self::Panicked), the callback did not run and was dropped
/// in `enter`.
#[derive(Debug)]
#[non_exhaustive]
pub enum EnterError {
    /// No runtime is bound to the bridge yet.
    NotRunning,
    /// The runtime is shutting down, or has.
    ShutDown,
    /// This process is a forked child of the process that built the runtime; the runtime's threads
    /// are not here.
    Forked,
    /// The call came from a signal handler.
    SignalHandler,
    /// There was no memory for another M or its signal stack.
    Resources(io::Error),
    /// The callback panicked. The payload is as in [`std::thread::Result`]. A callback that was
    /// cancelled, by a token or because its time was over, ends so too: the payload is then the
    /// scheduler's `Cancelled`.
    Panicked(Box<dyn Any + Send>),
}

impl fmt::Display for EnterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotRunning => f.write_str("the callback's runtime is not running yet"),
            Self::ShutDown => f.write_str("the callback's runtime is shut down"),
            Self::Forked => {
                f.write_str("the callback's runtime runs in the parent of this process")
            }
            Self::SignalHandler => f.write_str("a signal handler cannot enter the runtime"),
            Self::Resources(error) => write!(f, "no extra M for this thread: {error}"),
            Self::Panicked(payload) => {
                let payload = payload.as_ref();
                match (payload.downcast_ref::<Cancelled>(), text(payload)) {
                    (Some(how), _) => write!(f, "the callback was cancelled: {how}"),
                    (None, Some(text)) => write!(f, "the callback panicked: {text}"),
                    (None, None) => f.write_str("the callback panicked"),
                }
            }
        }
    }
}

/// Returns the message of a payload that `panic!` made.
fn text(payload: &(dyn Any + Send)) -> Option<&str> {
    payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
}

impl error::Error for EnterError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::Resources(error) => Some(error),
            _ => None,
        }
    }
}

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
}
