//! M: an OS thread that runs Gs.
//!
//! M records are type-stable: allocated once, used again by later threads, never freed. A waker
//! that was late may still wake a record's note or read its standing; it finds an M, and who sleeps
//! on a note always looks again.
//!
//! # Invariants
//!
//! - The table holds this M's P while user code runs; see `ds::revocable`.
//! - [`MOwned`] belongs to the M's own thread, and only while that has it in hand
//!   (`current::Inside`, and `in_scheduler` says so): a re-entry (an allocator hook under a queue
//!   operation) sees that and keeps out. Who has the P in hand has this, too.
//! - The record is on the free list, or belongs to one thread.
//!
//! # Safety
//!
//! `M` is `Sync` although `MOwned` is not: see the second invariant.
#![expect(unsafe_code, reason = "the M's local half is guarded by a flag, not by a type")]

use std::cell::UnsafeCell;
use std::fmt;
use std::ptr::NonNull;
use std::sync::atomic::{
    AtomicBool, AtomicU16, AtomicU64, AtomicUsize,
    Ordering::{Acquire, Relaxed, Release},
};

use gosched_runtime_sys::signal::stack::SignalStack;
use gosched_runtime_sys::sync::lock::Mutex;
use gosched_runtime_sys::sync::primitive::StaticMutex;

use crate::ds::grow;
use crate::ds::revocable::Revocable;
use crate::gmp::admission::Admission;
use crate::gmp::dispatch::Remote;
use crate::gmp::g::{Home, Runnable};
use crate::gmp::g_queue::{GInbox, Queue};
use crate::gmp::p::P;
use crate::gmp::progress::Progress;
use crate::policy::head_age::HeadAge;
use crate::policy::timer_polling::TimerPolling;
use crate::policy::{self, AdaptiveSpin, TimeWithP};

/// One OS thread that runs Gs.
pub(crate) struct M {
    /// For people; not zero, and not unique where there were very many.
    number: u16,
    /// Where its P lies while user code runs.
    pub(crate) p: Revocable<P>,
    /// What others need to bring it a P.
    pub(crate) remote: Remote<P>,
    /// What others may see of it while it works.
    pub(crate) progress: Progress,
    /// Settled Gs that were readied elsewhere.
    pub(crate) inbox: GInbox,
    /// Some of those were readied because their time had come. A hint.
    timer_woke: AtomicBool,
    /// Started, unfinished settled Gs.
    settled: AtomicUsize,
    /// Those of them that wait for another goroutine to end.
    in_join: AtomicUsize,
    /// A goroutine ended locked to the thread, which another one stands in for: it ends with its
    /// last settled G.
    exiting: AtomicBool,
    /// Gs made and ended on this thread; written by it alone.
    spawned: AtomicU64,
    ended: AtomicU64,
    /// Gs that it took from another P; likewise.
    stolen: AtomicU64,
    /// The signal stack for whichever thread uses the record; touched while a thread attaches or
    /// detaches.
    pub(crate) signal_stack: Mutex<Option<SignalStack>>,
    /// Its thread has the local half in hand. Nobody else reads or writes it.
    in_scheduler: AtomicBool,
    owned: UnsafeCell<MOwned>,
}

/// What the M's own thread alone touches, and only while it has it in hand.
pub(crate) struct MOwned {
    /// Woken and yielded settled Gs.
    pub(crate) queue: Queue,
    /// The G that was woken last: it runs next.
    run_next: Option<Runnable>,
    /// How often `next` was used in a row.
    next_streak: u32,
    /// Rounds of the loop.
    pub(crate) tick: u32,
    /// It was asked to look everywhere, and has not since.
    pub(crate) look_everywhere: bool,
    /// How many rounds may follow without the P in hand; see `proc::fast_rounds`.
    pub(crate) fast_rounds_left: u32,
    /// How long it has had its P while others stand in the line.
    pub(crate) time_with_p: Option<TimeWithP>,
    /// In which round it reads the clock next for its P's timers, and when and in which it last
    /// did.
    pub(crate) timer_polling: TimerPolling,
    /// The G it started last needed a permit, which goes back in the next round.
    pub(crate) admission: Admission,
    /// Whether it spins before it sleeps.
    pub(crate) spin: AdaptiveSpin,
    /// After how long a sleep it was woken to search, until that search says by whom.
    pub(crate) woken_after: Option<u64>,
    /// Its last search ended with what was due: what else was due is in its P's queue, and nothing
    /// of others.
    pub(crate) found_due: bool,
    /// What it saw of each P's oldest unstarted G, and of the global queue's.
    pub(crate) head_ages: Vec<HeadAge>,
    /// See `head_ages`.
    pub(crate) global_head_age: HeadAge,
}

