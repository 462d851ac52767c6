//! Futures of locks and of wait groups: an unlock against a poll, and against the drop of a future
//! that was woken for it.
//!
//! # Safety
//!
//! The futures here are pinned.

#![expect(unsafe_code, reason = "polls what is pinned")]

use gosched_runtime_sys::sync::primitive::thread;
use std::mem::ManuallyDrop;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Poll, Waker};

use super::executor::Executor;
use super::guarded::Guarded;
use super::models;
use super::sync::set_clock;
use crate::sync::raw::mutex::RawMutex;
use crate::sync::raw::rwlock::{RawRwLock, Wants};
use crate::sync::raw::semaphore::RawSemaphore;
use crate::sync::raw::wait_group::RawWaitGroup;
use crate::testing::TestWaiter;
use crate::wait::polled::PolledNode;
use crate::wait::reserved::{Ask, Found};

/// A lock as its futures, its waiters and its holder use it.
pub(super) trait Lock: Send + Sync + 'static {
    type Wants: Copy;

    /// Returns a lock that nobody holds.
    fn new() -> Self;

    fn lock_at_once(&self) -> bool;

    /// Waits for the lock; unwinds if it is cancelled.
    fn lock(&self, party: &TestWaiter);

    fn unlock(&self);

    /// # Safety
    ///
    /// The node is pinned, and waits for this lock only.
    unsafe fn poll(&self, node: &PolledNode<Ask<Self::Wants>, TestWaiter>, waker: Waker) -> Found;

    fn leave(&self, node: &PolledNode<Ask<Self::Wants>, TestWaiter>);
}

impl Lock for RawMutex<TestWaiter> {
    type Wants = ();

    fn new() -> Self {
        Self::new()
    }

    fn lock_at_once(&self) -> bool {
        self.try_lock()
    }

    fn lock(&self, party: &TestWaiter) {
        assert!(self.lock(None, || party.begin()).is_ok());
    }

    fn unlock(&self) {
        if let Some(wakeup) = self.unlock() {
            wakeup.now();
        }
    }

    unsafe fn poll(&self, node: &PolledNode<Ask<()>, TestWaiter>, waker: Waker) -> Found {
        // SAFETY: this function's contract; `leave` is called by the future's drop.
        unsafe { self.poll(node, &waker) }
    }

    fn leave(&self, node: &PolledNode<Ask<()>, TestWaiter>) {
        self.leave(node);
    }
}

impl Lock for RawSemaphore<TestWaiter> {
    type Wants = usize;

    fn new() -> Self {
        Self::new(1)
    }

    fn lock_at_once(&self) -> bool {
        self.try_acquire(1).is_ok()
    }

    fn lock(&self, party: &TestWaiter) {
        assert!(self.acquire(1, None, || party.begin()).is_ok());
    }

    fn unlock(&self) {
        self.release(1);
    }

    unsafe fn poll(&self, node: &PolledNode<Ask<usize>, TestWaiter>, waker: Waker) -> Found {
        // SAFETY: this function's contract; `leave` is called by the future's drop.
        unsafe { self.poll(node, 1, waker) }.expect("nobody closes it")
    }

    fn leave(&self, node: &PolledNode<Ask<usize>, TestWaiter>) {
        self.leave(node);
    }
}

impl Lock for RawRwLock<TestWaiter> {
    type Wants = Wants;

    fn new() -> Self {
        Self::new()
    }

    fn lock_at_once(&self) -> bool {
        self.try_write()
    }

    fn lock(&self, party: &TestWaiter) {
        assert!(self.write(None, || party.begin()).is_ok());
    }

    fn unlock(&self) {
        self.unlock_write();
    }

    unsafe fn poll(&self, node: &PolledNode<Ask<Wants>, TestWaiter>, waker: Waker) -> Found {
        // SAFETY: this function's contract; `leave` is called by the future's drop.
        unsafe { self.poll(node, Wants::Writing, waker) }
    }

    fn leave(&self, node: &PolledNode<Ask<Wants>, TestWaiter>) {
        self.leave(node);
    }
}

/// A future that locks.
pub(super) struct Locking<'a, L: Lock> {
    lock: &'a L,
    node: PolledNode<Ask<L::Wants>, TestWaiter>,
}

impl<'a, L: Lock> Locking<'a, L> {
    /// Not dropped by a failed model, whose lock is gone then.
    pub(super) fn new(lock: &'a L) -> ManuallyDrop<Pin<Box<Self>>> {
        ManuallyDrop::new(Box::pin(Self { lock, node: PolledNode::new(None) }))
    }

    pub(super) fn poll(self: &Pin<Box<Self>>, waker: Waker) -> Poll<()> {
        // SAFETY: pinned; `drop` leaves.
        polled(unsafe { self.lock.poll(&self.node, waker) })
    }
}

