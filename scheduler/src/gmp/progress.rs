//! An M's progress: what sysmon and `stats` read of it while it works.
//!
//! The M's own thread writes once a round, with plain stores. Every thread may read; the values are
//! hints. If sysmon sees the same round twice, the M was in user code in between. That is all
//! sysmon needs; a wrong guess costs one hand-off.
//!
//! # Safety
//!
//! `running` points to the running G's record, which lives as long as the runtime that the M is in.
#![expect(unsafe_code, reason = "reads the record of the G that runs elsewhere")]

use std::ptr;

use gosched_runtime_sys::clock::CpuClock;
use gosched_runtime_sys::sync::primitive::Ordering::Relaxed;
use gosched_runtime_sys::sync::primitive::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64, mutated};

use crate::gmp::g::G;
use crate::gmp::wait_reason::WaitReason;
use crate::policy;

/// What an M shows of itself. It has its own cache lines, because it is written every round.
#[derive(Debug)]
#[repr(align(128))]
pub(crate) struct Progress {
    /// The scheduling tick: how many times the M has switched to a G.
    sched: AtomicU32,
    /// The slice tick: how many of those Gs did not inherit the slice of the G that woke them.
    slice: AtomicU32,
    /// The ready Gs behind the running one, counted when the M switched to it: those in the M's own
    /// queue in the lower half, those in its P's queues in the upper. See
    /// [`Progress::ready_behind`].
    behind: AtomicU64,
    /// The G that runs; null while the M's own loop runs.
    running: AtomicPtr<G>,
    /// The G for which the thread sleeps or blocks; null if there is none.
    in_place: AtomicPtr<G>,
    /// What that G waits for, and why it keeps its thread: a `WaitReason` and a `Keeps`, 8 bits
    /// each.
    keeps: AtomicU32,
    /// The number of the goroutine whose end it waits for; zero if it waits for something else.
    joins: AtomicU64,
    /// It was told that the G keeps others waiting. See [`Progress::keeps_untold`].
    told: AtomicBool,
    /// What the next operation that may suspend is asked to look at: bits, see [`PREEMPT`] and
    /// those after it.
    asked: AtomicU32,
    /// A request that no future has answered yet; see `proc::yield_now::poll_turn`.
    turn_requested: AtomicBool,
    /// How many tries have failed on the M's thread. Only that thread counts.
    tries: AtomicU32,
    /// The thread's [`CpuClock`], zero before it is known.
    clock: AtomicU64,
}

/// A bit of [`Progress::asked`]: the slice is over, or the P was revoked. The next operation that
/// may suspend does so. Other threads set it.
const PREEMPT: u32 = 1;

/// A bit of [`Progress::asked`]: the running G is inside of `no_wait`. Its thread sets and clears
/// it.
const NO_WAIT: u32 = 2;

/// Why a G keeps its thread while it waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Keeps {
    /// It may not switch: C has called back into it, or it ends the process.
    Nested,
    /// It unwinds. The thread's count of panics is the G's at the moment.
    Unwinds,
    /// It is in a call that blocks the thread.
    Blocks,
}

/// A wait of a G that keeps its thread.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Keeping {
    pub(crate) keeps: Keeps,
    pub(crate) waits_for: WaitReason,
    /// The number of the goroutine that the G joins; zero if it waits for something else.
    pub(crate) joins: u64,
}

/// The ticks of an M, as one look saw them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ticks {
    pub(crate) sched: u32,
    pub(crate) slice: u32,
}

impl Progress {
    pub(crate) fn new() -> Self {
        Self {
            sched: AtomicU32::new(0),
            slice: AtomicU32::new(0),
            behind: AtomicU64::new(0),
            running: AtomicPtr::new(ptr::null_mut()),
            in_place: AtomicPtr::new(ptr::null_mut()),
            keeps: AtomicU32::new(0),
            joins: AtomicU64::new(0),
            told: AtomicBool::new(false),
            asked: AtomicU32::new(0),
            turn_requested: AtomicBool::new(false),
            tries: AtomicU32::new(0),
            clock: AtomicU64::new(0),
        }
    }

