//! The wait queue under every primitive: who waits, what it is handed, and how it is let go.
//!
//! A [`Waiter`] lies with whoever waits - on the stack of a goroutine or thread, or in a pinned
//! future - and is linked, by raw pointers, into a [`WaitList`] that the primitive keeps inside its
//! own lock. The same node stands for a goroutine, for a foreign thread's goroutine, for a plain
//! thread ([`Whom::Parked`]; the difference between these is in its target, [`Unpark`], alone) and
//! for whoever polls a future ([`Whom::Polls`]). The owner's side of each is a module:
//! [`parked`](super::parked) for what parks, [`polled`] for futures, [`race`] for one who waits in
//! several lists at once. The loom models bring a target of their own and run these very files.
//!
//! # Invariants
//!
//! 1. Links are read and written under the primitive's lock only, and `linked` says whether they
//!    are in use.
//! 2. The waker owns a popped node until it stores `done`, which is its *last* access to the node:
//!    after it the owner may return and the memory is gone. So it first fills or empties the slot,
//!    copies the target out, notifies, and then stores. All of it under the lock; making the target
//!    runnable comes after the lock was dropped, because that runs other code.
//! 3. Notifying comes before `done`. An owner that saw `done` may end, and what its target points
//!    to with it; or wait for something else at once, and a notification of the old wait that
//!    arrived then would end the new one early.
//! 4. The owner returns only after it saw `done`, or found the node off the list, or took it off,
//!    under the lock, however it was woken; nothing in between unwinds.
//! 5. Cancel, deadline and hand-over race for the lock: whoever has it first decides. A node found
//!    `done` under the lock was served, and a cancelled owner returns what it was handed; the
//!    cancel stays pending for its next wait.
//! 6. A node of a select is served by whoever wins its race ([`race::Race`]) first; one whose race
//!    is lost is taken off its list and not touched again.
//! 7. Nothing is handed into a future's node: it may be forgotten, and what was handed to it with
//!    it. It is taken off its list and woken, and its next poll tries again. Its waker is the
//!    user's: moved out under the lock, called after.
//!
//! Rejected: notifying after the lock is dropped, with the target copied out: the critical section
//! is one compare-exchange shorter, and 3 is broken. Rejected: a drop guard that unlinks if parking
//! unwinds: nothing unwinds there, and a cancelled wait would take the lock twice. Rejected: one
//! claim word per node that a canceller races for without the lock. Unlinking needs the lock
//! anyhow, and under it the race is a plain `if`; only a select, whose nodes lie under several
//! locks, needs such a word.
//!
//! # Safety
//!
//! The pointers in a list are valid by 4: a node stays pinned with its owner until it is off the
//! list or `done`. They are exclusive by 1. A list goes from thread to thread with the lock around
//! it, so items and targets must be `Send`. What these files cannot see, that a guard and a list
//! belong to the lock they come with, is the contract of the owners' functions.

#![expect(unsafe_code, reason = "nodes lie with the waiters and are linked through raw pointers")]

use gosched_runtime_sys::clock::monotonic_ns;
use gosched_runtime_sys::sync::primitive::{AtomicU32, Cell, Ordering, mutated};
use std::marker::{PhantomData, PhantomPinned};
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::ptr::{self, NonNull};
use std::task::Waker;

use crate::proc::claimed::Claimed;
use crate::proc::target::Target;

use crate::wait::race::Ticket;

/// What a waker needs of a waiter: it is copied out of the node and outlives it.
pub(crate) trait Unpark: Clone {
    /// A waiter that was claimed and must be made runnable.
    type Wake;

    /// Ends the wait, under the queue's lock. Runs no user code.
    #[must_use = "the waiter never runs again unless it is woken"]
    fn notify(self) -> Self::Wake;

    /// Makes a claimed waiter runnable, outside every lock.
    fn wake(wake: Self::Wake);

    /// The clock by which waits are measured.
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

/// A waiter that was let go and must be told so, outside every lock.
#[must_use = "the waiter never runs again unless it is woken"]
pub(crate) enum Wakeup<K: Unpark> {
    /// A goroutine or a thread.
    Parked(K::Wake),
    /// Whoever polls a future.
    Polls(Waker),
}

impl<K: Unpark> Wakeup<K> {
    /// Makes it runnable. Runs the user's code, if it is a future's waker.
    #[inline(always)]
    pub(crate) fn now(self) {
        match self {
            Self::Parked(wake) => K::wake(wake),
            Self::Polls(waker) => waker.wake(),
        }
    }
}

/// Wakes those whom `next` gives, one after the other, until it gives nobody. A future's waker is
/// the user's code: one that unwinds keeps nobody else from being woken. In the end the first one's
/// panic goes on.
pub(crate) fn wake_each<K: Unpark>(mut next: impl FnMut() -> Option<Wakeup<K>>) {
    let mut first = None;
    while let Some(wakeup) = next() {
        let Err(payload) = catch_unwind(AssertUnwindSafe(|| wakeup.now())) else { continue };
        match first {
            None => first = Some(payload),
            // To drop it may unwind as well.
            Some(_) => mem::forget(payload),
        }
    }
    if let Some(payload) = first {
        resume_unwind(payload);
    }
}

/// Who waits at a node.
pub(super) enum Whom<K> {
    /// A goroutine or a thread.
    Parked(K),
    /// Whoever polls a future.
    Polls(Waker),
}

/// One wait, pinned with who waits. `T` is what is handed over, in either direction.
pub(crate) struct Waiter<T, K> {
    prev: Cell<*const Self>,
    next: Cell<*const Self>,
    pub(super) linked: Cell<bool>,
    /// When it was linked, by the list's count; zero if it went to the front.
    order: Cell<u64>,
    /// What is handed over: empty while a receiver waits, full while a sender does.
    pub(super) slot: Cell<Option<T>>,
    /// Set while it is linked; the waker moves it out.
    pub(super) whom: Cell<Option<Whom<K>>>,
    /// Of a select: what a waker must win before it may serve this node.
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
            whom: Cell::new(None),
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
        match self.whom.replace(None) {
            Some(Whom::Parked(target)) => Wakeup::Parked(target.notify()),
            Some(Whom::Polls(waker)) => Wakeup::Polls(waker),
            None => unreachable!("a linked node knows who waits"),
        }
    }

