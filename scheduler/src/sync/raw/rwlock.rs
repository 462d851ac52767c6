//! The reader-writer lock without what it guards: a word and three queues.
//!
//! # The word
//!
//! WRITER: a writer has it. QUEUED: there is a waiter, or was one. UPGRADE: a reader waits to
//! become the writer ([`upgrade`]). Above: the number of readers that have it. Without QUEUED, each
//! operation is one atomic step. With it, the lock is taken only under the queues' lock. So there a
//! look at the word, and the action that follows from it, are one step, except that readers may
//! leave in between.
//!
//! # Who comes next
//!
//! A writer that waits keeps new readers out; so readers cannot starve it. When a writer is
//! through, the readers that wait at that moment go before the next writer; so writers cannot
//! starve them. The lock is handed over: while there is a waiter, the lock is not free for callers
//! that come running.
//!
//! Readers are let in one by one, with the queues' lock free in between. Those that were let in may
//! be through before the last is let in, and the last of them may have let a writer in. So the
//! caller that lets readers in looks at WRITER each time, and leaves the rest to the next turn.
//!
//! # Futures
//!
//! Futures wait in a list of their own, readers and writers. They are woken, to try again, when
//! nobody else waits and the first of them might come in now. Nothing is handed to them. Each
//! future that came in wakes the next one, as does each that is dropped: so several readers follow
//! each other.
//!
//! The lock is reserved for a future that has waited for too long
//! ([`reserved`](crate::wait::reserved)): nobody comes in while the holders leave, and until it is
//! polled. A writer that leaves lets the readers in that wait, all the same; if one of them watched
//! the reservation, another waiter does.
//!
//! # Safety
//!
//! The lists lie under one lock and live as long as the reader-writer lock, which the waiters
//! borrow.

#![expect(unsafe_code, reason = "waits in its own queues")]

mod polled;
mod upgrade;

use gosched_runtime_sys::sync::lock::{Mutex, MutexGuard};
use gosched_runtime_sys::sync::primitive::{AtomicUsize, Ordering, const_fn, mutated};
use std::cell::Cell;
use std::time::Instant;

use crate::sync::raw::mutex::TimedOut;
use crate::wait::owed::wake_one;
use crate::wait::park::Park;
use crate::wait::parked::{Look, WaitIn, WaitedFor, is_over, wait_for};
use crate::wait::reserved::Futures;
use crate::wait::waiter::{End, Popped, Unpark, WaitList, Wakeup};

const WRITER: usize = 1;
const QUEUED: usize = 2;
const UPGRADE: usize = 4;
const READER: usize = 8;

#[derive(Debug)]
pub(crate) struct RawRwLock<K: Unpark> {
    word: AtomicUsize,
    queues: Mutex<Queues<K>>,
}

struct Queues<K> {
    readers: WaitList<(), K>,
    writers: WaitList<(), K>,
    /// The reader that waits to become the writer, if UPGRADE is set; or there is none.
    upgrading: WaitList<(), K>,
    /// Futures, with what they want.
    futures: Futures<Wants, K>,
}

/// The use that a future wants the lock for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wants {
    Reading,
    Writing,
}

impl<K> std::fmt::Debug for Queues<K> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Queues { .. }")
    }
}

impl<K: Unpark> Queues<K> {
    fn readers(&mut self) -> &mut WaitList<(), K> {
        &mut self.readers
    }

    fn writers(&mut self) -> &mut WaitList<(), K> {
        &mut self.writers
    }

    /// True if no waiter parks.
    fn nobody_parks(&self) -> bool {
        self.readers.is_empty() && self.writers.is_empty()
    }

    /// True if the lock is reserved for a future.
    fn is_reserved(&mut self) -> bool {
        let nobody_parks = self.nobody_parks();
        self.futures.reserved(nobody_parks).is_some()
    }

    /// Returns the waiter that is to watch a reservation.
    fn watcher(&mut self) -> Option<Wakeup<K>> {
        let Self { readers, writers, futures, .. } = self;
        if writers.is_empty() { futures.watcher(readers) } else { futures.watcher(writers) }
    }
}

impl<K: Unpark> RawRwLock<K> {
    const_fn! {
        pub(crate) fn new() -> Self {
            Self {
                word: AtomicUsize::new(0),
                queues: Mutex::new(Queues {
                    readers: WaitList::new(),
                    writers: WaitList::new(),
                    upgrading: WaitList::new(),
                    futures: Futures::new(),
                }),
            }
        }
    }

    /// Takes the lock for reading if no writer has it or waits for it.
    #[inline]
    pub(crate) fn try_read(&self) -> bool {
        let mut word = self.word.load(Ordering::Relaxed);
        while word & (WRITER | QUEUED) == 0 {
            // ORDERING[rwlock.lock]: partner are the releasing operations of both unlocks.
            match self.word.compare_exchange(
                word,
                word + READER,
                Ordering::Acquire,
                Ordering::Relaxed,
            ) {
                Ok(_) => return true,
                Err(other) => word = other,
            }
        }
        word & WRITER == 0 && self.try_read_queued()
    }

