//! A pool of helper threads: how many there are, and which of them wait for work.
//!
//! A helper that has waited for long enough ends. At that moment a thread with work may have chosen
//! this very helper. So a choice is a removal from the list of waiting helpers, under one lock. The
//! thread that removes a helper must send it a message. A helper that wants to leave removes
//! itself. If it is not in the list any more, a message is on its way, and the helper waits for it.
//!
//! # Invariants, whenever the lock is free
//!
//! - A helper is in `waiting`, or works, or a message for it is on its way, or it has been counted
//!   out.
//! - `helpers` counts the helpers that were admitted and not counted out; it never exceeds the
//!   limit.
//!
//! The last helper to wait is the first to be chosen. If the first were, a few pieces of work a
//! second would keep every helper of a past burst from ever being idle for long.
//!
//! *Rejected.* One channel that all helpers wait on, and a count of the waiting helpers. The
//! channel serves the helper that waits longest, which is the wrong one. And a count says how many
//! may leave, not whether one was chosen; so a helper would have to wait without a limit for a
//! message that another helper gets. A channel without a buffer, whose sender fails unless a helper
//! receives at that moment: a helper on its way back to the wait would look like none.

use std::mem;

use gosched_runtime_sys::sync::lock::Mutex;
use gosched_runtime_sys::sync::primitive::mutated;

struct State<H> {
    waiting: Vec<H>,
    helpers: usize,
    closed: bool,
}

/// The helpers of one pool. `H` is the handle by which a helper is sent a message.
pub(crate) struct IdleWorkers<H> {
    limit: usize,
    state: Mutex<State<H>>,
}

/// Which helper will do a piece of work.
pub(crate) enum Worker<H> {
    /// A helper that waited: the caller must send it a message.
    Idle(H),
    /// The caller may make one more helper, which is counted already.
    New,
    /// No helper: the limit is reached, and all of them have something to do.
    None,
}

impl<H> IdleWorkers<H> {
    /// Returns a pool without helpers, which never has more than `limit`.
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, state: Mutex::new(State { waiting: Vec::new(), helpers: 0, closed: false }) }
    }

    /// Chooses a helper for a piece of work.
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
            // Room for the new helper in the list, before it exists. An allocator that blocks calls
            // this function, so nothing is allocated or freed under the lock.
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

    /// Counts out a helper that [`claim`](Self::claim) counted and that could not be made, or that
    /// ends.
    pub(crate) fn forget(&self) {
        self.state.lock().helpers -= 1;
    }

    /// Returns the number of helpers.
    pub(crate) fn helpers(&self) -> usize {
        self.state.lock().helpers
    }

    /// Lists a helper that has nothing to do; it then waits for a message. False if the pool is
    /// closed: the helper is counted out.
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

    /// Takes the helper that `is_me` recognises out of the pool. True: it is counted out. False: it
    /// was chosen, and must wait for its message.
    pub(crate) fn leave(&self, is_me: impl Fn(&H) -> bool) -> bool {
        let mut state = self.state.lock();
        let at = state.waiting.iter().rposition(is_me);
        if at.is_some() || mutated("idle_workers.leaves_when_chosen") {
            state.helpers -= 1;
        }
        let removed = at.map(|at| state.waiting.remove(at));
        drop(state);
        removed.is_some() || mutated("idle_workers.leaves_when_chosen")
    }

    /// Closes the pool: no helper is admitted, and none waits, from here on. Returns the helpers
    /// that waited; the caller must send them away.
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
    fn a_closed_pool_admits_nobody() {
        let workers = IdleWorkers::new(8);
        assert!(matches!(workers.claim(), Worker::New));
        assert!(matches!(workers.claim(), Worker::New));
        assert!(workers.enlist(1));
        assert_eq!(workers.close(), [1]);
        assert!(!workers.enlist(2), "it was working and comes back");
        assert!(matches!(workers.claim(), Worker::None));
    }
}
