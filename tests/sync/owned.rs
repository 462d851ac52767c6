//! Guards and permits that hold what they are of: they go with a goroutine, outlive their maker's
//! frame, and give back wherever they are dropped.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, TryLockError};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

use gosched::callback::{Binding, Bridge};
use gosched::cancel::Token;
use gosched::future::block_on;
use gosched::sync::{
    AcquireError, ArcMutexGuard, ArcRwLockReadGuard, ArcRwLockWriteGuard, Mutex, OwnedPermit,
    RwLock, Semaphore,
};
use gosched::{go, yield_now};
use test_support::each_mode;

const SHORT: Duration = Duration::from_millis(2);
const MINUTE: Duration = Duration::from_secs(60);

#[test]
fn a_guard_goes_with_a_goroutine_and_a_thread() {
    each_mode(|rt, _| {
        let mutex = Arc::new(Mutex::new(0));
        rt.run(|| {
            let mut guard = mutex.lock_arc().expect("not poisoned");
            assert!(matches!(mutex.try_lock_arc(), Err(TryLockError::WouldBlock)));
            assert!(matches!(mutex.lock_arc_timeout(SHORT), Err(TryLockError::WouldBlock)));
            let past = Instant::now();
            assert!(matches!(mutex.lock_arc_deadline(past), Err(TryLockError::WouldBlock)));
            *guard += 1;
            let ours = go(move || {
                yield_now();
                *guard += 1;
                thread::spawn(move || {
                    *guard += 1;
                    assert_eq!(Arc::strong_count(ArcMutexGuard::mutex(&guard)), 2);
                })
            });
            ours.join().expect("no panic").join().expect("no panic");
            assert_eq!(*mutex.lock_arc_timeout(MINUTE).expect("free"), 3);
        });
        assert_eq!(Arc::into_inner(mutex).expect("the guards are gone").into_inner().unwrap(), 3);
    });
}

#[test]
fn the_guard_is_the_last_to_hold_the_data() {
    let mutex = Arc::new(Mutex::new(String::from("data")));
    let guard = mutex.try_lock_arc().expect("free");
    drop(mutex);
    assert_eq!(*guard, "data");
    let lock = Arc::new(RwLock::new(vec![1]));
    let reads = [lock.read_arc().expect("free"), lock.try_read_arc().expect("readers share")];
    drop(lock);
    assert!(reads.iter().all(|guard| **guard == [1]));
}

#[test]
fn a_panic_poisons() {
    let mutex = Arc::new(Mutex::new(1));
    let lock = Arc::new(RwLock::new(1));
    let (theirs, both) = (mutex.clone(), lock.clone());
    let panics = catch_unwind(AssertUnwindSafe(move || {
        let _guards = (theirs.lock_arc().unwrap(), both.write_arc().unwrap());
        panic!("while both are held");
    }));
    assert!(panics.is_err());
    assert!(mutex.lock_arc().is_err_and(|poisoned| *poisoned.into_inner() == 1));
    assert!(matches!(mutex.try_lock_arc(), Err(TryLockError::Poisoned(_))));
    assert!(matches!(lock.try_read_arc(), Err(TryLockError::Poisoned(_))));
    assert!(block_on(lock.write_arc_async()).is_err());
}

#[test]
fn readers_share_and_a_writer_becomes_one() {
    each_mode(|rt, _| {
        rt.run(|| {
            let lock = Arc::new(RwLock::new(0));
            let mut writing = lock.write_arc().expect("free");
            assert!(lock.try_read_arc().is_err() && lock.try_write_arc().is_err());
            assert!(lock.read_arc_timeout(SHORT).is_err());
            assert!(lock.write_arc_deadline(Instant::now() + SHORT).is_err());
            assert!(Arc::ptr_eq(&lock, ArcRwLockWriteGuard::rwlock(&writing)));
            *writing += 1;
            let reading = go(move || writing.downgrade()).join().expect("no panic");
            assert!(Arc::ptr_eq(&lock, ArcRwLockReadGuard::rwlock(&reading)));
            let beside = lock.read_arc_deadline(Instant::now() + MINUTE).expect("readers share");
            assert!(lock.write_arc_timeout(SHORT).is_err());
            assert_eq!(*reading + *beside, 2);
            drop((reading, beside));
            assert_eq!(Arc::strong_count(&lock), 1, "the downgrade kept none");
            drop(lock.write_arc_timeout(MINUTE).expect("free"));
        });
    });
}

type Shared = (Arc<Mutex<Cell<u32>>>, Arc<RwLock<()>>, Arc<Semaphore>);

