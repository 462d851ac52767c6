//! Calls that wait for their function's end: in a goroutine, on a thread that may block, on a
//! thread's own stack.
//!
//! A caller of [`gosched_call`] has, as C does, what the function uses on its own stack. So the
//! call does not return before the function has: if the caller is cancelled, the function's
//! goroutine is cancelled, too, and is waited for all the same.
//!
//! # Safety
//!
//! Handles and functions are what the header says. The frame of a call outlives the goroutine that
//! uses it, because the call returns after the goroutine's job is over.
#![expect(unsafe_code, reason = "exported names; handles and functions of C; a frame is lent")]

use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::null_mut;
use std::sync::atomic::{AtomicPtr, Ordering::Relaxed};

use gosched_runtime_sys::signal::fatal::{Part, fatal};

use crate::code::Code;
use crate::failure::Failure;
use crate::function::{self, Function, Pointer, ValueCallee, ValueFunction};
use crate::go::Goroutine;
use crate::guard::{borrow, given, guarded};
use crate::runtime::Runtime;

/// What a call and its goroutine share.
struct Frame {
    f: ValueCallee,
    user: Pointer,
    /// Written by the goroutine, read once it is over; the wait orders the two.
    value: AtomicPtr<c_void>,
}

/// Runs in the goroutine.
///
/// # Safety
///
/// `frame` is that of a call that waits.
unsafe extern "C-unwind" fn run(frame: *mut c_void) {
    // SAFETY: this function's contract.
    let frame = unsafe { &*frame.cast::<Frame>() };
    // SAFETY: the header's contract.
    let value = unsafe { function::call_for_value(frame.f, frame.user) };
    frame.value.store(value.0, Relaxed);
}

/// Runs fn(user) in a new goroutine, waits for its end, and leaves what it returned in *value,
/// unless that is NULL. fn has a goroutine's stack and is where goroutines run: a thread that has
/// not come in, and holds something of C's that forbids waiting, may hand work over by this.
///
/// fn may use what lies on the caller's stack: this returns after fn has. If the caller is
/// cancelled, fn is, too, and GOSCHED_CANCELLED comes after fn has returned. So it does if fn is
/// not called, because the runtime shuts down.
///
/// GOSCHED_SHUT_DOWN, GOSCHED_FORKED, GOSCHED_RESOURCES: fn was not called. *value is written with
/// GOSCHED_OK only.
///
/// Threads: any. Waits: yes. Handlers: no. States: up.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gosched_call(
    runtime: *mut Runtime,
    r#fn: ValueFunction,
    user: *mut c_void,
    value: *mut *mut c_void,
) -> Code {
    guarded(|| {
        // SAFETY: the header's contract.
        let runtime = unsafe { borrow(runtime) }?;
        let frame =
            Frame { f: given(r#fn)?, user: Pointer(user), value: AtomicPtr::new(null_mut()) };
        let pointer = Pointer((&raw const frame).cast_mut().cast());
        // SAFETY: below, the goroutine is waited for whatever happens.
        let goroutine = unsafe { Goroutine::go(runtime, None, run, pointer) }?;
        match catch_unwind(AssertUnwindSafe(|| goroutine.wait(None))) {
            Ok(outcome) => outcome?,
            Err(payload) => {
                goroutine.cancel();
                // Its own outcome is of no interest: the caller's cancel is told.
                let _returned = catch_unwind(AssertUnwindSafe(|| goroutine.wait_shielded()));
                if !goroutine.is_over() {
                    // Nothing ends a shielded wait. If something did, the frame would be gone.
                    fatal(&[Part::Text("gosched: gosched_call was ended before its function\n")]);
                }
                return Err(Failure::of_payload(payload.as_ref()));
            }
        }
        if !value.is_null() {
            // SAFETY: the header's contract.
            unsafe { value.write(frame.value.load(Relaxed)) };
        }
        Ok(())
    })
}

/// Calls fn(user), which may block for long (a file, a library that waits by itself), without
/// holding other goroutines up: on a thread of a pool, with a thread's stack. The calling goroutine
/// waits meanwhile, and fn runs as that goroutine. On an attached thread, in gosched_enter and on a
/// thread that is no goroutine, fn is just called. fn may use what lies on the caller's stack.
///
/// GOSCHED_CANCELLED: the goroutine was cancelled before, and fn was not called. A cancel that
/// comes later is told by the goroutine's next wait.
///
/// Threads: any. Waits: yes. Handlers: no. States: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gosched_blocking(r#fn: Function, user: *mut c_void) -> Code {
    guarded(|| {
        let (f, user) = (given(r#fn)?, Pointer(user));
        // SAFETY: the header's contract.
        gosched::blocking(move || unsafe { function::call(f, user) });
        Ok(())
    })
}

/// Calls fn(user) on the stack of the goroutine's thread, for functions that need more than the
/// goroutine has: 2 MiB, or RUST_MIN_STACK, on the runtime's threads. Until fn returns, nothing
/// else runs on the thread. On a thread that is no goroutine of the runtime's, fn is just called.
///
/// Threads: any. Waits: only fn. Handlers: no. States: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gosched_on_thread_stack(r#fn: Function, user: *mut c_void) -> Code {
    guarded(|| {
        let (f, user) = (given(r#fn)?, Pointer(user));
        // SAFETY: the header's contract.
        gosched::on_thread_stack(move || unsafe { function::call(f, user) });
        Ok(())
    })
}
