//! The wait queue under every primitive: who waits, what it is handed, and how it is let go.
//!
//! A [`Waiter`] lies on the stack of whoever waits and is linked, by raw pointers, into a [`WaitList`] that the
//! primitive keeps inside its own lock. The same node stands for a goroutine, for a foreign thread's goroutine and for
//! a plain thread; the difference is in its target ([`Rouse`]) alone, and [`Parks`] is the owner's side of that target.
//! The loom models bring a target of their own and run this very file.
//!
//! # Invariants
//!
//! 1. Links are read and written under the primitive's lock only. A node with `done` unset is linked, except between
//!    [`WaitList::pop`] and the end of that critical section, or before its owner pushed it.
//! 2. The waker owns a popped node until it stores `done`, which is its *last* access to the node: after it the owner
//!    may return and the memory is gone. So it first fills or empties the slot, copies the target out, notifies, and
//!    then stores. All of it under the lock; making the target runnable comes after the lock was dropped, because that
//!    runs other code.
//! 3. Notifying comes before `done`. An owner that saw `done` may end, and what its target points to with it; or wait
//!    for something else at once, and a notification of the old wait that arrived then would end the new one early.
//! 4. The owner returns only after it saw `done` or unlinked the node under the lock, however it was woken; nothing in
//!    between unwinds.
//! 5. Cancel and hand-over race for the lock: whoever has it first decides. A node found `done` under the lock was
//!    served, and a cancelled owner returns what it was handed; the cancel stays pending for its next wait.
//!
//! Rejected: notifying after the lock is dropped, with the target copied out: the critical section is one
//! compare-exchange shorter, and 3 is broken. Rejected: a drop guard that unlinks if parking unwinds: nothing unwinds
//! there, and a cancelled wait would take the lock twice. Rejected: one claim word per node that a canceller races for
//! without the lock. Unlinking needs the lock anyhow, and under it the race is a plain `if`.
//!
//! # Safety
//!
//! The pointers in a list are valid by 4: a node stays pinned in [`wait`]'s frame until it is off the list or `done`.
//! They are exclusive by 1. A list goes from thread to thread with the lock around it, so items and targets must be
//! `Send`. What this file cannot see, that a guard and a list belong to the lock they come with, is the contract
//! of [`wait`].

#![expect(unsafe_code, reason = "nodes lie on the waiters' stacks and are linked through raw pointers")]

use gosched_runtime_sys::primitive::{AtomicU32, Cell, Mutex, MutexGuard, Ordering, mutated};
use std::marker::{PhantomData, PhantomPinned};
use std::ptr::{self, NonNull};

use crate::proc::park::{Parking, Target, Wake};

/// What a waker needs of a waiter: it is copied out of the node and outlives it.
pub(crate) trait Rouse: Clone {
    /// A waiter that was claimed and must be made runnable.
    type Wake;

    /// Ends the wait, under the queue's lock. Runs no user code.
    #[must_use = "the waiter never runs again unless it is woken"]
    fn notify(self) -> Self::Wake;

    /// Makes a claimed waiter runnable, outside every lock.
    fn wake(wake: Self::Wake);
}

impl Rouse for Target {
    type Wake = Wake;

    fn notify(self) -> Wake {
        Target::notify(self)
    }

    fn wake(wake: Wake) {
        wake.now();
    }
}

/// The waiting side: one wait of whoever calls.
///
/// # Safety
///
/// `park` does not unwind: the caller's frame is linked while it runs.
pub(crate) unsafe trait Parks {
    /// What wakes it.
    type Target: Rouse;

    /// Begins a wait of the caller if that takes neither an allocation nor a lock, so that it can be done under the lock of
    /// what is waited for.
    fn begin_at_once() -> Option<Self>
    where
        Self: Sized,
    {
        None
    }

    /// Who has to be woken.
    fn target(&self) -> Self::Target;

    /// Suspends until notified or cancelled. May return early, may be called again; does not unwind.
    fn park(&self);

    /// Whether the wait is to be given up. Never true where giving up is not allowed (shielded, panicking).
    fn cancelled(&self) -> bool;

