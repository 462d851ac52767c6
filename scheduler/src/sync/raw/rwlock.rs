//! The reader-writer lock without what it guards: a word and three queues.
//!
//! # The word
//!
//! WRITER: a writer has it. QUEUED: there is a waiter, or was one. Above: the number of readers
//! that have it. Without QUEUED, each operation is one atomic step. With it, the lock is taken only
//! under the queues' lock. So there a look at the word, and the action that follows from it, are
//! one step, except that readers may leave in between.
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
//! each other. A future that writes keeps no readers out: it may never be polled again.
//!
//! # Safety
//!
//! The lists lie under one lock and live as long as the reader-writer lock, which the waiters
//! borrow.

#![expect(unsafe_code, reason = "waits in its own queues")]

use gosched_runtime_sys::sync::lock::{Mutex, MutexGuard};
use gosched_runtime_sys::sync::primitive::{AtomicUsize, Ordering, const_fn, mutated};
use std::task::Waker;
use std::time::Instant;

use crate::sync::raw::mutex::TimedOut;
use crate::wait::owed::wake_one;
use crate::wait::park::Park;
use crate::wait::parked::{Look, WaitIn, WaitedFor, wait_for};
use crate::wait::polled::{PolledNode, Standing, leave_list, poll_in_list};
use crate::wait::waiter::{Popped, Unpark, WaitList, Wakeup};

const WRITER: usize = 1;
const QUEUED: usize = 2;
const READER: usize = 4;

#[derive(Debug)]
pub(crate) struct RawRwLock<K: Unpark> {
    word: AtomicUsize,
    queues: Mutex<Queues<K>>,
}

struct Queues<K> {
    readers: WaitList<(), K>,
    writers: WaitList<(), K>,
    /// Futures, with what they want.
    polling: WaitList<Wants, K>,
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
}

