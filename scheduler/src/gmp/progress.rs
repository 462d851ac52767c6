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
    /// The G in whose place the thread sleeps or blocks; null otherwise.
    in_place: AtomicPtr<G>,
    /// It was reported twice that this G keeps others waiting.
    told: AtomicBool,
    /// The slice is over, or the P was revoked: the next operation that may suspend does so.
    preempt_requested: AtomicBool,
    /// A request that no future has answered yet; see `proc::yield_now::poll_turn`.
    turn_requested: AtomicBool,
    /// The thread's [`CpuClock`], zero before it is known.
    clock: AtomicU64,
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
            told: AtomicBool::new(false),
            preempt_requested: AtomicBool::new(false),
            turn_requested: AtomicBool::new(false),
            clock: AtomicU64::new(0),
        }
    }

    /// Prepares the record for the calling thread, which takes this M over.
    pub(crate) fn reset(&self) {
        self.clock.store(CpuClock::of_this_thread().map_or(0, CpuClock::to_bits), Relaxed);
        self.running.store(ptr::null_mut(), Relaxed);
        self.in_place.store(ptr::null_mut(), Relaxed);
        self.behind.store(0, Relaxed);
        self.preempt_requested.store(false, Relaxed);
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
                self.preempt_requested.store(false, Relaxed);
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

    /// Notes that the thread sleeps, or offers its core, in place of the running G `g`. Such time
    /// does not count as running.
    pub(crate) fn block(&self, g: &G) {
        self.told.store(false, Relaxed);
        self.in_place.store(ptr::from_ref(g).cast_mut(), Relaxed);
        self.running.store(ptr::null_mut(), Relaxed);
    }

    /// Notes that the G goes on after [`block`](Self::block), in a slice of its own. The Gs behind
    /// it still wait.
    pub(crate) fn unblock(&self, g: &G) {
        if mutated("progress.unblocked_unseen") {
            return;
        }
        self.in_place.store(ptr::null_mut(), Relaxed);
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

    /// Returns the record of the G in whose place the thread sleeps or blocks.
    ///
    /// # Safety
    ///
    /// As [`running`](Self::running).
    pub(crate) unsafe fn in_place(&self) -> Option<&G> {
        // SAFETY: as for `running`: the G neither ends nor leaves its thread meanwhile.
        unsafe { self.in_place.load(Relaxed).as_ref() }
    }

    /// True if the thread sleeps or blocks in place of a G of which that was not reported.
    pub(crate) fn is_in_place_untold(&self) -> bool {
        !self.in_place.load(Relaxed).is_null() && !self.told.load(Relaxed)
    }

    /// Notes that all was reported of the G in whose place the thread sleeps.
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
        self.preempt_requested.store(true, Relaxed);
    }

    /// True if [`request_preempt`](Self::request_preempt) was called in this slice.
    #[inline(always)]
    pub(crate) fn preempt_requested(&self) -> bool {
        self.preempt_requested.load(Relaxed)
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
