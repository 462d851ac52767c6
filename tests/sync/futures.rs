//! Futures of locks that are polled of themselves, as by a `join!` or a `select!`.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

use gosched::sync::{Mutex, RwLock, Semaphore};
use test_support::within_patience_from;

/// A waker that counts its calls.
#[derive(Default)]
struct Calls(AtomicU32);

impl Wake for Calls {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Relaxed);
    }
}

fn poll<F: Future>(future: &mut Pin<Box<F>>, waker: &Waker) -> Poll<F::Output> {
    future.as_mut().poll(&mut Context::from_waker(waker))
}

/// The first of three futures that want the same is woken, the second is polled of itself and has
/// it, the first is dropped: the third is woken for what the second gives back.
#[track_caller]
fn the_third_is_woken<F: Future>(held: impl Sized, lock: impl Fn() -> F) {
    let calls: [Arc<Calls>; 3] = Default::default();
    let wakers = calls.clone().map(Waker::from);
    let mut futures = [(); 3].map(|()| Box::pin(lock()));
    for (future, waker) in futures.iter_mut().zip(&wakers) {
        assert!(poll(future, waker).is_pending());
    }
    drop(held);
    let [first, mut second, mut third] = futures;
    // If the three have waited for long, it is reserved for the first for a while.
    let has = loop {
        if let Poll::Ready(has) = poll(&mut second, &wakers[1]) {
            break has;
        }
    };
    drop(first);
    drop(has);
    let [one, _, three] = calls.each_ref().map(|calls| calls.0.load(Relaxed));
    assert_eq!((one, three), (1, 1), "the second has ended");
    assert!(poll(&mut third, &wakers[2]).is_ready());
    drop(second);
}

#[test]
fn a_mutex_wakes_one_that_waits() {
    let mutex = Mutex::new(());
    the_third_is_woken(mutex.lock().unwrap(), || mutex.lock_async());
}

#[test]
fn a_reader_writer_lock_wakes_one_that_waits() {
    let lock = RwLock::new(());
    the_third_is_woken(lock.write().unwrap(), || lock.write_async());
    the_third_is_woken(lock.read().unwrap(), || lock.write_async());
}

#[test]
fn a_semaphore_wakes_one_that_waits() {
    let semaphore = Semaphore::new(1);
    the_third_is_woken(semaphore.acquire(), || semaphore.acquire_async());
}

/// tokio's order of its mutex and semaphore, async-lock's of its writers: futures that are polled
/// when they are woken have what they want in the order of arrival, however long they have waited.
#[track_caller]
fn in_the_order_of_arrival<H, F: Future>(hold: impl Fn() -> H, lock: impl Fn() -> F) {
    for have_waited in [Duration::ZERO, Duration::from_millis(2)] {
        within_patience_from(|began| {
            let calls: [Arc<Calls>; 5] = Default::default();
            let wakers = calls.clone().map(Waker::from);
            let held = hold();
            let mut futures = [(); 5].map(|()| Box::pin(lock()));
            for (future, waker) in futures.iter_mut().zip(&wakers) {
                assert!(poll(future, waker).is_pending());
            }
            while began.get().elapsed() < have_waited {
                thread::yield_now();
            }
            began.set(Instant::now());
            drop(held);
            for (n, future) in futures.iter_mut().enumerate() {
                let woken = calls.each_ref().map(|calls| calls.0.load(Relaxed));
                assert_eq!(woken, std::array::from_fn(|other| u32::from(other <= n)), "not one");
                assert!(poll(future, &wakers[n]).is_ready(), "it is the next");
            }
        });
    }
}

#[test]
fn futures_have_their_turn_in_the_order_of_arrival() {
    let mutex = Mutex::new(());
    let lock = RwLock::new(());
    let semaphore = Semaphore::new(2);
    let both = || semaphore.acquire_many_async(2);
    in_the_order_of_arrival(|| mutex.lock().unwrap(), || mutex.lock_async());
    in_the_order_of_arrival(|| lock.read().unwrap(), || lock.write_async());
    in_the_order_of_arrival(|| lock.write().unwrap(), || lock.write_async());
    in_the_order_of_arrival(|| semaphore.acquire(), both);
}
