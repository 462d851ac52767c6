//! M: an OS thread that runs Gs.
//!
//! M records are type-stable: allocated once, used again by later threads, never freed. A late
//! waker may still wake a record's note or read its `status`. It then finds some M, which is
//! harmless: a thread that sleeps on a note checks its condition again after each wake.
//!
//! # Invariants
//!
//! - The M's P lies in its revocable slot (`M::p`) while user code runs; see `ds::revocable`.
//! - [`MOwned`] belongs to the M's own thread, and only while that thread is in the scheduler: it
//!   has a `current::Inside`, and the flag `in_scheduler` is set. Code that re-enters the
//!   scheduler, such as an allocator hook under a queue operation, finds the flag set and keeps
//!   out. A thread that has acquired the P has set the flag, too.
//! - The record is on the free list, or belongs to one thread.
//!
//! # Safety
//!
//! `M` is `Sync` although `MOwned` is not: see the second invariant.
#![expect(unsafe_code, reason = "a flag guards the M's owned half, not a type")]

use std::cell::UnsafeCell;
use std::fmt;
use std::ptr::NonNull;
use std::sync::atomic::{
    AtomicBool, AtomicU16, AtomicU64, AtomicUsize,
    Ordering::{Acquire, Relaxed, Release},
};

use gosched_runtime_sys::signal::stack::SignalStack;
use gosched_runtime_sys::sync::lock::Mutex;
use gosched_runtime_sys::thread::fork::PerProcess;

use crate::ds::deprived::Mark;
use crate::ds::grow;
use crate::ds::revocable::Revocable;
use crate::ds::timers::NEVER;
use crate::gmp::dispatch::Remote;
use crate::gmp::g::Home;
use crate::gmp::g_queue::GInbox;
use crate::gmp::p::P;
use crate::gmp::progress::Progress;
use crate::gmp::thread_locks::ThreadLocks;
use crate::policy;

mod owned;

pub(crate) use owned::{FirstRun, MOwned};

/// One OS thread that runs Gs.
pub(crate) struct M {
    /// For reports. Never zero; not unique in a process that made more than 65535 records.
    number: u16,
    /// The revocable slot: the M's P lies here while user code runs.
    pub(crate) p: Revocable<P>,
    /// The part that other threads use to wake this M and to hand it a P.
    pub(crate) remote: Remote<P>,
    /// The part that other threads may read while this M works.
    pub(crate) progress: Progress,
    /// Settled Gs that other threads readied.
    pub(crate) inbox: GInbox,
    /// When the M fell asleep, in nanoseconds on the monotonic clock; `NEVER` if it is awake. For
    /// reports.
    asleep_since: AtomicU64,
    /// A deadline readied some of the Gs in `inbox`. A hint.
    timer_woke: AtomicBool,
    /// The number of settled Gs that have started here and have not ended.
    settled: AtomicUsize,
    /// The number of those settled Gs that wait for another goroutine to end.
    in_join: AtomicUsize,
    /// All settled Gs of the M are expected to compute.
    computes: AtomicBool,
    /// The M's P was taken over, and it has not noticed that yet: see `gmp::sched::holders`.
    pub(crate) deprived: Mark,
    /// A goroutine ended while it was locked to this thread. Another M replaces this one, whose
    /// thread ends with its last settled G.
    exiting: AtomicBool,
    /// A goroutine ended while it was locked to this thread, and what it did to the thread stays.
    tainted: AtomicBool,
    /// The goroutines that are locked to this thread.
    pub(crate) locks: ThreadLocks,
    /// Gs spawned on this thread. This thread alone writes the field.
    spawned: AtomicU64,
    /// Gs that ended on this thread. This thread alone writes the field.
    ended: AtomicU64,
    /// Gs that this thread took from another P. This thread alone writes the field.
    stolen: AtomicU64,
    /// How often chance was asked for on this thread, which alone writes the field.
    draws: AtomicU64,
    /// The signal stack of the thread that uses the record. It is touched only while a thread
    /// attaches or detaches.
    pub(crate) signal_stack: Mutex<Option<SignalStack>>,
    /// The M's thread has the owned half. No other thread reads or writes the flag.
    in_scheduler: AtomicBool,
    owned: UnsafeCell<MOwned>,
}

