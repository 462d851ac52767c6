//! The wait queue under every primitive: its node, what a waiter is handed, and how a waker
//! finishes it.
//!
//! A [`Waiter`] lies with the party that waits: on the stack of a goroutine or thread, or in a
//! pinned future. It is linked, by raw pointers, into a [`WaitList`] that the primitive keeps
//! inside its own lock. The same node stands for a goroutine, for a thread-backed goroutine and for
//! a plain thread ([`WaiterKind::Parked`]; only the target, [`Unpark`], differs between these), and
//! for the executor that polls a future ([`WaiterKind::Polls`]). The owner's side of each is a
//! module: [`parked`](super::parked) for waiters that park, [`polled`](super::polled) for futures,
//! [`race`](super::race) for a select that waits in several lists at once. The loom models have a
//! target of their own and run these very files.
//!
//! # Invariants
//!
//! 1. Links are read and written under the primitive's lock only, and `linked` says whether they
//!    are in use.
//! 2. The waker owns a popped node until it stores `done`. That store is its *last* access to the
//!    node: after it the owner may return and the memory is gone. So the waker first fills or
//!    empties the slot, copies the target out, notifies, and then stores. It does all of that under
//!    the lock. It makes the target runnable after the lock was dropped, because that runs other
//!    code.
//! 3. Notifying comes before `done`. An owner that saw `done` may end, and with it what its target
//!    points to. Or the owner may wait for something else at once, and a notification of the old
//!    wait that arrived then would end the new wait early.
//! 4. However the owner was woken, it returns only after it saw `done`, or found the node off the
//!    list under the lock, or took the node off under the lock. Nothing in between unwinds.
//! 5. Cancel, deadline and hand-over race for the lock: the first to hold it decides. A node found
//!    `done` under the lock was served, and a cancelled owner returns what it was handed; the
//!    cancel stays pending for its next wait.
//! 6. The waker that serves a node of a select must first win the select's race
//!    ([`Race`](super::race::Race)). A node whose race is lost is taken off its list and not
//!    touched again.
//! 7. No value is handed into a future's node: the future may be forgotten, and the value with it.
//!    The node is taken off its list, its future is woken, and the next poll tries again. A
//!    notification has no value: its notifier empties the slot, and a forgotten future keeps it.
//!    The waker of a future is the user's code: it is moved out under the lock and called after.
//!
//! Rejected: notifying after the lock is dropped, with the target copied out. The critical section
//! is one compare-exchange shorter, but invariant 3 is broken.
//!
//! Rejected: a drop guard that unlinks if parking unwinds. Nothing unwinds there, and a cancelled
//! wait would take the lock twice.
//!
//! Rejected: one claim word per node that a canceller races for without the lock. Unlinking needs
//! the lock anyhow, and under it the race is a plain `if`. Only a select, whose nodes lie under
//! several locks, needs such a word.
//!
//! # Safety
//!
//! The pointers in a list are valid by 4: a node stays pinned with its owner until it is off the
//! list or `done`. They are exclusive by 1. A list goes from thread to thread together with its
//! lock, so items and targets must be `Send`. These files cannot see that a guard and a list belong
//! to the lock that they come with; that is the contract of the owners' functions.

#![expect(unsafe_code, reason = "nodes lie with the waiters and are linked through raw pointers")]

use gosched_runtime_sys::clock::monotonic_ns;
use gosched_runtime_sys::sync::held;
use gosched_runtime_sys::sync::primitive::{AtomicU32, Cell, Ordering, mutated};
use std::marker::{PhantomData, PhantomPinned};
use std::ptr::{self, NonNull};
use std::task::Waker;

use crate::proc::claimed::Claimed;
use crate::proc::target::Target;

use crate::wait::race::Ticket;

/// What a waker needs of a waiter. It is copied out of the node and outlives it.
pub(crate) trait Unpark: Clone {
    /// A waiter that was claimed and must be made runnable.
    type Wake;

