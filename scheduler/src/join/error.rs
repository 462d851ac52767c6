//! Why a goroutine has no result, as a value.
//!
//! # Safety
//!
//! A payload is `Send` and perhaps not `Sync`. Through a shared reference it is only asked for its
//! type, and looked at if that type is `Sync`.
#![expect(unsafe_code, reason = "an error that is `Sync`, around a payload that need not be")]

use std::any::Any;
use std::error::Error;
use std::fmt;

use super::unjoined::said;
use crate::gmp::body::NotStarted;
use crate::gmp::g::Cancelled;

/// Why a goroutine has no result: the error of [`JoinHandle::wait`](crate::JoinHandle::wait).
///
/// `join` gives the payload that the goroutine unwound with, as `std::thread` does. This is the
/// same payload, sorted. It is made `From` a payload, so `?` makes it of the error of `join`,
/// `try_join`, `join_timeout` and of the handle as a future.
///
/// ```
/// use gosched::{JoinError, Mode, go, run};
///
/// fn total() -> Result<u32, JoinError> {
///     let (one, two) = (go(|| 1), go(|| 2));
///     Ok(one.wait()? + two.join()?)
/// }
///
/// run(Mode::threads(), || {
///     assert_eq!(total().unwrap(), 3);
///     let error = go(|| panic!("no more paper")).wait().unwrap_err();
///     assert!(error.is_panic());
///     assert_eq!(error.to_string(), "the goroutine panicked: no more paper");
/// });
/// ```
pub struct JoinError(Why);

enum Why {
    Cancelled(Cancelled),
    NotStarted(NotStarted),
    Panic(Payload),
}

/// What a panic has thrown.
struct Payload(Box<dyn Any + Send>);

// SAFETY: a shared payload is looked at by `said` alone, which asks for its type, and reads it if
// it is a `&str` or a `String`.
unsafe impl Sync for Payload {}

impl JoinError {
    /// True if the goroutine was cancelled: by its handle, a token, a time limit, or because its
    /// runtime shut down.
    #[must_use]
    #[inline]
    pub fn is_cancelled(&self) -> bool {
        self.cancelled().is_some()
    }

    /// True if the goroutine has panicked.
    #[must_use]
    #[inline]
    pub fn is_panic(&self) -> bool {
        matches!(self.0, Why::Panic(_))
    }

    /// True if the goroutine never began, because there was no memory for its stack or no thread
    /// for it.
    #[must_use]
    #[inline]
    pub fn is_not_started(&self) -> bool {
        matches!(self.0, Why::NotStarted(_))
    }

    /// The cancel that the goroutine unwound for, if it was cancelled.
    #[must_use]
    #[inline]
    pub fn cancelled(&self) -> Option<Cancelled> {
        match self.0 {
            Why::Cancelled(cancelled) => Some(cancelled),
            Why::NotStarted(_) | Why::Panic(_) => None,
        }
    }

    /// The payload of the panic, for [`resume_unwind`](std::panic::resume_unwind).
    ///
    /// # Panics
    ///
    /// If the goroutine has not panicked.
    ///
    /// ```
    /// use gosched::{Mode, go, run};
    ///
    /// run(Mode::threads(), || {
    ///     let error = go(|| std::panic::panic_any(7_u8)).wait().unwrap_err();
    ///     assert_eq!(*error.into_panic().downcast::<u8>().unwrap(), 7);
    /// });
    /// ```
    #[must_use]
    #[track_caller]
    #[inline]
    pub fn into_panic(self) -> Box<dyn Any + Send> {
        match self.try_into_panic() {
            Ok(payload) => payload,
            Err(other) => panic!("gosched: the goroutine has not panicked: {other}"),
        }
    }

    /// As [`into_panic`](Self::into_panic).
    ///
    /// # Errors
    ///
    /// This error, if the goroutine has not panicked.
    #[inline]
    pub fn try_into_panic(self) -> Result<Box<dyn Any + Send>, Self> {
        match self.0 {
            Why::Panic(Payload(payload)) => Ok(payload),
            why => Err(Self(why)),
        }
    }
}

impl From<Box<dyn Any + Send>> for JoinError {
    /// Sorts the payload that `join` gives.
    fn from(payload: Box<dyn Any + Send>) -> Self {
        let other = match payload.downcast::<Cancelled>() {
            Ok(cancelled) => return Self(Why::Cancelled(*cancelled)),
            Err(other) => other,
        };
        match other.downcast::<NotStarted>() {
            Ok(why) => Self(Why::NotStarted(*why)),
            Err(panic) => Self(Why::Panic(Payload(panic))),
        }
    }
}

impl From<JoinError> for Box<dyn Any + Send> {
    /// The payload that `join` would have given.
    fn from(error: JoinError) -> Self {
        match error.0 {
            Why::Cancelled(cancelled) => Box::new(cancelled),
            Why::NotStarted(why) => Box::new(why),
            Why::Panic(Payload(payload)) => payload,
        }
    }
}

impl fmt::Display for JoinError {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Why::Cancelled(cancelled) => cancelled.fmt(f),
            // The reason is the source.
            Why::NotStarted(_) => f.write_str("the goroutine could not be started"),
            Why::Panic(Payload(payload)) => {
                write!(f, "the goroutine panicked: {}", said(&**payload))
            }
        }
    }
}

impl fmt::Debug for JoinError {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Why::Cancelled(cancelled) => f.debug_tuple("JoinError").field(cancelled).finish(),
            Why::NotStarted(why) => f.debug_tuple("JoinError").field(why).finish(),
            Why::Panic(Payload(payload)) => {
                f.debug_struct("JoinError").field("panic", &said(&**payload)).finish()
            }
        }
    }
}

impl Error for JoinError {
    #[inline]
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.0 {
            Why::NotStarted(NotStarted(why)) => Some(why),
            Why::Cancelled(_) | Why::Panic(_) => None,
        }
    }
}
