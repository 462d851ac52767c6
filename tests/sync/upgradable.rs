//! `RwLock::upgradable_read`, and what becomes of it.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, TryLockError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use gosched::cancel::Token;
use gosched::future::block_on;
use gosched::sync::{ArcRwLockUpgradableReadGuard, RwLock};
use gosched::time::timeout_async;
use gosched::{go, scope, yield_now};
use test_support::each_mode;

const SOON: Duration = Duration::from_millis(1);

fn blocks<T>(locked: Result<T, TryLockError<T>>) -> bool {
    matches!(locked, Err(TryLockError::WouldBlock))
}

/// Waits until something that a sibling does has happened.
fn until(condition: impl Fn() -> bool) {
    while !condition() {
        yield_now();
    }
}

struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn readers_come_in_beside_it_and_nobody_else() {
    let lock = RwLock::new(1);
    let upgradable = lock.upgradable_read().unwrap();
    assert_eq!(*lock.read().unwrap() + *upgradable, 2);
    assert!(blocks(lock.try_write()));
    assert!(blocks(lock.try_upgradable_read()));
    assert!(blocks(lock.upgradable_read_timeout(SOON)));
    assert!(blocks(lock.upgradable_read_deadline(Instant::now())));
    let reading = upgradable.downgrade();
    // Its right is free again.
    let another = lock.try_upgradable_read().unwrap();
    assert!(blocks(lock.try_write()));
    drop((reading, another));
    let writing = lock.try_write().unwrap();
    assert!(blocks(lock.try_upgradable_read()));
    assert!(blocks(lock.upgradable_read_timeout(SOON)));
    drop(writing);
    assert_eq!(*lock.upgradable_read_timeout(SOON).unwrap(), 1);
}

#[test]
fn an_upgrade_waits_for_readers_and_keeps_new_ones_out() {
    each_mode(|rt, _| {
        rt.run(|| {
            let lock = Arc::new(RwLock::new(1));
            let reading = lock.read().unwrap();
            let upgradable = lock.upgradable_read().unwrap();
            let upgradable = upgradable.try_upgrade().expect_err("somebody reads");
            let upgradable = upgradable.upgrade_timeout(SOON).expect_err("somebody reads");
            let upgradable = upgradable.upgrade_deadline(Instant::now()).unwrap_err();
            // Given up, it keeps nobody out.
            assert_eq!(*lock.try_read().unwrap(), 1);
            scope(|scope| {
                let upgrader = scope.go(move || *block_on(upgradable.upgrade_async()) += 1);
                until(|| blocks(lock.try_read()));
                let late = scope.go(|| *lock.read().unwrap());
                let writer = scope.go(|| *lock.write().unwrap() *= 10);
                drop(reading);
                upgrader.join().unwrap();
                writer.join().unwrap();
                assert!([2, 20].contains(&late.join().unwrap()), "the upgrade came first");
            });
            assert_eq!(*lock.read().unwrap(), 20);
        });
    });
}

#[test]
fn an_upgrade_comes_before_writers_that_wait() {
    each_mode(|rt, _| {
        rt.run(|| {
            let lock = RwLock::new(Vec::new());
            scope(|scope| {
                let reading = lock.read().unwrap();
                let upgradable = lock.upgradable_read().unwrap();
                let writer = scope.go(|| lock.write().unwrap().push("writer"));
                until(|| blocks(lock.try_read()));
                let upgrader = scope.go(move || upgradable.upgrade().push("upgrade"));
                yield_now();
                drop(reading);
                upgrader.join().unwrap();
                writer.join().unwrap();
            });
            assert_eq!(*lock.read().unwrap(), ["upgrade", "writer"]);
        });
    });
}

