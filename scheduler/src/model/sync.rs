//! The locks without what they guard: exclusion, hand-over, cancel, deadline.

use gosched_runtime_sys::sync::primitive::thread;
use std::panic::{AssertUnwindSafe, catch_unwind};
// Not loom's: its `Arc` aborts when it is dropped by a model that failed.
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use super::guarded::Guarded;
use super::models;
use crate::sync::raw::condvar::RawCondvar;
use crate::sync::raw::mutex::RawMutex;
use crate::sync::raw::once::{Ended, Found, RawOnce};
use crate::sync::raw::rwlock::RawRwLock;
use crate::sync::raw::semaphore::{NotHad, RawSemaphore};
use crate::testing::{CLOCK, TICK, TestWaiter};

type Mutex = Guarded<RawMutex<TestWaiter>>;
type Semaphore = Guarded<RawSemaphore<TestWaiter>>;

/// Sets the clock to zero, and the time that a look at it takes.
pub(super) fn set_clock(tick_ns: u64) {
    CLOCK.store(0, Relaxed);
    TICK.store(tick_ns, Relaxed);
}

/// Locks, adds, unlocks. False if the lock was not had in time.
fn add_locked(mutex: &Mutex, party: &TestWaiter, deadline: Option<Instant>) -> bool {
    if mutex.lock.lock(deadline, || party.begin()).is_err() {
        return false;
    }
    mutex.add();
    unlock(mutex);
    true
}

fn unlock(mutex: &Mutex) {
    if let Some(wakeup) = mutex.lock.unlock() {
        wakeup.now();
    }
}

fn ended<T>(thread: thread::JoinHandle<T>) -> T {
    thread.join().expect("its asserts hold")
}

fn three_lock(tick_ns: u64) {
    set_clock(tick_ns);
    let mutex: Arc<Mutex> = Guarded::shared(RawMutex::new());
    let others = [(); 2].map(|()| {
        let mutex = mutex.clone();
        thread::spawn(move || assert!(add_locked(&mutex, &TestWaiter::new(), None)))
    });
    assert!(add_locked(&mutex, &TestWaiter::new(), None));
    others.into_iter().for_each(ended);
    assert!(mutex.lock.try_lock(), "nobody has it");
    assert_eq!(mutex.count(), 3);
}

/// Nobody waits for long: an unlock wakes one waiter, which competes for the lock.
fn competition() {
    three_lock(0);
}

/// Every waiter waits for too long: an unlock hands the lock over.
fn hand_over() {
    three_lock(1_000_000);
}

/// A waiter that is cancelled, or whose time is over, does not have the mutex, and keeps nobody
/// from it.
fn withdrawal(deadline: Option<Instant>) {
    set_clock(0);
    let mutex: Arc<Mutex> = Guarded::shared(RawMutex::new());
    assert!(mutex.lock.try_lock());
    let party = TestWaiter::new();
    let waiter = {
        let (mutex, party) = (mutex.clone(), party.clone());
        thread::spawn(move || {
            catch_unwind(AssertUnwindSafe(|| add_locked(&mutex, &party, deadline))).unwrap_or(false)
        })
    };
    let behind = {
        let mutex = mutex.clone();
        thread::spawn(move || assert!(add_locked(&mutex, &TestWaiter::new(), None)))
    };
    if deadline.is_none() {
        party.cancel();
    }
    unlock(&mutex);
    let added = ended(waiter);
    ended(behind);
    assert!(mutex.lock.try_lock(), "nobody has it");
    assert_eq!(mutex.count(), 1 + u32::from(added));
}

fn cancelled_locker() {
    withdrawal(None);
}

fn late_locker() {
    withdrawal(Some(Instant::now()));
}

fn permits(semaphore: &Semaphore, n: usize, party: &TestWaiter, deadline: Option<Instant>) -> bool {
    semaphore.lock.acquire(n, deadline, || party.begin()).is_ok()
}

