//! A goroutine as a waker sees it: the record to notify, and the runtime to queue it in.
//!
//! # Safety
//!
//! A [`Target`] points to a G record that may be parked. A waiter hands its target out only while it
//! waits (see `wait::waiter`), and the waker that claims the G from its parker owns the G until it
//! is runnable again.
#![expect(unsafe_code, reason = "claims parked Gs")]

use std::ptr::{self, NonNull};

use crate::ds::parker::Claim;
use crate::gmp::current;
use crate::gmp::g::G;
use crate::gmp::m::M;
use crate::gmp::sched::Sched;
use crate::proc::claimed::Claimed;

/// What a waker needs of a waiter.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target {
    pub(super) g: NonNull<G>,
    /// Null for a plain thread: no runtime is needed to wake it.
    pub(super) sched: *const Sched,
}

// SAFETY: the pointers are what is not `Send`; both are followed only while the waiter waits, by
// whoever holds the lock of what it waits for.
unsafe impl Send for Target {}

impl Target {
    /// The calling goroutine.
    pub(crate) fn current() -> Option<Self> {
        current::with(|cx| {
            let cx = cx?;
            Some(Self { g: cx.g()?.into(), sched: cx.sched() })
        })
    }

    /// The M it has settled on, if it is in `sched`; none for one that has no M for good.
    ///
    /// # Safety
    ///
    /// The goroutine has begun, and does not end meanwhile; what it wrote before it began is seen.
    pub(crate) unsafe fn settled_in(&self, sched: &Sched) -> Option<&'static M> {
        if !ptr::eq(self.sched, sched) {
            return None;
        }
        // SAFETY: this function's contract.
        let g = unsafe { self.g.as_ref() };
        // SAFETY: as above.
        unsafe { g.settled_home() }.map(M::of)
    }

    /// Ends its wait for a reason that was written before. Under a lock that it takes before it
    /// ends; runs no user code.
    ///
    /// # Safety
    ///
    /// The goroutine does not end meanwhile.
    pub(crate) unsafe fn cancel(self) -> Claimed {
        // SAFETY: this function's contract; `sched` is the runtime it is in.
        unsafe { cancel(self.g, self.sched) }
    }

    /// Asks it to end. Under a lock that it takes before it does; runs no user code.
    ///
    /// # Safety
    ///
    /// The goroutine has begun, and does not end meanwhile.
    pub(crate) unsafe fn request_cancel(self) -> Claimed {
        // SAFETY: this function's contract.
        let g = unsafe { self.g.as_ref() };
        // SAFETY: as above.
        unsafe { g.request_cancel() };
        // SAFETY: as above.
        unsafe { self.cancel() }
    }

    /// Ends the wait. Under the lock of what was waited for; runs no user code.
    #[inline(always)]
    pub(crate) fn notify(self) -> Claimed {
        // SAFETY: the waiter waits, so its G's record is there.
        let parker = &unsafe { self.g.as_ref() }.parker;
        match parker.notify() {
            Claim::Lost => Claimed::NOBODY,
            // SAFETY: the parker made this caller the owner.
            Claim::Won => unsafe { Claimed::new(self.g, self.sched) },
        }
    }
}

/// Wakes a G because it is cancelled, whose reason was written before; a wait that must not be
/// given up goes on.
///
/// # Safety
///
/// `g` is a record of `sched` (or, `sched` being null, of a thread-backed G).
pub(crate) unsafe fn cancel(g: NonNull<G>, sched: *const Sched) -> Claimed {
    // SAFETY: records outlive their runtime's use, and thread-backed ones everything.
    match unsafe { g.as_ref() }.parker.cancel() {
        Claim::Lost => Claimed::NOBODY,
        // SAFETY: the parker made this caller the owner.
        Claim::Won => unsafe { Claimed::new(g, sched) },
    }
}
