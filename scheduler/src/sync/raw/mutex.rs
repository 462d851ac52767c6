//! The mutex without what it guards: a word and a queue.
//!
//! # The word
//!
//! LOCKED: the mutex has a holder. QUEUED: there is a waiter, or was one; an unlock looks into the
//! queue. WOKEN: a waiter was woken and has not tried again yet, so that an unlock need not wake
//! another one. RESERVED, beside LOCKED: nobody holds the mutex; it is reserved for a future.
//! Uncontended, locking and unlocking are one compare-exchange each. QUEUED is set and cleared
//! under the queue's lock, by compare-exchanges, since LOCKED and WOKEN change without it. RESERVED
//! is set and cleared under that lock, too, and nobody else changes the word meanwhile.
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
//! is free. A future that has waited for too long, and for longer than who parks, has the mutex
//! reserved for it at the next unlock ([`reserved`](crate::wait::reserved)). If it is not polled in
//! time, the mutex is taken by whoever wants it.
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
use std::cell::Cell;
use std::time::Instant;

use crate::wait::owed::Owed;
use crate::wait::park::Park;
use crate::wait::parked::{Look, WaitIn, WaitedFor, is_over, wait_for};
use crate::wait::polled::{PolledNode, Standing};
use crate::wait::reserved::{Ask, Found, Futures, PATIENCE_NS, poll_reserved};
use crate::wait::waiter::{End, Popped, Unpark, WaitList, Wakeup};
use std::task::Waker;

const LOCKED: u32 = 1;
const QUEUED: u32 = 2;
const WOKEN: u32 = 4;
const RESERVED: u32 = 8;

#[derive(Debug)]
pub(crate) struct RawMutex<K: Unpark> {
    word: AtomicU32,
    queue: Mutex<Queue<K>>,
}

/// The waiters. A waiter's slot says since when it waits. A waker empties it to hand the lock over.
struct Queue<K> {
    parked: WaitList<u64, K>,
    futures: Futures<(), K>,
}

impl<K> std::fmt::Debug for Queue<K> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Queue { .. }")
    }
}

/// The waiter that has waited longest, if that is too long.
enum Starving {
    Parked,
    Future { now: u64 },
}

impl<K: Unpark> Queue<K> {
    fn parked(&mut self) -> &mut WaitList<u64, K> {
        &mut self.parked
    }

    /// Returns who may not be passed over any more.
    fn starving(&self) -> Option<Starving> {
        let now = K::now_ns();
        let parked = self.parked.peek().filter(|since| now.saturating_sub(*since) >= PATIENCE_NS);
        match (parked, self.futures.starves(now)) {
            (None, None) => None,
            (Some(parked), Some(future)) if future < parked => Some(Starving::Future { now }),
            (Some(_), _) => Some(Starving::Parked),
            (None, Some(_)) => Some(Starving::Future { now }),
        }
    }