impl<K: Unpark> RawRwLock<K> {
    const_fn! {
        pub(crate) fn new() -> Self {
            Self {
                word: AtomicUsize::new(0),
                queues: Mutex::new(Queues {
                    readers: WaitList::new(),
                    writers: WaitList::new(),
                    polling: WaitList::new(),
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
        word & WRITER == 0 && self.enter_reader(&self.queues.lock())
    }

    /// Takes the lock for writing if nobody has it.
    #[inline]
    pub(crate) fn try_write(&self) -> bool {
        // ORDERING[rwlock.lock]: partner are the releasing operations of both unlocks.
        match self.word.compare_exchange(0, WRITER, Ordering::Acquire, Ordering::Relaxed) {
            Ok(_) => true,
            Err(QUEUED) => self.enter_writer(&self.queues.lock()),
            Err(_) => false,
        }
    }

    /// Under the queues' lock: lets the caller in as a reader, if no writer is before it.
    fn enter_reader(&self, queues: &Queues<K>) -> bool {
        let mut word = self.word.load(Ordering::Relaxed);
        while word & WRITER == 0 && queues.writers.is_empty() {
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
        begin: impl FnOnce() -> P,
    ) -> Result<(), TimedOut> {
        if self.try_read() {
            return Ok(());
        }
        self.wait(Queues::readers, deadline, begin, |queues| self.enter_reader(queues))
    }

    /// Takes the lock for writing, waiting for it at longest until the deadline.
    pub(crate) fn write<P: Park<Target = K>>(
        &self,
        deadline: Option<Instant>,
        begin: impl FnOnce() -> P,
    ) -> Result<(), TimedOut> {
        if self.try_write() {
            return Ok(());
        }
        self.wait(Queues::writers, deadline, begin, |queues| self.enter_writer(queues))
    }

    #[cold]
    fn wait<P: Park<Target = K>>(
        &self,
        list: fn(&mut Queues<K>) -> &mut WaitList<(), K>,
        deadline: Option<Instant>,
        begin: impl FnOnce() -> P,
        enter: impl Fn(&Queues<K>) -> bool,
    ) -> Result<(), TimedOut> {
        let look = |queues: &mut Queues<K>| {
            // First QUEUED, then the look: a holder that leaves after it comes here, and finds this
            // waiter.
            self.word.fetch_or(QUEUED, Ordering::Relaxed);
            if enter(queues) { Look::Done(()) } else { Look::Wait(None) }
        };
        // SAFETY: the list lies under that lock, for as long as this one, and is not replaced.
        match unsafe {
            wait_for(&self.queues, WaitIn::behind(list), begin, deadline, look, || None)
        } {
            WaitedFor::AtOnce(()) | WaitedFor::Served(_) => Ok(()),
            WaitedFor::TimedOut => {
                self.serve();
                Err(TimedOut)
            }
            WaitedFor::Cancelled(parking) => {
                // A writer that gives up may have kept readers waiting.
                self.serve();
                parking.raise()
            }
        }
    }

    /// Ends one reading.
    #[inline]
    pub(crate) fn unlock_read(&self) {
        // ORDERING[rwlock.lock]: partner are the acquiring operations.
        let before = self.word.fetch_sub(READER, Ordering::Release);
        if before == READER | QUEUED && !mutated("rwlock.forget_queue") {
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
            let wakeup = reader.finish();
            drop(queues);
            wakeup.now();
            queues = self.queues.lock();
        }
        if step != READER {
            // ORDERING[rwlock.lock]: partner are the acquiring operations.
            self.word.fetch_sub(WRITER, Ordering::Release);
        }
        self.hand_over(queues);
    }

    /// Lets in the waiters that may come in now, after a holder or a waiter has left.
    #[cold]
    fn serve(&self) {
        self.hand_over(self.queues.lock());
    }

    fn hand_over<'a>(&'a self, mut queues: MutexGuard<'a, Queues<K>>) {
        loop {
            // ORDERING[rwlock.lock]: partner are the releasing operations of both unlocks: what
            // the holders before did is visible here, and through the waiter's `done` to the waiter
            // that the lock is handed to.
            let word = self.word.load(Ordering::Acquire);
            let next = if word & !QUEUED == 0 && !queues.writers.is_empty() {
                self.word.fetch_add(WRITER, Ordering::Relaxed);
                queues.writers.pop()
            } else if word & WRITER == 0 && queues.writers.is_empty() && !queues.readers.is_empty()
            {
                self.word.fetch_add(READER, Ordering::Relaxed);
                queues.readers.pop()
            } else {
                None
            };
            let Some(wakeup) = next.map(Popped::finish) else { break };
            drop(queues);
            wakeup.now();
            queues = self.queues.lock();
        }
        let next = self.pass_to_futures(&mut queues);
        drop(queues);
        wake_one(next);
    }

    /// Under the queues' lock, when all waiters that park and may come in were let in: returns a
    /// future to wake. Clears QUEUED if nobody waits.
    fn pass_to_futures(&self, queues: &mut Queues<K>) -> Option<Wakeup<K>> {
        if !queues.nobody_parks() {
            return None;
        }
        let word = self.word.load(Ordering::Relaxed);
        let may_try = match queues.polling.peek() {
            Some(Wants::Reading) => word & WRITER == 0,
            Some(Wants::Writing) => word & !QUEUED == 0,
            None => false,
        };
        let next =
            if may_try && !mutated("rwlock.forget_futures") { queues.polling.pop() } else { None };
        let next = next.map(Popped::finish);
        if queues.polling.is_empty() {
            self.word.fetch_and(!QUEUED, Ordering::Relaxed);
        }
        next
    }

    /// For a future that wants what its node's slot says: takes the lock, or waits with this waker.
    ///
    /// # Safety
    ///
    /// The node is pinned, waits for this lock only, and [`leave`](Self::leave) is called before
    /// its memory goes.
    pub(crate) unsafe fn poll(
        &self,
        node: &PolledNode<Wants, K>,
        wants: Wants,
        waker: Waker,
    ) -> bool {
        let look = |queues: &mut Queues<K>| {
            // First QUEUED, then the look, as for waiters that park.
            self.word.fetch_or(QUEUED, Ordering::Relaxed);
            queues.nobody_parks()
                && match wants {
                    Wants::Reading => self.enter_reader(queues),
                    Wants::Writing => self.enter_writer(queues),
                }
        };
        // SAFETY: this function's contract; the list is under the lock.
        unsafe {
            poll_in_list(
                &self.queues,
                |queues| &mut queues.polling,
                node,
                waker,
                look,
                |queues| self.pass_to_futures(queues),
            )
        }
    }

    /// A future goes.
    pub(crate) fn leave(&self, node: &PolledNode<Wants, K>) {
        let next = |queues: &mut Queues<K>, standing| {
            let pass_on = standing != Standing::Idle && !mutated("rwlock.keeps_wake_up");
            if pass_on { self.pass_to_futures(queues) } else { None }
        };
        // SAFETY: it waits in this list, if at all.
        unsafe { leave_list(&self.queues, |queues| &mut queues.polling, node, next) }
    }
}