// SAFETY: `local` is what is not `Sync`; it is reached through `M::owned` alone, whose contract is
// the flag.
unsafe impl Sync for M {}
// SAFETY: as above.
unsafe impl Send for M {}

/// How many records were made.
static MADE: AtomicU16 = AtomicU16::new(0);

static FREE: StaticMutex<Vec<&'static M>> = StaticMutex::new(Vec::new());

impl fmt::Debug for M {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("M")
            .field("seat", &self.remote)
            .field("settled", &self.settled())
            .finish_non_exhaustive()
    }
}

impl M {
    /// A record for the calling thread: a used one if there is one.
    pub(crate) fn acquire() -> &'static M {
        let m = FREE.lock().pop().unwrap_or_else(|| Box::leak(Box::new(M::new())));
        m.remote.without_p();
        m
    }

    pub(crate) fn new() -> M {
        M {
            number: MADE.fetch_add(1, Relaxed) % u16::MAX + 1,
            p: Revocable::new(),
            remote: Remote::new(),
            progress: Progress::new(),
            inbox: GInbox::new(),
            timer_woke: AtomicBool::new(false),
            settled: AtomicUsize::new(0),
            in_join: AtomicUsize::new(0),
            exiting: AtomicBool::new(false),
            spawned: AtomicU64::new(0),
            ended: AtomicU64::new(0),
            stolen: AtomicU64::new(0),
            signal_stack: Mutex::new(None),
            in_scheduler: AtomicBool::new(false),
            owned: UnsafeCell::new(MOwned {
                queue: Queue::new(),
                run_next: None,
                next_streak: 0,
                tick: 0,
                look_everywhere: false,
                fast_rounds_left: 0,
                time_with_p: None,
                timer_polling: TimerPolling::default(),
                admission: Admission::Free,
                spin: AdaptiveSpin::default(),
                woken_after: None,
                found_due: false,
                head_ages: Vec::new(),
                global_head_age: HeadAge::default(),
            }),
        }
    }

    /// Gives the record back: its thread owns no G and no P any more.
    pub(crate) fn release(&'static self) {
        self.spawned.store(0, Relaxed);
        self.ended.store(0, Relaxed);
        self.stolen.store(0, Relaxed);
        grow::push(|| FREE.lock(), |free| free, self);
    }

    /// The M is to end, or (its record) belongs to the next thread.
    pub(crate) fn set_exiting(&self, is_exiting: bool) -> bool {
        self.exiting.swap(is_exiting, Relaxed)
    }

    /// Whether another one stands in for it, and it is about to end.
    pub(crate) fn is_exiting(&self) -> bool {
        self.exiting.load(Relaxed)
    }

    /// A number to tell it from others.
    pub(crate) fn number(&self) -> u16 {
        self.number
    }

    /// This M as its Gs refer to it.
    pub(crate) fn as_home(&'static self) -> Home {
        Home(NonNull::from(self).cast())
    }

    /// The M that `home` names.
    #[inline]
    pub(crate) fn of(home: Home) -> &'static M {
        // SAFETY: `as_home` makes every `Home`, from a record that is never freed.
        unsafe { home.0.cast::<M>().as_ref() }
    }

    /// The time of one of its Gs has come, which is about to lie in the inbox.
    pub(crate) fn mark_timer_wake(&self) {
        self.timer_woke.store(true, Relaxed);
    }

    /// Whether that was so since the last time it was asked; by the M's own thread.
    pub(crate) fn take_timer_wake(&self) -> bool {
        self.timer_woke.load(Relaxed) && self.timer_woke.swap(false, Relaxed)
    }

    /// The M's own part.
    ///
    /// # Safety
    ///
    /// Called on the M's thread by who has set the flag
    /// ([`enter_scheduler`](Self::enter_scheduler)), and no other reference from here is alive.
    #[expect(clippy::mut_from_ref, reason = "the flag is the lock")]
    #[inline(always)]
    pub(crate) unsafe fn owned(&self) -> &mut MOwned {
        // SAFETY: this function's contract.
        unsafe { &mut *self.owned.get() }
    }

    /// Whether its thread has the local half in hand; asked by that thread.
    #[inline(always)]
    pub(crate) fn in_scheduler(&self) -> bool {
        self.in_scheduler.load(Relaxed)
    }

    /// Takes the local half in hand, by the M's own thread: one flag of one thread. False: it is
    /// already, further up the stack.
    #[inline(always)]
    pub(crate) fn enter_scheduler(&self) -> bool {
        let free = !self.in_scheduler();
        self.in_scheduler.store(true, Relaxed);
        free
    }

    /// Lets go of it.
    #[inline(always)]
    pub(crate) fn leave_scheduler(&self) {
        self.in_scheduler.store(false, Relaxed);
    }

    /// Started, unfinished settled Gs; a hint for others.
    #[inline]
    pub(crate) fn settled(&self) -> usize {
        self.settled.load(Relaxed)
    }

    /// Those that count for this M's share: not who waits for another goroutine's end, and so does
    /// nothing until that has done what there is to do. A hint for others.
    #[inline]
    pub(crate) fn load(&self) -> usize {
        self.settled().saturating_sub(self.in_join.load(Relaxed))
    }

    /// A settled G begins to wait for another goroutine's end. By it, as `settle`.
    pub(crate) fn enter_join(&self) {
        self.in_join.store(self.in_join.load(Relaxed) + 1, Relaxed);
    }

    /// It waits no more.
    pub(crate) fn leave_join(&self) {
        self.in_join.store(self.in_join.load(Relaxed) - 1, Relaxed);
    }

    /// Another settled G started here. Own thread only, so a load and a store do.
    pub(crate) fn settle(&self) {
        self.settled.store(self.settled() + 1, Relaxed);
    }

    /// One of them ended.
    pub(crate) fn unsettle(&self) {
        self.settled.store(self.settled() - 1, Relaxed);
    }

    /// A G was made on this thread.
    #[inline]
    pub(crate) fn count_spawned(&self) {
        self.spawned.store(self.spawned.load(Relaxed) + 1, Relaxed);
    }

    /// A G ended on this thread.
    #[inline]
    pub(crate) fn count_ended(&self) {
        // ORDERING[m.ended]: pairs with `M::ended`.
        self.ended.store(self.ended.load(Relaxed) + 1, Release);
    }

    /// A G was taken from another P.
    pub(crate) fn count_stolen(&self) {
        self.stolen.store(self.stolen() + 1, Relaxed);
    }

    /// Gs taken from other Ps by this thread so far.
    pub(crate) fn stolen(&self) -> u64 {
        self.stolen.load(Relaxed)
    }

    /// Gs made on this thread so far.
    pub(crate) fn spawned(&self) -> u64 {
        self.spawned.load(Relaxed)
    }

    /// Gs ended on this thread so far.
    pub(crate) fn ended(&self) -> u64 {
        // ORDERING[m.ended]: who sees a G's end counted sees it made, on whatever M: its queues
        // ordered the two.
        self.ended.load(Acquire)
    }
}

