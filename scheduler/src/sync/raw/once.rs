//! What is done once: a word, and those who wait until it is done.
//!
//! No wake-up is lost: who waits looks at the word under the queue's lock first, and who is through
//! changes the word before it takes that lock to let the others go.
//!
//! # Safety
//!
//! The one list lies under the queue's lock, as long as the word, which who waits borrows.

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

/// What a caller finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// It is done.
    Done,
    /// It is the caller's to do; whether somebody tried before and unwound.
    Mine { poisoned: bool },
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
        // ORDERING[once.done]: partner is the store in `Doing::end`: what was done is visible.
        self.word.load(Ordering::Acquire) == DONE
    }

    pub(crate) fn is_poisoned(&self) -> bool {
        self.word.load(Ordering::Relaxed) == POISONED
    }

    /// By who has it for itself alone.
    pub(crate) fn reset(&mut self) {
        self.word.store(NEW, Ordering::Relaxed);
    }

    /// Done, or the caller's to do. Waits while somebody else is at it.
    pub(crate) fn begin<P: Park<Target = K>>(&self, begin: impl Fn() -> P) -> Found {
        loop {
            let look = |_: &mut WaitList<(), K>| match self.word.load(Ordering::Relaxed) {
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

    /// Waits until it is done, by whomever, at longest until the deadline.
    pub(crate) fn wait<P: Park<Target = K>>(
        &self,
        deadline: Option<Instant>,
        begin: impl Fn() -> P,
    ) -> Result<(), TimedOut> {
        while !self.is_done() {
            let look = |_: &mut WaitList<(), K>| match self.word.load(Ordering::Relaxed) {
                DONE => Look::Done(()),
                _ => Look::Wait(None),
            };
            // SAFETY: the list is what lies under that lock, and is not replaced.
            match unsafe {
                wait_for(&self.queue, WaitIn::behind(|list| list), &begin, deadline, look, || None)
            } {
                WaitedFor::AtOnce(()) | WaitedFor::Served(_) => {}
                WaitedFor::TimedOut => return Err(TimedOut),
                WaitedFor::Cancelled(parking) => parking.raise(),
            }
        }
        Ok(())
    }

    /// The caller does it. If it fails, nobody will be kept from trying again; whether it says so.
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
        // ORDERING[once.done]: partner is the load in `is_done`; who finds it under the queue's
        // lock sees it by that.
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
