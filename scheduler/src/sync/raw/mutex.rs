//! The mutex without what it guards: a word and a queue.
//!
//! # The word
//!
//! LOCKED: the mutex has a holder. QUEUED: there is a waiter, or was one; an unlock looks into the
//! queue. WOKEN: a waiter was woken and has not tried again yet, so that an unlock need not wake
//! another one. Uncontended, locking and unlocking are one compare-exchange each. QUEUED is set and
//! cleared under the queue's lock, by compare-exchanges, since LOCKED and WOKEN change without it.
//!
//! # Who comes next
//!
//! As in Go: normally the lock is released and the longest waiter is woken to try again, in
//! competition with all that come running, which are often sooner. That makes a contended mutex
//! fast. A waiter that comes too late goes back to the front. Once it has waited for a millisecond
//! it is not passed over any more: unlocking hands the lock over, without its ever being free.
//!
//! No wake-up is lost. A waiter finds LOCKED set and leaves QUEUED beside it, both under the
//! queue's lock, and links itself before it frees that lock. So a later unlock finds QUEUED and
//! goes through the queue's lock. If WOKEN is set, the unlock relies on the waiter that was woken.
//! That waiter tries again under the queue's lock, and clears WOKEN in the same step in which it
//! takes the mutex or finds it taken. Then the next unlock looks into the queue.
//!
//! # Futures
//!
//! Futures wait in a list of their own and are woken when nobody else waits. WOKEN is never set for
//! them, and nothing is handed to them: a future may never be polled again, and a goroutine must
//! not wait for that. A future that is dropped after it was woken wakes the next one, if the mutex
//! is free.
//!
//! A future takes the mutex without the queue's lock only while its node is idle
//! ([`PolledNode::at_once`]). A future that took it while its node is linked would leave the node
//! there, and a later unlock would wake it in place of a future that still waits.
//!
//! # Safety
//!
//! Both lists lie under the queue's lock and live as long as the mutex, which the waiters borrow.

#![expect(unsafe_code, reason = "waits in its own queue")]

use gosched_runtime_sys::sync::lock::Mutex;
use gosched_runtime_sys::sync::primitive::{AtomicU32, Ordering, const_fn, mutated};
use std::time::Instant;

use crate::wait::park::Park;
use crate::wait::parked::{Look, WaitIn, WaitedFor, wait_for};
use crate::wait::polled::{PolledNode, Standing, leave_list, poll_in_list};
use crate::wait::waiter::{End, Popped, Unpark, WaitList, Wakeup};
use std::task::Waker;

const LOCKED: u32 = 1;
const QUEUED: u32 = 2;
const WOKEN: u32 = 4;

/// For how long a waiter may be passed over. Go's figure: long enough that nearly no waiter reaches
/// it, and short enough that none is seen to hang.
const STARVING_NS: u64 = 1_000_000;

#[derive(Debug)]
pub(crate) struct RawMutex<K: Unpark> {
    word: AtomicU32,
    queue: Mutex<Queue<K>>,
}

/// The waiters. A waiter's slot says since when it waits. A waker empties it to hand the lock over.
struct Queue<K> {
    parked: WaitList<u64, K>,
    polling: WaitList<u64, K>,
}

impl<K> std::fmt::Debug for Queue<K> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Queue { .. }")
    }
}

impl<K> Queue<K> {
    fn parked(&mut self) -> &mut WaitList<u64, K> {
        &mut self.parked
    }
}

/// The error of a wait whose deadline passed first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TimedOut;

impl<K: Unpark> RawMutex<K> {
    const_fn! {
        pub(crate) fn new() -> Self {
            Self {
                word: AtomicU32::new(0),
                queue: Mutex::new(Queue { parked: WaitList::new(), polling: WaitList::new() }),
            }
        }
    }

    /// Takes the lock if it is free.
    #[inline]
    pub(crate) fn try_lock(&self) -> bool {
        let mut word = 0;
        loop {
            // ORDERING[mutex.lock]: partner are the releasing operations of `unlock`: what was done
            // under the lock before is visible.
            match self.word.compare_exchange(
                word,
                word | LOCKED,
                Ordering::Acquire,
                Ordering::Relaxed,
            ) {
                Ok(_) => return true,
                Err(other) if other & LOCKED != 0 => return false,
                Err(other) => word = other,
            }
        }
    }

    pub(crate) fn is_locked(&self) -> bool {
        self.word.load(Ordering::Relaxed) & LOCKED != 0
    }

    /// Takes the lock, waiting for it at longest until the deadline.
    #[inline]
    pub(crate) fn lock<P: Park<Target = K>>(
        &self,
        deadline: Option<Instant>,
        begin: impl Fn() -> P,
    ) -> Result<(), TimedOut> {
        if self.try_lock() { Ok(()) } else { self.lock_slow(deadline, begin) }
    }