impl MOwned {
    /// Queues a woken settled G: it runs next, and what was to run next queues up.
    #[inline]
    pub(crate) fn push_woken(&mut self, g: Runnable) {
        if let Some(before) = self.run_next.replace(g) {
            self.queue.push_back(before);
        }
    }

    /// The G that was woken last, unless such Gs went first too often in a row, or the slice that
    /// they share is over.
    #[inline]
    pub(crate) fn pop_run_next(&mut self, over: bool) -> Option<Runnable> {
        let Some(g) = self.run_next.take() else {
            self.next_streak = 0;
            return None;
        };
        if self.next_streak < policy::MAX_NEXT_STREAK && !over {
            self.next_streak += 1;
            return Some(g);
        }
        self.next_streak = 0;
        self.queue.push_back(g);
        None
    }

    /// What was taken is to be taken again.
    #[cold]
    pub(crate) fn put_back(&mut self, g: Runnable) {
        if let Some(next) = self.run_next.replace(g) {
            self.queue.push_back(next);
        }
    }

    /// The next round looks at Gs that have started before it looks at new ones: the P may come
    /// from an M whose new G kept it too long, and the others have waited since.
    pub(crate) fn begin_with_woken(&mut self) {
        self.tick &= !1;
    }

    /// The settled G that waits longest.
    #[inline]
    pub(crate) fn pop_settled(&mut self) -> Option<Runnable> {
        self.next_streak = 0;
        self.queue.pop_front()
    }

    /// The running G goes on in a new slice.
    #[inline]
    pub(crate) fn begin_slice(&mut self) {
        self.next_streak = 0;
    }

    /// Whether the G that was taken last was woken by the one before it, and goes on in its slice.
    #[inline]
    pub(crate) fn inherits_slice(&self) -> bool {
        self.next_streak > 0
    }

    /// How many settled Gs wait here.
    #[inline]
    pub(crate) fn settled_ready(&self) -> usize {
        self.queue.len() + usize::from(self.run_next.is_some())
    }

    /// Whether a settled G waits here.
    #[inline]
    pub(crate) fn has_settled(&self) -> bool {
        self.run_next.is_some() || !self.queue.is_empty()
    }
}