    /// Ends the wait, under the queue's lock. Runs no user code.
    #[must_use = "the waiter never runs again unless it is woken"]
    fn notify(self) -> Self::Wake;

    /// Makes a claimed waiter runnable, outside every lock.
    fn wake(wake: Self::Wake);

    /// Returns the time in ns of the clock by which waits are measured.
    fn now_ns() -> u64 {
        monotonic_ns()
    }
}

impl Unpark for Target {
    type Wake = Claimed;

    #[inline(always)]
    fn notify(self) -> Claimed {
        Target::notify(self)
    }

    #[inline(always)]
    fn wake(wake: Claimed) {
        wake.now();
    }
}

/// A notified waiter, which must be woken outside every lock.
#[must_use = "the waiter never runs again unless it is woken"]
pub(crate) enum Wakeup<K: Unpark> {
    /// A goroutine or a thread.
    Parked(K::Wake),
    /// The executor that polls a future.
    Polls(Waker),
}

impl<K: Unpark> Wakeup<K> {
    /// Makes the waiter runnable. Runs the user's code, if the waiter is a future.
    #[inline(always)]
    pub(crate) fn now(self) {
        match self {
            Self::Parked(wake) => K::wake(wake),
            Self::Polls(waker) => {
                held::assert_none();
                waker.wake();
            }
        }
    }
}

/// The kind of waiter at a node, with what wakes it.
pub(super) enum WaiterKind<K> {
    /// A goroutine or a thread.
    Parked(K),
    /// The executor that polls a future.
    Polls(Waker),
}

/// One wait, pinned with its waiter. `T` is what is handed over, in either direction.
pub(crate) struct Waiter<T, K> {
    prev: Cell<*const Self>,
    next: Cell<*const Self>,
    pub(super) linked: Cell<bool>,
    /// The list's count when the node was linked; zero if the node went to the front.
    order: Cell<u64>,
    /// What is handed over: empty while a receiver waits, full while a sender does.
    pub(super) slot: Cell<Option<T>>,
    /// Set while the node is linked; the waker moves it out.
    pub(super) kind: Cell<Option<WaiterKind<K>>>,
    /// What a waker must win before it may serve this node, if it is a select's.
    pub(super) ticket: Cell<Option<Ticket>>,
    /// 0: waits; 1: served, and no waker will touch this node again.
    pub(super) done: AtomicU32,
    _pinned: PhantomPinned,
}

impl<T, K> Waiter<T, K> {
    /// A node that is on no list.
    #[inline(always)]
    pub(super) fn new(slot: Option<T>) -> Self {
        Self {
            prev: Cell::new(ptr::null()),
            next: Cell::new(ptr::null()),
            linked: Cell::new(false),
            order: Cell::new(0),
            slot: Cell::new(slot),
            kind: Cell::new(None),
            ticket: Cell::new(None),
            done: AtomicU32::new(0),
            _pinned: PhantomPinned,
        }
    }

    #[inline(always)]
    pub(super) fn is_done(&self) -> bool {
        // ORDERING[waiter.done]: pairs with the store in `Popped::complete`: the slot is as the
        // waker left it, and the node is the owner's alone.
        self.done.load(Ordering::Acquire) != 0
    }
}

impl<T, K: Unpark> Waiter<T, K> {
    #[inline(always)]
    fn notify(&self) -> Wakeup<K> {
        match self.kind.replace(None) {
            Some(WaiterKind::Parked(target)) => Wakeup::Parked(target.notify()),
            Some(WaiterKind::Polls(waker)) => Wakeup::Polls(waker),
            None => unreachable!("a linked node knows its waiter"),
        }
    }

    /// True if the waker that took the node off its list may serve it.
    #[inline(always)]
    fn win(&self) -> bool {
        self.ticket.get().is_none_or(|ticket| ticket.win())
    }

