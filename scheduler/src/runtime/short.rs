//! Short forms, under the names that `std` and tokio have for them.

use std::io;

use super::{Builder, Handle, Runtime};
use crate::join::JoinHandle;
use crate::mode::Mode;

impl Runtime {
    /// Builds a runtime with default settings for goroutines of this mode.
    ///
    /// # Errors
    ///
    /// As [`Builder::build`].
    #[inline]
    pub fn new(mode: Mode) -> io::Result<Runtime> {
        Self::builder(mode).build()
    }

    /// As [`Handle::go`].
    #[doc(alias = "spawn")]
    #[track_caller]
    pub fn go<F, T>(&self, f: F) -> JoinHandle<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        self.handle.go(f)
    }
}

impl Builder {
    /// The builder of whoever has not said otherwise.
    #[inline]
    pub(crate) fn of_threads() -> Self {
        Runtime::builder(Mode::threads())
    }
}

impl Handle {
    /// The runtime that the calling goroutine or callback is in.
    ///
    /// # Panics
    ///
    /// On a thread that is in no runtime.
    ///
    /// ```
    /// use gosched::{Handle, Mode, run};
    ///
    /// let handle = run(Mode::threads(), || Handle::current());
    /// assert!(handle.go(|| ()).join().is_err(), "it has ended");
    /// assert!(Handle::try_current().is_none());
    /// ```
    #[must_use]
    #[track_caller]
    #[inline]
    pub fn current() -> Handle {
        Self::try_current().expect("Handle::current was called on a thread that is in no runtime")
    }
}