    /// Gives the wait up, by unwinding.
    fn raise(&self) -> !;
}

// SAFETY: parking suspends and returns; what a cancel raises is raised by `raise`, and only there.
unsafe impl Parks for Parking {
    type Target = Target;

    #[inline]
    fn begin_at_once() -> Option<Self> {
        Parking::begin_at_once()
    }

    fn target(&self) -> Target {
        Parking::target(self)
    }

    fn park(&self) {
        Parking::park(self);
    }

    fn cancelled(&self) -> bool {
        Parking::cancelled(self)
    }

    fn raise(&self) -> ! {
        Parking::raise(self)
    }
}

/// One wait, pinned on the waiting stack. `T` is what is handed over, in either direction.
struct Waiter<T, K> {
    prev: Cell<*const Self>,
    next: Cell<*const Self>,
    /// What is handed over: empty while a receiver waits, full while a sender does.
    slot: Cell<Option<T>>,
    target: K,
    /// 0: waits; 1: served, and no waker will touch this node again.
    done: AtomicU32,
    _pinned: PhantomPinned,
}

impl<T, K> Waiter<T, K> {
    fn new(slot: Option<T>, target: K) -> Self {
        Self {
            prev: Cell::new(ptr::null()),
            next: Cell::new(ptr::null()),
            slot: Cell::new(slot),
            target,
            done: AtomicU32::new(0),
            _pinned: PhantomPinned,
        }
    }

    fn is_done(&self) -> bool {
        // ORDERING[waiter.done]: pairs with the store in `Popped::finish`: the slot is as the waker left it, and the
        // node is the owner's alone.
        self.done.load(Ordering::Acquire) != 0
    }
}

/// Waiters in the order of their arrival; lives inside the lock of what they wait for.
pub(crate) struct WaitList<T, K> {
    head: *const Waiter<T, K>,
    tail: *const Waiter<T, K>,
}

// SAFETY: a list owns its nodes' links, and reaches their items and targets, one thread at a time (the lock around
// it); so both must be allowed on other threads, and nothing else in a node is bound to one.
unsafe impl<T: Send, K: Send> Send for WaitList<T, K> {}

impl<T, K: Rouse> WaitList<T, K> {
    pub(crate) const fn new() -> Self {
        Self { head: ptr::null(), tail: ptr::null() }
    }

    /// Takes the longest waiting one off the list. The caller finishes it before it gives the lock back.
    pub(crate) fn pop(&mut self) -> Option<Popped<'_, T, K>> {
        let node = NonNull::new(self.head.cast_mut())?;
        // SAFETY: a linked node is valid and nobody else uses its links while `self` is borrowed (invariants 1, 4).
        unsafe { self.unlink(node.as_ptr()) };
        Some(Popped { node, _list: PhantomData })
    }

    /// How many wait.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        let next = |node: &*const Waiter<T, K>| {
            // SAFETY: a linked node is valid, and its links are this list's.
            NonNull::new(node.cast_mut()).map(|node| unsafe { node.as_ref() }.next.get())
        };
        std::iter::successors(Some(self.head), next).filter(|node| !node.is_null()).count()
    }

    /// # Safety
    ///
    /// `node` is on no list, and stays valid and in place until it is `done` or unlinked.
    unsafe fn push(&mut self, node: *const Waiter<T, K>) {
        // SAFETY: valid by this function's contract; only its links are used.
        let linked = unsafe { &*node };
        linked.prev.set(self.tail);
        if self.tail.is_null() {
            self.head = node;
        } else {
            // SAFETY: a linked node is valid and its links are this list's.
            unsafe { &*self.tail }.next.set(node);
        }
        self.tail = node;
    }

    /// # Safety
    ///
    /// `node` is on this list.
    unsafe fn unlink(&mut self, node: *const Waiter<T, K>) {
        // SAFETY: a linked node is valid, and its links are this list's.
        let linked = unsafe { &*node };
        let (prev, next) = (linked.prev.replace(ptr::null()), linked.next.replace(ptr::null()));
        if prev.is_null() {
            self.head = next;
        } else {
            // SAFETY: a neighbour is linked too, so it is valid.
            unsafe { &*prev }.next.set(next);
        }
        if next.is_null() {
            self.tail = prev;
        } else {
            // SAFETY: as for the other neighbour.
            unsafe { &*next }.prev.set(prev);
        }
    }
}

