//! The user's functions that take context from a thread and put it back, and what a goroutine
//! leaves of it.
//!
//! `switch` calls them around a switch. At a goroutine's end `start`, `thread_backed` and
//! `blocking` call [`drop_left`], so that the next goroutine of the thread finds none. The root
//! goroutine of `Runtime::run` is an exception: the context is that of the thread that lends
//! itself.
//!
//! A callback runs on a thread of the host's, which has context of its own. `embed` takes that off
//! before the closure ([`take`]) and puts it back after the goroutine's end ([`put_back`]). In
//! between lie frames of ours, or none where a guard keeps the thread a goroutine, so it is kept in
//! a box and not on the stack.
//!
//! # Safety
//!
//! The G that is not current meanwhile is the one that runs this.
#![expect(unsafe_code, reason = "follows the record of the G that runs this")]

use std::any::Any;
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

/// Takes the context of a thread off it that is now a callback's goroutine in `sched`. None if
/// nothing is carried there.
#[inline]
pub(crate) fn take(sched: &Sched) -> Option<Box<[Box<dyn Any>]>> {
    let carried = &sched.config.carried;
    (!carried.is_empty()).then(|| carried.take(run_detached))
}

/// Drops what a callback's goroutine of `sched` has left on its thread, and puts back what was
/// [taken](take) off it.
pub(crate) fn put_back(sched: &Sched, taken: Box<[Box<dyn Any>]>) {
    drop_left(sched);
    sched.config.carried.put_back(run_detached, taken);
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