    #[cold]
    #[inline(never)]
    fn try_read_queued(&self) -> bool {
        let mut queues = self.queues.lock();
        !queues.is_reserved() && queues.writers.is_empty() && self.enter_reader(&queues)
    }

    /// Takes the lock for writing if nobody has it.
    #[inline]
    pub(crate) fn try_write(&self) -> bool {
        // ORDERING[rwlock.lock]: partner are the releasing operations of both unlocks.
        match self.word.compare_exchange(0, WRITER, Ordering::Acquire, Ordering::Relaxed) {
            Ok(_) => true,
            Err(QUEUED) => self.try_write_queued(),
            Err(_) => false,
        }
    }

    #[cold]
    #[inline(never)]
    fn try_write_queued(&self) -> bool {
        let mut queues = self.queues.lock();
        !queues.is_reserved() && self.enter_writer(&queues)
    }

    /// Under the queues' lock: lets the caller in as a reader, if no writer is in, and no reader
    /// waits to become one.
    fn enter_reader(&self, _queues: &Queues<K>) -> bool {
        let mut word = self.word.load(Ordering::Relaxed);
        while word & (WRITER | UPGRADE) == 0 {
            // ORDERING[rwlock.lock]: partner are the releasing operations of both unlocks.
            match self.word.compare_exchange(
                word,
                word + READER,
                Ordering::Acquire,
                Ordering::Relaxed,
            ) {
                Ok(_) => return true,
                Err(other) => word = other,
            }
        }
        false
    }

    /// Under the queues' lock: lets the caller in as a writer, if nobody is in.
    fn enter_writer(&self, _queues: &Queues<K>) -> bool {
        let mut word = self.word.load(Ordering::Relaxed);
        while word & !QUEUED == 0 {
            // ORDERING[rwlock.lock]: partner are the releasing operations of both unlocks.
            match self.word.compare_exchange(
                word,
                word | WRITER,
                Ordering::Acquire,
                Ordering::Relaxed,
            ) {
                Ok(_) => return true,
                Err(other) => word = other,
            }
        }
        false
    }

    /// Takes the lock for reading, waiting for it at longest until the deadline.
    pub(crate) fn read<P: Park<Target = K>>(
        &self,
        deadline: Option<Instant>,
        begin: impl Fn() -> P,
    ) -> Result<(), TimedOut> {
        if self.try_read() {
            return Ok(());
        }
        let enter = |queues: &Queues<K>| queues.writers.is_empty() && self.enter_reader(queues);
        self.wait(Queues::readers, deadline, begin, enter)
    }

    /// Takes the lock for writing, waiting for it at longest until the deadline.
    pub(crate) fn write<P: Park<Target = K>>(
        &self,
        deadline: Option<Instant>,
        begin: impl Fn() -> P,
    ) -> Result<(), TimedOut> {
        if self.try_write() {
            return Ok(());
        }
        self.wait(Queues::writers, deadline, begin, |queues| self.enter_writer(queues))
    }

    #[cold]
    #[inline(never)]
    fn wait<P: Park<Target = K>>(
        &self,
        list: fn(&mut Queues<K>) -> &mut WaitList<(), K>,
        deadline: Option<Instant>,
        begin: impl Fn() -> P,
        enter: impl Fn(&Queues<K>) -> bool,
    ) -> Result<(), TimedOut> {
        let (mut end, watches) = (End::Back, Cell::new(false));
        loop {
            let looks_again = end == End::Front;
            let look = |queues: &mut Queues<K>| {
                // First QUEUED, then the look: a holder that leaves after it comes here, and finds
                // this waiter.
                self.word.fetch_or(QUEUED, Ordering::Relaxed);
                let reserved = match looks_again {
                    false => queues.is_reserved(),
                    true => queues.futures.reserved(false).is_some(),
                };
                if !reserved && enter(queues) {
                    return Look::Done(());
                }
                Look::wait((), queues.futures.watch(&watches))
            };
            // If a reservation has lapsed, it is another waiter's turn, perhaps.
            let serve = || {
                let looked = watches.get() && !mutated("rwlock.watcher_just_waits");
                if looks_again || looked { self.hand_on(self.queues.lock()) } else { None }
            };
            let place = WaitIn { end, ..WaitIn::behind(list) };
            // SAFETY: the list lies under that lock, for as long as this one, and is not replaced.
            // Waking waiters that park does not unwind.
            match unsafe { wait_for(&self.queues, place, &begin, deadline, look, serve) } {
                WaitedFor::Served(None) => return Ok(()),
                WaitedFor::AtOnce(()) => {
                    if looks_again {
                        self.serve();
                    }
                    return Ok(());
                }
                WaitedFor::Served(Some(())) => end = End::Front,
                WaitedFor::TimedOut if watches.get() && !is_over(deadline) => end = End::Front,
                WaitedFor::TimedOut => {
                    self.give_up(watches.get());
                    return Err(TimedOut);
                }
                WaitedFor::Cancelled(parking) => {
                    self.give_up(watches.get());
                    parking.raise()
                }
            }
        }
    }

