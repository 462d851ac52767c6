//! Pthread cancellation, held off while a thread that C owns runs our code.
//!
//! glibc cancels by unwinding. Rust's `catch_unwind` takes the foreign exception for a broken
//! program and aborts. So a thread must not be cancelled between entering the scheduler and leaving
//! it. A cancel that arrives meanwhile stays pending and strikes at C's next cancellation point.

use std::ffi::c_int;
use std::marker::PhantomData;

/// The calling thread's cancel state from before [`CancelState::disable`].
#[derive(Debug)]
#[must_use = "the thread stays uncancellable until the state is restored"]
pub struct CancelState {
    before: c_int,
    /// Not `Send`: the state belongs to this thread.
    _not_send: PhantomData<*mut ()>,
}

impl CancelState {
    /// Makes the calling thread uncancellable. Costs no system call.
    pub fn disable() -> Self {
        Self {
            before: crate::sys::set_cancel_state(crate::sys::CANCEL_DISABLE),
            _not_send: PhantomData,
        }
    }

    /// Restores the state from before.
    pub fn restore(self) {
        crate::sys::set_cancel_state(self.before);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nests_and_comes_back() {
        let enabled = crate::sys::set_cancel_state(0);
        let outer = CancelState::disable();
        assert_eq!(outer.before, 0);
        let inner = CancelState::disable();
        assert_eq!(inner.before, crate::sys::CANCEL_DISABLE);
        inner.restore();
        outer.restore();
        assert_eq!(crate::sys::set_cancel_state(enabled), 0);
    }
}