/// A waiter off its list, in a waker's hands. It borrows the list, so that the lock is still held when it is finished.
#[must_use = "a popped waiter that is not finished waits for ever"]
pub(crate) struct Popped<'list, T, K> {
    node: NonNull<Waiter<T, K>>,
    _list: PhantomData<&'list mut WaitList<T, K>>,
}

impl<T, K: Rouse> Popped<'_, T, K> {
    /// Hands `value` to the waiter.
    #[must_use = "the waiter never runs again unless it is woken"]
    pub(crate) fn give(self, value: T) -> K::Wake {
        self.finish(|slot| drop(slot.replace(Some(value)))).1
    }

    /// Takes what the waiter offered, if it offered anything.
    #[must_use = "the waiter never runs again unless it is woken"]
    pub(crate) fn take(self) -> (Option<T>, K::Wake) {
        self.finish(|slot| slot.replace(None))
    }

    /// Ends the wait with the slot as it is.
    #[must_use = "the waiter never runs again unless it is woken"]
    pub(crate) fn dismiss(self) -> K::Wake {
        self.finish(|_| ()).1
    }

    fn finish<R>(self, exchange: impl FnOnce(&Cell<Option<T>>) -> R) -> (R, K::Wake) {
        // SAFETY: popped and not `done`: the owner waits for `done` with the node in place (invariants 2, 4).
        let node = unsafe { self.node.as_ref() };
        if mutated("waiter.done_before_slot") {
            let wake = node.target.clone().notify();
            node.done.store(1, Ordering::Release);
            return (exchange(&node.slot), wake);
        }
        let exchanged = exchange(&node.slot);
        let wake = node.target.clone().notify();
        let order = if mutated("waiter.done_relaxed") { Ordering::Relaxed } else { Ordering::Release };
        // ORDERING[waiter.done]: pairs with `Waiter::is_done`: what was done to the slot is visible to who sees this.
        // The last access to the node: it may be gone right after.
        node.done.store(1, order);
        (exchanged, wake)
    }
}

/// How a wait ended; with what the slot held then.
pub(crate) enum Waited<T> {
    /// A waker was here.
    Served(Option<T>),
    /// Given up and unlinked; the caller raises once nothing is left to lose.
    Cancelled(Option<T>),
}

/// Waits in a list until a waker serves the node or the wait is cancelled. Gives the lock back while it waits.
///
/// `parking` must have begun before: the node's target has to forget notifications of earlier waits before anybody
/// can see the node.
///
/// # Safety
///
/// `guard` is of `lock`. `list` returns the same list on each call, one that lives as long as the `S` in the lock
/// and is neither replaced nor dropped while somebody waits in it.
pub(crate) unsafe fn wait<S, T, P: Parks>(
    lock: &Mutex<S>,
    mut guard: MutexGuard<'_, S>,
    list: fn(&mut S) -> &mut WaitList<T, P::Target>,
    slot: Option<T>,
    parking: &P,
) -> Waited<T> {
    let node = Waiter::new(slot, parking.target());
    // SAFETY: the node is new, and stays in this frame, which is left below only when it is done or unlinked: `park`
    // does not unwind.
    unsafe { list(&mut guard).push(&node) };
    drop(guard);
    while !node.is_done() {
        parking.park();
        if parking.cancelled() {
            let mut guard = lock.lock();
            if node.is_done() && !mutated("waiter.unlink_unseen") {
                break;
            }
            // SAFETY: under the lock, a node that is not done is on its list (invariant 1).
            unsafe { list(&mut guard).unlink(&node) };
            drop(guard);
            return Waited::Cancelled(node.slot.replace(None));
        }
        if !node.is_done() {
            // Notified and not done: the waker is between the two, with the lock in its hands. Waiting for the
            // lock is waiting for `done`; parking again would spin on the notification.
            drop(lock.lock());
        }
    }
    Waited::Served(node.slot.replace(None))
}