    /// A waiter goes. A writer may have kept readers waiting; if the waiter watched, another does.
    fn give_up(&self, watches: bool) {
        if watches {
            self.queues.lock().futures.unwatch();
        }
        self.serve();
    }

    /// Ends one reading.
    #[inline]
    pub(crate) fn unlock_read(&self) {
        // ORDERING[rwlock.lock]: partner are the acquiring operations.
        let before = self.word.fetch_sub(READER, Ordering::Release);
        let last = before == READER | QUEUED || before == (2 * READER) | QUEUED | UPGRADE;
        if last && !mutated("rwlock.forget_queue") {
            self.serve();
        }
    }

    /// Ends a writing.
    #[inline]
    pub(crate) fn unlock_write(&self) {
        // ORDERING[rwlock.lock]: partner are the acquiring operations.
        if self.word.compare_exchange(WRITER, 0, Ordering::Release, Ordering::Relaxed).is_err() {
            self.unlock_write_slow();
        }
    }

    /// Turns a writing into a reading.
    pub(crate) fn downgrade(&self) {
        // ORDERING[rwlock.lock]: partner are the acquiring operations.
        let before = self.word.fetch_add(READER - WRITER, Ordering::Release);
        if before & QUEUED != 0 {
            self.serve();
        }
    }

    #[cold]
    fn unlock_write_slow(&self) {
        let mut queues = self.queues.lock();
        let mark = queues.readers.mark();
        // The first takes the writer's place, so that the lock is not free in between.
        let mut step = READER - WRITER;
        while step != READER
            || self.word.load(Ordering::Relaxed) & WRITER == 0
            || mutated("rwlock.let_in_regardless")
        {
            let Some(reader) = queues.readers.pop_before(mark) else { break };
            // ORDERING[rwlock.lock]: partner are the acquiring operations.
            self.word.fetch_add(step, Ordering::Release);
            step = READER;
            let (_let_in, wakeup) = reader.take();
            queues.futures.parked_was_served();
            // Something may be reserved, and the reader may have watched.
            queues.futures.unwatch();
            drop(queues);
            wakeup.now();
            queues = self.queues.lock();
        }
        if step != READER {
            // ORDERING[rwlock.lock]: partner are the acquiring operations.
            self.word.fetch_sub(WRITER, Ordering::Release);
        }
        wake_one(self.hand_on(queues));
    }

    /// Lets in the waiters that may come in now, after a holder or a waiter has left.
    #[cold]
    fn serve(&self) {
        wake_one(self.hand_on(self.queues.lock()));
    }

    /// The same. Returns a future to wake.
    fn hand_on<'a>(&'a self, mut queues: MutexGuard<'a, Queues<K>>) -> Option<Wakeup<K>> {
        if let Some(upgraded) = self.let_upgrade(&mut queues) {
            return Some(upgraded);
        }
        while !queues.is_reserved() {
            // ORDERING[rwlock.lock]: partner are the releasing operations of both unlocks: what
            // the holders before did is visible here, and through the waiter's `done` to the waiter
            // that the lock is handed to.
            let word = self.word.load(Ordering::Acquire);
            let next = if word & !QUEUED == 0 && !queues.writers.is_empty() {
                self.word.fetch_add(WRITER, Ordering::Relaxed);
                queues.writers.pop()
            } else if word & (WRITER | UPGRADE) == 0
                && queues.writers.is_empty()
                && !queues.readers.is_empty()
            {
                self.word.fetch_add(READER, Ordering::Relaxed);
                queues.readers.pop()
            } else {
                None
            };
            let Some((_let_in, wakeup)) = next.map(Popped::take) else { break };
            queues.futures.parked_was_served();
            drop(queues);
            wakeup.now();
            queues = self.queues.lock();
        }
        let watcher = queues.watcher();
        let next = self.pass_to_futures(&mut queues);
        drop(queues);
        watcher.into_iter().for_each(Wakeup::now);
        next
    }

    /// Under the queues' lock, when all waiters that park and may come in were let in, or the lock
    /// is reserved: returns a future to wake. Clears QUEUED if nobody waits.
    fn pass_to_futures(&self, queues: &mut Queues<K>) -> Option<Wakeup<K>> {
        if !queues.nobody_parks() && !queues.futures.is_reserved() {
            return None;
        }
        let word = self.word.load(Ordering::Relaxed);
        let may_try = match queues.futures.first() {
            Some(Wants::Reading) => word & (WRITER | UPGRADE) == 0,
            Some(Wants::Writing) => word & !QUEUED == 0,
            None => false,
        };
        let next =
            if may_try && !mutated("rwlock.forget_futures") { queues.futures.wake() } else { None };
        // An upgrade begins and ends under this lock.
        if queues.nobody_parks() && queues.futures.is_idle() && word & UPGRADE == 0 {
            self.word.fetch_and(!QUEUED, Ordering::Relaxed);
        }
        next
    }
}