/// One thread wants both permits, two want one each: all get them and give them back.
fn few_and_many() {
    let semaphore: Arc<Semaphore> = Guarded::shared(RawSemaphore::new(2));
    let few = [(); 2].map(|()| {
        let semaphore = semaphore.clone();
        thread::spawn(move || {
            assert!(permits(&semaphore, 1, &TestWaiter::new(), None));
            semaphore.lock.release(1);
        })
    });
    assert!(permits(&semaphore, 2, &TestWaiter::new(), None));
    semaphore.add();
    semaphore.lock.release(2);
    few.into_iter().for_each(ended);
    assert!(semaphore.lock.try_acquire(2).is_ok(), "all are back");
    assert_eq!(semaphore.count(), 1);
}

/// A waiter that wants more permits than there are keeps those behind it waiting until it gives up.
fn withdrawn_head() {
    let semaphore: Arc<Semaphore> = Guarded::shared(RawSemaphore::new(1));
    let party = TestWaiter::new();
    let head = {
        let (semaphore, party) = (semaphore.clone(), party.clone());
        thread::spawn(move || {
            catch_unwind(AssertUnwindSafe(|| permits(&semaphore, 2, &party, None))).unwrap_or(false)
        })
    };
    let behind = {
        let semaphore = semaphore.clone();
        thread::spawn(move || assert!(permits(&semaphore, 1, &TestWaiter::new(), None)))
    };
    party.cancel();
    assert!(!ended(head), "there never were two");
    ended(behind);
    assert!(semaphore.lock.try_acquire(1).is_err());
    semaphore.lock.release(1);
    assert!(semaphore.lock.try_acquire(1).is_ok());
}

/// As many waiters are let in at once as there are permits: one release serves all waiters that its
/// permits are enough for.
fn release_of_many() {
    let semaphore: Arc<Semaphore> = Guarded::shared(RawSemaphore::new(0));
    let waiters = [(); 2].map(|()| {
        let semaphore = semaphore.clone();
        thread::spawn(move || assert!(permits(&semaphore, 1, &TestWaiter::new(), None)))
    });
    semaphore.lock.release(2);
    waiters.into_iter().for_each(ended);
    assert!(semaphore.lock.try_acquire(1).is_err());
}

/// A reader and two writers, or two readers and a writer, lock and unlock: writers alone, readers
/// not with a writer.
fn readers_and_writers(readers: usize) {
    let lock: Arc<Guarded<RawRwLock<TestWaiter>>> = Guarded::shared(RawRwLock::new());
    let others = [readers > 0, readers > 1].map(|reads| {
        let lock = lock.clone();
        thread::spawn(move || if reads { read(&lock) } else { write(&lock) })
    });
    write(&lock);
    others.into_iter().for_each(ended);
    assert!(lock.lock.try_write(), "nobody is in");
    assert_eq!(lock.count() as usize, 3 - readers);
}

fn read(lock: &Guarded<RawRwLock<TestWaiter>>) {
    let party = TestWaiter::new();
    assert!(lock.lock.read(None, || party.begin()).is_ok());
    lock.count();
    lock.lock.unlock_read();
}

fn write(lock: &Guarded<RawRwLock<TestWaiter>>) {
    let party = TestWaiter::new();
    assert!(lock.lock.write(None, || party.begin()).is_ok());
    lock.add();
    lock.lock.unlock_write();
}

fn two_writers() {
    readers_and_writers(1);
}

fn two_readers() {
    readers_and_writers(2);
}

/// Two readers and a writer wait for a writer, which lets the readers in one by one: when the first
/// reader is through before the second is in, the waiting writer has its turn.
fn let_in_one_by_one() {
    let lock: Arc<Guarded<RawRwLock<TestWaiter>>> = Guarded::shared(RawRwLock::new());
    assert!(lock.lock.try_write());
    let readers = [(); 2].map(|()| {
        let lock = lock.clone();
        thread::spawn(move || read(&lock))
    });
    let first = {
        let lock = lock.clone();
        thread::spawn(move || lock.lock.unlock_write())
    };
    write(&lock);
    readers.into_iter().for_each(ended);
    ended(first);
}