    #[cold]
    fn lock_slow<P: Park<Target = K>>(
        &self,
        deadline: Option<Instant>,
        begin: impl Fn() -> P,
    ) -> Result<(), TimedOut> {
        let since = K::now_ns();
        let mut end = End::Back;
        loop {
            let place = WaitIn { end, ..WaitIn::behind(Queue::parked) };
            let woken = end == End::Front;
            let mut tried = false;
            let look = |_: &mut Queue<K>| {
                // WOKEN is this waiter's to clear once, at the first look after it was woken.
                let mine = woken && !std::mem::replace(&mut tried, true);
                if self.take_or_queue(mine) { Look::Done(()) } else { Look::Wait(Some(since)) }
            };
            // SAFETY: the list lies under that lock, for as long as the mutex, and is not replaced.
            match unsafe { wait_for(&self.queue, place, &begin, deadline, look, || None) } {
                WaitedFor::AtOnce(()) | WaitedFor::Served(None) => return Ok(()),
                WaitedFor::Served(Some(_since)) => end = End::Front,
                WaitedFor::TimedOut => return Err(TimedOut),
                WaitedFor::Cancelled(parking) => parking.raise(),
            }
        }
    }

    /// Under the queue's lock: takes the mutex, or leaves QUEUED in its word.
    fn take_or_queue(&self, woken: bool) -> bool {
        let clear = if woken { WOKEN } else { 0 };
        let mut word = self.word.load(Ordering::Relaxed);
        loop {
            let free = word & LOCKED == 0;
            let next = if free { word | LOCKED } else { word | QUEUED };
            // ORDERING[mutex.lock]: as in `try_lock`.
            match self.word.compare_exchange(
                word,
                next & !clear,
                Ordering::Acquire,
                Ordering::Relaxed,
            ) {
                Ok(_) => return free,
                Err(other) => word = other,
            }
        }
    }

    /// Gives the lock back, or over. Returns the waiter that must be woken for it.
    #[inline]
    #[must_use = "a waiter that was claimed must be woken"]
    pub(crate) fn unlock(&self) -> Option<Wakeup<K>> {
        let order =
            if mutated("mutex.unlock_relaxed") { Ordering::Relaxed } else { Ordering::Release };
        // ORDERING[mutex.lock]: partner are the acquiring operations that set LOCKED.
        match self.word.compare_exchange(LOCKED, 0, order, Ordering::Relaxed) {
            Ok(_) => None,
            Err(word) => self.unlock_slow(word),
        }
    }

    #[cold]
    fn unlock_slow(&self, mut word: u32) -> Option<Wakeup<K>> {
        // The waiter that was woken before will try again: it is enough.
        while word & WOKEN != 0 {
            // ORDERING[mutex.lock]: partner are the acquiring operations that set LOCKED.
            match self.word.compare_exchange(
                word,
                word & !LOCKED,
                Ordering::Release,
                Ordering::Relaxed,
            ) {
                Ok(_) => return None,
                Err(other) => word = other,
            }
        }
        let mut queue = self.queue.lock();
        let starving = queue
            .parked
            .peek()
            .is_some_and(|since| K::now_ns().saturating_sub(since) >= STARVING_NS);
        if starving && let Some(next) = queue.parked.pop() {
            let (_handed_over, wakeup) = next.take();
            if mutated("mutex.hand_over_unlocked") {
                self.word.store(QUEUED, Ordering::Relaxed);
            }
            return Some(wakeup);
        }
        let next = queue.parked.pop().map(Popped::finish);
        let woken = if next.is_some() { WOKEN } else { 0 };
        let next = next.or_else(|| queue.polling.pop().map(Popped::finish));
        let queued = if queue.parked.is_empty() && queue.polling.is_empty() { 0 } else { QUEUED };
        // A store: while LOCKED is set and the queue's lock is held, nobody changes the word.
        // ORDERING[mutex.lock]: partner are the acquiring operations that set LOCKED.
        self.word.store(
            if mutated("mutex.forget_queue") { 0 } else { queued | woken },
            Ordering::Release,
        );
        drop(queue);
        next
    }

    /// For a future: takes the lock, or waits with a clone of this waker.
    ///
    /// # Safety
    ///
    /// The node is pinned, waits for this mutex only, and [`leave`](Self::leave) is called before
    /// its memory goes.
    pub(crate) unsafe fn poll(&self, node: &PolledNode<u64, K>, waker: &Waker) -> bool {
        if node.at_once(|| self.try_lock()) {
            return true;
        }
        // SAFETY: this function's contract; the list is under the lock.
        unsafe {
            poll_in_list(
                &self.queue,
                |queue| &mut queue.polling,
                node,
                waker.clone(),
                |_| self.take_or_queue(false),
                |_| None,
            )
        }
    }

    /// A future goes.
    pub(crate) fn leave(&self, node: &PolledNode<u64, K>) {
        let next = |queue: &mut Queue<K>, standing| {
            // If the mutex is taken, its unlock finds the next one.
            let pass_on =
                standing == Standing::Woken && !self.is_locked() && !mutated("mutex.keeps_wake_up");
            if pass_on { queue.polling.pop().map(Popped::finish) } else { None }
        };
        // SAFETY: it waits in this list, if at all.
        unsafe { leave_list(&self.queue, |queue| &mut queue.polling, node, next) }
    }
}
