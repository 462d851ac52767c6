//! The owner's side of a wait that is polled: a node in a pinned future.
//!
//! A future's node is linked by a poll that finds nothing, and taken off by a waker, which moves
//! the [`Waker`] out and calls it after the lock: the next poll tries again. Nothing is handed into
//! the node, so a future that is never polled again, or forgotten, keeps nothing but its wake-up.
//! What it offers (a value to send) may be taken out of it.
//!
//! # Safety
//!
//! A linked node lies in a pinned future, which stays in place until it is dropped; its drop takes
//! the node off the list. That is the callers' to see to, as is that the list is the one under the
//! lock that they hold.

#![expect(unsafe_code, reason = "links a node of a pinned future")]

use gosched_runtime_sys::sync::lock::Mutex;
use gosched_runtime_sys::sync::primitive::Ordering;
use std::task::Waker;

use super::waiter::{End, Unpark, WaitList, Waiter, Wakeup, Whom};

/// A future's node. Everything but `new` is called with the lock of the list in hand.
pub(crate) struct PolledNode<T, K>(Waiter<T, K>);

// SAFETY: the pointers are what is not `Send`. They are followed under the list's lock; a linked
// node is pinned, so it moves between threads only in that another one polls or drops it.
unsafe impl<T: Send, K: Send> Send for PolledNode<T, K> {}

/// Where a future's node stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It does not wait, or gave the wait up.
    Idle,
    /// It is on its list.
    Waits,
    /// It was taken off and woken, and has not tried again since.
    Woken,
}

impl<T, K: Unpark> PolledNode<T, K> {
    pub(crate) fn new(slot: Option<T>) -> Self {
        Self(Waiter::new(slot))
    }

    pub(crate) fn standing(&self) -> Standing {
        match (self.0.linked.get(), self.0.done.load(Ordering::Relaxed) != 0) {
            (true, _) => Standing::Waits,
            (false, true) => Standing::Woken,
            (false, false) => Standing::Idle,
        }
    }

    /// Puts a value into the slot of a node that does not wait.
    pub(crate) fn offer(&self, value: T) {
        self.0.slot.set(Some(value));
    }

    /// Takes what the slot holds; of a node that waits, it must be taken off first.
    pub(crate) fn take(&self) -> Option<T> {
        self.0.slot.replace(None)
    }

    /// Waits, or goes on waiting, with this waker: before all others if it was let go and came too
    /// late. The waker before is to be dropped when the lock is free.
    ///
    /// # Safety
    ///
    /// The node is pinned, and in no list but `list`, whose lock the caller has. Before its memory
    /// goes, [`leave`](Self::leave) is called.
    #[must_use = "a waker's drop is the user's code"]
    pub(crate) unsafe fn wait(&self, list: &mut WaitList<T, K>, waker: Waker) -> Option<Waker> {
        if self.0.linked.get() {
            let Some(Whom::Polls(before)) = self.0.whom.replace(Some(Whom::Polls(waker))) else {
                unreachable!("a linked node knows who waits")
            };
            return Some(before);
        }
        let end = if self.standing() == Standing::Woken { End::Front } else { End::Back };
        self.0.done.store(0, Ordering::Relaxed);
        // SAFETY: this function's contract: pinned, and on no list.
        unsafe { list.push(&self.0, Whom::Polls(waker), end) };
        None
    }

    /// Ends the wait: how it stood; with the waker that is to be dropped when the lock is free.
    ///
    /// # Safety
    ///
    /// If it waits, then in `list`, whose lock the caller has.
    pub(crate) unsafe fn leave(&self, list: &mut WaitList<T, K>) -> (Standing, Option<Waker>) {
        let standing = self.standing();
        self.0.done.store(0, Ordering::Relaxed);
        if standing != Standing::Waits {
            return (standing, None);
        }
        // SAFETY: it is linked, and by this function's contract in this list.
        unsafe { list.unlink(&self.0) };
        let waker = self.0.whom.replace(None).map(|whom| match whom {
            Whom::Polls(waker) => waker,
            Whom::Parked(_) => unreachable!("a future waits here"),
        });
        (standing, waker)
    }
}

/// For a future that waits in one list: has `look` say, under the lock, whether it has what it
/// waits for. If not, it waits, with this waker. If so, it is off the list, and `next` says whom
/// else to let go. Wakers are the user's code: they are called, and dropped, when the lock is free.
///
/// # Safety
///
/// As of [`PolledNode::wait`]. `list` leads to the same list on each call, one that lives as long
/// as the `S` in the lock.
pub(crate) unsafe fn poll_in_list<S, T, K: Unpark>(
    lock: &Mutex<S>,
    list: fn(&mut S) -> &mut WaitList<T, K>,
    node: &PolledNode<T, K>,
    waker: Waker,
    look: impl FnOnce(&mut S) -> bool,
    next: impl FnOnce(&mut S) -> Option<Wakeup<K>>,
) -> bool {
    let mut state = lock.lock();
    if !look(&mut state) {
        // SAFETY: this function's contract; the lock is held.
        let before = unsafe { node.wait(list(&mut state), waker) };
        drop(state);
        drop(before);
        return false;
    }
    // SAFETY: as above.
    let (_, before) = unsafe { node.leave(list(&mut state)) };
    let next = next(&mut state);
    drop(state);
    drop((before, waker));
    next.into_iter().for_each(Wakeup::now);
    true
}

/// A future that waits in one list goes. `next`, which is told how it stood, says whom to let go in
/// its place.
///
/// # Safety
///
/// If it waits, then in that list of what is under that lock.
pub(crate) unsafe fn leave_list<S, T, K: Unpark>(
    lock: &Mutex<S>,
    list: fn(&mut S) -> &mut WaitList<T, K>,
    node: &PolledNode<T, K>,
    next: impl FnOnce(&mut S, Standing) -> Option<Wakeup<K>>,
) {
    let mut state = lock.lock();
    // SAFETY: this function's contract; the lock is held.
    let (standing, waker) = unsafe { node.leave(list(&mut state)) };
    let next = next(&mut state, standing);
    drop(state);
    drop(waker);
    next.into_iter().for_each(Wakeup::now);
}