    /// By a waker that took it off its list: whether it may serve it.
    #[inline(always)]
    fn win(&self) -> bool {
        self.ticket.get().is_none_or(|ticket| ticket.win())
    }

    fn is_open(&self) -> bool {
        self.ticket.get().is_none_or(|ticket| ticket.is_open())
    }
}

/// Where in a list a node goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// Behind those who came before.
    Back,
    /// Before all others: one that had waited its turn, was let go, and came too late.
    Front,
}

/// Waiters in the order of their arrival; lives inside the lock of what they wait for.
pub(crate) struct WaitList<T, K> {
    head: *const Waiter<T, K>,
    tail: *const Waiter<T, K>,
    /// How many were linked so far.
    count: u64,
}

/// A moment in a list's life: those who were linked before it are told from those who come later.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mark(u64);

// SAFETY: a list owns its nodes' links, and reaches their items and targets, one thread at a time
// (the lock around it); so both must be allowed on other threads, and nothing else in a node is
// bound to one.
unsafe impl<T: Send, K: Send> Send for WaitList<T, K> {}

impl<T, K: Unpark> WaitList<T, K> {
    pub(crate) const fn new() -> Self {
        Self { head: ptr::null(), tail: ptr::null(), count: 0 }
    }

    /// Takes the longest waiting one off the list, past those that a select served elsewhere. The
    /// caller finishes it before it gives the lock back.
    #[inline(always)]
    pub(crate) fn pop(&mut self) -> Option<Popped<'_, T, K>> {
        loop {
            let node = NonNull::new(self.head.cast_mut())?;
            // SAFETY: a linked node is valid and nobody else uses its links while `self` is
            // borrowed (invariants 1, 4).
            unsafe { self.unlink(node.as_ptr()) };
            // SAFETY: it was linked a moment ago, and its owner has to take the lock before it may
            // return.
            if unsafe { node.as_ref() }.win() {
                return Some(Popped { node, _list: PhantomData });
            }
        }
    }

    /// Now.
    pub(crate) fn mark(&self) -> Mark {
        Mark(self.count)
    }

    /// As [`pop`](Self::pop), but nobody who came after the mark.
    pub(crate) fn pop_before(&mut self, mark: Mark) -> Option<Popped<'_, T, K>> {
        let oldest = NonNull::new(self.head.cast_mut())?;
        // SAFETY: a linked node is valid.
        if unsafe { oldest.as_ref() }.order.get() > mark.0 {
            return None;
        }
        self.pop()
    }

    /// Whether somebody waits whom [`pop`](Self::pop) would return now. What a select lost is taken
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

    /// What the longest waiting one has in its slot.
    pub(crate) fn peek(&self) -> Option<T>
    where
        T: Copy,
    {
        // SAFETY: a linked node is valid, and its slot is under this list's lock until it is
        // popped.
        NonNull::new(self.head.cast_mut()).and_then(|node| unsafe { node.as_ref() }.slot.get())
    }

    /// Whether nobody is linked.
    #[inline(always)]
    pub(crate) fn is_empty(&self) -> bool {
        self.head.is_null()
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

    /// Links a node, behind the others or before them.
    ///
    /// # Safety
    ///
    /// `node` is on no list, and stays valid and in place until it is `done` or unlinked.
    #[inline]
    pub(super) unsafe fn push(&mut self, node: *const Waiter<T, K>, whom: Whom<K>, end: End) {
        // SAFETY: valid by this function's contract; nobody else knows it yet.
        let linked = unsafe { &*node };
        linked.linked.set(true);
        self.count += 1;
        linked.order.set(if end == End::Back { self.count } else { 0 });
        linked.whom.set(Some(whom));
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

/// A waiter off its list, in a waker's hands. It borrows the list, so that the lock is still held
/// when it is finished.
#[must_use = "a popped waiter that is not finished waits for ever"]
pub(crate) struct Popped<'list, T, K> {
    node: NonNull<Waiter<T, K>>,
    _list: PhantomData<&'list mut WaitList<T, K>>,
}

impl<T, K: Unpark> Popped<'_, T, K> {
    /// Hands `value` to the waiter, which is no future.
    #[inline(always)]
    pub(crate) fn give(self, value: T) -> Wakeup<K> {
        self.complete(|slot| drop(slot.replace(Some(value)))).1
    }

    /// Takes what the waiter offered, if it offered anything.
    #[inline(always)]
    pub(crate) fn take(self) -> (Option<T>, Wakeup<K>) {
        self.complete(|slot| slot.replace(None))
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
        // ORDERING[waiter.done]: pairs with `Waiter::is_done`: what was done to the slot is visible
        // to who sees this. The last access to the node: it may be gone right after.
        node.done.store(1, order);
        (exchanged, wake)
    }
}
