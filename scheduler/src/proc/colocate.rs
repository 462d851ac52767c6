//! Goroutines that settle where another one has: `goroutine::Builder::with`.
//!
//! # Who calls it
//!
//! The builder makes a [`Newcomer`] and gives it to the other goroutine's packet, its [`Host`].
//! Under the packet's lock there are three cases:
//!
//! - The host has not begun: the newcomer waits in the packet. When the host begins, it queues the
//!   newcomers that wait ([`host_begins`]), on the M where it begins.
//! - The host runs and is settled: the newcomer goes into the inbox of the host's home.
//! - The host has ended, has no home, or its home's thread is locked (`gmp::thread_locks`): the
//!   newcomer begins like any other.
//!
//! # Why the home is there
//!
//! An M leaves its runtime, or its record becomes another thread's, only when no settled G is left
//! on it and its queues and inbox are empty. A host marks that it has ended under its packet's
//! lock. The newcomer is pushed under the same lock, while the host runs. So the push comes before
//! the host's end, and the M's last look into its inbox comes after the host's end.
//!
//! # The handshake
//!
//! This is *send* (`wake`): the push is step 1, under the packet's lock; [`Newcomer::finish`] kicks
//! the M after the lock is free. The kick finds the M among its runtime's sleepers or does nothing.
//!
//! # Safety
//!
//! Of a host its kind and its home are read. Both are written before it begins, and stay until it
//! has ended, if it is settled.
#![expect(unsafe_code, reason = "a newcomer's host is reached through its record")]

use std::sync::Arc;

use crate::gmp::g::Runnable;
use crate::gmp::m::M;
use crate::gmp::sched::Sched;
use crate::proc::target::Target;
use crate::proc::{spawn, wake};

/// A goroutine with which others may be placed.
pub(crate) trait Host: Send + Sync {
    /// Queues a new goroutine on this one's home, now or when this one begins. If this one has
    /// ended or is not settled, queues it for any M.
    fn place_with(&self, newcomer: Box<Newcomer>);
}

/// A new goroutine on its way to its host. Newcomers of one host make a chain, the latest first.
pub(crate) struct Newcomer {
    sched: Arc<Sched>,
    /// The goroutine, until it is in a queue.
    g: Option<Runnable>,
    next: Pending,
}

/// The newcomers that wait for a host to begin.
pub(crate) type Pending = Option<Box<Newcomer>>;

impl Newcomer {
    /// Makes a newcomer of a G that is in no queue.
    ///
    /// It is allocated here, and freed after the packet's lock, because nothing is allocated or
    /// freed under a lock.
    pub(crate) fn new(sched: Arc<Sched>, g: Runnable) -> Box<Self> {
        Box::new(Self { sched, g: Some(g), next: None })
    }

    /// Puts the newcomer into `chain`, to wait for its host to begin.
    pub(crate) fn wait_in(mut self: Box<Self>, chain: &mut Pending) {
        self.next = chain.take();
        *chain = Some(self);
    }

    /// Pushes the goroutine into the inbox of the home of `host`, and returns the home. `None` if
    /// `host` is not settled or in another runtime, or the thread of its home is locked.
    ///
    /// Called under the lock that the host takes before it ends; [`finish`](Self::finish) follows
    /// it.
    ///
    /// # Safety
    ///
    /// `host` has begun, and does not end meanwhile.
    pub(crate) unsafe fn push_to_home(&mut self, host: &Target) -> Option<&'static M> {
        // SAFETY: this function's contract.
        let m = unsafe { host.settled_in(&self.sched) }?;
        let refused = m.locks.admit(self.g.take()?, |g| m.inbox.push(g));
        self.g = refused.err();
        self.g.is_none().then_some(m)
    }

    /// Kicks the M to which the goroutine went. If it went to none, queues it for any M.
    pub(crate) fn finish(self, at: Option<&'static M>) {
        if let Some(m) = at {
            wake::kick_m(&self.sched, m);
        }
        if let Some(g) = self.g {
            spawn::queue_apart(&self.sched, g);
        }
    }
}

/// Queues the newcomers that wait for a host which begins on the calling thread, in the order in
/// which they came. They go to its home, if it `runs` and is settled, else to any M.
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
