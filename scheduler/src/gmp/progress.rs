//! An M's pulse: what sysmon and `stats` may see of it while it works.
//!
//! The M's own thread writes, once a round, with plain stores; everybody reads, and takes what they
//! see as a hint. Two looks that see the same round say that the M has been in user code since the
//! first of them, which is all that a judgement needs; a wrong one costs a hand-over.
//!
//! # Safety
//!
//! The running G is known by a pointer to its record, which lives as long as the runtime that the M
//! is in.
#![expect(unsafe_code, reason = "reads the record of the G that runs elsewhere")]

use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64, Ordering::Relaxed};

use gosched_runtime_sys::clock::CpuClock;

use crate::gmp::g::G;

/// What an M shows of itself. On lines of its own: it is written every round.
#[derive(Debug)]
#[repr(align(128))]
pub(crate) struct Progress {
    /// How many Gs it has switched to.
    sched: AtomicU32,
    /// How many of those did not inherit their slice from the one that woke them.
    slice: AtomicU32,
    /// Ready Gs in the M's own queue, lower half, and in its P's, when it switched to the one it
    /// runs; see [`Progress::ready_behind`].
    behind: AtomicU64,
    running: AtomicPtr<G>,
    /// The slice is over, or the P is gone: the next operation that may suspend does.
    preempt_requested: AtomicBool,
    /// The thread's [`CpuClock`], zero before it is known.
    clock: AtomicU64,
}

/// What a look saw of an M's rounds.
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
            preempt_requested: AtomicBool::new(false),
            clock: AtomicU64::new(0),
        }
    }

    /// Another thread has this M.
    pub(crate) fn reset(&self) {
        self.clock.store(CpuClock::of_this_thread().map_or(0, CpuClock::to_bits), Relaxed);
        self.running.store(ptr::null_mut(), Relaxed);
        self.behind.store(0, Relaxed);
        self.preempt_requested.store(false, Relaxed);
    }

    /// The M switches to `g`, which inherits the slice of the one that woke it or begins one;
    /// `settled` ready Gs of its own wait for it, and `queued` of its P.
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

    /// The G whose commit was refused goes on in its slice; what waited behind it waits still.
    pub(crate) fn switch_back_in(&self, g: &G) {
        self.begin_round(g, true, self.behind.load(Relaxed));
    }

    /// The M's own loop runs.
    #[inline(always)]
    pub(crate) fn switch_out(&self) {
        self.running.store(ptr::null_mut(), Relaxed);
    }

    /// The thread sleeps, or offers its core, in place of the running G: that is neither a run nor
    /// a part of one.
    pub(crate) fn block(&self) {
        self.running.store(ptr::null_mut(), Relaxed);
    }

    /// The G that rested goes on, in a slice of its own; what waited for it waits still.
    pub(crate) fn unblock(&self, g: &G) {
        self.begin_round(g, false, self.behind.load(Relaxed));
    }

    /// The running G readied another one, which waits for it.
    #[inline(always)]
    pub(crate) fn ready_behind(&self) {
        self.behind.store(self.behind.load(Relaxed).wrapping_add(1), Relaxed);
    }

    /// The M waits for a P, with so many ready Gs of its own.
    pub(crate) fn wait_in_line(&self, settled: usize) {
        self.behind.store(settled as u64, Relaxed);
    }

    /// How many Gs wait for the one that runs.
    pub(crate) fn behind(&self) -> usize {
        self.settled_behind() + (self.behind.load(Relaxed) >> 32) as usize
    }

    /// How many of them have settled on the M.
    pub(crate) fn settled_behind(&self) -> usize {
        self.behind.load(Relaxed) as u32 as usize
    }

    /// Where the M is.
    pub(crate) fn ticks(&self) -> Ticks {
        Ticks { sched: self.sched.load(Relaxed), slice: self.slice.load(Relaxed) }
    }

    /// The record of the running G, if one runs.
    ///
    /// # Safety
    ///
    /// The M is in a runtime that lives as long as what is returned is used, and does not leave it
    /// meanwhile.
    pub(crate) unsafe fn running(&self) -> Option<&G> {
        // SAFETY: null between two Gs, else a record of the runtime that the M is in: see this
        // function's contract.
        unsafe { self.running.load(Relaxed).as_ref() }
    }

    /// Whether a G runs.
    pub(crate) fn runs(&self) -> bool {
        !self.running.load(Relaxed).is_null()
    }

    /// The thread's clock.
    pub(crate) fn clock(&self) -> Option<CpuClock> {
        CpuClock::from_bits(self.clock.load(Relaxed))
    }

    /// Asks the running G to let others run at its next chance.
    pub(crate) fn request_preempt(&self) {
        self.preempt_requested.store(true, Relaxed);
    }

    /// Whether it was asked.
    #[inline(always)]
    pub(crate) fn preempt_requested(&self) -> bool {
        self.preempt_requested.load(Relaxed)
    }
}