    fn is_open(&self) -> bool {
        self.ticket.get().is_none_or(|ticket| ticket.is_open())
    }
}

/// Where in a list a node is linked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// Behind all other nodes.
    Back,
    /// Before all other nodes: a waiter whose turn had come, that was woken, and came too late.
    Front,
}

/// Waiters in the order of their arrival. The list lies inside the lock of what they wait for.
pub(crate) struct WaitList<T, K> {
    head: *const Waiter<T, K>,
    tail: *const Waiter<T, K>,
    /// How many nodes were linked so far.
    count: u64,
}

/// A moment in a list's life: it tells the nodes linked before it from those linked later.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mark(u64);

// SAFETY: a list owns its nodes' links, and reaches their items and targets one thread at a time,
// because of the lock around it. So both must be allowed on other threads; nothing else in a node
// is bound to a thread.
unsafe impl<T: Send, K: Send> Send for WaitList<T, K> {}

impl<T, K: Unpark> WaitList<T, K> {
    pub(crate) const fn new() -> Self {
        Self { head: ptr::null(), tail: ptr::null(), count: 0 }
    }

    /// Removes and returns the node that has waited longest, past those that a select has lost. The
    /// caller finishes it before it releases the lock.
    #[inline(always)]
    pub(crate) fn pop(&mut self) -> Option<Popped<'_, T, K>> {
        loop {
            let node = NonNull::new(self.head.cast_mut())?;
            // SAFETY: a linked node is valid and nobody else uses its links while `self` is
            // borrowed (invariants 1, 4).
            unsafe { self.unlink(node.as_ptr()) };
            // SAFETY: the node was linked a moment ago, and its owner has to take the lock before
            // it may return.
            if unsafe { node.as_ref() }.win() {
                return Some(Popped { node, _list: PhantomData });
            }
        }
    }

    /// Returns the present moment.
    pub(crate) fn mark(&self) -> Mark {
        Mark(self.count)
    }

    /// As [`pop`](Self::pop), but returns no waiter that came after the mark.
    pub(crate) fn pop_before(&mut self, mark: Mark) -> Option<Popped<'_, T, K>> {
        let oldest = NonNull::new(self.head.cast_mut())?;
        // SAFETY: a linked node is valid.
        if unsafe { oldest.as_ref() }.order.get() > mark.0 {
            return None;
        }
        self.pop()
    }

    /// True if [`pop`](Self::pop) would return a waiter now. Nodes that a select has lost are taken
    /// off.
    pub(crate) fn has_waiter(&mut self) -> bool {
        while let Some(node) = NonNull::new(self.head.cast_mut()) {
            // SAFETY: a linked node is valid.
            if unsafe { node.as_ref() }.is_open() {
                return true;
            }
            // SAFETY: it is the head.
            unsafe { self.unlink(node.as_ptr()) };
        }
        false
    }

    /// Returns what the node that has waited longest has in its slot.
    pub(crate) fn peek(&self) -> Option<T>
    where
        T: Copy,
    {
        // SAFETY: a linked node is valid, and its slot is under this list's lock until it is
        // popped.
        NonNull::new(self.head.cast_mut()).and_then(|node| unsafe { node.as_ref() }.slot.get())
    }

    /// Replaces what the node that has waited longest has in its slot, if there is one.
    pub(super) fn replace_first(&mut self, content: T) {
        if let Some(node) = NonNull::new(self.head.cast_mut()) {
            // SAFETY: a linked node is valid, and its slot is under this list's lock until it is
            // popped.
            unsafe { node.as_ref() }.slot.set(Some(content));
        }
    }

    /// True if no node is linked.
    #[inline(always)]
    pub(crate) fn is_empty(&self) -> bool {
        self.head.is_null()
    }

    /// Returns the number of nodes.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        let next = |node: &*const Waiter<T, K>| {
            // SAFETY: a linked node is valid, and its links are this list's.
            NonNull::new(node.cast_mut()).map(|node| unsafe { node.as_ref() }.next.get())
        };
        std::iter::successors(Some(self.head), next).filter(|node| !node.is_null()).count()
    }

    /// Links a node, behind the others or in front of them.
    ///
    /// # Safety
    ///
    /// `node` is on no list, and stays valid and in place until it is `done` or unlinked.
    #[inline]
    pub(super) unsafe fn push(&mut self, node: *const Waiter<T, K>, kind: WaiterKind<K>, end: End) {
        // SAFETY: valid by this function's contract; no other thread knows it yet.
        let linked = unsafe { &*node };
        linked.linked.set(true);
        self.count += 1;
        linked.order.set(if end == End::Back { self.count } else { 0 });
        linked.kind.set(Some(kind));
        let (prev, next) = match end {
            End::Back => (self.tail, ptr::null()),
            End::Front => (ptr::null(), self.head),
        };
        linked.prev.set(prev);
        linked.next.set(next);
        if prev.is_null() {
            self.head = node;
        } else {
            // SAFETY: a linked node is valid and its links are this list's.
            unsafe { &*prev }.next.set(node);
        }
        if next.is_null() {
            self.tail = node;
        } else {
            // SAFETY: as for the other neighbour.
            unsafe { &*next }.prev.set(node);
        }
    }

    /// Takes a node off the list.
    ///
    /// # Safety
    ///
    /// `node` is on this list.
    #[inline(always)]
    pub(super) unsafe fn unlink(&mut self, node: *const Waiter<T, K>) {
        // SAFETY: a linked node is valid, and its links are this list's.
        let linked = unsafe { &*node };
        linked.linked.set(false);
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

/// A waiter that a waker took off its list. It borrows the list, so the lock is still held when it
/// is finished.
#[must_use = "a popped waiter that is not finished waits for ever"]
pub(crate) struct Popped<'list, T, K> {
    node: NonNull<Waiter<T, K>>,
    _list: PhantomData<&'list mut WaitList<T, K>>,
}

