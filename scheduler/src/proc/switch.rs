//! The switch itself, and what goroutines carry along over it.
//!
//! # Who calls it
//!
//! `park` and `yield_now`, for every suspension that a [`Parking`](super::park::Parking) or a yield
//! makes. `park::SwitchOnly` switches without this file, where nothing is carried along.
//!
//! # What is carried
//!
//! `Builder::carry` registers pairs of functions ([`SwitchHooks`](crate::carry::SwitchHooks)). They
//! take context from the thread before the switch and put it back after it. Without any, a switch
//! reads one word that never changes.
//!
//! The functions are user code. They run on the goroutine's stack, with the P in the M's revocable
//! slot and no lock held. The goroutine may be in the middle of a wait, with its node in a list and
//! a notification to come. A wait inside of the functions would begin with `prepare` and discard
//! that notification, so the goroutine is not current meanwhile. To code that waits all the same
//! the thread runs no goroutine, and the wait blocks the thread.
//!
//! # Rejected
//!
//! - Running them on the M's loop, after the switch: the M holds its P there, and no goroutine's
//!   stack is there for user code.
//! - Running them before the wait begins: that is under the lock of what is waited for.
//!
//! # Safety
//!
//! The G that is not current meanwhile is the one that runs this.
#![expect(unsafe_code, reason = "suspends the running G")]

use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::NonNull;

use gosched_runtime_sys::signal::fatal::{Part, fatal};

use crate::gmp::current;
use crate::gmp::g::{GSuspender, Switch};
use crate::gmp::sched::Sched;

/// Suspends the running G of `sched`, and returns when it is resumed. Does not unwind.
///
/// # Safety
///
/// `suspender` is that G's, and `sched` its runtime.
#[inline(always)]
pub(crate) unsafe fn suspend(sched: *const Sched, suspender: GSuspender, switch: Switch) {
    // SAFETY: the runtime stays while a G of it runs.
    let carried = &unsafe { &*sched }.config.carried;
    if carried.is_empty() {
        // SAFETY: this function's contract.
        unsafe { suspender.suspend(switch) };
        return;
    }
    carried.wrap(run_detached, &mut || {
        // SAFETY: as above.
        unsafe { suspender.suspend(switch) };
    });
}

/// Runs the user's code as on a thread without a goroutine. A panic of it is fatal.
fn run_detached(f: &mut dyn FnMut()) {
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
        fatal(&[Part::Text("gosched: what a goroutine carries along panicked at a switch\n")]);
    }
}
