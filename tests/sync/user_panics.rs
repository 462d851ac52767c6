//! Executors' wakers that panic when they are called or dropped: no lock, permit or notification is
//! lost with that, no waiter stays behind, and no thread of ours ends.
//!
//! # Safety
//!
//! The table of the waker whose clones panic keeps no data: its pointer is null and is never read.
#![expect(unsafe_code, reason = "a waker whose clones panic when they are dropped")]

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Poll, RawWaker, RawWakerVTable, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

use gosched::chan;
use gosched::sync::{Barrier, BarrierFuture, Mutex, Notify, RwLock, Semaphore, WaitGroup};
use test_support::within_patience;

use super::until;

const NOTHING: unsafe fn(*const ()) = |_| ();

static ORIGINAL: RawWakerVTable =
    RawWakerVTable::new(|_| RawWaker::new(ptr::null(), &CLONE), NOTHING, NOTHING, NOTHING);

static CLONE: RawWakerVTable = RawWakerVTable::new(
    |_| RawWaker::new(ptr::null(), &CLONE),
    NOTHING,
    NOTHING,
    |_| {
        if !thread::panicking() {
            resume_unwind(Box::new("a waker's drop"));
        }
    },
);

/// Returns a waker whose clones panic when they are dropped.
fn drop_panics() -> Waker {
    // SAFETY: no function of the table reads the pointer, and all may be called on any thread.
    unsafe { Waker::from_raw(RawWaker::new(ptr::null(), &ORIGINAL)) }
}

/// A waker that panics when it is called, with a payload whose drop panics.
struct CallPanics;

/// The payload.
struct Payload;

impl Wake for CallPanics {
    fn wake(self: Arc<Self>) {
        resume_unwind(Box::new(Payload));
    }
}

impl Drop for Payload {
    fn drop(&mut self) {
        if !thread::panicking() {
            resume_unwind(Box::new("a payload's drop"));
        }
    }
}

fn call_panics() -> Waker {
    Arc::new(CallPanics).into()
}

/// A waker that says that it was called.
#[derive(Default)]
struct Called(AtomicBool);

impl Called {
    fn was(&self) -> bool {
        self.0.load(Relaxed)
    }
}

impl Wake for Called {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Relaxed);
    }
}

fn poll<F: Future>(future: &mut Pin<Box<F>>, waker: &Waker) -> Poll<F::Output> {
    future.as_mut().poll(&mut Context::from_waker(waker))
}

/// Runs `f` to its end, or to its panic, which is forgotten.
fn caught<R>(f: impl FnOnce() -> R) -> Option<R> {
    catch_unwind(AssertUnwindSafe(f)).map_err(std::mem::forget).ok()
}

/// A future whose first poll finds what it waits for, with a waker whose clone panics in its drop.
fn taken_at_once<F: Future>(future: F) -> F::Output {
    let mut future = Box::pin(future);
    match caught(|| poll(&mut future, &drop_panics())) {
        Some(Poll::Ready(output)) => output,
        Some(Poll::Pending) => panic!("it is to be had"),
        None => panic!("it is lost"),
    }
}

/// A future that waits with a waker whose clone panics in its drop, and is polled of itself once
/// what it waits for is to be had. Another future is in front of it, and is woken.
fn taken_later<F: Future>(future: impl Fn() -> F, opens: impl FnOnce()) -> F::Output {
    let (mut first, mut second) = (Box::pin(future()), Box::pin(future()));
    assert!(poll(&mut first, Waker::noop()).is_pending());
    assert!(poll(&mut second, &drop_panics()).is_pending());
    opens();
    match caught(|| poll(&mut second, Waker::noop())) {
        Some(Poll::Ready(output)) => output,
        Some(Poll::Pending) => panic!("it is to be had"),
        None => panic!("it is lost"),
    }
}

#[test]
fn a_wakers_drop_costs_no_lock() {
    within_patience(|| {
        let mutex = Mutex::new(());
        drop(taken_at_once(mutex.lock_async()));
        let held = mutex.lock().unwrap();
        drop(taken_later(|| mutex.lock_async(), || drop(held)));
        assert!(mutex.try_lock().is_ok());
    });
}

#[test]
fn a_wakers_drop_costs_no_reading_and_no_writing() {
    within_patience(|| {
        let lock = RwLock::new(());
        drop(taken_at_once(lock.read_async()));
        drop(taken_at_once(lock.write_async()));
        let held = lock.write().unwrap();
        drop(taken_later(|| lock.read_async(), || drop(held)));
        let held = lock.write().unwrap();
        drop(taken_later(|| lock.write_async(), || drop(held)));
        assert!(lock.try_write().is_ok());
    });
}

#[test]
fn a_wakers_drop_costs_no_permit_and_no_notification() {
    within_patience(|| {
        let semaphore = Semaphore::new(1);
        drop(taken_at_once(semaphore.acquire_async()));
        let held = semaphore.acquire();
        drop(taken_later(|| semaphore.acquire_async(), || drop(held)));
        assert_eq!(semaphore.available_permits(), 1);
        let notify = Notify::new();
        notify.notify_one();
        taken_at_once(notify.notified());
        assert!(!notify.try_wait());
        let group = WaitGroup::new();
        taken_at_once(group.wait_async());
    });
}

