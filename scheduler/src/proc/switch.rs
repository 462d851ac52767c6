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
//! A suspender is used by code on its goroutine's stack.
#![expect(unsafe_code, reason = "suspends the running G")]

use crate::gmp::g::{GSuspender, Switch};
use crate::gmp::sched::Sched;
use crate::proc::carried::run_detached;

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