#[test]
fn everybody_owns() {
    each_mode(|rt, _| {
        let shared = Arc::new((
            Arc::new(Mutex::new(Cell::new(0))),
            Arc::new(RwLock::new(())),
            Arc::new(Semaphore::new(2)),
        ));
        let work = |shared: &Shared| {
            for n in 0..100 {
                let _permit = shared.2.acquire_owned().expect("nobody closes it");
                let guard = shared.0.lock_arc().expect("nobody panics");
                let _reads = shared.1.read_arc().expect("nobody panics");
                guard.set(guard.get() + 1);
                if n % 8 == 0 {
                    yield_now();
                }
            }
        };
        let bridge = Bridge::new(rt).with_binding(Binding::PerCall);
        thread::scope(|threads| {
            threads.spawn(|| work(&shared));
            threads.spawn(|| bridge.enter(|| work(&shared)).expect("let in"));
            threads.spawn(|| {
                block_on(async {
                    for _ in 0..100 {
                        let permit = shared.2.acquire_owned_async().await;
                        let guard = shared.0.lock_arc_async().await.expect("nobody panics");
                        let _reads = shared.1.read_arc_async().await.expect("nobody panics");
                        guard.set(guard.get() + 1);
                        drop(permit.expect("nobody closes it"));
                    }
                });
            });
            rt.run(|| {
                let theirs = shared.clone();
                let ours = go(move || work(&theirs));
                work(&shared);
                ours.join().expect("no panic");
            });
        });
        assert_eq!(shared.0.lock().expect("nobody panics").get(), 500);
        assert_eq!(shared.2.available_permits(), 2);
    });
}

#[test]
fn a_wait_for_an_owned_guard_is_cancelled_and_takes_nothing() {
    each_mode(|rt, _| {
        rt.run(|| {
            let (mutex, semaphore) = (Arc::new(Mutex::new(())), Arc::new(Semaphore::new(1)));
            let held = (mutex.lock_arc().expect("free"), semaphore.acquire_owned());
            let token = Token::new();
            let waits = [false, true].map(|for_permit| {
                let (token, mutex, semaphore) = (token.clone(), mutex.clone(), semaphore.clone());
                go(move || {
                    token.run(|| match for_permit {
                        true => drop(semaphore.acquire_owned()),
                        false => drop(mutex.lock_arc()),
                    })
                })
            });
            (0..10).for_each(|_| yield_now());
            token.cancel();
            waits.into_iter().for_each(|wait| assert!(wait.join().expect("no panic").is_err()));
            drop(held);
            assert!(mutex.try_lock_arc().is_ok());
            assert_eq!(semaphore.available_permits(), 1);
        });
    });
}

#[test]
fn permits_are_owned_in_every_way() {
    let semaphore = Arc::new(Semaphore::new(5));
    let mut owned: Vec<OwnedPermit> = vec![
        semaphore.acquire_owned().unwrap(),
        semaphore.try_acquire_owned().unwrap(),
        semaphore.acquire_owned_timeout(MINUTE).unwrap(),
        semaphore.acquire_many_owned(2).unwrap(),
    ];
    assert_eq!(semaphore.try_acquire_owned().err(), Some(AcquireError::NoPermits));
    assert_eq!(semaphore.try_acquire_many_owned(2).err(), Some(AcquireError::NoPermits));
    assert_eq!(semaphore.acquire_owned_timeout(SHORT).err(), Some(AcquireError::NoPermits));
    assert!(semaphore.acquire_owned_deadline(Instant::now()).is_err());
    assert_eq!(owned.iter().map(OwnedPermit::permits).sum::<usize>(), 5);
    assert!(Arc::ptr_eq(owned[0].semaphore(), &semaphore));
    owned.pop().expect("of two").forget();
    drop(owned);
    assert_eq!(semaphore.available_permits(), 3);
    assert_eq!(Arc::strong_count(&semaphore), 1, "also one that was forgotten");
}

#[test]
fn a_close_ends_every_wait() {
    each_mode(|rt, _| {
        let semaphore = Arc::new(Semaphore::new(1));
        let held = semaphore.acquire_owned().expect("open");
        let bridge = Bridge::new(rt).with_binding(Binding::PerCall);
        let closed = Some(AcquireError::Closed);
        thread::scope(|threads| {
            threads.spawn(|| assert_eq!(semaphore.acquire().err(), closed));
            threads.spawn(|| assert_eq!(block_on(semaphore.acquire_many_async(3)).err(), closed));
            threads.spawn(|| {
                let outcome = bridge.enter(|| semaphore.acquire_timeout(MINUTE).err());
                assert_eq!(outcome.expect("let in"), closed);
            });
            rt.run(|| {
                let waits: Vec<_> = (1..=4)
                    .map(|n| {
                        let semaphore = semaphore.clone();
                        go(move || semaphore.acquire_many_owned(n).err())
                    })
                    .collect();
                (0..20).for_each(|_| yield_now());
                assert!(!semaphore.is_closed());
                semaphore.close();
                semaphore.close();
                assert!(semaphore.is_closed());
                waits.into_iter().for_each(|wait| assert_eq!(wait.join().unwrap(), closed));
            });
        });
        drop(held);
        assert_eq!(semaphore.available_permits(), 1, "it came back, and nobody may have it");
        assert_eq!(semaphore.try_acquire().err(), closed);
        assert_eq!(semaphore.acquire_owned().err(), closed);
        assert_eq!(AcquireError::Closed.to_string(), "the semaphore is closed");
    });
}

#[test]
fn a_future_that_waits_when_it_is_closed_is_ready() {
    let semaphore = Semaphore::new(0);
    let mut context = Context::from_waker(Waker::noop());
    let mut waits = Box::pin(semaphore.acquire_async());
    assert!(waits.as_mut().poll(&mut context).is_pending());
    let mut late = Box::pin(semaphore.acquire_async());
    semaphore.close();
    for future in [&mut waits, &mut late] {
        let polled = future.as_mut().poll(&mut context);
        assert!(matches!(polled, Poll::Ready(Err(AcquireError::Closed))));
    }
}
