//! The lock: one holder at a time, the next holder sees what was done under it, and a sleeper is
//! woken.
#![expect(unsafe_code, reason = "a cell whose accesses loom checks")]

use crate::sync::lock::Lock;
use crate::sync::primitive::loom::model::Builder;
use crate::sync::primitive::{UnsafeCell, thread};
use std::sync::Arc;

/// The value that the lock itself guards, and beside it one that loom watches.
struct Shared {
    lock: Lock<u32>,
    watched: UnsafeCell<u32>,
}

// SAFETY: the cell is accessed under the lock; loom reports it if that does not order the accesses.
unsafe impl Sync for Shared {}

impl Shared {
    fn add(&self) {
        let mut value = self.lock.lock();
        *value += 1;
        // SAFETY: under the lock.
        self.watched.with_mut(|watched| unsafe { *watched += 1 });
    }
}

fn check(threads: u32) {
    let mut builder = Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(move || {
        let shared = Arc::new(Shared { lock: Lock::new(0), watched: UnsafeCell::new(0) });
        let others: Vec<_> = (1..threads)
            .map(|_| {
                let shared = shared.clone();
                thread::spawn(move || shared.add())
            })
            .collect();
        shared.add();
        others.into_iter().for_each(|other| other.join().expect("no panic"));
        // SAFETY: the others have ended.
        let watched = shared.watched.with(|watched| unsafe { *watched });
        assert_eq!((*shared.lock.lock(), watched), (threads, threads));
    });
}

#[test]
fn two_threads_take_turns() {
    check(2);
}

#[test]
fn three_threads_take_turns_and_none_sleeps_for_ever() {
    check(3);
}

#[cfg(gosched_mutants)]
mod mutants {
    use crate::model::is_caught;

    #[test]
    fn an_unlock_that_orders_nothing() {
        is_caught("lock.unlock_relaxed", || super::check(2));
    }

    #[test]
    fn an_unlock_that_looks_for_sleepers_too_early() {
        is_caught("lock.unlock_unfenced", || super::check(2));
    }

    #[test]
    fn a_sleeper_that_is_counted_too_late() {
        is_caught("lock.sleep_unfenced", || super::check(2));
    }
}