    /// Returns the waiter that is to watch a reservation.
    fn watcher(&mut self) -> Option<Wakeup<K>> {
        self.futures.watcher(&mut self.parked)
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
                queue: Mutex::new(Queue { parked: WaitList::new(), futures: Futures::new() }),
            }
        }
    }

    /// Takes the lock if it is free.
    #[inline]
    pub(crate) fn try_lock(&self) -> bool {
        match self.take(0) {
            Ok(_) => true,
            Err(word) => self.try_lock_slow(word),
        }
    }

    /// Takes the lock if the word is this, without LOCKED.
    #[inline(always)]
    fn take(&self, word: u32) -> Result<u32, u32> {
        // ORDERING[mutex.lock]: partner are the releasing operations of `unlock`: what was done
        // under the lock before is visible.
        self.word.compare_exchange(word, word | LOCKED, Ordering::Acquire, Ordering::Relaxed)
    }

    #[cold]
    #[inline(never)]
    fn try_lock_slow(&self, mut word: u32) -> bool {
        while word & LOCKED == 0 {
            match self.take(word) {
                Ok(_) => return true,
                Err(other) => word = other,
            }
        }
        word & RESERVED != 0 && self.take_lapsed()
    }

    /// Takes the mutex that was reserved, if that has lapsed.
    #[cold]
    #[inline(never)]
    fn take_lapsed(&self) -> bool {
        let mut queue = self.queue.lock();
        // It may have been unlocked meanwhile: that is for who comes next.
        self.word.load(Ordering::Relaxed) & RESERVED != 0 && self.take_reserved(&mut queue)
    }

    /// Under the queue's lock, while RESERVED is set: takes the mutex if the reservation has
    /// lapsed.
    fn take_reserved(&self, queue: &mut Queue<K>) -> bool {
        let has = queue.futures.reserved(false).is_none();
        if has {
            self.word.store(self.word.load(Ordering::Relaxed) & !RESERVED, Ordering::Relaxed);
        }
        has
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
    #[inline(never)]
    fn lock_slow<P: Park<Target = K>>(
        &self,
        deadline: Option<Instant>,
        begin: impl Fn() -> P,
    ) -> Result<(), TimedOut> {
        let since = K::now_ns();
        let (mut end, mut woken, watches) = (End::Back, false, Cell::new(false));
        loop {
            let place = WaitIn { end, ..WaitIn::behind(Queue::parked) };
            let look = |queue: &mut Queue<K>| {
                // WOKEN is this waiter's to clear once, at the first look after it was woken.
                let mine = std::mem::take(&mut woken);
                if self.take_or_queue(queue, mine) {
                    return Look::Done(());
                }
                Look::wait(since, queue.futures.watch(&watches))
            };
            // SAFETY: the list lies under that lock, for as long as the mutex, and is not replaced.
            match unsafe { wait_for(&self.queue, place, &begin, deadline, look, || None) } {
                WaitedFor::AtOnce(()) | WaitedFor::Served(None) => return Ok(()),
                WaitedFor::Served(Some(_since)) => woken = true,
                WaitedFor::TimedOut if watches.get() && !is_over(deadline) => {}
                WaitedFor::TimedOut => {
                    self.give_up(watches.get());
                    return Err(TimedOut);
                }
                WaitedFor::Cancelled(parking) => {
                    self.give_up(watches.get());
                    parking.raise()
                }
            }
            end = End::Front;
        }
    }

    /// A waiter goes; if it watched, another one does.
    fn give_up(&self, watches: bool) {
        if watches {
            let mut queue = self.queue.lock();
            queue.futures.unwatch();
            let watcher = queue.watcher();
            drop(queue);
            watcher.into_iter().for_each(Wakeup::now);
        }
    }

    /// Under the queue's lock: takes the mutex, or leaves QUEUED in its word.
    fn take_or_queue(&self, queue: &mut Queue<K>, woken: bool) -> bool {
        let clear = if woken { WOKEN } else { 0 };
        let mut word = self.word.load(Ordering::Relaxed);
        loop {
            if word & RESERVED != 0 {
                self.word.store(word & !clear | QUEUED, Ordering::Relaxed);
                return self.take_reserved(queue);
            }
            let free = word & LOCKED == 0;
            let next = if free { word | LOCKED } else { word | QUEUED };
            // ORDERING[mutex.lock]: as in `take`.
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
    #[inline(never)]
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
        match queue.starving() {
            Some(Starving::Parked) => {
                let (_handed_over, wakeup) = queue.parked.pop()?.take();
                if mutated("mutex.hand_over_unlocked") {
                    self.word.store(QUEUED, Ordering::Relaxed);
                }
                return Some(wakeup);
            }
            Some(Starving::Future { now }) => {
                self.word.store(LOCKED | RESERVED | QUEUED, Ordering::Relaxed);
                queue.futures.begin(now);
                let future = queue.futures.wake();
                let watcher = queue.watcher();
                drop(queue);
                watcher.into_iter().for_each(Wakeup::now);
                return future;
            }
            None => {}
        }
        let next = queue.parked.pop().map(Popped::finish);
        let woken = if next.is_some() { WOKEN } else { 0 };
        let next = next.or_else(|| queue.futures.wake());
        let queued = if queue.parked.is_empty() && queue.futures.is_empty() { 0 } else { QUEUED };
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
    pub(crate) unsafe fn poll(&self, node: &PolledNode<Ask<()>, K>, waker: &Waker) -> Found {
        if node.at_once(|| self.try_lock()) {
            return Found::Taken;
        }
        let look = |queue: &mut Queue<K>| {
            let reserved = queue.futures.reserved(false);
            if queue.futures.is_for(node) {
                self.word.fetch_and(!RESERVED, Ordering::Relaxed);
                return Found::Taken;
            }
            if self.take_or_queue(queue, false) { Found::Taken } else { Found::Wait(reserved) }
        };
        // SAFETY: this function's contract; the list is under the lock.
        unsafe {
            poll_reserved(
                &self.queue,
                |queue| &mut queue.futures,
                node,
                ((), waker.clone()),
                look,
                |_| None,
            )
        }
    }

    /// A future goes.
    pub(crate) fn leave(&self, node: &PolledNode<Ask<()>, K>) {
        let mut owed = Owed::nothing();
        let mut queue = self.queue.lock();
        // SAFETY: it waits in this list, if at all.
        let (standing, had, waker) = unsafe { queue.futures.leave(node) };
        owed.drop_waker(waker);
        if had {
            let word = self.word.fetch_and(!RESERVED, Ordering::Relaxed);
            drop(queue);
            owed.wake(self.unlock_slow(word & !RESERVED));
        } else {
            // If the mutex is taken, its unlock finds the next one.
            let pass_on =
                standing == Standing::Woken && !self.is_locked() && !mutated("mutex.keeps_wake_up");
            owed.wake(if pass_on { queue.futures.wake() } else { None });
            drop(queue);
        }
        owed.pay();
    }
}