impl<L: Lock> Drop for Locking<'_, L> {
    fn drop(&mut self) {
        self.lock.leave(&self.node);
    }
}

fn polled(found: Found) -> Poll<()> {
    if found == Found::Taken { Poll::Ready(()) } else { Poll::Pending }
}

/// A lock that another thread holds, which counts and unlocks.
fn held<L: Lock>() -> (Arc<Guarded<L>>, thread::JoinHandle<()>) {
    set_clock(0);
    let guarded = Guarded::shared(L::new());
    assert!(guarded.lock.lock_at_once());
    let theirs = guarded.clone();
    let holder = thread::spawn(move || {
        theirs.add();
        theirs.lock.unlock();
    });
    (guarded, holder)
}

/// A future has the lock after its holder, whichever comes first.
fn locked<L: Lock>() {
    let (guarded, holder) = held::<L>();
    let future = Locking::new(&guarded.lock);
    Executor::new().block_on(|waker| future.poll(waker));
    guarded.add();
    assert_eq!(guarded.count(), 2);
    drop(ManuallyDrop::into_inner(future));
    guarded.lock.unlock();
    holder.join().expect("it does not panic");
    assert!(guarded.lock.lock_at_once(), "nobody has it");
}

/// Of two futures one is dropped, woken or not: the other has the lock.
fn dropped<L: Lock>() {
    let (guarded, holder) = held::<L>();
    let second = Executor::new();
    let (one, other) = (Locking::new(&guarded.lock), Locking::new(&guarded.lock));
    if one.poll(Executor::new().waker()).is_pending() {
        let early = other.poll(second.waker());
        drop(ManuallyDrop::into_inner(one));
        if early.is_pending() {
            second.sleep();
            second.block_on(|waker| other.poll(waker));
        }
    } else {
        drop(ManuallyDrop::into_inner(one));
    }
    guarded.add();
    assert_eq!(guarded.count(), 2);
    drop(ManuallyDrop::into_inner(other));
    guarded.lock.unlock();
    holder.join().expect("it does not panic");
    assert!(guarded.lock.lock_at_once(), "nobody has it");
}

/// Of three futures the second is polled of itself, while the wake-up may be the first one's, which
/// is dropped: the third has the lock after the second, which is not dropped before.
fn polled_of_itself<L: Lock>() {
    set_clock(0);
    let guarded = Guarded::shared(L::new());
    assert!(guarded.lock.lock_at_once());
    let (second, third) = (Executor::new(), Executor::new());
    let futures = [(); 3].map(|()| Locking::new(&guarded.lock));
    let wakers = [Executor::new().waker(), second.waker(), third.waker()];
    for (future, waker) in futures.iter().zip(wakers) {
        assert!(future.poll(waker).is_pending());
    }
    let theirs = guarded.clone();
    let holder = thread::spawn(move || {
        theirs.add();
        theirs.lock.unlock();
    });
    let [one, two, three] = futures;
    let early = two.poll(second.waker());
    drop(ManuallyDrop::into_inner(one));
    if early.is_pending() {
        second.sleep();
        second.block_on(|waker| two.poll(waker));
    }
    guarded.add();
    guarded.lock.unlock();
    third.sleep();
    third.block_on(|waker| three.poll(waker));
    guarded.add();
    assert_eq!(guarded.count(), 3);
    [two, three].into_iter().map(ManuallyDrop::into_inner).for_each(drop);
    guarded.lock.unlock();
    holder.join().expect("it does not panic");
    assert!(guarded.lock.lock_at_once(), "nobody has it");
}

/// Two futures that read wait for a writer: the first that comes in lets the second in beside it.
fn readers() {
    let (guarded, holder) = held::<RawRwLock<TestWaiter>>();
    let lock = &guarded.lock;
    let executors = [Executor::new(), Executor::new()];
    let nodes = [(); 2].map(|()| ManuallyDrop::new(Box::pin(PolledNode::new(None))));
    let poll = |n: usize, waker| {
        // SAFETY: pinned, and left below.
        polled(unsafe { lock.poll(&nodes[n], Wants::Reading, waker) })
    };
    let early = [0, 1].map(|n: usize| poll(n, executors[n].waker()));
    for n in [0, 1] {
        if early[n].is_pending() {
            executors[n].sleep();
            executors[n].block_on(|waker| poll(n, waker));
        }
    }
    assert_eq!(guarded.count(), 1);
    assert!(!lock.try_write(), "two are in");
    for node in nodes {
        lock.leave(&node);
        drop(ManuallyDrop::into_inner(node));
        lock.unlock_read();
    }
    holder.join().expect("it does not panic");
    assert!(lock.try_write(), "nobody is in");
}

