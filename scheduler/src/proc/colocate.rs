//! Goroutines that settle where another one has: `goroutine::Builder::with`.
//!
//! The other one, the *host*, may not have begun yet: then the newcomer waits in the host's packet,
//! and is queued by the host when that begins, on the M where it does. If it runs, the newcomer is
//! put into its M's inbox. If it has ended, or has no M for good, the newcomer begins where any
//! other would.
//!
//! # Why the M is there
//!
//! An M leaves its runtime, or its record another thread's hands, only when no settled G is left on
//! it and its queues are empty; and a host tells that it has ended under the lock of its packet.
//! The newcomer is pushed under that same lock, while the host runs: so the host's end comes after
//! the push, and the M's look at its inbox after the host's end. Waking the M, if it sleeps, comes
//! after the lock, and finds it among its runtime's sleepers or not at all.
//!
//! # Safety
//!
//! What is read of a host is its kind and its home. Both are written before it begins, and stay
//! until it has ended, for one that is settled.
#![expect(unsafe_code, reason = "a newcomer's host is reached through its record")]

use std::sync::Arc;

use crate::gmp::g::Runnable;
use crate::gmp::m::M;
use crate::gmp::sched::Sched;
use crate::proc::target::Target;
use crate::proc::{spawn, wake};

/// A goroutine beside which others may settle.
pub(crate) trait Host: Send + Sync {
    /// Queues a new goroutine where this one has settled or will, if it is settled and has not
    /// ended; else anywhere.
    fn place_with(&self, newcomer: Box<Newcomer>);
}

/// A new goroutine on its way to its host. Newcomers of one host make a chain, the last to come
/// first.
pub(crate) struct Newcomer {
    sched: Arc<Sched>,
    /// In no queue; gone once it is in one.
    g: Option<Runnable>,
    next: Pending,
}

/// Those who wait for a host to begin.
pub(crate) type Pending = Option<Box<Newcomer>>;

impl Newcomer {
    /// For a new G that is in no queue. Allocates, so that nothing is allocated under the lock of a
    /// packet; it is freed after that lock for the same reason.
    pub(crate) fn new(sched: Arc<Sched>, g: Runnable) -> Box<Self> {
        Box::new(Self { sched, g: Some(g), next: None })
    }

    /// Waits in `chain` for its host to begin.
    pub(crate) fn wait_in(mut self: Box<Self>, chain: &mut Pending) {
        self.next = chain.take();
        *chain = Some(self);
    }

    /// Goes into the inbox of the M of `host`, if that is settled and in the same runtime. Under
    /// the lock that the host takes before it ends; [`finish`](Self::finish) comes after it.
    ///
    /// # Safety
    ///
    /// `host` has begun, and does not end meanwhile.
    pub(crate) unsafe fn push_to_home(&mut self, host: &Target) -> Option<&'static M> {
        // SAFETY: this function's contract.
        let m = unsafe { host.settled_in(&self.sched) }?;
        m.inbox.push(self.g.take()?);
        Some(m)
    }

    /// The M to which it went is to look; without one, the newcomer begins where any other would.
    pub(crate) fn finish(self, at: Option<&'static M>) {
        if let Some(m) = at {
            wake::kick_m(&self.sched, m);
        }
        if let Some(g) = self.g {
            spawn::queue_apart(&self.sched, g);
        }
    }
}

/// A host begins, on the calling thread. Those who wait for it are queued: here, if it `runs` and
/// is settled, in the order in which they came.
pub(crate) fn host_begins(mut waiting: Pending, runs: bool) {
    let mut ordered: Pending = None;
    while let Some(mut newcomer) = waiting {
        waiting = newcomer.next.take();
        newcomer.wait_in(&mut ordered);
    }
    while let Some(mut newcomer) = ordered {
        ordered = newcomer.next.take();
        // SAFETY: the host is the running G, and does not end meanwhile.
        let at = Target::current()
            .filter(|_| runs)
            .and_then(|host| unsafe { newcomer.push_to_home(&host) });
        newcomer.finish(at);
    }
}
