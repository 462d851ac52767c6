//! Nothing unwinds out of a callback into C.
//!
//! A Rust panic is caught and becomes a value. glibc's `pthread_exit`, called inside a callback,
//! also unwinds and cannot be caught; nor can a C++ exception. There `catch_unwind` aborts with a
//! message about a foreign exception that helps nobody. So the frame above the callback holds a
//! bomb. If the bomb is dropped while no Rust panic is under way, it says what happened and aborts.
//!
//! A `pthread_exit` below a destructor that runs because of a panic further out looks like that
//! panic. It meets Rust's own abort.

use crate::error::EnterError;
use gosched_runtime_sys::signal::fatal::{Part, fatal};
use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Calls `f`; returns its value, or the panic as an error.
#[inline]
pub(crate) fn catch_panic<R>(f: impl FnOnce() -> R) -> Result<R, EnterError> {
    // `AssertUnwindSafe`: the payload is handed on, as `std::thread` does, and nothing of ours
    // lives in `f`.
    catch_unwind(AssertUnwindSafe(|| {
        let bomb = ForcedUnwind;
        let result = f();
        let _defused = ManuallyDrop::new(bomb);
        result
    }))
    .map_err(EnterError::of_payload)
}

struct ForcedUnwind;

impl Drop for ForcedUnwind {
    #[cold]
    fn drop(&mut self) {
        if !std::thread::panicking() {
            fatal(&[Part::Text(
                "gosched: a callback was left without a return, by pthread_exit or a foreign \
                 exception; its goroutine cannot go on\n",
            )]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_a_value() {
        let outcome = catch_panic(|| -> i32 { std::panic::resume_unwind(Box::new(7)) });
        let Err(EnterError::Panicked(payload)) = outcome else { panic!("{outcome:?}") };
        assert_eq!(payload.downcast_ref(), Some(&7));
    }

    #[test]
    fn a_callback_below_a_panicking_frame_may_return_and_panic() {
        struct CallsBack<'a>(&'a mut Vec<bool>);
        impl Drop for CallsBack<'_> {
            fn drop(&mut self) {
                assert!(std::thread::panicking());
                self.0.push(catch_panic(|| ()).is_ok());
                self.0.push(catch_panic(|| std::panic::resume_unwind(Box::new(()))).is_ok());
            }
        }
        let mut outcomes = Vec::new();
        let outer = catch_panic(|| {
            let _calls_back = CallsBack(&mut outcomes);
            std::panic::resume_unwind(Box::new("outer"))
        });
        assert!(matches!(outer, Err(EnterError::Panicked(_))));
        assert_eq!(outcomes, [true, false]);
    }
}
