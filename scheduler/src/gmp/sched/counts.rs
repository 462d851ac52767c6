//! The counters of a runtime.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

/// Counters for `stats`: of Ps that sysmon revoked, and of events that cost more than counting
/// them.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    /// Ps revoked from Ms whose goroutine blocked the thread.
    pub(crate) retaken_blocked: AtomicU64,
    /// Ps revoked from Ms whose goroutine computed for longer than its slice.
    pub(crate) retaken_computing: AtomicU64,
    /// Ps that a waker took from an M whose goroutine was known to compute.
    pub(crate) taken_over: AtomicU64,
    /// Ms that computed without a P at sysmon's last look.
    pub(crate) computing: AtomicUsize,
    /// The longest time that sysmon saw a goroutine run without suspending, in nanoseconds.
    pub(crate) longest_run_ns: AtomicU64,
    /// Hand-offs of a P with work from one M to another.
    pub(crate) hand_overs: AtomicU64,
    /// Gs that were to begin apart and have begun.
    pub(crate) begun_apart: AtomicU64,
    /// Panics that nobody joined. Shared with those that may still be joined, which may outlive the
    /// runtime.
    pub(crate) unjoined_panics: Arc<AtomicU64>,
}

impl Counts {
    /// Counts a P that a waker took over.
    pub(crate) fn taken_over(&self) {
        self.taken_over.fetch_add(1, Relaxed);
    }

    /// Counts a hand-off of a P with work to another M.
    pub(crate) fn hand_over(&self) {
        self.hand_overs.fetch_add(1, Relaxed);
    }
}
