//! Futures of locks that are polled of themselves, as by a `join!` or a `select!`.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::task::{Context, Poll, Wake, Waker};

use gosched::sync::{Mutex, RwLock, Semaphore};

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
    let Poll::Ready(has) = poll(&mut second, &wakers[1]) else { panic!("it is free") };
    drop(first);
    drop(has);
    let woken = calls.each_ref().map(|calls| calls.0.load(Relaxed));
    assert_eq!(woken, [1, 0, 1], "the second has ended");
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
