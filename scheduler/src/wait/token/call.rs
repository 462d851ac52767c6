//! What is called once, at a token's cancel.
//!
//! The token knows a call weakly, for as long as its guard is there, or strongly, for as long as
//! the token is. Both may be: the function is taken out of the call before it is called, so it is
//! called once. It is the user's code. It is called, and dropped, without a lock.

use std::mem;

use gosched_runtime_sys::sync::lock::Mutex;

/// What a [`Call`] calls.
type Function = Box<dyn FnOnce() + Send>;

/// A function that is called once at most.
pub(crate) struct Call(Mutex<Option<Function>>);

impl Call {
    pub(crate) fn new(f: impl FnOnce() + Send + 'static) -> Self {
        Self(Mutex::new(Some(Box::new(f))))
    }

    /// Calls it, unless it was called or taken before.
    pub(crate) fn run(&self) {
        if let Some(f) = self.take() {
            f();
        }
    }

    /// Takes the function, if it was not called.
    pub(crate) fn take(&self) -> Option<Function> {
        mem::take(&mut *self.0.lock())
    }
}
