//! The stack under the calling code: how much of it is left, and a larger one for deep recursion.
//!
//! # Safety
//!
//! The running goroutine does not suspend while it is on its thread's stack: it is pinned there, so
//! its waits put the thread to sleep.
#![expect(unsafe_code, reason = "runs a closure on another stack")]

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use gosched_runtime_sys::memory::stack;
use gosched_runtime_sys::thread::current_stack_bounds;

use crate::gmp::current;
use crate::gmp::g::{G, running_owned};
use crate::proc::park::pinned;

/// Runs `f` on the stack of the calling goroutine's thread, and returns what it returned: for deep
/// recursion, and for C code that wants more than a goroutine has. That stack has what its thread
/// was made with: 2 MiB, or `RUST_MIN_STACK`, for the threads of a runtime, and whatever it has for
/// one that lends itself by [`Runtime::run`](crate::Runtime::run).
///
/// While `f` runs, the goroutine stays on its thread and nothing else runs there: if `f` waits, the
/// thread sleeps. A goroutine that is a thread, and a plain thread, call `f` as it is.
///
/// # Panics
///
/// With the payload of `f`, if that panics or is cancelled.
///
/// ```
/// fn depth(n: u64) -> u64 {
///     if n == 0 { 0 } else { 1 + std::hint::black_box(depth(n - 1)) }
/// }
///
/// let mode = gosched::Mode::threads();
/// let deep = gosched::run(mode, || gosched::on_thread_stack(|| depth(1_000)));
/// assert_eq!(deep, 1_000);
/// ```
#[doc(alias("systemstack", "stacker", "maybe_grow"))]
pub fn on_thread_stack<R>(f: impl FnOnce() -> R) -> R {
    let owned = current::with(|cx| {
        let owned = cx?.owned()?;
        Some((owned.suspender.get()?, cx?.g()? as *const G))
            .filter(|_| !owned.on_thread_stack.get())
    });
    let Some((suspender, g)) = owned else { return f() };
    let set = |on: bool| {
        // SAFETY: `g` is the record of the calling goroutine, which has not ended.
        let g = unsafe { &*g };
        // SAFETY: the goroutine runs this code.
        unsafe { running_owned(g) }.on_thread_stack.set(on);
    };
    let run = || {
        set(true);
        let outcome = catch_unwind(AssertUnwindSafe(f));
        set(false);
        outcome
    };
    // SAFETY: the suspender is the calling goroutine's, on whose own stack this code runs. The
    // goroutine is pinned, so it does not suspend meanwhile.
    let outcome = pinned(|| unsafe { suspender.on_resumers_stack(run) });
    outcome.unwrap_or_else(|payload| resume_unwind(payload))
}

/// Bytes of stack that the calling code has left, of a goroutine's or a thread's. `None` where the
/// system does not say, or where the host switched to a stack of its own.
///
/// The main thread's stack grows as it is used; for it, this is what its limit allows.
#[doc(alias = "remaining_stack")]
#[must_use]
#[inline]
pub fn stack_remaining() -> Option<usize> {
    let local = 0_u8;
    let here = (&raw const local).addr();
    let left_of_own = current::with(|cx| {
        // A goroutine may have entered another runtime; it is still on its own stack.
        std::iter::successors(cx, |cx| cx.prev()).find_map(|cx| {
            let stack = cx.owned()?.stack;
            (stack.low..stack.high).contains(&here).then(|| here - stack.low)
        })
    });
    left_of_own.or_else(|| {
        let bounds = current_stack_bounds()?;
        bounds.contains(here).then(|| here - bounds.low)
    })
}

/// Bytes of its stack that the calling goroutine has used so far, in whole pages: at least so many,
/// if an earlier one on the same stack went deeper and the pages are still in memory. `None` unless
/// it has a stack of its own. A system call.
#[must_use]
#[inline]
pub fn stack_used() -> Option<usize> {
    let owned = current::with(|cx| Some(cx?.owned()?.stack))?;
    (owned.high != 0).then(|| stack::used(owned.low..owned.high))
}
