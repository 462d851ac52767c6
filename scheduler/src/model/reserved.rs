//! What is reserved for a future: its turn comes, and a future that is not polled keeps nobody out.
//!
//! # Safety
//!
//! The futures here are pinned.

#![expect(unsafe_code, reason = "polls what is in a pinned future")]

use gosched_runtime_sys::sync::primitive::thread;
use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::Poll;

use super::executor::Executor;
use super::guarded::Guarded;
use super::models;
use super::polled_sync::{Lock, Locking};
use super::sync::set_clock;
use crate::chan::future::Receiving;
use crate::chan::raw::Channel;
use crate::sync::raw::mutex::RawMutex;
use crate::sync::raw::rwlock::RawRwLock;
use crate::sync::raw::semaphore::RawSemaphore;
use crate::testing::{CLOCK, TICK, TestWaiter};
use crate::wait::reserved::PATIENCE_NS;

/// Returns a lock that the caller holds.
fn held<L: Lock>() -> Arc<Guarded<L>> {
    set_clock(0);
    let guarded = Guarded::shared(L::new());
    assert!(guarded.lock.lock_at_once());
    guarded
}

/// Lets a millisecond pass, and more at each look at the clock from now on.
fn pass(tick_ns: u64) {
    CLOCK.fetch_add(PATIENCE_NS, Relaxed);
    TICK.store(tick_ns, Relaxed);
}

/// A thread that locks, adds and unlocks.
fn locker<L: Lock>(guarded: &Arc<Guarded<L>>, party: &TestWaiter) -> thread::JoinHandle<bool> {
    let (theirs, party) = (guarded.clone(), party.clone());
    thread::spawn(move || {
        let locked = catch_unwind(AssertUnwindSafe(|| theirs.lock.lock(&party))).is_ok();
        if locked {
            theirs.add();
            theirs.lock.unlock();
        }
        locked
    })
}

/// A future that has waited for long has the lock at the first poll after it was woken, whoever
/// comes running.
fn its_turn<L: Lock>() {
    let guarded = held::<L>();
    let executor = Executor::new();
    let future = Locking::new(&guarded.lock);
    assert!(future.poll(executor.waker()).is_pending());
    pass(0);
    let other = locker(&guarded, &TestWaiter::new());
    guarded.lock.unlock();
    executor.sleep();
    if future.poll(executor.waker()).is_pending() {
        // The other came before the unlock could reserve anything.
        panic!("it was woken in vain");
    }
    guarded.add();
    drop(ManuallyDrop::into_inner(future));
    guarded.lock.unlock();
    assert!(other.join().expect("its asserts hold"));
    assert_eq!(guarded.count(), 2);
    assert!(guarded.lock.lock_at_once(), "nobody has it");
}

/// The future is not polled again: a thread that waits already, or comes, has the lock all the
/// same.
fn kept<L: Lock>() {
    let guarded = held::<L>();
    let future = Locking::new(&guarded.lock);
    assert!(future.poll(Executor::new().waker()).is_pending());
    pass(PATIENCE_NS / 4);
    let other = locker(&guarded, &TestWaiter::new());
    guarded.lock.unlock();
    assert!(other.join().expect("its asserts hold"));
    drop(ManuallyDrop::into_inner(future));
    assert!(guarded.lock.lock_at_once(), "nobody has it");
    assert_eq!(guarded.count(), 1);
}

/// The future is dropped, before the reservation lapses.
fn dropped<L: Lock>() {
    let guarded = held::<L>();
    let future = Locking::new(&guarded.lock);
    assert!(future.poll(Executor::new().waker()).is_pending());
    pass(0);
    let other = locker(&guarded, &TestWaiter::new());
    guarded.lock.unlock();
    drop(ManuallyDrop::into_inner(future));
    assert!(other.join().expect("its asserts hold"));
    assert!(guarded.lock.lock_at_once(), "nobody has it");
    assert_eq!(guarded.count(), 1);
}

/// The future is not polled again, and of two threads that wait one is cancelled: perhaps the one
/// that watches.
fn watcher_goes<L: Lock>() {
    let guarded = held::<L>();
    let future = Locking::new(&guarded.lock);
    assert!(future.poll(Executor::new().waker()).is_pending());
    pass(PATIENCE_NS / 4);
    let party = TestWaiter::new();
    let others = [locker(&guarded, &party), locker(&guarded, &TestWaiter::new())];
    guarded.lock.unlock();
    party.cancel();
    let [cancelled, other] = others.map(|other| other.join().expect("its asserts hold"));
    assert!(other);
    drop(ManuallyDrop::into_inner(future));
    assert!(guarded.lock.lock_at_once(), "nobody has it");
    assert_eq!(guarded.count(), 1 + u32::from(cancelled));
}

