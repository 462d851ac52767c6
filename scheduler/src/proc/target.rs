//! A goroutine as a waker sees it: the record to notify, and the runtime to queue it in.
//!
//! # Who calls it
//!
//! A waiter puts its [`Target`] into the node that it links into a list. The waker takes the target
//! out of the node under the lock of what is waited for, and [notifies](Target::notify) it there. A
//! canceller [cancels](Target::cancel) a target that it has from a packet (`join`) or a token
//! (`wait::token`), under their lock.
//!
//! # Who owns what
//!
//! A target owns nothing. It points to a record, and the lock says that the record is the waiter's:
//! the waiter takes that lock before it goes on. Of all notifiers and cancellers of a wait one wins
//! the claim; it becomes the owner of the parked G and gets it as a [`Claimed`]. The others get
//! [`Claimed::NOBODY`]: the waiter is awake already, or another claimer wakes it.
//!
//! The claim comes under the lock and the wake-up after it, for a wake-up takes other locks.
//!
//! # Rejected
//!
//! For a canceller, the record's address and the goroutine's number, compared before the cancel:
//! the record may change hands between the two. A count of references in the record: every
//! goroutine would pay for the few that are cancelled.
//!
//! # Safety
//!
//! A [`Target`] points to a G record that may be parked. A waiter hands its target out only while
//! it waits (see `wait::waiter`), and the waker that claims the G from its park word owns the G
//! until it is runnable again.
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
    /// Null for a plain thread, which is woken without a runtime.
    pub(super) sched: *const Sched,
}

// SAFETY: only the pointers are not `Send`. Both are followed only while the waiter waits, by a
// thread that holds the lock of what it waits for.
unsafe impl Send for Target {}

impl Target {
    /// Returns the target of the calling goroutine, if the thread runs one.
    pub(crate) fn current() -> Option<Self> {
        current::with(|cx| {
            let cx = cx?;
            Some(Self { g: cx.g()?.into(), sched: cx.sched() })
        })
    }

    /// Returns the goroutine's home, if it is settled and in `sched`.
    ///
    /// # Safety
    ///
    /// The goroutine has begun, and does not end meanwhile; the caller sees what was written before
    /// it began.
    pub(crate) unsafe fn settled_in(&self, sched: &Sched) -> Option<&'static M> {
        if !ptr::eq(self.sched, sched) {
            return None;
        }
        // SAFETY: this function's contract.
        let g = unsafe { self.g.as_ref() };
        // SAFETY: as above.
        unsafe { g.settled_home() }.map(M::of)
    }

    /// Ends the goroutine's wait for a reason that was written before, unless the wait is shielded.
    /// Runs no user code. Called under a lock that the goroutine takes before it ends.
    ///
    /// # Safety
    ///
    /// The goroutine does not end meanwhile.
    pub(crate) unsafe fn cancel(self) -> Claimed {
        // SAFETY: this function's contract; `sched` is the runtime it is in.
        unsafe { cancel(self.g, self.sched) }
    }

    /// Asks the goroutine to end. Runs no user code. Called under a lock that the goroutine takes
    /// before it ends.
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

    /// Ends the wait. Runs no user code. Called under the lock of what was waited for.
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

/// Claims the G at `g` because it is cancelled, unless its wait must not be given up. The reason
/// was written before.
///
/// # Safety
///
/// `g` is a record of `sched` (or, `sched` being null, of a thread-backed G).
pub(crate) unsafe fn cancel(g: NonNull<G>, sched: *const Sched) -> Claimed {
    // SAFETY: a record outlives the use of its runtime, and a thread-backed one is never freed.
    match unsafe { g.as_ref() }.parker.cancel() {
        Claim::Lost => Claimed::NOBODY,
        // SAFETY: the parker made this caller the owner.
        Claim::Won => unsafe { Claimed::new(g, sched) },
    }
}
