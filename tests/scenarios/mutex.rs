//! The mutex and the semaphore: one at a time, tries, and nobody starved.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use gosched::sync::{Mutex, Semaphore};
use gosched::{go, yield_now};

use crate::other_side::{Side, each_side};

const TURNS: usize = 200;

/// TestMutex: goroutines and other sides lock, some of them by tries, and never two at once.
#[test]
fn holders_are_alone() {
    each_side(|pair| {
        let shared = Arc::new((Mutex::new(0_usize), AtomicBool::new(false)));
        let hold = |shared: &(Mutex<usize>, AtomicBool), count: &mut usize| {
            assert!(!shared.1.swap(true, Ordering::Relaxed), "two at once");
            *count += 1;
            assert!(shared.1.swap(false, Ordering::Relaxed));
        };
        let others: Vec<_> = (0..2)
            .map(|_| {
                let shared = Arc::clone(&shared);
                pair.start(async move |side: Side| {
                    for turn in 0..TURNS {
                        if turn % 3 == 0
                            && let Ok(mut count) = shared.0.try_lock()
                        {
                            hold(&shared, &mut count);
                            continue;
                        }
                        let mut count = side.lock(&shared.0).await;
                        // Held over a wait, too.
                        side.yield_now().await;
                        hold(&shared, &mut count);
                    }
                })
            })
            .collect();
        let theirs = Arc::clone(&shared);
        pair.rt.run(move || {
            let ours = [(); 2].map(|()| {
                let shared = Arc::clone(&theirs);
                go(move || {
                    for turn in 0..TURNS {
                        let mut count = shared.0.lock().expect("nobody panics with it");
                        if turn % 8 == 0 {
                            yield_now();
                        }
                        hold(&shared, &mut count);
                    }
                })
            });
            ours.into_iter().for_each(|one| one.join().expect("no panic"));
        });
        others.into_iter().for_each(|one| one.join());
        assert_eq!(*shared.0.lock().expect("nobody panicked with it"), 4 * TURNS);
    });
}

/// TestMutex, its beginning: a try fails while somebody else has it, and takes it when nobody has.
#[test]
fn a_try_says_whether_somebody_has_it() {
    each_side(|pair| {
        let mutex = Arc::new(Mutex::new(()));
        let held = mutex.lock().expect("nobody panics with it");
        let theirs = Arc::clone(&mutex);
        assert!(pair.start(async move |_| theirs.try_lock().is_err()).join());
        drop(held);
        let theirs = Arc::clone(&mutex);
        assert!(pair.start(async move |_| theirs.try_lock().is_ok()).join());
        assert!(mutex.try_lock().is_ok(), "given back");
    });
}

/// TestMutexFairness: one has the lock nearly all the time, and takes it again at once; the other
/// gets it all the same.
#[test]
fn who_waits_is_not_starved() {
    each_side(|pair| {
        for other_is_greedy in [true, false] {
            let shared = Arc::new((Mutex::new(()), AtomicBool::new(false)));
            let theirs = Arc::clone(&shared);
            let part = async move |side: Side| {
                if other_is_greedy {
                    while !theirs.1.load(Ordering::Relaxed) {
                        let held = side.lock(&theirs.0).await;
                        hold_on();
                        drop(held);
                    }
                } else {
                    for _ in 0..3 {
                        drop(side.lock(&theirs.0).await);
                        side.yield_now().await;
                    }
                    theirs.1.store(true, Ordering::Relaxed);
                }
            };
            let ours = move || {
                if other_is_greedy {
                    for _ in 0..3 {
                        drop(shared.0.lock().expect("nobody panics with it"));
                        yield_now();
                    }
                    shared.1.store(true, Ordering::Relaxed);
                } else {
                    while !shared.1.load(Ordering::Relaxed) {
                        let held = shared.0.lock().expect("nobody panics with it");
                        hold_on();
                        drop(held);
                    }
                }
            };
            pair.beside(part, ours);
        }
    });
}

/// Keeps the processor for as long as Go's test does.
fn hold_on() {
    let began = std::time::Instant::now();
    while began.elapsed() < Duration::from_micros(100) {
        std::hint::spin_loop();
    }
}

/// TestSemaphore: with one permit it is a mutex; with more, there are never more inside than
/// permits.
#[test]
fn no_more_hold_permits_than_there_are() {
    each_side(|pair| {
        for permits in [1, 3] {
            let shared = Arc::new((Semaphore::new(permits), AtomicUsize::new(0)));
            let inside = move |now: &AtomicUsize| {
                assert!(now.fetch_add(1, Ordering::Relaxed) < permits, "too many")
            };
            let others: Vec<_> = (0..3)
                .map(|_| {
                    let shared = Arc::clone(&shared);
                    pair.start(async move |side: Side| {
                        for _ in 0..TURNS {
                            let permit = side.acquire(&shared.0).await;
                            inside(&shared.1);
                            side.yield_now().await;
                            shared.1.fetch_sub(1, Ordering::Relaxed);
                            drop(permit);
                        }
                    })
                })
                .collect();
            let theirs = Arc::clone(&shared);
            let ours = pair.rt.handle().go(move || {
                for _ in 0..TURNS {
                    let permit = theirs.0.acquire().unwrap();
                    inside(&theirs.1);
                    yield_now();
                    theirs.1.fetch_sub(1, Ordering::Relaxed);
                    drop(permit);
                }
            });
            ours.join().expect("no panic");
            others.into_iter().for_each(|one| one.join());
            assert_eq!(shared.0.available_permits(), permits);
        }
    });
}
