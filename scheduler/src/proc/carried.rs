//! The user's functions that take context from a thread and put it back, and what a goroutine
//! leaves of it.
//!
//! `switch` calls them around a switch. At a goroutine's end `start`, `thread_backed` and
//! `blocking` call [`drop_left`], so that the next goroutine of the thread finds none. The root
//! goroutine of `Runtime::run` is an exception: the context is that of the thread that lends
//! itself.
//!
//! # Safety
//!
//! The G that is not current meanwhile is the one that runs this.
#![expect(unsafe_code, reason = "follows the record of the G that runs this")]

use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::NonNull;

use gosched_runtime_sys::signal::fatal::{Part, fatal};

use crate::gmp::current;
use crate::gmp::sched::Sched;

/// Drops the context that a goroutine of `sched`, which has ended, has left on the thread.
#[inline]
pub(crate) fn drop_left(sched: &Sched) {
    if !sched.config.carried.is_empty() {
        sched.config.carried.drop_left(run_detached);
    }
}

/// Runs the user's code as on a thread without a goroutine. A panic of it is fatal.
pub(crate) fn run_detached(f: &mut dyn FnMut()) {
    let g = current::with(|cx| {
        let cx = cx?;
        let g = cx.g().map(NonNull::from);
        cx.set_g(None);
        g
    });
    let outcome = catch_unwind(AssertUnwindSafe(f));
    current::with(|cx| {
        // SAFETY: the record of the G that runs this.
        let g = g.map(|g| unsafe { g.as_ref() });
        if let Some(cx) = cx {
            cx.set_g(g);
        }
    });
    if let Err(payload) = outcome {
        mem::forget(payload);
        fatal(&[Part::Text(
            "gosched: what a goroutine carries along panicked at a switch or at its end\n",
        )]);
    }
}
