//! The mutex.

use std::sync::{Arc, TryLockError};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

use gosched::sync::{Mutex, MutexGuard};
use gosched::{Cancelled, chan, go, yield_now};
use test_support::{each_mode, within_patience};

use crate::until;

const SHORT: Duration = Duration::from_millis(5);

#[test]
fn holders_exclude_each_other_also_over_a_wait() {
    const TURNS: usize = 200;
    each_mode(|rt, mode| {
        let mutex = Arc::new(Mutex::new((0, false)));
        let work = |mutex: Arc<Mutex<(usize, bool)>>| {
            move || {
                for turn in 0..TURNS {
                    let mut guard = mutex.lock().unwrap();
                    assert!(!guard.1, "two at once");
                    guard.1 = true;
                    if turn % 8 == 0 {
                        yield_now();
                    }
                    guard.1 = false;
                    guard.0 += 1;
                }
            }
        };
        let threads = [(); 2].map(|()| thread::spawn(work(mutex.clone())));
        let theirs = mutex.clone();
        rt.run(move || {
            let gs: Vec<_> = (0..6).map(|_| go(work(theirs.clone()))).collect();
            gs.into_iter().for_each(|g| g.join().unwrap());
        });
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(mutex.lock().unwrap().0, 8 * TURNS, "{mode:?}");
    });
}

/// Go's TestMutexFairness: one holds the lock nearly all the time and takes it again at once;
/// another gets it all the same.
#[test]
fn who_waits_is_not_starved_by_who_comes_running() {
    each_mode(|rt, _| {
        rt.run(|| {
            let mutex = Arc::new(Mutex::new(false));
            let greedy = mutex.clone();
            let hog = go(move || {
                loop {
                    let stop = greedy.lock().unwrap();
                    if *stop {
                        return;
                    }
                    gosched::time::sleep(Duration::from_micros(100));
                }
            });
            for _ in 0..10 {
                gosched::time::sleep(Duration::from_micros(100));
                drop(mutex.lock().unwrap());
            }
            *mutex.lock().unwrap() = true;
            hog.join().unwrap();
        });
    });
}

#[test]
fn tries_and_time_limits() {
    each_mode(|rt, _| {
        rt.run(|| {
            let mutex = Arc::new(Mutex::new(1));
            let guard = mutex.try_lock().unwrap();
            let theirs = mutex.clone();
            let other = go(move || {
                assert!(matches!(theirs.try_lock(), Err(TryLockError::WouldBlock)));
                let began = Instant::now();
                assert!(matches!(theirs.lock_timeout(SHORT), Err(TryLockError::WouldBlock)));
                assert!(matches!(
                    theirs.lock_deadline(began + 2 * SHORT),
                    Err(TryLockError::WouldBlock)
                ));
                assert!(began.elapsed() >= 2 * SHORT);
            });
            other.join().unwrap();
            drop(guard);
            assert_eq!(*mutex.lock_timeout(Duration::ZERO).unwrap(), 1);
            assert_eq!(*mutex.lock_timeout(Duration::MAX).unwrap(), 1);
            assert_eq!(*mutex.lock_deadline(Instant::now()).unwrap(), 1);
        });
    });
}

#[test]
fn a_holder_that_panics_poisons() {
    each_mode(|rt, _| {
        rt.run(|| {
            let mutex = Arc::new(Mutex::new(1));
            let theirs = mutex.clone();
            let holder = go(move || {
                *theirs.lock().unwrap() = 2;
                let _guard = theirs.lock().unwrap();
                std::panic::resume_unwind(Box::new(()));
            });
            assert!(holder.join().is_err());
            assert!(mutex.is_poisoned());
            assert_eq!(*mutex.lock().unwrap_err().into_inner(), 2);
            assert!(matches!(mutex.try_lock(), Err(TryLockError::Poisoned(_))));
            mutex.clear_poison();
            *mutex.lock().unwrap() = 3;
            let mut mutex = Arc::try_unwrap(mutex).expect("the other is gone");
            assert_eq!(*mutex.get_mut().unwrap(), 3);
            assert_eq!(mutex.into_inner().unwrap(), 3);
        });
    });
}

#[test]
fn a_cancelled_waiter_keeps_nobody_from_the_lock() {
    each_mode(|rt, _| {
        rt.run(|| {
            let mutex = Arc::new(Mutex::new(()));
            let guard = mutex.lock().unwrap();
            let waiters: Vec<_> = (0..3)
                .map(|_| {
                    let mutex = mutex.clone();
                    go(move || drop(mutex.lock().unwrap()))
                })
                .collect();
            yield_now();
            waiters[0].cancel();
            waiters[2].cancel();
            drop(guard);
            let outcomes = waiters.into_iter().map(|waiter| waiter.join()).collect::<Vec<_>>();
            assert!(outcomes[1].is_ok());
            for outcome in outcomes.into_iter().filter_map(Result::err) {
                assert!(outcome.is::<Cancelled>());
            }
            assert!(mutex.try_lock().is_ok(), "neither locked nor poisoned");
        });
    });
}

#[test]
fn a_guard_may_be_dropped_by_another_thread() {
    static MUTEX: Mutex<u32> = Mutex::new(0);
    let mut guard: MutexGuard<'static, u32> = MUTEX.lock().unwrap();
    *guard += 1;
    thread::spawn(move || drop(guard)).join().unwrap();
    assert_eq!(*MUTEX.lock().unwrap(), 1);
}

#[test]
fn a_future_locks() {
    within_patience(|| {
        let mutex = Mutex::new(1);
        let mut context = Context::from_waker(Waker::noop());
        let guard = mutex.lock().unwrap();
        let (mut first, mut second) = (Box::pin(mutex.lock_async()), Box::pin(mutex.lock_async()));
        assert!(first.as_mut().poll(&mut context).is_pending());
        assert!(second.as_mut().poll(&mut context).is_pending());
        drop(guard);
        // It was woken and goes: the other is.
        drop(first);
        let Poll::Ready(Ok(guard)) = second.as_mut().poll(&mut context) else {
            unreachable!("it is free")
        };
        assert_eq!(*guard, 1);
        assert!(mutex.try_lock().is_err());
        drop(guard);
        assert!(mutex.try_lock().is_ok());
    });
}

#[test]
fn a_callback_and_a_goroutine_share_a_lock() {
    each_mode(|rt, _| {
        let bridge = gosched::callback::Bridge::new(rt);
        let mutex = Arc::new(Mutex::new(0));
        let (ready_tx, ready) = chan::bounded(0);
        let theirs = mutex.clone();
        let g = rt.handle().go(move || {
            let mut guard = theirs.lock().unwrap();
            ready_tx.send(()).unwrap();
            for _ in 0..100 {
                yield_now();
            }
            *guard += 1;
        });
        let got = bridge.enter(|| {
            ready.recv().unwrap();
            *mutex.lock().unwrap()
        });
        assert_eq!(got.expect("the runtime is up"), 1);
        g.join().unwrap();
        until(|| mutex.try_lock().is_ok());
    });
}
