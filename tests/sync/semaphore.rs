//! The semaphore.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

use gosched::future::block_on;
use gosched::sync::{AcquireError, Semaphore};
use gosched::{go, time, yield_now};
use test_support::{each_mode, within_patience};

use crate::until;

const SHORT: Duration = Duration::from_millis(5);

#[test]
fn never_more_than_there_are_permits() {
    each_mode(|rt, mode| {
        let semaphore = Arc::new(Semaphore::new(3));
        let inside = Arc::new(AtomicUsize::new(0));
        let work = |n: usize| {
            let (semaphore, inside) = (semaphore.clone(), inside.clone());
            move || {
                for _ in 0..200 {
                    let permit = semaphore.acquire_many(1 + n % 3).unwrap();
                    let many =
                        inside.fetch_add(permit.permits(), Ordering::SeqCst) + permit.permits();
                    assert!(many <= 3, "{many} at once");
                    yield_now();
                    inside.fetch_sub(permit.permits(), Ordering::SeqCst);
                }
            }
        };
        let thread = thread::spawn(work(0));
        let works: Vec<_> = (1..6).map(work).collect();
        rt.run(move || {
            let gs: Vec<_> = works.into_iter().map(go).collect();
            gs.into_iter().for_each(|g| g.join().unwrap());
        });
        thread.join().unwrap();
        assert_eq!(semaphore.available_permits(), 3, "{mode:?}");
    });
}

#[test]
fn who_wants_many_is_not_passed_over() {
    each_mode(|rt, _| {
        rt.run(|| {
            let semaphore = Arc::new(Semaphore::new(2));
            let one = semaphore.acquire().unwrap();
            let theirs = semaphore.clone();
            let many = go(move || theirs.acquire_many(2).unwrap().forget());
            while semaphore.try_acquire().is_ok() {
                yield_now();
            }
            assert_eq!(
                semaphore.available_permits(),
                1,
                "there is one, but somebody waits for two"
            );
            drop(one);
            many.join().unwrap();
            assert_eq!(
                (semaphore.available_permits(), semaphore.try_acquire().err()),
                (0, Some(AcquireError::NoPermits))
            );
            semaphore.add_permits(5);
            assert_eq!(semaphore.try_acquire_many(5).unwrap().permits(), 5);
            assert!(semaphore.try_acquire_many(6).is_err());
        });
    });
}

#[test]
fn who_gives_up_lets_the_next_one_through() {
    each_mode(|rt, _| {
        rt.run(|| {
            let semaphore = Arc::new(Semaphore::new(1));
            let theirs = semaphore.clone();
            let (queued_tx, queued) = gosched::chan::bounded(0);
            let many = go(move || {
                queued_tx.send(()).unwrap();
                drop(theirs.acquire_many(2).unwrap());
            });
            queued.recv().unwrap();
            while semaphore.try_acquire().is_ok() {
                yield_now();
            }
            let theirs = semaphore.clone();
            let one = go(move || drop(theirs.acquire().unwrap()));
            many.cancel();
            assert!(many.join().unwrap_err().is::<gosched::Cancelled>());
            one.join().unwrap();
            assert_eq!(semaphore.available_permits(), 1);
        });
    });
}

#[test]
fn what_there_can_never_be_is_refused_at_once() {
    let semaphore = Semaphore::new(1);
    const TOO_MANY: usize = Semaphore::MAX_PERMITS + 1;
    let refused = |acquire: &dyn Fn()| catch_unwind(AssertUnwindSafe(acquire)).is_err();
    assert_eq!(semaphore.try_acquire_many(TOO_MANY).err(), Some(AcquireError::NoPermits));
    assert!(refused(&|| drop(semaphore.acquire_many(TOO_MANY))));
    assert!(refused(&|| drop(semaphore.acquire_many_async(TOO_MANY))));
    assert!(semaphore.try_acquire().is_ok(), "nobody waits");
}