/// A writer that gives up lets the readers in that it kept out.
fn withdrawn_writer() {
    let lock: Arc<Guarded<RawRwLock<TestWaiter>>> = Guarded::shared(RawRwLock::new());
    assert!(lock.lock.try_read());
    let writer = {
        let lock = lock.clone();
        thread::spawn(move || {
            let party = TestWaiter::new();
            lock.lock.write(Some(Instant::now()), || party.begin()).is_ok()
        })
    };
    read(&lock);
    assert!(!ended(writer), "the first reader is still in");
    lock.lock.unlock_read();
    assert!(lock.lock.try_write(), "nobody is in");
}

/// Of two threads that find it new, one does the work; the other sees what was done.
fn once() {
    let once: Arc<Guarded<RawOnce<TestWaiter>>> = Guarded::shared(RawOnce::new());
    let call = |once: &Guarded<RawOnce<TestWaiter>>, fails: bool| {
        let party = TestWaiter::new();
        if !once.lock.is_done() && once.lock.begin(|| party.begin()) != Found::Done {
            let doing = once.lock.doing(false);
            if fails {
                return;
            }
            once.add();
            doing.finish();
        }
        // Not asked whether it is done: that would make visible what was done.
        assert_eq!(once.count(), 1);
    };
    let other = {
        let once = once.clone();
        thread::spawn(move || call(&once, true))
    };
    call(&once, false);
    ended(other);
}

/// A waiter that wants to know learns that the doer failed, or that it is done after that; another
/// waiter waits until it is done.
fn poisoned_once() {
    let once: Arc<Guarded<RawOnce<TestWaiter>>> = Guarded::shared(RawOnce::new());
    let wait = |heeds_poison: bool| {
        let once = once.clone();
        thread::spawn(move || {
            let party = TestWaiter::new();
            let ended = once.lock.wait(heeds_poison, None, || party.begin());
            assert!(ended.is_ok());
            (ended == Ok(Ended::Done)).then(|| once.count())
        })
    };
    let waiters = [wait(true), wait(false)];
    drop(once.lock.doing(true));
    let party = TestWaiter::new();
    assert_eq!(once.lock.begin(|| party.begin()), Found::Mine { poisoned: true });
    let doing = once.lock.doing(true);
    once.add();
    doing.finish();
    let [heeding, other] = waiters.map(ended);
    assert!(heeding.is_none_or(|count| count == 1));
    assert_eq!(other, Some(1));
}

/// Without a later doer: the failure wakes the waiter.
fn poisoned_for_good() {
    let once = Arc::new(RawOnce::<TestWaiter>::new());
    let theirs = once.clone();
    let waiter = thread::spawn(move || {
        let party = TestWaiter::new();
        assert_eq!(theirs.wait(true, None, || party.begin()), Ok(Ended::Poisoned));
    });
    drop(once.doing(true));
    ended(waiter);
}

/// The use of a condition variable: two threads wait until the third has set the condition, with
/// one notification for each.
fn notified() {
    set_clock(0);
    let shared: Arc<(Mutex, RawCondvar<TestWaiter>)> =
        Arc::new((Guarded::new(RawMutex::new()), RawCondvar::new()));
    let waiters = [(); 2].map(|()| {
        let shared = shared.clone();
        thread::spawn(move || {
            let (mutex, condvar) = &*shared;
            let party = TestWaiter::new();
            assert!(mutex.lock.lock(None, || party.begin()).is_ok());
            while mutex.count() == 0 {
                condvar.wait(|| mutex.lock.unlock(), None, || party.begin());
                assert!(mutex.lock.lock(None, || party.begin()).is_ok());
            }
            unlock(mutex);
        })
    });
    assert!(add_locked(&shared.0, &TestWaiter::new(), None));
    shared.1.notify_one();
    shared.1.notify_one();
    waiters.into_iter().for_each(ended);
}

