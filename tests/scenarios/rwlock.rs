//! The reader-writer lock.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use gosched::sync::{Barrier, RwLock};
use gosched::yield_now;

use crate::partner::{Side, each_blocking_side};

/// TestParallelReaders: all are in at the same time, or they would wait for each other for ever.
#[test]
fn readers_are_in_together() {
    each_blocking_side(|pair| {
        let shared = Arc::new((RwLock::new(7), Barrier::new(4)));
        let read = |shared: &(RwLock<i32>, Barrier)| {
            let value = shared.0.read().expect("nobody panics with it");
            shared.1.wait();
            assert!(shared.0.try_write().is_err());
            shared.1.wait();
            *value
        };
        let others: Vec<_> = (0..2)
            .map(|_| {
                let shared = Arc::clone(&shared);
                pair.start(async move |_| read(&shared))
            })
            .collect();
        let ours: Vec<_> = (0..2)
            .map(|_| {
                let shared = Arc::clone(&shared);
                pair.rt.handle().go(move || read(&shared))
            })
            .collect();
        ours.into_iter().for_each(|one| assert_eq!(one.join().expect("no panic"), 7));
        others.into_iter().for_each(|one| assert_eq!(one.join(), 7));
    });
}

/// TestRWMutex: writers are alone, readers are not with a writer.
#[test]
fn writers_are_alone() {
    const TURNS: usize = 120;
    const WRITER: usize = 1_000;
    each_blocking_side(|pair| {
        let shared = Arc::new((RwLock::new(0_usize), AtomicUsize::new(0)));
        let turn = |shared: &(RwLock<usize>, AtomicUsize), writes: bool| {
            if writes {
                let mut value = shared.0.write().expect("nobody panics with it");
                assert_eq!(shared.1.fetch_add(WRITER, Ordering::Relaxed), 0, "a writer is alone");
                yield_now();
                *value += 1;
                shared.1.fetch_sub(WRITER, Ordering::Relaxed);
            } else {
                let value = shared.0.read().expect("nobody panics with it");
                let before = shared.1.fetch_add(1, Ordering::Relaxed);
                assert!(before < WRITER, "a reader is with no writer");
                assert!(shared.0.try_write().is_err(), "somebody reads");
                yield_now();
                assert!(*value <= 2 * TURNS);
                shared.1.fetch_sub(1, Ordering::Relaxed);
            }
        };
        let others: Vec<_> = (0..2)
            .map(|n| {
                let shared = Arc::clone(&shared);
                pair.start(async move |_: Side| (0..TURNS).for_each(|i| turn(&shared, n == 0 || i % 4 == 0)))
            })
            .collect();
        let ours: Vec<_> = (0..2)
            .map(|n| {
                let shared = Arc::clone(&shared);
                pair.rt.handle().go(move || (0..TURNS).for_each(|i| turn(&shared, n == 0 && i % 2 == 0)))
            })
            .collect();
        ours.into_iter().for_each(|one| one.join().expect("no panic"));
        others.into_iter().for_each(|one| one.join());
        assert_eq!(*shared.0.read().expect("nobody panicked with it"), TURNS + TURNS / 4 + TURNS / 2);
    });
}

/// A writer that waits is not starved by readers that come and go without a gap; neither are they by it.
#[test]
fn a_writer_gets_in_between_readers() {
    each_blocking_side(|pair| {
        let shared = Arc::new((RwLock::new(false), Barrier::new(3)));
        let read = |shared: &(RwLock<bool>, Barrier)| {
            let mut reading = shared.0.read().expect("nobody panics with it");
            shared.1.wait();
            while !*reading {
                drop(reading);
                reading = shared.0.read().expect("nobody panics with it");
                yield_now();
            }
        };
        let theirs = Arc::clone(&shared);
        let reader = pair.rt.handle().go(move || read(&theirs));
        let theirs = Arc::clone(&shared);
        let part = async move |_| read(&theirs);
        let ours = move || {
            shared.1.wait();
            *shared.0.write().expect("nobody panics with it") = true;
        };
        pair.beside(part, ours);
        reader.join().expect("no panic");
    });
}
