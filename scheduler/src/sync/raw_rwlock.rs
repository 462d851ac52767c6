//! The reader-writer lock without what it guards: a word and two queues.
//!
//! # The word
//!
//! WRITER: a writer has it. QUEUED: somebody waits, or did. Above: the number of readers that have it. Without QUEUED, each
//! operation is one atomic step. With it, nobody takes the lock but under the queues' lock; so there a look at the word,
//! and what is done because of it, are one step, except that readers may leave in between.
//!
//! # Who comes next
//!
//! A writer that waits keeps new readers out; so readers cannot starve it. When a writer is through, the readers that
//! wait at that moment go before the next writer; so writers cannot starve them. The lock is handed over: while somebody
//! waits it is not free for those who come running.
//!
//! Readers are let in one by one, with the queues' lock free in between; those that were let in may be through before the
//! last is, and a writer may have been let in by the last of them. Whoever lets readers in looks at WRITER each time and
//! leaves the rest to the next turn.
//!
//! # Safety
//!
//! Both lists lie under one lock and live as long as the reader-writer lock, which who waits borrows.

#![expect(unsafe_code, reason = "waits in its own queues")]

use gosched_runtime_sys::primitive::{AtomicUsize, Mutex, MutexGuard, Ordering, const_fn, mutated};
use std::time::Instant;

use super::raw_mutex::TimedOut;
use crate::waiter::{Parks, Passed, Place, Popped, Rouse, Step, WaitList, line_up};

const WRITER: usize = 1;
const QUEUED: usize = 2;
const READER: usize = 4;

#[derive(Debug)]
pub(crate) struct RawRwLock<K: Rouse> {
    word: AtomicUsize,
    queues: Mutex<Queues<K>>,
}

struct Queues<K> {
    readers: WaitList<(), K>,
    writers: WaitList<(), K>,
}

impl<K> std::fmt::Debug for Queues<K> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Queues { .. }")
    }
}

impl<K> Queues<K> {
    fn readers(&mut self) -> &mut WaitList<(), K> {
        &mut self.readers
    }

    fn writers(&mut self) -> &mut WaitList<(), K> {
        &mut self.writers
    }
}

impl<K: Rouse> RawRwLock<K> {
    const_fn! {
        pub(crate) fn new() -> Self {
            Self {
                word: AtomicUsize::new(0),
                queues: Mutex::new(Queues { readers: WaitList::new(), writers: WaitList::new() }),
            }
        }
    }

    /// Takes the lock for reading if no writer has it or waits for it.
    #[inline]
    pub(crate) fn try_read(&self) -> bool {
        let mut word = self.word.load(Ordering::Relaxed);
        while word & (WRITER | QUEUED) == 0 {
            // ORDERING[rwlock.lock]: partner are the releasing operations of both unlocks.
            match self.word.compare_exchange(word, word + READER, Ordering::Acquire, Ordering::Relaxed) {
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

    /// With the queues in hand: lets the caller in as a reader, if no writer is before it.
    fn enter_reader(&self, queues: &Queues<K>) -> bool {
        let mut word = self.word.load(Ordering::Relaxed);
        while word & WRITER == 0 && queues.writers.is_empty() {
            // ORDERING[rwlock.lock]: partner are the releasing operations of both unlocks.
            match self.word.compare_exchange(word, word + READER, Ordering::Acquire, Ordering::Relaxed) {
                Ok(_) => return true,
                Err(other) => word = other,
            }
        }
        false
    }

    /// With the queues in hand: lets the caller in as a writer, if nobody is in.
    fn enter_writer(&self, _queues: &Queues<K>) -> bool {
        let mut word = self.word.load(Ordering::Relaxed);
        while word & !QUEUED == 0 {
            // ORDERING[rwlock.lock]: partner are the releasing operations of both unlocks.
            match self.word.compare_exchange(word, word | WRITER, Ordering::Acquire, Ordering::Relaxed) {
                Ok(_) => return true,
                Err(other) => word = other,
            }
        }
        false
    }

    /// Takes the lock for reading, waiting for it at longest until the deadline.
    pub(crate) fn read<P: Parks<Target = K>>(
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
    pub(crate) fn write<P: Parks<Target = K>>(
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
    fn wait<P: Parks<Target = K>>(
        &self,
        list: fn(&mut Queues<K>) -> &mut WaitList<(), K>,
        deadline: Option<Instant>,
        begin: impl FnOnce() -> P,
        enter: impl Fn(&Queues<K>) -> bool,
    ) -> Result<(), TimedOut> {
        let look = |queues: &mut Queues<K>| {
            // First QUEUED, then the look: who leaves after it comes here, and finds this waiter.
            self.word.fetch_or(QUEUED, Ordering::Relaxed);
            if enter(queues) { Step::Done(()) } else { Step::Wait(None) }
        };
        // SAFETY: the list lies under that lock, for as long as this one, and is not replaced.
        match unsafe { line_up(&self.queues, Place::behind(list), begin, deadline, look, || None) } {
            Passed::AtOnce(()) | Passed::Served(_) => Ok(()),
            Passed::TimedOut => {
                self.serve();
                Err(TimedOut)
            }
            Passed::Cancelled(parking) => {
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
        while step != READER || self.word.load(Ordering::Relaxed) & WRITER == 0 || mutated("rwlock.let_in_regardless") {
            let Some(reader) = queues.readers.pop_before(mark) else { break };
            // ORDERING[rwlock.lock]: partner are the acquiring operations.
            self.word.fetch_add(step, Ordering::Release);
            step = READER;
            let roused = reader.dismiss();
            drop(queues);
            roused.now();
            queues = self.queues.lock();
        }
        if step != READER {
            // ORDERING[rwlock.lock]: partner are the acquiring operations.
            self.word.fetch_sub(WRITER, Ordering::Release);
        }
        self.hand_over(queues);
    }

    /// After somebody left the lock or the queues: lets in who may come in now.
    #[cold]
    fn serve(&self) {
        self.hand_over(self.queues.lock());
    }

    fn hand_over<'a>(&'a self, mut queues: MutexGuard<'a, Queues<K>>) {
        loop {
            // ORDERING[rwlock.lock]: partner are the releasing operations of both unlocks: what those who left did is
            // visible here, and through the waiter's `done` to whom it is handed.
            let word = self.word.load(Ordering::Acquire);
            let next = if word & !QUEUED == 0 && !queues.writers.is_empty() {
                self.word.fetch_add(WRITER, Ordering::Relaxed);
                queues.writers.pop()
            } else if word & WRITER == 0 && queues.writers.is_empty() && !queues.readers.is_empty() {
                self.word.fetch_add(READER, Ordering::Relaxed);
                queues.readers.pop()
            } else {
                None
            };
            let Some(roused) = next.map(Popped::dismiss) else { break };
            drop(queues);
            roused.now();
            queues = self.queues.lock();
        }
        if queues.readers.is_empty() && queues.writers.is_empty() {
            self.word.fetch_and(!QUEUED, Ordering::Relaxed);
        }
    }
}