#[test]
fn who_waits_for_too_many_is_let_go_by_a_time_limit_and_lets_others_through() {
    each_mode(|rt, _| {
        rt.run(|| {
            let semaphore = Semaphore::new(1);
            let outcome = time::timeout(SHORT, || semaphore.acquire_many(2).unwrap().forget());
            assert_eq!(outcome, Err(time::Elapsed));
            assert!(semaphore.try_acquire().is_ok());
            // A future that waits for too many keeps no permit back.
            let mut many = Box::pin(semaphore.acquire_many_async(2));
            assert!(many.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
            drop(semaphore.acquire().unwrap());
        });
    });
}

#[test]
fn time_limits() {
    each_mode(|rt, _| {
        rt.run(|| {
            let semaphore = Semaphore::new(0);
            let began = Instant::now();
            assert_eq!(semaphore.acquire_timeout(SHORT).err(), Some(AcquireError::NoPermits));
            assert_eq!(
                semaphore.acquire_deadline(began + 2 * SHORT).err(),
                Some(AcquireError::NoPermits)
            );
            assert!(began.elapsed() >= 2 * SHORT);
            semaphore.add_permits(1);
            assert!(semaphore.acquire_timeout(Duration::ZERO).is_ok());
        });
    });
}

#[test]
fn futures_come_in_order_and_after_those_who_park() {
    within_patience(|| {
        let semaphore = Semaphore::new(0);
        let mut context = Context::from_waker(Waker::noop());
        let mut many = Box::pin(semaphore.acquire_many_async(2));
        let mut one = Box::pin(semaphore.acquire_async());
        assert!(many.as_mut().poll(&mut context).is_pending());
        assert!(one.as_mut().poll(&mut context).is_pending());
        semaphore.add_permits(1);
        assert!(many.as_mut().poll(&mut context).is_pending());
        semaphore.add_permits(1);
        let Poll::Ready(Ok(permits)) = many.as_mut().poll(&mut context) else {
            unreachable!("there are two")
        };
        drop(permits);
        // If the future has waited for long, it has its turn for a while.
        until(|| semaphore.try_acquire().is_ok());
        assert!(matches!(one.as_mut().poll(&mut context), Poll::Ready(Ok(_))));
        drop(many);
    });
}

#[test]
fn permits_are_split_and_merged() {
    let (semaphore, other) = (Arc::new(Semaphore::new(9)), Arc::new(Semaphore::new(1)));
    let mut permits = semaphore.acquire_many(4).unwrap();
    assert!(permits.split(5).is_none());
    let part = permits.split(3).unwrap();
    drop(permits);
    assert_eq!((part.permits(), semaphore.available_permits()), (3, 6));
    let mut all = semaphore.acquire().unwrap();
    all.merge(part);
    assert_eq!((all.permits(), semaphore.available_permits()), (4, 5));
    let strange = AssertUnwindSafe(|| all.merge(other.acquire().unwrap()));
    assert!(catch_unwind(strange).is_err());
    drop(all);
    assert_eq!((semaphore.available_permits(), other.available_permits()), (9, 1));

    let mut owned = block_on(semaphore.acquire_many_owned_async(4)).unwrap();
    assert!(owned.split(5).is_none());
    let part = owned.split(4).unwrap();
    assert_eq!((owned.permits(), part.permits()), (0, 4));
    owned.merge(part);
    let strange = AssertUnwindSafe(|| owned.merge(other.acquire_owned().unwrap()));
    assert!(catch_unwind(strange).is_err());
    drop(owned);
    assert_eq!((semaphore.available_permits(), other.available_permits()), (9, 1));
    assert_eq!((Arc::strong_count(&semaphore), Arc::strong_count(&other)), (1, 1));
}

#[test]
fn forgotten_permits_are_those_that_nobody_waits_for() {
    each_mode(|rt, _| {
        rt.run(|| {
            let semaphore = Arc::new(Semaphore::new(3));
            let given = semaphore.acquire().unwrap();
            assert_eq!((semaphore.forget_permits(1), semaphore.forget_permits(5)), (1, 1));
            assert_eq!(semaphore.forget_permits(1), 0);
            drop(given);
            let theirs = semaphore.clone();
            let waits = go(move || theirs.acquire_many(2).unwrap().permits());
            until(|| semaphore.try_acquire().is_err());
            assert_eq!((semaphore.available_permits(), semaphore.forget_permits(1)), (1, 0));
            semaphore.add_permits(1);
            assert_eq!((waits.join().unwrap(), semaphore.forget_permits(9)), (2, 2));
        });
    });
}
