//! The owner's side of a select's wait: one node for each case, in the list of its channel.
//!
//! # Safety
//!
//! The nodes and the race lie in the frame of the select, or in its pinned future. The select
//! leaves that frame, and the future is dropped, only after it took the lock of every list and
//! found its node off that list.

#![expect(unsafe_code, reason = "links nodes of its caller's frame")]

use gosched_runtime_sys::sync::primitive::{Ordering, mutated};
use std::task::Waker;

use super::race::Race;
use super::waiter::{End, Unpark, WaitList, Waiter, WaiterKind};

/// The node of one case. It may wait again after it has left.
pub(crate) struct CaseNode<T, K>(Waiter<T, K>);

impl<T, K: Unpark> CaseNode<T, K> {
    pub(crate) fn new(slot: Option<T>) -> Self {
        Self(Waiter::new(slot))
    }

    /// Replaces the slot's content, by the owner: while nobody can reach the node, or once it was
    /// served.
    pub(crate) fn replace(&self, content: Option<T>) -> Option<T> {
        self.0.slot.replace(content)
    }

    /// Begins to wait as the `case`th case of the race.
    ///
    /// # Safety
    ///
    /// The node is on no list, and the caller has the lock of `list`. Node and race stay in place
    /// until [`leave`](Self::leave) was called, or [`is_served`](Self::is_served) returned true.
    pub(crate) unsafe fn wait(
        &self,
        list: &mut WaitList<T, K>,
        target: K,
        race: &Race,
        case: usize,
    ) {
        self.0.done.store(0, Ordering::Relaxed);
        self.0.ticket.set(Some(race.ticket(case)));
        // SAFETY: this function's contract.
        unsafe { list.push(&self.0, WaiterKind::Parked(target), End::Back) };
    }

    /// True if a waker won the race for this case and has finished with the node.
    pub(crate) fn is_served(&self) -> bool {
        self.0.is_done()
    }

    /// Takes the node off the list, if no waker has done so.
    ///
    /// # Safety
    ///
    /// If the node waits, then in `list`, whose lock the caller has.
    pub(crate) unsafe fn leave(&self, list: &mut WaitList<T, K>) {
        if self.0.linked.get() {
            // SAFETY: it is linked, and by this function's contract in this list.
            unsafe { list.unlink(&self.0) };
        }
    }

    /// True if the node is on its list. The caller has the lock.
    pub(crate) fn is_linked(&self) -> bool {
        self.0.linked.get()
    }

    /// As [`wait`](Self::wait), for a future: with this waker, and in its place if the node is on
    /// the list already. Returns the earlier waker, to be dropped when the lock is free.
    ///
    /// A waker that wins the race takes what the slot holds. So a future that waits in several
    /// lists with something to take gives it away once.
    ///
    /// # Safety
    ///
    /// The node is on no list but `list`, whose lock the caller has. Node and race stay in place
    /// until [`leave_polled`](Self::leave_polled) was called.
    #[must_use = "a waker's drop is the user's code"]
    pub(crate) unsafe fn wait_polled(
        &self,
        list: &mut WaitList<T, K>,
        waker: Waker,
        race: &Race,
        case: usize,
    ) -> Option<Waker> {
        if self.is_linked() {
            return polls(self.0.kind.replace(Some(WaiterKind::Polls(waker))));
        }
        self.0.done.store(0, Ordering::Relaxed);
        let raced = !mutated("select.polled_unraced");
        self.0.ticket.set(raced.then(|| race.ticket(case)));
        // SAFETY: this function's contract.
        unsafe { list.push(&self.0, WaiterKind::Polls(waker), End::Back) };
        None
    }

    /// As [`leave`](Self::leave), for a future. Returns its waker, to be dropped when the lock is
    /// free.
    ///
    /// # Safety
    ///
    /// As for `leave`.
    #[must_use = "a waker's drop is the user's code"]
    pub(crate) unsafe fn leave_polled(&self, list: &mut WaitList<T, K>) -> Option<Waker> {
        // SAFETY: this function's contract.
        unsafe { self.leave(list) };
        polls(self.0.kind.replace(None))
    }
}

fn polls<K>(kind: Option<WaiterKind<K>>) -> Option<Waker> {
    match kind? {
        WaiterKind::Polls(waker) => Some(waker),
        WaiterKind::Parked(_) => unreachable!("a future waits here"),
    }
}
