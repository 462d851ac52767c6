//! What is done once: a word, and a queue of waiters.
//!
//! No wake-up is lost: a waiter looks at the word under the queue's lock before it is linked. The
//! doer changes the word before it takes that lock to wake the waiters. So a waiter may read the
//! new word before the doer had the lock: what was done is visible by the word, not by the lock.
//!
//! # Safety
//!
//! The one list lies under the queue's lock, as long as the word, which the waiters borrow.

#![expect(unsafe_code, reason = "waits in its own queue")]

use gosched_runtime_sys::sync::lock::Mutex;
use gosched_runtime_sys::sync::primitive::{AtomicU32, Ordering, const_fn, mutated};
use std::time::Instant;

use crate::sync::raw::mutex::TimedOut;
use crate::wait::park::Park;
use crate::wait::parked::{Look, WaitIn, WaitedFor, wait_for};
use crate::wait::waiter::{Unpark, WaitList};
use crate::wait::wake::wake_all;

const NEW: u32 = 0;
const RUNNING: u32 = 1;
const DONE: u32 = 2;
const POISONED: u32 = 3;

pub(crate) struct RawOnce<K: Unpark> {
    word: AtomicU32,
    queue: Mutex<WaitList<(), K>>,
}

/// What a caller that wants to do it finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// It is done.
    Done,
    /// It is the caller's to do. `poisoned`: an earlier doer failed, and its failure poisons.
    Mine { poisoned: bool },
}

/// How a wait ended in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// It is done.
    Done,
    /// A doer failed, and the waiter wanted to know.
    Poisoned,
}

/// The doing: until it is [`finish`](Self::finish)ed, others wait. Dropped before, it has failed.
pub(crate) struct Doing<'a, K: Unpark> {
    once: &'a RawOnce<K>,
    failed: u32,
}

impl<K: Unpark> RawOnce<K> {
    const_fn! {
        pub(crate) fn new() -> Self {
            Self { word: AtomicU32::new(NEW), queue: Mutex::new(WaitList::new()) }
        }
    }

    const_fn! {
        pub(crate) fn new_done() -> Self {
            Self { word: AtomicU32::new(DONE), queue: Mutex::new(WaitList::new()) }
        }
    }

    #[inline]
    pub(crate) fn is_done(&self) -> bool {
        self.word() == DONE
    }

    /// Reads the word; what its last doer did is visible then.
    #[inline]
    fn word(&self) -> u32 {
        // ORDERING[once.done]: pairs with the store in `Doing::end`.
        self.word.load(Ordering::Acquire)
    }

    /// Reads the word under the queue's lock.
    fn word_locked(&self) -> u32 {
        if mutated("once.looks_relaxed") {
            return self.word.load(Ordering::Relaxed);
        }
        self.word()
    }

    pub(crate) fn is_poisoned(&self) -> bool {
        self.word.load(Ordering::Relaxed) == POISONED
    }

    /// Makes it new again.
    pub(crate) fn reset(&mut self) {
        self.word.store(NEW, Ordering::Relaxed);
    }

    /// Waits while another caller does it. Returns when it is done, or the caller's to do.
    pub(crate) fn begin<P: Park<Target = K>>(&self, begin: impl Fn() -> P) -> Found {
        loop {
            let look = |_: &mut WaitList<(), K>| match self.word_locked() {
                RUNNING => Look::Wait(None),
                DONE => Look::Done(Found::Done),
                other => {
                    self.word.store(RUNNING, Ordering::Relaxed);
                    Look::Done(Found::Mine { poisoned: other == POISONED })
                }
            };
            // SAFETY: the list is what lies under that lock, and is not replaced.
            match unsafe {
                wait_for(&self.queue, WaitIn::behind(|list| list), &begin, None, look, || None)
            } {
                WaitedFor::AtOnce(found) => return found,
                WaitedFor::Served(_) | WaitedFor::TimedOut => {}
                WaitedFor::Cancelled(parking) => parking.raise(),
            }
        }
    }

    /// Waits until it is done, at longest until the deadline. `heeds_poison`: the wait ends also
    /// when a doer failed, or has failed before.
    pub(crate) fn wait<P: Park<Target = K>>(
        &self,
        heeds_poison: bool,
        deadline: Option<Instant>,
        begin: impl Fn() -> P,
    ) -> Result<Ended, TimedOut> {
        if self.is_done() {
            return Ok(Ended::Done);
        }
        loop {
            let look = |_: &mut WaitList<(), K>| match self.word_locked() {
                DONE => Look::Done(Ended::Done),
                POISONED if heeds_poison => Look::Done(Ended::Poisoned),
                _ => Look::Wait(None),
            };
            // SAFETY: the list is what lies under that lock, and is not replaced.
            match unsafe {
                wait_for(&self.queue, WaitIn::behind(|list| list), &begin, deadline, look, || None)
            } {
                WaitedFor::AtOnce(ended) => return Ok(ended),
                WaitedFor::Served(_) => {}
                WaitedFor::TimedOut => return Err(TimedOut),
                WaitedFor::Cancelled(parking) => parking.raise(),
            }
        }
    }

    /// Begins the doing, by a caller whose it is. A failure keeps no other caller from doing it;
    /// `poisons`: it is remembered.
    pub(crate) fn doing(&self, poisons: bool) -> Doing<'_, K> {
        Doing { once: self, failed: if poisons { POISONED } else { NEW } }
    }
}

impl<K: Unpark> Doing<'_, K> {
    /// It is done.
    pub(crate) fn finish(self) {
        self.end(DONE);
        std::mem::forget(self);
    }

    fn end(&self, word: u32) {
        let order =
            if mutated("once.done_relaxed") { Ordering::Relaxed } else { Ordering::Release };
        // ORDERING[once.done]: pairs with the load in `word`.
        self.once.word.store(word, order);
        if mutated("once.lets_nobody_go") {
            return;
        }
        wake_all(&self.once.queue, self.once.queue.lock(), |list| list).go_on();
    }
}

impl<K: Unpark> Drop for Doing<'_, K> {
    fn drop(&mut self) {
        self.end(self.failed);
    }
}
