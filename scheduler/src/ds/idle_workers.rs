//! Threads that help: how many there are, and which of them wait for something to do.
//!
//! What leaves of its own accord may be wanted at that moment. A helper that has waited for long
//! enough ends, and somebody with work for a helper may have chosen this very one. So being chosen
//! is a fact under one lock: who finds a helper in the list takes it out of the list, and owes it a
//! message from then on; a helper that wants to go looks for itself in the list, and one that is
//! not there any more is owed a message, and waits for it.
//!
//! # Invariants, whenever the lock is free
//!
//! - A helper is in `waiting`, or works, or a message for it is on its way, or it has been counted
//!   out.
//! - `helpers` counts those that were admitted and not counted out; it is never above the limit.
//!
//! The last one to wait is the first to be chosen. With the first, a few pieces of work a second
//! would keep every helper of a former crowd from ever being idle for long.
//!
//! *Rejected.* One channel that all helpers wait on, and a count of those who do: it serves the one
//! that waits longest, which is the wrong one; and a count says how many may leave, not whether one
//! was chosen, so that a helper would have to wait without a limit for a message that another one
//! gets. A channel without a buffer, whose sender fails unless somebody receives at that moment: a
//! helper on its way back to wait looks like none.

use std::mem;

use gosched_runtime_sys::sync::lock::Mutex;
use gosched_runtime_sys::sync::primitive::mutated;

struct State<H> {
    waiting: Vec<H>,
    helpers: usize,
    closed: bool,
}

/// The helpers of one pool. `H` is how one of them is sent a message.
pub(crate) struct IdleWorkers<H> {
    limit: usize,
    state: Mutex<State<H>>,
}

/// Who will do a piece of work.
pub(crate) enum Worker<H> {
    /// A helper that waits: it is owed a message.
    Idle(H),
    /// One more may be made, and is counted already.
    New,
    /// Nobody: there are as many as there may be, and all have something to do.
    None,
}

impl<H> IdleWorkers<H> {
    /// Nobody yet, and never more than `limit`.
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, state: Mutex::new(State { waiting: Vec::new(), helpers: 0, closed: false }) }
    }

    /// Somebody for a piece of work.
    pub(crate) fn claim(&self) -> Worker<H> {
        let mut room = Vec::new();
        loop {
            let mut state = self.state.lock();
            if let Some(helper) = state.waiting.pop() {
                return Worker::Idle(helper);
            }
            if state.closed || state.helpers >= self.limit {
                return Worker::None;
            }
            // Room for the new one in the list, before it exists: an allocator that blocks comes by
            // here, so nothing is allocated or freed under the lock.
            let wanted = state.helpers + 1;
            if state.waiting.capacity() < wanted && room.capacity() >= wanted {
                mem::swap(&mut state.waiting, &mut room);
            }
            if state.waiting.capacity() >= wanted {
                state.helpers = wanted;
                drop(state);
                return Worker::New;
            }
            drop(state);
            room = Vec::with_capacity((2 * wanted).max(8));
        }
    }

    /// A helper that [`claim`](Self::claim) counted could not be made, or ends.
    pub(crate) fn forget(&self) {
        self.state.lock().helpers -= 1;
    }

    /// How many helpers there are.
    pub(crate) fn helpers(&self) -> usize {
        self.state.lock().helpers
    }

    /// A helper has nothing to do: it waits for a message. False if the roster is closed: it is
    /// counted out.
    pub(crate) fn enlist(&self, helper: H) -> bool {
        let mut state = self.state.lock();
        if state.closed {
            state.helpers -= 1;
            drop(state);
            return false;
        }
        debug_assert!(state.waiting.len() < state.waiting.capacity(), "`claim` made room");
        state.waiting.push(helper);
        true
    }

    /// A helper that `is` says which wants to leave. True: it is counted out. False: it was chosen,
    /// and must wait for its message.
    pub(crate) fn leave(&self, is: impl Fn(&H) -> bool) -> bool {
        let mut state = self.state.lock();
        let at = state.waiting.iter().rposition(is);
        if at.is_some() || mutated("idle_workers.leaves_when_chosen") {
            state.helpers -= 1;
        }
        let removed = at.map(|at| state.waiting.remove(at));
        drop(state);
        removed.is_some() || mutated("idle_workers.leaves_when_chosen")
    }

    /// From here on nobody is admitted and nobody waits. Those who do are the caller's to send
    /// away.
    pub(crate) fn close(&self) -> Vec<H> {
        let mut state = self.state.lock();
        state.closed = !mutated("idle_workers.close_forgets_to_shut");
        let waiting = mem::take(&mut state.waiting);
        state.helpers -= waiting.len();
        drop(state);
        waiting
    }
}

#[cfg(all(test, not(gosched_loom)))]
mod tests {
    use super::{IdleWorkers, Worker};

    #[test]
    fn the_last_to_wait_is_the_first_to_be_chosen() {
        let workers = IdleWorkers::new(2);
        assert!(matches!(workers.claim(), Worker::New));
        assert!(matches!(workers.claim(), Worker::New));
        assert!(matches!(workers.claim(), Worker::None), "two is the limit");
        assert!(workers.enlist(1) && workers.enlist(2));
        assert!(matches!(workers.claim(), Worker::Idle(2)));
        assert!(!workers.leave(|helper| *helper == 2), "it was chosen");
        assert!(workers.leave(|helper| *helper == 1));
        assert!(matches!(workers.claim(), Worker::New), "one has left");
    }

    #[test]
    fn one_that_could_not_be_made_does_not_count() {
        let workers = IdleWorkers::<u32>::new(1);
        assert!(matches!(workers.claim(), Worker::New));
        workers.forget();
        assert!(matches!(workers.claim(), Worker::New));
    }

    #[test]
    fn a_closed_roster_admits_nobody() {
        let workers = IdleWorkers::new(8);
        assert!(matches!(workers.claim(), Worker::New));
        assert!(matches!(workers.claim(), Worker::New));
        assert!(workers.enlist(1));
        assert_eq!(workers.close(), [1]);
        assert!(!workers.enlist(2), "it was working and comes back");
        assert!(matches!(workers.claim(), Worker::None));
    }
}