    /// Prepares the record for the calling thread, which takes this M over.
    pub(crate) fn reset(&self) {
        self.clock.store(CpuClock::of_this_thread().map_or(0, CpuClock::to_bits), Relaxed);
        self.running.store(ptr::null_mut(), Relaxed);
        self.in_place.store(ptr::null_mut(), Relaxed);
        self.behind.store(0, Relaxed);
        self.asked.store(0, Relaxed);
        self.turn_requested.store(false, Relaxed);
    }

    /// Notes that the M switches to `g`.
    ///
    /// If `inherits`, `g` runs in the slice of the G that woke it; else it begins one. `settled`
    /// ready Gs of the M wait behind it, and `queued` Gs of its P.
    #[inline(always)]
    pub(crate) fn switch_in(&self, g: &G, inherits: bool, settled: u32, queued: u32) {
        self.begin_round(g, inherits, u64::from(settled) | u64::from(queued) << 32);
    }

    #[inline(always)]
    fn begin_round(&self, g: &G, inherits: bool, behind: u64) {
        self.sched.store(self.sched.load(Relaxed).wrapping_add(1), Relaxed);
        if !inherits {
            self.slice.store(self.slice.load(Relaxed).wrapping_add(1), Relaxed);
            if self.preempt_requested() {
                self.asked.store(self.asked.load(Relaxed) & !PREEMPT, Relaxed);
            }
        }
        self.behind.store(behind, Relaxed);
        self.running.store(ptr::from_ref(g).cast_mut(), Relaxed);
    }

    /// Notes that the G whose commit was refused goes on in its slice. What waited behind it still
    /// waits.
    pub(crate) fn switch_back_in(&self, g: &G) {
        if mutated("progress.refused_unseen") {
            return;
        }
        self.begin_round(g, true, self.behind.load(Relaxed));
    }

    /// Notes that the M's own loop runs again.
    #[inline(always)]
    pub(crate) fn switch_out(&self) {
        self.running.store(ptr::null_mut(), Relaxed);
    }

    /// Notes that the thread sleeps, or offers its core, in place of the running `g`. Such time
    /// does not count as running.
    ///
    /// The caller then makes the fence of those who leave something behind user code.
    pub(crate) fn block(&self, g: &G, keeping: Keeping) {
        self.keeps.store(keeping.waits_for as u32 | (keeping.keeps as u32) << 8, Relaxed);
        self.joins.store(keeping.joins, Relaxed);
        self.told.store(false, Relaxed);
        if !mutated("progress.blocked_unseen") {
            self.in_place.store(ptr::from_ref(g).cast_mut(), Relaxed);
        }
        self.running.store(ptr::null_mut(), Relaxed);
    }

    /// Notes that the G goes on after [`block`](Self::block), in a slice of its own. The Gs behind
    /// it still wait.
    pub(crate) fn unblock(&self, g: &G) {
        self.in_place.store(ptr::null_mut(), Relaxed);
        if mutated("progress.unblocked_unseen") {
            return;
        }
        self.begin_round(g, false, self.behind.load(Relaxed));
    }

    /// Counts a G that the running G readied, and that now waits behind it.
    #[inline(always)]
    pub(crate) fn ready_behind(&self) {
        self.behind.store(self.behind.load(Relaxed).wrapping_add(1), Relaxed);
    }

    /// Notes that the M waits for a P, with `settled` ready Gs of its own.
    pub(crate) fn wait_in_line(&self, settled: usize) {
        self.behind.store(settled as u64, Relaxed);
    }

    /// Returns how many Gs wait behind the running one.
    pub(crate) fn behind(&self) -> usize {
        self.settled_behind() + (self.behind.load(Relaxed) >> 32) as usize
    }

    /// Returns how many of those Gs have settled on the M.
    pub(crate) fn settled_behind(&self) -> usize {
        self.behind.load(Relaxed) as u32 as usize
    }

    /// Returns the M's ticks. Sysmon compares two readings.
    pub(crate) fn ticks(&self) -> Ticks {
        Ticks { sched: self.sched.load(Relaxed), slice: self.slice.load(Relaxed) }
    }