impl<T, K: Unpark> Popped<'_, T, K> {
    /// Takes what the waiter offered, if it offered anything, and ends its wait.
    #[inline(always)]
    pub(crate) fn take(self) -> (Option<T>, Wakeup<K>) {
        self.complete(|slot| slot.replace(None))
    }

    /// Passes `exchange` what the waiter has in its slot, which is empty then, and ends its wait.
    #[inline(always)]
    pub(crate) fn exchange<R>(self, exchange: impl FnOnce(Option<T>) -> R) -> (R, Wakeup<K>) {
        self.complete(|slot| exchange(slot.replace(None)))
    }

    /// Ends the wait with this in the slot.
    pub(super) fn replace(self, content: T) -> Wakeup<K> {
        self.complete(|slot| slot.set(Some(content))).1
    }

    /// Ends the wait with the slot as it is.
    pub(crate) fn finish(self) -> Wakeup<K> {
        self.complete(|_| ()).1
    }

    #[inline(always)]
    fn complete<R>(self, exchange: impl FnOnce(&Cell<Option<T>>) -> R) -> (R, Wakeup<K>) {
        // SAFETY: popped and not `done`: the owner waits for `done` with the node in place
        // (invariants 2, 4).
        let node = unsafe { self.node.as_ref() };
        if mutated("waiter.done_before_slot") {
            let wake = node.notify();
            node.done.store(1, Ordering::Release);
            return (exchange(&node.slot), wake);
        }
        let exchanged = exchange(&node.slot);
        let wake = node.notify();
        let order =
            if mutated("waiter.done_relaxed") { Ordering::Relaxed } else { Ordering::Release };
        // ORDERING[waiter.done]: pairs with `Waiter::is_done`: an owner that sees this store sees
        // what was done to the slot. This is the last access to the node, which may be gone right
        // after.
        node.done.store(1, order);
        (exchanged, wake)
    }
}