#[test]
fn nothing_is_written_between_the_look_and_the_upgrade() {
    const ROUNDS: u32 = 300;
    each_mode(|rt, mode| {
        rt.run(|| {
            let (lock, over) = (RwLock::new(0_u32), AtomicBool::new(false));
            scope(|scope| {
                let writers: Vec<_> = (0..6)
                    .map(|way| {
                        let lock = &lock;
                        scope.go(move || {
                            for _ in 0..ROUNDS {
                                let reading = match way % 3 {
                                    0 => block_on(lock.upgradable_read_async()).unwrap(),
                                    _ => lock.upgradable_read().unwrap(),
                                };
                                let before = *reading;
                                yield_now();
                                let mut writing = match way {
                                    0 | 1 => block_on(reading.upgrade_async()),
                                    2 => match reading.upgrade_timeout(Duration::from_micros(50)) {
                                        Ok(writing) => writing,
                                        Err(reading) => reading.upgrade(),
                                    },
                                    3 => match reading.try_upgrade() {
                                        Ok(writing) => writing,
                                        Err(reading) => reading.upgrade(),
                                    },
                                    _ => reading.upgrade(),
                                };
                                assert_eq!(*writing, before);
                                *writing += 1;
                            }
                        })
                    })
                    .collect();
                let plain = scope.go(|| (0..ROUNDS).for_each(|_| *lock.write().unwrap() += 1));
                let readers: Vec<_> = (0..2)
                    .map(|_| {
                        scope.go(|| {
                            while !over.load(Ordering::Relaxed) {
                                let reading = lock.read().unwrap();
                                let before = *reading;
                                yield_now();
                                assert_eq!(*reading, before);
                            }
                        })
                    })
                    .collect();
                writers.into_iter().for_each(|writer| writer.join().unwrap());
                plain.join().unwrap();
                over.store(true, Ordering::Relaxed);
                readers.into_iter().for_each(|reader| reader.join().unwrap());
            });
            assert_eq!(*lock.read().unwrap(), 7 * ROUNDS, "{mode:?}");
        });
    });
}

#[test]
fn what_is_given_up_leaves_nothing() {
    each_mode(|rt, _| {
        rt.run(|| {
            let lock = Arc::new(RwLock::new(()));
            for round in 0..100 {
                let reading = lock.read().unwrap();
                let token = Token::new();
                let waits: Vec<_> = (0..3)
                    .map(|way| {
                        let (lock, token) = (lock.clone(), token.clone());
                        go(move || {
                            token.run(|| match way {
                                0 => drop(lock.upgradable_read().unwrap().upgrade()),
                                1 => drop(lock.write()),
                                _ => block_on(async {
                                    let limit = Duration::from_micros(round);
                                    let upgrades = async {
                                        let reading = lock.upgradable_read_async().await;
                                        drop(reading.unwrap().upgrade_async().await);
                                    };
                                    let _in_time = timeout_async(limit, upgrades).await;
                                }),
                            })
                        })
                    })
                    .collect();
                if round % 3 == 0 {
                    yield_now();
                }
                token.cancel();
                if round % 2 == 0 {
                    waits.into_iter().for_each(|waits| _ = waits.join().unwrap());
                    assert!(lock.try_read().is_ok(), "nobody keeps readers out");
                    drop(reading);
                } else {
                    drop(reading);
                    waits.into_iter().for_each(|waits| _ = waits.join().unwrap());
                }
                assert!(lock.try_write().is_ok() && lock.try_upgradable_read().is_ok());
            }
        });
    });
}

#[test]
fn a_future_that_is_dropped_ends_its_reading() {
    let lock = RwLock::new(1);
    let count = Arc::new(Count(AtomicUsize::new(0)));
    let waker = Waker::from(count.clone());
    let mut cx = Context::from_waker(&waker);
    // Before its first poll, while it waits, and when it has the lock.
    drop(lock.upgradable_read().unwrap().upgrade_async());
    assert!(lock.try_write().is_ok());
    for drops_reader_first in [false, true] {
        let reading = lock.read().unwrap();
        let mut upgrade = Box::pin(lock.upgradable_read().unwrap().upgrade_async());
        assert!(upgrade.as_mut().poll(&mut cx).is_pending());
        assert!(upgrade.as_mut().poll(&mut cx).is_pending());
        assert!(blocks(lock.try_read()));
        if drops_reader_first {
            drop(reading);
            assert_eq!(count.0.load(Ordering::SeqCst), 1, "the lock is its own");
            drop(upgrade);
        } else {
            drop(upgrade);
            assert!(lock.try_read().is_ok());
            drop(reading);
        }
        assert!(lock.try_write().is_ok() && lock.try_upgradable_read().is_ok());
    }
    // The other future, with the right and without it.
    let writing = lock.write().unwrap();
    let [mut first, mut second] = [(); 2].map(|()| Box::pin(lock.upgradable_read_async()));
    assert!(first.as_mut().poll(&mut cx).is_pending());
    assert!(second.as_mut().poll(&mut cx).is_pending());
    drop(first);
    drop(writing);
    let Poll::Ready(upgradable) = second.as_mut().poll(&mut cx) else { unreachable!("it is free") };
    drop(upgradable.unwrap().try_upgrade().expect("nobody else reads"));
    assert!(lock.try_upgradable_read().is_ok());
}

