//! The deadline of a token: who cancels it then.
//!
//! A child has the first deadline of its own and its parent's. Only the token whose own deadline is
//! the first is cancelled by the clock; the others are its descendants, and are cancelled with it.
//!
//! The clock's waker knows the token weakly, and the token has the alarm. So a token that nobody
//! has is gone at once, and its alarm with it, however far its deadline is.
//!
//! If there is no thread for the clock, the waker is called too early and does nothing. Then those
//! that park and those that ask still learn of the deadline, by reading the clock themselves.
//!
//! *Rejected.* A goroutine that sleeps until the deadline: a token belongs to no runtime, and may
//! be used where there is none.

use std::sync::{Arc, Weak};
use std::task::{Wake, Waker};
use std::time::Instant;

use gosched_runtime_sys::clock::{to_instant, to_ns};

use super::pending::Pending;
use super::{Cause, Child, TokenInner};
use crate::ds::timers::NEVER;
use crate::proc::target::Target;

/// Cancels a token when it is called, if the time has come.
struct AtDeadline(Weak<TokenInner<Target>>);

impl Wake for AtDeadline {
    fn wake(self: Arc<Self>) {
        // Called too early if there is no thread for the clock.
        if let Some(token) = self.0.upgrade()
            && token.is_over()
        {
            TokenInner::cancel_for(&token, &Cause::Deadline);
        }
    }
}

impl TokenInner<Target> {
    /// A child that is cancelled at `deadline`, or with its parent.
    pub(crate) fn child(parent: &Arc<Self>, deadline: Option<Instant>) -> Arc<Self> {
        let wanted = deadline.map_or(NEVER, to_ns);
        let child = Self::with_deadline(Some(parent.clone()), wanted);
        parent.adopt(Child::Token(Arc::downgrade(&child)));
        if child.deadline < parent.deadline {
            child.expect_deadline();
        }
        child
    }

    /// Has the token cancelled at its own deadline.
    fn expect_deadline(self: &Arc<Self>) {
        if self.is_over() {
            return Self::cancel_for(self, &Cause::Deadline);
        }
        let Some(at) = to_instant(self.deadline).filter(|_| !self.is_marked()) else { return };
        let waker = Waker::from(Arc::new(AtDeadline(Arc::downgrade(self))));
        let pending = Pending::begin(at, waker);
        // A cancel that came meanwhile has found none, and it goes with the token.
        *self.pending.lock() = Some(pending);
    }
}
