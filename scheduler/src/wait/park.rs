//! What a wait needs of the waiter: it can be suspended until it is notified, cancelled, or out of
//! time.
//!
//! Goroutines and threads implement it with [`Parking`]. The loom models and the unit tests have
//! implementations of their own, and so run the real queues.
//!
//! # Safety
//!
//! [`Park`] is an unsafe trait: the frame that calls `park_until` has a linked node in it.

#![expect(unsafe_code, reason = "`Park` is an unsafe trait")]

use std::time::Instant;

use super::waiter::Unpark;
pub(crate) use crate::gmp::wait_reason::WaitReason;
use crate::proc::park::Parking;
use crate::proc::target::Target;

/// The waiting side: one wait of the caller.
///
/// # Safety
///
/// `park_until` does not unwind: the caller's frame is linked while it runs.
pub(crate) unsafe trait Park {
    /// What a waker needs to wake this waiter.
    type Target: Unpark;

    /// Begins a wait of the caller, if that takes neither an allocation nor a lock; so it can be
    /// called under the lock of what is waited for.
    fn begin_at_once() -> Option<Self>
    where
        Self: Sized,
    {
        None
    }

    /// Begins the same wait again: forgets what notified it so far.
    fn renew(&self);

    /// Stores what the wait is for, for dumps and other observers.
    fn set_wait_reason(&self, _why: WaitReason) {}

    /// Returns the target that a waker must wake.
    fn target(&self) -> Self::Target;

    /// Suspends until notified or cancelled, or until the deadline. May return early, may be called
    /// again; does not unwind.
    fn park_until(&self, deadline: Option<Instant>);

    /// True if the deadline has passed.
    fn expired(&self, deadline: Instant) -> bool {
        Instant::now() >= deadline
    }

    /// True if the wait must be given up. Never true where giving up is not allowed (shielded,
    /// panicking).
    fn cancelled(&self) -> bool;

    /// Gives the wait up, by unwinding.
    fn raise(&self) -> !;
}

// SAFETY: parking suspends and returns. Only `raise` unwinds with a cancel.
unsafe impl Park for Parking {
    type Target = Target;

    #[inline(always)]
    fn begin_at_once() -> Option<Self> {
        Parking::begin_at_once()
    }

    fn renew(&self) {
        Parking::renew(self);
    }

    #[inline(always)]
    fn set_wait_reason(&self, why: WaitReason) {
        Parking::set_wait_reason(self, why);
    }

    #[inline(always)]
    fn target(&self) -> Target {
        Parking::target(self)
    }

    #[inline(always)]
    fn park_until(&self, deadline: Option<Instant>) {
        Parking::park_until(self, deadline);
    }

    fn cancelled(&self) -> bool {
        Parking::cancelled(self)
    }

    fn raise(&self) -> ! {
        Parking::raise(self)
    }
}