/// The semaphore is closed while one comes or waits: it leaves, and has nothing.
fn closed() {
    let semaphore: Arc<RawSemaphore<TestWaiter>> = Arc::new(RawSemaphore::new(0));
    let waits = {
        let semaphore = semaphore.clone();
        thread::spawn(move || {
            let party = TestWaiter::new();
            semaphore.acquire(1, None, || party.begin())
        })
    };
    semaphore.close();
    assert_eq!(waits.join().unwrap(), Err(NotHad::Closed));
    semaphore.release(1);
    assert_eq!(semaphore.try_acquire(1), Err(NotHad::Closed));
    assert_eq!(semaphore.available(), 1, "what comes back is counted");
}

/// The same, and a permit comes back meanwhile: one of two has it or none, and both leave.
fn closed_and_released() {
    let semaphore: Arc<RawSemaphore<TestWaiter>> = Arc::new(RawSemaphore::new(0));
    let waits = {
        let semaphore = semaphore.clone();
        thread::spawn(move || {
            let party = TestWaiter::new();
            semaphore.acquire(1, None, || party.begin()).is_ok()
        })
    };
    let releases = {
        let semaphore = semaphore.clone();
        thread::spawn(move || semaphore.release(1))
    };
    semaphore.close();
    releases.join().unwrap();
    let had = waits.join().unwrap();
    assert_eq!(semaphore.available(), usize::from(!had));
}

models! {
    holds competition_holds = competition within 2 preemptions;
    holds hand_over_holds = hand_over within 2 preemptions;
    holds cancelled_locker_holds = cancelled_locker within 2 preemptions;
    holds late_locker_holds = late_locker within 2 preemptions;
    holds few_and_many_hold = few_and_many within 2 preemptions;
    holds withdrawn_head_holds = withdrawn_head within 2 preemptions;
    holds release_of_many_holds = release_of_many within 2 preemptions;
    holds two_writers_hold = two_writers within 2 preemptions;
    holds two_readers_hold = two_readers within 2 preemptions;
    holds let_in_one_by_one_holds = let_in_one_by_one within 1 preemptions;
    holds withdrawn_writer_holds = withdrawn_writer within 2 preemptions;
    holds once_holds = once within 3 preemptions;
    holds poisoned_once_holds = poisoned_once within 3 preemptions;
    holds poisoned_for_good_holds = poisoned_for_good;
    holds notified_holds = notified within 1 preemptions;
    holds closed_holds = closed within 3 preemptions;
    holds closed_and_released_holds = closed_and_released within 2 preemptions;
    catches a_forgotten_reader = "rwlock.forget_queue" in two_writers within 2 preemptions;
    catches a_reader_beside_a_writer = "rwlock.let_in_regardless"
        in let_in_one_by_one within 2 preemptions;
    catches a_once_that_is_relaxed = "once.done_relaxed" in once within 3 preemptions;
    catches a_once_that_looks_relaxed = "once.looks_relaxed" in once within 3 preemptions;
    catches a_failure_that_wakes_nobody = "once.lets_nobody_go" in poisoned_for_good;
    catches a_once_that_wakes_nobody = "once.lets_nobody_go" in once within 3 preemptions;
    catches an_early_unlock = "condvar.unlocks_first" in notified within 1 preemptions;
    catches a_rest_that_is_forgotten = "condvar.forgets_the_rest" in notified within 2 preemptions;
    catches an_unlock_relaxed = "mutex.unlock_relaxed" in competition within 2 preemptions;
    catches a_forgotten_queue = "mutex.forget_queue" in competition within 2 preemptions;
    catches a_free_hand_over = "mutex.hand_over_unlocked" in hand_over within 2 preemptions;
    catches a_close_that_nobody_hears_of = "semaphore.closes_quietly"
        in closed within 3 preemptions;
    catches a_close_that_nobody_sees = "semaphore.closed_unseen" in closed within 3 preemptions;
    catches serving_one_of_many = "semaphore.serve_once" in release_of_many within 2 preemptions;
}
