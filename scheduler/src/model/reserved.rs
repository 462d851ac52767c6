//! What is reserved for a future: its turn comes, and a future that is not polled keeps nobody out.

use gosched_runtime_sys::sync::primitive::thread;
use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use super::executor::Executor;
use super::guarded::Guarded;
use super::models;
use super::polled_sync::{Lock, Locking};
use super::sync::set_clock;
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

/// The future is not polled again: a thread that waits already, or comes, has the lock all the same.
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
}
