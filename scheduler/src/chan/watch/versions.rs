//! Which version of a value there is, and waiting for a later one.
//!
//! The value lies under a lock of its own, which may be held over a wait. A sender
//! [publishes](Versions::publish) while it has that lock for writing, so that a reader that has it
//! finds value and version of the same moment. It [tells](Versions::tell) those that wait when the
//! lock is free: they would only wait for it otherwise.
//!
//! Between the two a receiver may find the version by itself, and begin to wait for the one after.
//! It is not woken for the first: `tell` wakes those that waited when the version was published.
//!
//! A receiver knows the version that it has seen last. Receivers do not compete, so nothing is
//! handed over, and one list is enough for goroutines, threads and futures alike.
//!
//! # Safety
//!
//! The list lies under the lock and lives as long as the versions, which the waiters borrow.

#![expect(unsafe_code, reason = "waits in its own queue")]

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::Waker;
use std::time::Instant;

use gosched_runtime_sys::sync::lock::Mutex;
use gosched_runtime_sys::sync::primitive::mutated;

use crate::wait::owed::Panics;
use crate::wait::park::{Park, WaitReason};
use crate::wait::parked::{Look, WaitIn, WaitedFor, wait_for};
use crate::wait::polled::{PolledNode, leave_list, poll_in_list};
use crate::wait::waiter::{Mark, Unpark, WaitList};
use crate::wait::wake::{wake_all, wake_up_to};

pub(crate) struct Versions<K: Unpark> {
    state: Mutex<State<K>>,
}

struct State<K> {
    version: u64,
    senders: usize,
    receivers: usize,
    waiting: WaitList<(), K>,
}

/// The version that a receiver has seen last. Only its receiver uses it, and that one at a time; it
/// is atomic because a future that is pinned shares it.
pub(crate) struct Seen(AtomicU64);

/// What a receiver finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// A version that it had not seen. It has now.
    Later,
    /// It has seen the last one: all senders are gone.
    Closed,
    /// It has seen the present one.
    Nothing,
}

impl<K: Unpark> State<K> {
    fn waiting(&mut self) -> &mut WaitList<(), K> {
        &mut self.waiting
    }

    fn look(&self, seen: &Seen) -> Found {
        if seen.0.load(Relaxed) != self.version {
            seen.0.store(self.version, Relaxed);
            Found::Later
        } else if self.senders == 0 {
            Found::Closed
        } else {
            Found::Nothing
        }
    }
}

impl<K: Unpark> Versions<K> {
    /// Returns those of a value with one sender, and one receiver that has seen it.
    pub(crate) fn new() -> (Self, Seen) {
        let waiting = WaitList::new();
        let state = State { version: 0, senders: 1, receivers: 1, waiting };
        (Self { state: Mutex::new(state) }, Seen(AtomicU64::new(0)))
    }

    /// Begins a version, by a sender that has the value's lock. Returns what
    /// [`tell`](Self::tell) needs when the lock is free.
    #[must_use = "nobody knows yet"]
    pub(crate) fn publish(&self) -> Mark {
        let mut state = self.state.lock();
        if mutated("watch.marks_first") {
            let mark = state.waiting().mark();
            drop(state);
            self.state.lock().version += 1;
            return mark;
        }
        state.version += 1;
        state.waiting().mark()
    }

    /// Wakes those that waited when the version was published. Returns their panics.
    pub(crate) fn tell(&self, published: Mark) -> Panics {
        wake_up_to(&self.state, self.state.lock(), State::waiting, published)
    }

    /// Looks for a later version. A receiver that finds one has seen it.
    pub(crate) fn look(&self, seen: &Seen) -> Found {
        self.state.lock().look(seen)
    }

    /// Returns what [`look`](Self::look) would find. The receiver has seen nothing by this.
    pub(crate) fn peek(&self, seen: &Seen) -> Found {
        let before = Seen(AtomicU64::new(seen.0.load(Relaxed)));
        self.look(&before)
    }