/// Waiters of a group that counts two see what both did, by a future and parked.
fn zero() {
    let group = Guarded::shared(RawWaitGroup::<TestWaiter>::new());
    group.lock.add(2);
    let parked = group.clone();
    let waiter = thread::spawn(move || {
        let waiter = TestWaiter::new();
        assert!(parked.lock.wait(None, || waiter.begin()).is_ok());
        assert_eq!(parked.count(), 1);
    });
    let counted = group.clone();
    let worker = thread::spawn(move || {
        counted.add();
        assert!(counted.lock.done().is_ok());
    });
    assert!(group.lock.done().is_ok());
    let node = ManuallyDrop::new(Box::pin(PolledNode::new(None)));
    Executor::new().block_on(|waker| {
        // SAFETY: pinned, and left below.
        if unsafe { group.lock.poll(&node, waker) } { Poll::Ready(()) } else { Poll::Pending }
    });
    assert_eq!(group.count(), 1);
    group.lock.leave(&node);
    drop(ManuallyDrop::into_inner(node));
    worker.join().expect("it does not panic");
    waiter.join().expect("its asserts hold");
}

/// A group is used again as soon as a wait has returned: the last `done` of the round before wakes
/// no waiter of the next round.
fn next_round() {
    let group = Arc::new(RawWaitGroup::<TestWaiter>::new());
    group.add(1);
    let counted = group.clone();
    let worker = thread::spawn(move || assert!(counted.done().is_ok()));
    let waiter = TestWaiter::new();
    assert!(group.wait(None, || waiter.begin()).is_ok());
    group.add(1);
    let node = ManuallyDrop::new(Box::pin(PolledNode::new(None)));
    // SAFETY: pinned, and left below.
    let poll = || unsafe { group.poll(&node, Executor::new().waker()) };
    assert!(!poll());
    worker.join().expect("it does not panic");
    assert!(!poll(), "one is still counted");
    assert!(group.done().is_ok());
    assert!(poll());
    group.leave(&node);
    drop(ManuallyDrop::into_inner(node));
}

fn mutex_locked() {
    locked::<RawMutex<TestWaiter>>();
}

fn mutex_dropped() {
    dropped::<RawMutex<TestWaiter>>();
}

fn mutex_polled_of_itself() {
    polled_of_itself::<RawMutex<TestWaiter>>();
}

fn semaphore_polled_of_itself() {
    polled_of_itself::<RawSemaphore<TestWaiter>>();
}

fn rwlock_polled_of_itself() {
    polled_of_itself::<RawRwLock<TestWaiter>>();
}

fn semaphore_locked() {
    locked::<RawSemaphore<TestWaiter>>();
}

fn semaphore_dropped() {
    dropped::<RawSemaphore<TestWaiter>>();
}

fn rwlock_locked() {
    locked::<RawRwLock<TestWaiter>>();
}

fn rwlock_dropped() {
    dropped::<RawRwLock<TestWaiter>>();
}

models! {
    holds mutex_locked_holds = mutex_locked within 3 preemptions;
    holds semaphore_locked_holds = semaphore_locked within 3 preemptions;
    holds rwlock_locked_holds = rwlock_locked within 3 preemptions;
    holds mutex_dropped_holds = mutex_dropped within 3 preemptions;
    holds semaphore_dropped_holds = semaphore_dropped within 3 preemptions;
    holds rwlock_dropped_holds = rwlock_dropped within 3 preemptions;
    holds mutex_polled_of_itself_holds = mutex_polled_of_itself within 3 preemptions;
    holds semaphore_polled_of_itself_holds = semaphore_polled_of_itself within 3 preemptions;
    holds rwlock_polled_of_itself_holds = rwlock_polled_of_itself within 3 preemptions;
    holds readers_hold = readers within 3 preemptions;
    holds zero_holds = zero within 2 preemptions;
    holds next_round_holds = next_round within 3 preemptions;
    catches a_shortcut_of_a_future_that_waits = "polled.at_once_while_linked"
        in mutex_polled_of_itself within 3 preemptions;
    catches a_mutex_that_keeps_a_wake_up = "mutex.keeps_wake_up"
        in mutex_dropped within 3 preemptions;
    catches a_semaphore_that_keeps_a_wake_up = "semaphore.keeps_wake_up"
        in semaphore_dropped within 3 preemptions;
    catches a_rwlock_that_keeps_a_wake_up = "rwlock.keeps_wake_up"
        in rwlock_dropped within 3 preemptions;
    catches a_forgotten_future = "rwlock.forget_futures" in rwlock_locked within 3 preemptions;
    catches a_zero_without_the_lock = "wait_group.zero_unlocked" in next_round within 3 preemptions;
}
