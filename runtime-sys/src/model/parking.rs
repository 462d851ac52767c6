//! Waiting without a futex: no sleeper is forgotten, and none leaves while a waker uses what it
//! sleeps on.
#![expect(unsafe_code, reason = "a list and cells whose accesses loom checks")]

use std::sync::Arc;
use std::time::Duration;

use crate::sync::primitive::loom::model::Builder;
use crate::sync::primitive::loom::sync::{Condvar, Mutex, MutexGuard};
use crate::sync::primitive::{AtomicU32, Ordering, UnsafeCell, mutated, thread};
use crate::sys::parking::{Place, Post, Sleeper, Sleepers, wait_on, wake_on};

/// A semaphore, and whether its memory is still there: a post reads that, and its owner writes it
/// when the wait is over.
struct Semaphore {
    posted: Mutex<bool>,
    sleeps: Condvar,
    is_there: UnsafeCell<bool>,
}

// SAFETY: loom checks that the accesses to the cell are ordered.
unsafe impl Sync for Semaphore {}

impl Semaphore {
    fn new() -> Self {
        let (posted, sleeps) = (Mutex::new(false), Condvar::new());
        Self { posted, sleeps, is_there: UnsafeCell::new(true) }
    }

    fn posted(&self) -> MutexGuard<'_, bool> {
        self.posted.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// What becomes of its memory when its owner has returned.
    fn goes(&self) {
        // SAFETY: nobody posts any more; loom reports it if somebody does.
        self.is_there.with_mut(|is_there| unsafe { *is_there = false });
    }
}

impl Post for Arc<Semaphore> {
    fn post(&self) {
        *self.posted() = true;
        self.sleeps.notify_one();
        // SAFETY: the last access; loom reports it if it is not ordered before the memory goes.
        assert!(self.is_there.with(|is_there| unsafe { *is_there }));
    }

    /// With a timeout it returns at once: the model is to find out which is faster.
    fn sleep(&self, timeout: Option<Duration>) {
        if timeout.is_some() {
            return thread::yield_now();
        }
        let mut posted = self.posted();
        while !*posted {
            posted = self.sleeps.wait(posted).unwrap_or_else(std::sync::PoisonError::into_inner);
        }
    }
}

/// A word, and the list of those who wait for it, with its lock.
struct Shared {
    word: AtomicU32,
    sleepers: Mutex<Sleepers<Arc<Semaphore>>>,
}

// SAFETY: the list is reached under its mutex.
unsafe impl Send for Shared {}
// SAFETY: as above.
unsafe impl Sync for Shared {}

impl Place for Shared {
    type Post = Arc<Semaphore>;

    fn word(&self) -> u32 {
        self.word.load(Ordering::Relaxed)
    }

    fn locked<R>(&self, f: impl FnOnce(&mut Sleepers<Self::Post>) -> R) -> R {
        f(&mut self.sleepers.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }

    fn mutated(&self, name: &'static str) -> bool {
        mutated(name)
    }
}

const ADDRESS: usize = 64;

impl Shared {
    fn new() -> Arc<Self> {
        Arc::new(Self { word: AtomicU32::new(0), sleepers: Mutex::new(Sleepers::new()) })
    }

    /// Waits until the word is set; the first time with the timeout.
    fn wait(&self, mut timeout: Option<Duration>) {
        while self.word() == 0 {
            let semaphore = Arc::new(Semaphore::new());
            let me = Sleeper::new(ADDRESS, semaphore.clone());
            let _woken_or_not = wait_on(self, &me, 0, timeout.take());
            semaphore.goes();
        }
    }

    fn wake(&self, all: bool) {
        self.word.store(1, Ordering::Relaxed);
        wake_on(self, ADDRESS, all);
    }
}

fn check(sleepers: usize, timeout: Option<Duration>) {
    let mut builder = Builder::new();
    builder.preemption_bound = Some(2);
    builder.check(move || {
        let shared = Shared::new();
        let others: Vec<_> = (0..sleepers)
            .map(|_| {
                let shared = shared.clone();
                thread::spawn(move || shared.wait(timeout))
            })
            .collect();
        shared.wake(sleepers > 1);
        others.into_iter().for_each(|other| other.join().expect("it was woken"));
        assert!(shared.locked(|sleepers| sleepers.is_empty()));
    });
}

#[test]
fn a_sleeper_is_woken() {
    check(1, None);
}

#[test]
fn all_sleepers_are_woken() {
    check(2, None);
}

#[test]
fn a_deadline_and_a_waker_meet() {
    check(1, Some(Duration::ZERO));
}

#[cfg(gosched_mutants)]
mod mutants {
    use crate::model::is_caught;

    #[test]
    fn a_sleeper_that_looks_too_early() {
        is_caught("parking.looks_before_it_locks", || super::check(1, None));
    }

    #[test]
    fn a_sleeper_that_leaves_too_early() {
        is_caught("parking.leaves_without_the_lock", || super::check(1, None));
    }
}