// SAFETY: only `owned` is not `Sync`. It is reached through `M::owned` alone, whose contract is the
// flag.
unsafe impl Sync for M {}
// SAFETY: as above.
unsafe impl Send for M {}

/// The number of M records ever made, modulo 65536.
static MADE: AtomicU16 = AtomicU16::new(0);

/// M records that no thread uses.
static FREE: PerProcess<Vec<&'static M>> = PerProcess::new(Vec::new);

impl fmt::Debug for M {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("M")
            .field("remote", &self.remote)
            .field("settled", &self.settled())
            .finish_non_exhaustive()
    }
}

impl M {
    /// Returns a record for the calling thread: one from the free list if there is one, else a new
    /// one.
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
            asleep_since: AtomicU64::new(NEVER),
            timer_woke: AtomicBool::new(false),
            settled: AtomicUsize::new(0),
            in_join: AtomicUsize::new(0),
            computes: AtomicBool::new(false),
            deprived: Mark::new(),
            exiting: AtomicBool::new(false),
            tainted: AtomicBool::new(false),
            locks: ThreadLocks::new(),
            spawned: AtomicU64::new(0),
            ended: AtomicU64::new(0),
            stolen: AtomicU64::new(0),
            draws: AtomicU64::new(0),
            signal_stack: Mutex::new(None),
            in_scheduler: AtomicBool::new(false),
            owned: UnsafeCell::new(MOwned::new()),
        }
    }

    /// Puts the record on the free list. Its thread owns no G and no P any more.
    pub(crate) fn release(&'static self) {
        self.spawned.store(0, Relaxed);
        self.ended.store(0, Relaxed);
        self.stolen.store(0, Relaxed);
        self.tainted.store(false, Relaxed);
        self.locks.reset();
        grow::push(|| FREE.lock(), |free| free, self);
    }

    /// Sets whether the M is about to end. Returns the value before. A record that goes to the next
    /// thread is not exiting.
    pub(crate) fn set_exiting(&self, is_exiting: bool) -> bool {
        self.exiting.swap(is_exiting, Relaxed)
    }

    /// True if the M is about to end and another M replaces it.
    pub(crate) fn is_exiting(&self) -> bool {
        self.exiting.load(Relaxed)
    }

    /// Notes that a goroutine ended while it was locked to the M's thread. Called by that thread.
    pub(crate) fn taint(&self) {
        self.tainted.store(true, Relaxed);
    }

    /// True if a goroutine ended while it was locked to the M's thread.
    pub(crate) fn is_tainted(&self) -> bool {
        self.tainted.load(Relaxed)
    }

    /// Notes since when the M sleeps; `NEVER` if it is awake again.
    pub(crate) fn set_asleep_since(&self, since: u64) {
        self.asleep_since.store(since, Relaxed);
    }

    /// Returns since when the M sleeps, in nanoseconds on the monotonic clock. A hint.
    pub(crate) fn asleep_since(&self) -> Option<u64> {
        Some(self.asleep_since.load(Relaxed)).filter(|since| *since != NEVER)
    }

    /// Returns the number that reports use for this M.
    pub(crate) fn number(&self) -> u16 {
        self.number
    }

    /// Returns this M as its Gs refer to it.
    pub(crate) fn as_home(&'static self) -> Home {
        Home(NonNull::from(self).cast())
    }

    /// Returns the M that `home` names.
    #[inline]
    pub(crate) fn of(home: Home) -> &'static M {
        // SAFETY: `as_home` makes every `Home`, from a record that is never freed.
        unsafe { home.0.cast::<M>().as_ref() }
    }

    /// Notes that a deadline readied one of the M's Gs. The caller then pushes that G to the inbox.
    pub(crate) fn mark_timer_wake(&self) {
        self.timer_woke.store(true, Relaxed);
    }

    /// True if [`mark_timer_wake`](Self::mark_timer_wake) was called since the last call of this.
    /// Called by the M's own thread.
    pub(crate) fn take_timer_wake(&self) -> bool {
        self.timer_woke.load(Relaxed) && self.timer_woke.swap(false, Relaxed)
    }

    /// Returns the owned half.
    ///
    /// # Safety
    ///
    /// The caller runs on the M's thread, has set the flag
    /// ([`enter_scheduler`](Self::enter_scheduler)), and holds no other reference from here.
    #[expect(clippy::mut_from_ref, reason = "the flag is the lock")]
    #[inline(always)]
    pub(crate) unsafe fn owned(&self) -> &mut MOwned {
        // SAFETY: this function's contract.
        unsafe { &mut *self.owned.get() }
    }

    /// True if the M's thread has the owned half. Called by that thread.
    #[inline(always)]
    pub(crate) fn in_scheduler(&self) -> bool {
        self.in_scheduler.load(Relaxed)
    }

    /// Sets the flag that guards the owned half. False if a frame further up the stack has set it.
    /// Called by the M's thread, which alone uses the flag.
    #[inline(always)]
    pub(crate) fn enter_scheduler(&self) -> bool {
        let free = !self.in_scheduler();
        self.in_scheduler.store(true, Relaxed);
        free
    }

    /// Clears the flag that guards the owned half.
    #[inline(always)]
    pub(crate) fn leave_scheduler(&self) {
        self.in_scheduler.store(false, Relaxed);
    }

    /// Returns the number of settled Gs that have started and not ended. A hint for other threads.
    #[inline]
    pub(crate) fn settled(&self) -> usize {
        self.settled.load(Relaxed)
    }

    /// Returns the number of settled Gs that count for this M's share. A hint for other threads.
    ///
    /// A G that waits for another goroutine to end does not count: it does nothing until that
    /// goroutine has done the work. An M on which all compute is more loaded than any other.
    #[inline]
    pub(crate) fn load(&self) -> usize {
        if self.computes() {
            return policy::LOADED;
        }
        self.settled().saturating_sub(self.in_join.load(Relaxed))
    }

    /// True if all settled Gs of the M are expected to compute. A hint for other threads.
    pub(crate) fn computes(&self) -> bool {
        self.computes.load(Relaxed)
    }

    /// Notes whether all settled Gs of the M are expected to compute. Called on the M's own thread.
    pub(crate) fn set_computes(&self, computes: bool) {
        self.computes.store(computes, Relaxed);
    }

    /// Notes that a settled G begins to wait for another goroutine to end. Called on the M's own
    /// thread, as `settle` is.
    pub(crate) fn enter_join(&self) {
        self.in_join.store(self.in_join.load(Relaxed) + 1, Relaxed);
    }

    /// Notes that such a wait has ended.
    pub(crate) fn leave_join(&self) {
        self.in_join.store(self.in_join.load(Relaxed) - 1, Relaxed);
    }

    /// Counts a settled G that starts here. Called on the M's own thread only, so a load and a
    /// store suffice.
    pub(crate) fn settle(&self) {
        self.settled.store(self.settled() + 1, Relaxed);
    }

    /// Counts a settled G that ended here.
    pub(crate) fn unsettle(&self) {
        self.settled.store(self.settled() - 1, Relaxed);
    }

    /// Counts a G that was spawned on this thread.
    #[inline]
    pub(crate) fn count_spawned(&self) {
        self.spawned.store(self.spawned.load(Relaxed) + 1, Relaxed);
    }

    /// Counts a G that ended on this thread.
    #[inline]
    pub(crate) fn count_ended(&self) {
        // ORDERING[m.ended]: pairs with `M::ended`.
        self.ended.store(self.ended.load(Relaxed) + 1, Release);
    }

    /// Counts a G that this thread took from another P.
    pub(crate) fn count_stolen(&self) {
        self.stolen.store(self.stolen() + 1, Relaxed);
    }

    /// Returns a number for chance: another one each time. Called on the M's own thread.
    pub(crate) fn draw(&self) -> u64 {
        let draw = self.draws.load(Relaxed);
        self.draws.store(draw.wrapping_add(1), Relaxed);
        draw
    }

    /// Returns the number of Gs that this thread has taken from other Ps.
    pub(crate) fn stolen(&self) -> u64 {
        self.stolen.load(Relaxed)
    }

    /// Returns the number of Gs spawned on this thread so far.
    pub(crate) fn spawned(&self) -> u64 {
        self.spawned.load(Relaxed)
    }

    /// Returns the number of Gs that ended on this thread so far.
    pub(crate) fn ended(&self) -> u64 {
        // ORDERING[m.ended]: a reader that sees a G's end counted also sees its spawn counted, on
        // whichever M that was: the queues that the G went through order the two.
        self.ended.load(Acquire)
    }
}
