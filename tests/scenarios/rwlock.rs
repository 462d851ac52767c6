//! The reader-writer lock.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use gosched::sync::{Barrier, RwLock};
use gosched::yield_now;

use crate::other_side::{Side, each_side};

/// TestParallelReaders: all are in at the same time, or they would wait for each other for ever.
#[test]
fn readers_are_in_together() {
    each_side(|pair| {
        let shared = Arc::new((RwLock::new(7), Barrier::new(4)));
        let others: Vec<_> = (0..2)
            .map(|_| {
                let shared = Arc::clone(&shared);
                pair.start(async move |side: Side| {
                    let value = side.read(&shared.0).await;
                    side.meet(&shared.1).await;
                    assert!(shared.0.try_write().is_err());
                    side.meet(&shared.1).await;
                    *value
                })
            })
            .collect();
        let ours: Vec<_> = (0..2)
            .map(|_| {
                let shared = Arc::clone(&shared);
                pair.rt.handle().go(move || {
                    let value = shared.0.read().expect("nobody panics with it");
                    shared.1.wait();
                    assert!(shared.0.try_write().is_err());
                    shared.1.wait();
                    *value
                })
            })
            .collect();
        ours.into_iter().for_each(|one| assert_eq!(one.join().expect("no panic"), 7));
        others.into_iter().for_each(|one| assert_eq!(one.join(), 7));
    });
}

const WRITER: usize = 1_000;

fn writes(inside: &AtomicUsize, value: &mut usize) {
    assert_eq!(inside.fetch_add(WRITER, Ordering::Relaxed), 0, "a writer is alone");
    *value += 1;
}

fn reads(inside: &AtomicUsize) {
    assert!(inside.fetch_add(1, Ordering::Relaxed) < WRITER, "a reader is with no writer");
}

/// TestRWMutex: writers are alone, readers are not with a writer.
#[test]
fn writers_are_alone() {
    const TURNS: usize = 120;
    each_side(|pair| {
        let shared = Arc::new((RwLock::new(0_usize), AtomicUsize::new(0)));
        let others: Vec<_> = (0..2)
            .map(|n| {
                let shared = Arc::clone(&shared);
                pair.start(async move |side: Side| {
                    for turn in 0..TURNS {
                        if n == 0 || turn % 4 == 0 {
                            let mut value = side.write(&shared.0).await;
                            writes(&shared.1, &mut value);
                            side.yield_now().await;
                            shared.1.fetch_sub(WRITER, Ordering::Relaxed);
                        } else {
                            let value = side.read(&shared.0).await;
                            reads(&shared.1);
                            side.yield_now().await;
                            assert!(shared.0.try_write().is_err() && *value <= 4 * TURNS);
                            shared.1.fetch_sub(1, Ordering::Relaxed);
                        }
                    }
                })
            })
            .collect();
        let ours: Vec<_> = (0..2)
            .map(|n| {
                let shared = Arc::clone(&shared);
                pair.rt.handle().go(move || {
                    for turn in 0..TURNS {
                        if n == 0 && turn % 2 == 0 {
                            let mut value = shared.0.write().expect("nobody panics with it");
                            writes(&shared.1, &mut value);
                            yield_now();
                            shared.1.fetch_sub(WRITER, Ordering::Relaxed);
                        } else {
                            let value = shared.0.read().expect("nobody panics with it");
                            reads(&shared.1);
                            yield_now();
                            assert!(shared.0.try_write().is_err() && *value <= 4 * TURNS);
                            shared.1.fetch_sub(1, Ordering::Relaxed);
                        }
                    }
                })
            })
            .collect();
        ours.into_iter().for_each(|one| one.join().expect("no panic"));
        others.into_iter().for_each(|one| one.join());
        assert_eq!(
            *shared.0.read().expect("nobody panicked with it"),
            TURNS + TURNS / 4 + TURNS / 2
        );
    });
}

/// A writer that waits is not starved by readers that come and go without a gap.
#[test]
fn a_writer_gets_in_between_readers() {
    each_side(|pair| {
        let shared = Arc::new((RwLock::new(false), Barrier::new(3)));
        let theirs = Arc::clone(&shared);
        let reader = pair.rt.handle().go(move || {
            let mut reading = theirs.0.read().expect("nobody panics with it");
            theirs.1.wait();
            while !*reading {
                drop(reading);
                reading = theirs.0.read().expect("nobody panics with it");
                yield_now();
            }
        });
        let theirs = Arc::clone(&shared);
        let part = async move |side: Side| {
            let mut reading = side.read(&theirs.0).await;
            side.meet(&theirs.1).await;
            while !*reading {
                drop(reading);
                reading = side.read(&theirs.0).await;
                side.yield_now().await;
            }
        };
        let ours = move || {
            shared.1.wait();
            *shared.0.write().expect("nobody panics with it") = true;
        };
        pair.beside(part, ours);
        reader.join().expect("no panic");
    });
}