/// The leader comes with a waker whose clone panics in its drop: all go on.
#[test]
fn the_leaders_waker_keeps_nobody_at_a_barrier() {
    let barrier = Barrier::new(2);
    let called = Arc::new(Called::default());
    let mut first = Box::pin(barrier.wait_async());
    assert!(poll(&mut first, &called.clone().into()).is_pending());
    assert!(taken_at_once(barrier.wait_async()).is_leader());
    assert!(called.was());
    assert!(poll(&mut first, Waker::noop()).is_ready());
}

/// When the barrier has opened, a future is polled of itself before its waker is called: by the
/// waker that is called before.
#[test]
fn a_wakers_drop_keeps_no_future_at_a_barrier() {
    static BARRIER: Barrier = Barrier::new(3);
    static OTHER: Mutex<Option<Pin<Box<BarrierFuture<'static>>>>> = Mutex::new(None);
    static READY: AtomicBool = AtomicBool::new(false);
    struct PollsTheOther;
    impl Wake for PollsTheOther {
        fn wake(self: Arc<Self>) {
            let mut other = OTHER.lock().unwrap();
            let other = other.as_mut().expect("it waits");
            READY.store(caught(|| poll(other, Waker::noop()).is_ready()) == Some(true), Relaxed);
        }
    }
    let (mut first, mut other) = (Box::pin(BARRIER.wait_async()), Box::pin(BARRIER.wait_async()));
    assert!(poll(&mut first, &Arc::new(PollsTheOther).into()).is_pending());
    assert!(poll(&mut other, &drop_panics()).is_pending());
    *OTHER.lock().unwrap() = Some(other);
    assert!(BARRIER.wait().is_leader());
    assert!(READY.load(Relaxed), "it is told that the barrier has opened");
}

/// A guard that is dropped by a panic wakes a future whose waker panics as well: the process goes
/// on, with the first panic, and what was given back is free.
#[test]
fn a_waker_that_panics_while_its_caller_does_ends_no_process() {
    fn given_back_by_a_panic<F: Future>(held: impl Sized, future: impl Fn() -> F) {
        let mut future = Box::pin(future());
        assert!(poll(&mut future, &call_panics()).is_pending());
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            let _held = held;
            resume_unwind(Box::new("the caller's"));
        }));
        assert_eq!(outcome.unwrap_err().downcast_ref(), Some(&"the caller's"));
        assert!(poll(&mut future, Waker::noop()).is_ready());
    }
    let mutex = Mutex::new(());
    given_back_by_a_panic(mutex.lock().unwrap(), || mutex.lock_async());
    let lock = RwLock::new(());
    given_back_by_a_panic(lock.read().unwrap(), || lock.write_async());
    let lock = RwLock::new(());
    given_back_by_a_panic(lock.write().unwrap(), || lock.read_async());
    let semaphore = Semaphore::new(1);
    given_back_by_a_panic(semaphore.acquire(), || semaphore.acquire_async());
    let notify = Notify::new();
    let mut has_it = Box::pin(notify.notified());
    assert!(poll(&mut has_it, Waker::noop()).is_pending());
    notify.notify_one();
    given_back_by_a_panic(has_it, || notify.notified());
}

/// A permit that is had and lets the next future go, whose waker panics: the permit is kept.
#[test]
fn the_next_ones_waker_costs_no_permit() {
    within_patience(|| {
        let semaphore = Semaphore::new(0);
        let mut futures = [(); 2].map(|()| Box::pin(semaphore.acquire_async()));
        let [first, second] = &mut futures;
        assert!(poll(first, Waker::noop()).is_pending());
        assert!(poll(second, &call_panics()).is_pending());
        semaphore.add_permits(2);
        let Some(Poll::Ready(permit)) = caught(|| poll(first, Waker::noop())) else {
            panic!("there are two")
        };
        drop(permit);
        assert!(poll(second, Waker::noop()).is_ready());
        drop(futures);
        assert_eq!(semaphore.available_permits(), 2);
    });
}

/// The thread that calls wakers by time goes on after a panic whose payload panics in its drop.
#[test]
fn the_clock_goes_on() {
    struct CalledAndPanics(Arc<Called>);
    impl Wake for CalledAndPanics {
        fn wake(self: Arc<Self>) {
            self.0.clone().wake();
            resume_unwind(Box::new(Payload));
        }
    }
    let called: [Arc<Called>; 2] = Default::default();
    let wakers =
        [Arc::new(CalledAndPanics(called[0].clone())).into(), Waker::from(called[1].clone())];
    for (called, waker) in called.iter().zip(wakers) {
        let soon = chan::after(Duration::from_millis(1));
        let mut due = Box::pin(soon.recv_async());
        assert!(poll(&mut due, &waker).is_pending());
        let began = Instant::now();
        until(|| called.was() || began.elapsed() > Duration::from_secs(30));
        assert!(called.was());
        assert!(poll(&mut due, Waker::noop()).is_ready());
    }
}
