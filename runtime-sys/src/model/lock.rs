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
    check_among(threads, 1);
}

/// The first thread has the lock as often as that, the others once.
fn check_among(threads: u32, times: u32) {
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
        (0..times).for_each(|_| shared.add());
        others.into_iter().for_each(|other| other.join().expect("no panic"));
        // SAFETY: the others have ended.
        let watched = shared.watched.with(|watched| unsafe { *watched });
        let all = threads - 1 + times;
        assert_eq!((*shared.lock.lock(), watched), (all, all));
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

/// A thread that holds the lock while another one starves does not have it again before that one.
fn hands_over() {
    let mut builder = Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(|| {
        let lock = Arc::new(Lock::new(0));
        let starves = {
            let lock = lock.clone();
            thread::spawn(move || *lock.lock() += 1)
        };
        // It is woken in vain.
        drop(lock.lock());
        let held = lock.lock();
        let (before, starving) = (*held, lock.is_starved());
        drop(held);
        assert!(!starving || *lock.lock() > before, "the other one was passed over");
        starves.join().expect("no panic");
    });
}

#[test]
fn three_threads_of_which_one_comes_again() {
    check_among(3, 2);
}

#[test]
fn a_sleeper_that_starves_is_next() {
    hands_over();
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
    fn a_lock_that_is_not_handed_over() {
        is_caught("lock.never_hands_over", super::hands_over);
    }

    #[test]
    fn a_lock_that_is_handed_to_nobody() {
        is_caught("lock.hand_over_unchecked", || super::check(3));
    }

    #[test]
    fn a_hand_over_that_sees_an_old_mark() {
        is_caught("lock.hand_over_relaxed", || super::check(3));
    }

    #[test]
    fn a_hand_over_that_wakes_another_one() {
        is_caught("lock.hand_over_wakes_one", || super::check_among(3, 2));
    }

    #[test]
    fn a_sleeper_that_is_counted_too_late() {
        is_caught("lock.sleep_unfenced", || super::check(2));
    }
}
