//! The switch itself, and what goroutines carry along over it.
//!
//! Where nothing is carried it is a look at one word that never changes. What is carried is user
//! code: it runs on the goroutine's stack, with the P on the table and no lock held. The goroutine
//! may be in the middle of a wait, with a node in a list and a notification to come, and one wait
//! must not begin in another; so it is out of sight meanwhile. To code that waits all the same the
//! thread is one that runs no goroutine, and it blocks.
//!
//! Rejected: running it on the M's loop, after the switch: no goroutine's stack, and the loop is
//! where the P is in hand. Running it before the wait begins: that is under the lock of what is
//! waited for.
//!
//! # Safety
//!
//! The G that is put out of sight is the one that runs this.
#![expect(unsafe_code, reason = "suspends the running G")]

use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::NonNull;

use gosched_runtime_sys::signal::fatal::{Part, fatal};

use crate::gmp::current;
use crate::gmp::g::{GSuspender, Switch};
use crate::gmp::sched::Sched;

/// Suspends the running G of `sched`; returns when it is resumed. Does not unwind.
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

/// Runs the user's code as on a thread without a goroutine.
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