/// The future is polled when its time is over, while two threads wait or come: both have the lock.
fn polled_late<L: Lock>() {
    let guarded = held::<L>();
    let executor = Executor::new();
    let future = Locking::new(&guarded.lock);
    assert!(future.poll(executor.waker()).is_pending());
    pass(0);
    let others = [(); 2].map(|()| locker(&guarded, &TestWaiter::new()));
    guarded.lock.unlock();
    pass(PATIENCE_NS / 4);
    if future.poll(executor.waker()).is_ready() {
        guarded.lock.unlock();
    }
    for other in others {
        assert!(other.join().expect("its asserts hold"));
    }
    drop(ManuallyDrop::into_inner(future));
    assert!(guarded.lock.lock_at_once(), "nobody has it");
    assert_eq!(guarded.count(), 2);
}

/// The writer leaves and lets in the reader that watches, perhaps. The future is polled when its
/// time is over: the writer that waits has the lock all the same.
fn watcher_is_let_in() {
    let guarded = held::<RwLock>();
    let executor = Executor::new();
    let future = Locking::new(&guarded.lock);
    assert!(future.poll(executor.waker()).is_pending());
    pass(0);
    let theirs = guarded.clone();
    let reader = thread::spawn(move || {
        let party = TestWaiter::new();
        assert!(theirs.lock.read(None, || party.begin()).is_ok());
        theirs.lock.unlock_read();
    });
    let writer = locker(&guarded, &TestWaiter::new());
    guarded.lock.unlock();
    pass(PATIENCE_NS / 4);
    if future.poll(executor.waker()).is_ready() {
        guarded.lock.unlock();
    }
    reader.join().expect("its asserts hold");
    assert!(writer.join().expect("its asserts hold"));
    drop(ManuallyDrop::into_inner(future));
    assert!(guarded.lock.lock_at_once(), "nobody has it");
    assert_eq!(guarded.count(), 1);
}

/// A channel, and a future that receives from it and has waited for long.
fn channel() -> Arc<Channel<u32, TestWaiter>> {
    set_clock(0);
    Arc::new(Channel::new(Some(1)))
}

fn receiver(channel: &Arc<Channel<u32, TestWaiter>>) -> thread::JoinHandle<Option<u32>> {
    let channel = channel.clone();
    thread::spawn(move || TestWaiter::new().recv(&channel).expect("nobody cancels it"))
}

/// Polls as somebody's executor does.
fn poll(
    future: &Pin<Box<Receiving<&Channel<u32, TestWaiter>>>>,
    executor: &Arc<Executor>,
) -> Poll<Option<u32>> {
    // SAFETY: pinned.
    unsafe { future.poll(executor.waker()) }.0.map(Result::ok)
}

/// A future that has waited for long has the next value, and a receiver that comes the one after.
fn receivers_keep_back() {
    let channel = channel();
    let executor = Executor::new();
    // Not dropped by a failed model, whose lock is gone then.
    let future = ManuallyDrop::new(Box::pin(Receiving::new(&*channel)));
    assert!(poll(&future, &executor).is_pending());
    pass(0);
    let receiver = receiver(&channel);
    assert_eq!(TestWaiter::new().send(&channel, 1), Some(true));
    executor.sleep();
    assert_eq!(poll(&future, &executor), Poll::Ready(Some(1)), "it was woken in vain");
    assert_eq!(TestWaiter::new().send(&channel, 2), Some(true));
    assert_eq!(receiver.join().expect("its asserts hold"), Some(2));
    drop(ManuallyDrop::into_inner(future));
    assert_eq!(channel.waiting(), (0, 0), "a node was left behind");
}

/// The future is not polled again: two receivers have both values.
fn receivers_come_after() {
    let channel = channel();
    let future = ManuallyDrop::new(Box::pin(Receiving::new(&*channel)));
    assert!(poll(&future, &Executor::new()).is_pending());
    pass(PATIENCE_NS / 2);
    let receivers = [receiver(&channel), receiver(&channel)];
    for value in [1, 2] {
        assert_eq!(TestWaiter::new().send(&channel, value), Some(true));
    }
    let mut received = receivers.map(|receiver| receiver.join().expect("its asserts hold"));
    received.sort_unstable();
    assert_eq!(received, [Some(1), Some(2)]);
    drop(ManuallyDrop::into_inner(future));
    assert_eq!(channel.waiting(), (0, 0), "a node was left behind");
}

/// The future is dropped before its turn is over.
fn receivers_come_after_a_drop() {
    let channel = channel();
    let future = ManuallyDrop::new(Box::pin(Receiving::new(&*channel)));
    assert!(poll(&future, &Executor::new()).is_pending());
    pass(0);
    let receiver = receiver(&channel);
    assert_eq!(TestWaiter::new().send(&channel, 1), Some(true));
    drop(ManuallyDrop::into_inner(future));
    assert_eq!(receiver.join().expect("its asserts hold"), Some(1));
    assert_eq!(channel.waiting(), (0, 0), "a node was left behind");
}

