//! The calling goroutine: giving turns, sleeping, and who it is.
//!
//! # Safety
//!
//! A place for a number is what the header says.
#![expect(unsafe_code, reason = "exported names; a place of C's")]

use gosched::signal::Context;
use gosched::{goroutine, signal, time};

use crate::code::Code;
use crate::guard::{guarded, nanoseconds};

/// The calling thread, or what a signal handler interrupted, is nothing of the library.
pub const GOSCHED_CONTEXT_OUTSIDE: i32 = 0;
/// It is a goroutine; a handler that asks runs on a signal stack.
pub const GOSCHED_CONTEXT_ON_SIGNAL_STACK: i32 = 1;
/// It is a goroutine, and the caller runs on its stack.
pub const GOSCHED_CONTEXT_GOROUTINE: i32 = 2;

/// Lets other goroutines run; a thread that is no goroutine offers its core. GOSCHED_CANCELLED.
///
/// Threads: any. Waits: yes, for its turn. Handlers: no. States: any.
#[unsafe(no_mangle)]
pub extern "C" fn gosched_yield() -> Code {
    guarded(|| {
        gosched::yield_now();
        Ok(())
    })
}

/// Waits for duration_ns nanoseconds. GOSCHED_CANCELLED.
///
/// Threads: any. Waits: yes. Handlers: no. States: any.
#[unsafe(no_mangle)]
pub extern "C" fn gosched_sleep(duration_ns: u64) -> Code {
    guarded(|| {
        time::sleep(nanoseconds(duration_ns));
        Ok(())
    })
}

/// Returns the number of the calling goroutine, 0 if it is none.
///
/// Threads: any. Waits: no. Handlers: no. States: any.
#[unsafe(no_mangle)]
pub extern "C" fn gosched_current() -> u64 {
    goroutine::current_id().unwrap_or(0)
}

/// Returns one of GOSCHED_CONTEXT_OUTSIDE, GOSCHED_CONTEXT_ON_SIGNAL_STACK and
/// GOSCHED_CONTEXT_GOROUTINE: what a handler has interrupted. If that is a goroutine, its number is
/// left in *number, unless number is NULL. Leaves errno alone.
///
/// Threads: any. Waits: no. Handlers: yes. States: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gosched_context(number: *mut u64) -> i32 {
    let Context::Goroutine { id, on_signal_stack } = signal::context() else {
        return GOSCHED_CONTEXT_OUTSIDE;
    };
    if !number.is_null() {
        // SAFETY: the header's contract.
        unsafe { number.write(id) };
    }
    if on_signal_stack { GOSCHED_CONTEXT_ON_SIGNAL_STACK } else { GOSCHED_CONTEXT_GOROUTINE }
}