    /// Returns the record of the running G, if one runs.
    ///
    /// # Safety
    ///
    /// The M is in a runtime, and does not leave it while the caller uses the record. The runtime
    /// lives at least as long.
    pub(crate) unsafe fn running(&self) -> Option<&G> {
        // SAFETY: the pointer is null between two Gs, else a record of the M's runtime; see this
        // function's contract.
        unsafe { self.running.load(Relaxed).as_ref() }
    }

    /// True if a G runs.
    pub(crate) fn runs(&self) -> bool {
        !self.running.load(Relaxed).is_null()
    }

    /// Returns the record of the G for which the thread sleeps or blocks, if there is one.
    ///
    /// # Safety
    ///
    /// As [`running`](Self::running).
    pub(crate) unsafe fn in_place(&self) -> Option<&G> {
        // SAFETY: as in `running`.
        unsafe { self.in_place.load(Relaxed).as_ref() }
    }

    /// True if the thread sleeps or blocks for a G.
    pub(crate) fn is_in_place(&self) -> bool {
        !self.in_place.load(Relaxed).is_null()
    }

    /// Returns what that G waits for, and why it keeps its thread. A hint.
    pub(crate) fn keeping(&self) -> Keeping {
        let both = self.keeps.load(Relaxed);
        let keeps = [Keeps::Unwinds, Keeps::Blocks].into_iter().find(|k| *k as u32 == both >> 8);
        Keeping {
            keeps: keeps.unwrap_or(Keeps::Nested),
            waits_for: WaitReason::of(both as u8),
            joins: self.joins.load(Relaxed),
        }
    }

    /// True if the thread sleeps or blocks for a G, and nobody was told since it does that others
    /// wait behind it. One telling is enough: then sysmon need not watch.
    pub(crate) fn keeps_untold(&self) -> bool {
        self.is_in_place() && !self.told.load(Relaxed)
    }

    /// Notes that it was told.
    pub(crate) fn set_told(&self) {
        self.told.store(true, Relaxed);
    }

    /// Returns the CPU clock of the M's thread.
    pub(crate) fn clock(&self) -> Option<CpuClock> {
        CpuClock::from_bits(self.clock.load(Relaxed))
    }

    /// Requests that the running G suspends at its next operation that may.
    pub(crate) fn request_preempt(&self) {
        self.turn_requested.store(true, Relaxed);
        let _before = self.asked.fetch_or(PREEMPT, Relaxed);
    }

    /// True if [`request_preempt`](Self::request_preempt) was called in this slice.
    #[inline(always)]
    pub(crate) fn preempt_requested(&self) -> bool {
        self.asked.load(Relaxed) & PREEMPT != 0
    }

    /// True if the next operation that may suspend has to look why: it is preempted, or must not
    /// wait.
    #[inline(always)]
    pub(crate) fn asks(&self) -> bool {
        self.asked.load(Relaxed) != 0
    }

    /// Counts a try that has failed. True for each [`policy::TRIES`]th.
    #[inline(always)]
    pub(crate) fn has_tried_enough(&self) -> bool {
        let tries = self.tries.load(Relaxed).wrapping_add(1);
        self.tries.store(tries, Relaxed);
        tries.is_multiple_of(policy::TRIES)
    }

    /// Notes whether the running G is inside of `no_wait`. Called by the M's thread. Sysmon may
    /// request preemption meanwhile, so the word is changed in one step.
    pub(crate) fn set_no_wait(&self, inside: bool) {
        let _before = if inside {
            self.asked.fetch_or(NO_WAIT, Relaxed)
        } else {
            self.asked.fetch_and(!NO_WAIT, Relaxed)
        };
    }

    /// True if the request stands, and is the first of a future to see it. Called by the M's
    /// thread. Sysmon, which requests again at each look, may be overheard once.
    #[inline(always)]
    pub(crate) fn take_turn_request(&self) -> bool {
        if !self.preempt_requested() || !self.turn_requested.load(Relaxed) {
            return false;
        }
        self.turn_requested.store(false, Relaxed);
        true
    }
}