type Mutex = RawMutex<TestWaiter>;
type Semaphore = RawSemaphore<TestWaiter>;
type RwLock = RawRwLock<TestWaiter>;

fn mutex_its_turn() {
    its_turn::<Mutex>();
}

fn semaphore_its_turn() {
    its_turn::<Semaphore>();
}

fn rwlock_its_turn() {
    its_turn::<RwLock>();
}

fn mutex_kept() {
    kept::<Mutex>();
}

fn semaphore_kept() {
    kept::<Semaphore>();
}

fn rwlock_kept() {
    kept::<RwLock>();
}

fn mutex_dropped() {
    dropped::<Mutex>();
}

fn semaphore_dropped() {
    dropped::<Semaphore>();
}

fn rwlock_dropped() {
    dropped::<RwLock>();
}

fn mutex_watcher_goes() {
    watcher_goes::<Mutex>();
}

fn semaphore_watcher_goes() {
    watcher_goes::<Semaphore>();
}

fn rwlock_watcher_goes() {
    watcher_goes::<RwLock>();
}

fn mutex_polled_late() {
    polled_late::<Mutex>();
}

fn semaphore_polled_late() {
    polled_late::<Semaphore>();
}

fn rwlock_polled_late() {
    polled_late::<RwLock>();
}

models! {
    holds mutex_its_turn_holds = mutex_its_turn within 3 preemptions;
    holds semaphore_its_turn_holds = semaphore_its_turn within 3 preemptions;
    holds rwlock_its_turn_holds = rwlock_its_turn within 3 preemptions;
    holds mutex_kept_holds = mutex_kept within 3 preemptions;
    holds semaphore_kept_holds = semaphore_kept within 3 preemptions;
    holds rwlock_kept_holds = rwlock_kept within 3 preemptions;
    holds mutex_dropped_holds = mutex_dropped within 3 preemptions;
    holds semaphore_dropped_holds = semaphore_dropped within 3 preemptions;
    holds rwlock_dropped_holds = rwlock_dropped within 3 preemptions;
    holds mutex_watcher_goes_holds = mutex_watcher_goes within 3 preemptions;
    holds semaphore_watcher_goes_holds = semaphore_watcher_goes within 3 preemptions;
    holds rwlock_watcher_goes_holds = rwlock_watcher_goes within 3 preemptions;
    holds mutex_polled_late_holds = mutex_polled_late within 2 preemptions;
    holds semaphore_polled_late_holds = semaphore_polled_late within 2 preemptions;
    holds rwlock_polled_late_holds = rwlock_polled_late within 2 preemptions;
    holds watcher_is_let_in_holds = watcher_is_let_in within 3 preemptions;
    holds receivers_keep_back_holds = receivers_keep_back within 3 preemptions;
    holds receivers_come_after_holds = receivers_come_after within 2 preemptions;
    holds receivers_come_after_a_drop_holds = receivers_come_after_a_drop within 3 preemptions;
    catches receivers_that_keep_nobody_back = "reserved.for_nobody"
        in receivers_keep_back within 3 preemptions;
    catches a_value_reserved_for_ever = "reserved.never_lapses"
        in receivers_come_after within 2 preemptions;
    catches a_value_whose_time_is_over = "chan.lapses_unseen"
        in receivers_come_after within 2 preemptions;
    catches a_value_that_outlives_its_future = "reserved.outlives_its_future"
        in receivers_come_after_a_drop within 3 preemptions;
    catches a_mutex_reserved_for_nobody = "reserved.for_nobody"
        in mutex_its_turn within 3 preemptions;
    catches permits_reserved_for_nobody = "reserved.for_nobody"
        in semaphore_its_turn within 3 preemptions;
    catches a_rwlock_reserved_for_nobody = "reserved.for_nobody"
        in rwlock_its_turn within 3 preemptions;
    catches a_reservation_for_ever = "reserved.never_lapses" in mutex_kept within 3 preemptions;
    catches a_reservation_that_nobody_watches = "reserved.unwatched"
        in mutex_kept within 3 preemptions;
    catches permits_that_nobody_watches = "reserved.unwatched"
        in semaphore_watcher_goes within 3 preemptions;
    catches a_rwlock_that_nobody_watches = "reserved.unwatched"
        in rwlock_watcher_goes within 3 preemptions;
    catches a_reservation_that_outlives_its_future = "reserved.outlives_its_future"
        in semaphore_dropped within 3 preemptions;
    catches a_watcher_that_just_goes = "reserved.watcher_just_goes"
        in mutex_watcher_goes within 3 preemptions;
    catches a_watcher_that_is_let_in = "reserved.watcher_just_goes"
        in watcher_is_let_in within 3 preemptions;
    catches a_watcher_that_just_waits_for_permits = "semaphore.watcher_just_waits"
        in semaphore_polled_late within 2 preemptions;
    catches a_watcher_that_just_waits = "rwlock.watcher_just_waits"
        in watcher_is_let_in within 3 preemptions;
}