#[test]
fn the_one_who_upgrades_poisons_as_every_writer() {
    let lock = RwLock::new(1);
    let outcome = std::panic::catch_unwind(|| {
        let _reading = lock.upgradable_read().unwrap();
        panic!("as it should");
    });
    assert!(outcome.is_err() && !lock.is_poisoned(), "it only read");
    let outcome = std::panic::catch_unwind(|| {
        let _writing = lock.upgradable_read().unwrap().upgrade();
        panic!("as it should");
    });
    assert!(outcome.is_err() && lock.is_poisoned());
    let upgradable = lock.upgradable_read().unwrap_err().into_inner();
    *upgradable.upgrade() = 2;
    lock.clear_poison();
    assert_eq!(*lock.upgradable_read().unwrap(), 2);
}

#[test]
fn a_guard_that_holds_its_lock_does_as_one_that_borrows() {
    let lock = Arc::new(RwLock::new(1));
    let reading = lock.upgradable_read_arc().unwrap();
    assert!(Arc::ptr_eq(ArcRwLockUpgradableReadGuard::rwlock(&reading), &lock));
    assert_eq!(*lock.read_arc().unwrap() + *reading, 2);
    assert!(blocks(lock.try_upgradable_read_arc()));
    assert!(blocks(lock.upgradable_read_arc_timeout(SOON)));
    assert!(blocks(lock.upgradable_read_arc_deadline(Instant::now())));
    // While another one reads it stays what it is.
    let other = lock.read().unwrap();
    let reading = reading.try_upgrade().unwrap_err();
    let reading = reading.upgrade_timeout(SOON).unwrap_err();
    let reading = reading.upgrade_deadline(Instant::now()).unwrap_err();
    assert_eq!(Arc::strong_count(&lock), 2);
    drop(other);
    *reading.upgrade() += 1;
    *lock.try_upgradable_read_arc().unwrap().try_upgrade().unwrap() += 1;
    // Others may have the right again while this reads on.
    let reading = lock.upgradable_read_arc_timeout(SOON).unwrap().downgrade();
    drop(lock.try_upgradable_read().unwrap());
    assert!(blocks(lock.try_write()));
    drop(reading);
    assert_eq!((*lock.try_write().unwrap(), Arc::strong_count(&lock)), (3, 1));
}

#[test]
fn a_dropped_future_of_an_upgrade_ends_its_reading_and_lets_go_of_the_lock() {
    let lock = Arc::new(RwLock::new(1));
    let mut cx = Context::from_waker(Waker::noop());
    for polls in [0, 1] {
        let other = lock.read().unwrap();
        let reading = block_on(lock.upgradable_read_arc_async()).unwrap();
        let mut upgrade = Box::pin(reading.upgrade_async());
        (0..polls).for_each(|_| assert!(upgrade.as_mut().poll(&mut cx).is_pending()));
        assert!(blocks(lock.try_upgradable_read()));
        drop(upgrade);
        drop(other);
        assert_eq!(Arc::strong_count(&lock), 1);
        drop(lock.try_upgradable_read().unwrap());
    }
    *block_on(block_on(lock.upgradable_read_arc_async()).unwrap().upgrade_async()) += 1;
    assert_eq!(*lock.try_write().unwrap(), 2);
}

#[test]
fn a_cancelled_upgrade_of_a_guard_that_holds_its_lock_ends_the_reading() {
    each_mode(|rt, _| {
        rt.run(|| {
            let (lock, token) = (Arc::new(RwLock::new(1)), Token::new());
            let other = lock.read().unwrap();
            let (theirs, reading) = (token.clone(), lock.upgradable_read_arc().unwrap());
            let upgrades = go(move || theirs.run(|| drop(reading.upgrade())).is_err());
            until(|| lock.try_read().is_err());
            token.cancel();
            assert!(upgrades.join().unwrap());
            assert!(lock.try_upgradable_read().is_ok());
            drop(other);
            assert!(lock.try_write().is_ok());
            assert_eq!(Arc::strong_count(&lock), 1);
        });
    });
}
