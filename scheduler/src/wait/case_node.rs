//! The owner's side of a select's wait: one node for each case, in the list of its channel.
//!
//! # Safety
//!
//! The nodes and the race lie in the frame of the select. The select leaves that frame only after
//! it took the lock of every list and found its node off that list.

#![expect(unsafe_code, reason = "links nodes of its caller's frame")]

use gosched_runtime_sys::sync::primitive::Ordering;

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
}
