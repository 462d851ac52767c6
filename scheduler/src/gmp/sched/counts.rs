//! What a runtime counts of its own doings.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

/// What is counted for `stats`: of what sysmon did about Ms that kept their P too long, and of what
/// costs more than counting.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) retaken_blocked: AtomicU64,
    pub(crate) retaken_computing: AtomicU64,
    /// Ms that compute without a P, as of sysmon's last look.
    pub(crate) computing: AtomicUsize,
    /// The longest that a goroutine was seen to run without a suspension, in nanoseconds.
    pub(crate) longest_run_ns: AtomicU64,
    /// Ps that went from one M to another.
    pub(crate) hand_overs: AtomicU64,
}

impl Counts {
    /// A P with work went to another M.
    pub(crate) fn hand_over(&self) {
        self.hand_overs.fetch_add(1, Relaxed);
    }
}