    /// Waits for a later version, at longest until the deadline. `Nothing`: that has passed.
    pub(crate) fn wait<P: Park<Target = K>>(
        &self,
        seen: &Seen,
        deadline: Option<Instant>,
        begin: impl FnOnce() -> P,
    ) -> Found {
        let place = WaitIn { why: WaitReason::Receive, ..WaitIn::behind(State::waiting) };
        let look = |state: &mut State<K>| match state.look(seen) {
            Found::Nothing => Look::Wait(None),
            found => Look::Done(found),
        };
        // SAFETY: the list is one field of the state under this lock, which nothing replaces. The
        // closure does nothing.
        match unsafe { wait_for(&self.state, place, begin, deadline, look, || None) } {
            WaitedFor::AtOnce(found) => found,
            // In time or not: a version may be there, and its sender about to wake this.
            WaitedFor::Served(_) | WaitedFor::TimedOut => self.look(seen),
            WaitedFor::Cancelled(parking) => parking.raise(),
        }
    }

    /// For a future: looks for a later version, or waits for one with this waker.
    ///
    /// # Safety
    ///
    /// The node is pinned, waits for these versions only, and [`leave`](Self::leave) is called
    /// before its memory goes.
    pub(crate) unsafe fn poll(&self, node: &PolledNode<(), K>, seen: &Seen, waker: Waker) -> Found {
        let mut found = Found::Nothing;
        let look = |state: &mut State<K>| {
            found = state.look(seen);
            found != Found::Nothing
        };
        // SAFETY: this function's contract; the list is under the lock.
        unsafe { poll_in_list(&self.state, State::waiting, node, waker, look, |_| None) };
        found
    }

    /// A future goes.
    pub(crate) fn leave(&self, node: &PolledNode<(), K>) {
        // SAFETY: it waits in this list, if at all.
        unsafe { leave_list(&self.state, State::waiting, node, |_, _| None) }
    }

    /// Adds a receiver, which has seen the present version.
    pub(crate) fn add_receiver(&self) -> Seen {
        let mut state = self.state.lock();
        state.receivers += 1;
        Seen(AtomicU64::new(state.version))
    }

    /// Adds a receiver, which has seen what the other one has.
    pub(crate) fn add_receiver_as(&self, other: &Seen) -> Seen {
        self.state.lock().receivers += 1;
        Seen(AtomicU64::new(other.0.load(Relaxed)))
    }

    pub(crate) fn remove_receiver(&self) {
        self.state.lock().receivers -= 1;
    }

    pub(crate) fn add_sender(&self) {
        self.state.lock().senders += 1;
    }

    /// Takes a sender away. With the last one, those that wait leave.
    pub(crate) fn remove_sender(&self) {
        let mut state = self.state.lock();
        state.senders -= 1;
        if state.senders == 0 && !mutated("watch.goes_in_silence") {
            wake_all(&self.state, state, State::waiting).go_on();
        }
    }

    /// Returns how many senders and receivers there are.
    pub(crate) fn counts(&self) -> (usize, usize) {
        let state = self.state.lock();
        (state.senders, state.receivers)
    }

    /// Returns how many wait.
    #[cfg(test)]
    pub(crate) fn waiting(&self) -> usize {
        self.state.lock().waiting().len()
    }
}

impl Seen {
    /// The receiver has not seen the present version, whatever it has seen.
    #[inline]
    pub(crate) fn forget(&self) {
        // No version is as high.
        self.0.store(u64::MAX, Relaxed);
    }
}

#[cfg(all(test, not(gosched_loom)))]
mod tests {
    use super::*;
    use crate::proc::target::Target;

    #[test]
    fn a_version_is_seen_once_and_a_future_leaves_no_node() {
        let (versions, seen) = Versions::<Target>::new();
        let node = Box::pin(PolledNode::new(None));
        // SAFETY: pinned, and left below.
        let poll = || unsafe { versions.poll(&node, &seen, Waker::noop().clone()) };
        assert_eq!((poll(), versions.waiting()), (Found::Nothing, 1));
        let late = versions.add_receiver_as(&seen);
        let published = versions.publish();
        assert_eq!((versions.peek(&seen), versions.waiting()), (Found::Later, 1));
        versions.tell(published).go_on();
        assert_eq!((poll(), poll(), versions.waiting()), (Found::Later, Found::Nothing, 1));
        versions.remove_sender();
        assert_eq!((versions.look(&late), versions.look(&late)), (Found::Later, Found::Closed));
        versions.leave(&node);
        assert_eq!((versions.waiting(), versions.counts()), (0, (0, 2)));
    }
}
