//! The owner's side of a wait that is polled: a node in a pinned future.
//!
//! A poll that finds nothing links a future's node. A waker takes the node off, moves the [`Waker`]
//! out and calls it after the lock; the next poll tries again. Nothing is handed into the node. So
//! a future that is forgotten, or never polled again, keeps nothing but its wake-up. A value that
//! it offers (to send) may be taken out of the node.
//!
//! # Safety
//!
//! A linked node lies in a pinned future, which stays in place until it is dropped; its drop takes
//! the node off the list. The callers must see to that, and to it that the list is the one under
//! the lock that they hold.

#![expect(unsafe_code, reason = "links a node of a pinned future")]

use gosched_runtime_sys::sync::lock::Mutex;
use gosched_runtime_sys::sync::primitive::{Cell, Ordering, mutated};
use std::panic::UnwindSafe;
use std::task::Waker;

use super::owed::{Owed, locked};
use super::waiter::{End, Unpark, WaitList, Waiter, WaiterKind, Wakeup};

/// A future's node. Every function but `new` and [`at_once`](Self::at_once) is called with the
/// list's lock held.
pub(crate) struct PolledNode<T, K> {
    waiter: Waiter<T, K>,
    /// True from `wait` to `leave`. The future alone reads and writes it, with or without the lock.
    began: Cell<bool>,
}

// SAFETY: only the pointers are not `Send`. They are followed under the list's lock. A linked node
// is pinned, so it goes to another thread only in that this thread polls or drops it.
unsafe impl<T: Send, K: Send> Send for PolledNode<T, K> {}

// A panic, of a waker's, leaves the node on its list or off it.
impl<T: UnwindSafe, K> UnwindSafe for PolledNode<T, K> {}

/// Where a future's node stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// The node does not wait, or gave the wait up.
    Idle,
    /// The node is on its list.
    Waits,
    /// The node was taken off and woken, and has not tried again since.
    Woken,
}

impl<T, K: Unpark> PolledNode<T, K> {
    pub(crate) fn new(slot: Option<T>) -> Self {
        Self { waiter: Waiter::new(slot), began: Cell::new(false) }
    }

    /// Calls `take`, which takes without the lock what the future wants, if the node is idle. True
    /// if `take` took it.
    ///
    /// A future that has begun to wait ends its wait under the lock, by [`leave`](Self::leave). If
    /// it took its turn without, it would stay on the list, and a waker would wake it in place of a
    /// future that still waits.
    pub(crate) fn at_once(&self, take: impl FnOnce() -> bool) -> bool {
        (!self.began.get() || mutated("polled.at_once_while_linked")) && take()
    }

    pub(crate) fn standing(&self) -> Standing {
        match (self.waiter.linked.get(), self.waiter.done.load(Ordering::Relaxed) != 0) {
            (true, _) => Standing::Waits,
            (false, true) => Standing::Woken,
            (false, false) => Standing::Idle,
        }
    }

    /// Puts a value into the slot of a node that does not wait.
    pub(crate) fn offer(&self, value: T) {
        self.waiter.slot.set(Some(value));
    }

    /// Takes what the slot holds. A node that waits must be taken off its list first.
    pub(crate) fn take(&self) -> Option<T> {
        self.waiter.slot.replace(None)
    }

    /// Returns a copy of what the slot holds.
    pub(super) fn content(&self) -> Option<T>
    where
        T: Copy,
    {
        self.waiter.slot.get()
    }

    /// Waits, or goes on waiting, with this waker. Returns the earlier waker, to be dropped when
    /// the lock is free.
    ///
    /// A node that was woken and came too late waits in front of all others.
    ///
    /// # Safety
    ///
    /// The node is pinned, and in no list but `list`, whose lock the caller has. Before its memory
    /// goes, [`leave`](Self::leave) is called.
    #[must_use = "a waker's drop is the user's code"]
    pub(crate) unsafe fn wait(&self, list: &mut WaitList<T, K>, waker: Waker) -> Option<Waker> {
        if self.waiter.linked.get() {
            let Some(WaiterKind::Polls(before)) =
                self.waiter.kind.replace(Some(WaiterKind::Polls(waker)))
            else {
                unreachable!("a linked node knows who waits")
            };
            return Some(before);
        }
        let end = if self.standing() == Standing::Woken { End::Front } else { End::Back };
        self.waiter.done.store(0, Ordering::Relaxed);
        self.began.set(true);
        // SAFETY: this function's contract: pinned, and on no list.
        unsafe { list.push(&self.waiter, WaiterKind::Polls(waker), end) };
        None
    }

    /// Ends the wait. Returns how the node stood, and the waker, to be dropped when the lock is
    /// free.
    ///
    /// # Safety
    ///
    /// If the node waits, then in `list`, whose lock the caller has.
    pub(crate) unsafe fn leave(&self, list: &mut WaitList<T, K>) -> (Standing, Option<Waker>) {
        let standing = self.standing();
        self.began.set(false);
        self.waiter.done.store(0, Ordering::Relaxed);
        if standing != Standing::Waits {
            return (standing, None);
        }
        // SAFETY: it is linked, and by this function's contract in this list.
        unsafe { list.unlink(&self.waiter) };
        let waker = self.waiter.kind.replace(None).map(|kind| match kind {
            WaiterKind::Polls(waker) => waker,
            WaiterKind::Parked(_) => unreachable!("a future waits here"),
        });
        (standing, waker)
    }
}

/// Polls for a future that waits in one list: true if `look` says, under the lock, that the future
/// has what it waits for.
///
/// If not, the node waits, with this waker. If so, the node is off the list, and `next` returns
/// whom else to wake. Wakers are the user's code: they are called, and dropped, when the lock is
/// free. If one of them unwinds, a future that has what it waits for is told so all the same.
///
/// # Safety
///
/// As for [`PolledNode::wait`]. `list` leads to the same list on each call, one that lives as long
/// as the `S` in the lock.
pub(crate) unsafe fn poll_in_list<S, T, K: Unpark>(
    lock: &Mutex<S>,
    list: fn(&mut S) -> &mut WaitList<T, K>,
    node: &PolledNode<T, K>,
    waker: Waker,
    look: impl FnOnce(&mut S) -> bool,
    next: impl FnOnce(&mut S) -> Option<Wakeup<K>>,
) -> bool {
    let (mut state, mut owed) = (lock.lock(), Owed::nothing());
    if !look(&mut state) {
        // SAFETY: this function's contract; the lock is held.
        owed.drop_waker(unsafe { node.wait(list(&mut state), waker) });
        drop(state);
        owed.pay();
        return false;
    }
    // SAFETY: as above.
    let (_, before) = unsafe { node.leave(list(&mut state)) };
    owed.drop_waker(before);
    owed.drop_waker(Some(waker));
    owed.wake(next(&mut state));
    drop(state);
    owed.pay_for_value();
    true
}

/// Takes a dropped future's node off its one list. `next`, which is told how the node stood,
/// returns whom to wake in its place.
///
/// # Safety
///
/// If the node waits, then in that list of what is under that lock.
pub(crate) unsafe fn leave_list<S, T, K: Unpark>(
    lock: &Mutex<S>,
    list: fn(&mut S) -> &mut WaitList<T, K>,
    node: &PolledNode<T, K>,
    next: impl FnOnce(&mut S, Standing) -> Option<Wakeup<K>>,
) {
    locked(lock, |state, owed| {
        // SAFETY: this function's contract; the lock is held.
        let (standing, waker) = unsafe { node.leave(list(state)) };
        owed.drop_waker(waker);
        owed.wake(next(state, standing));
    });
}
