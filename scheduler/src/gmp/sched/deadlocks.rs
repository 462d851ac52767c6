//! What a runtime stores for its deadlock check: whether one was reported, the report, and the
//! bridges through which a foreign thread may still come.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

/// The state of a runtime's deadlock check.
#[derive(Debug, Default)]
pub(crate) struct Deadlocks {
    seen: AtomicBool,
    report: OnceLock<String>,
    bridges: AtomicUsize,
}

impl Deadlocks {
    /// True for the first caller, which reports the deadlock.
    pub(crate) fn first_time(&self) -> bool {
        !self.seen.swap(true, Relaxed)
    }

    /// Stores the report of a deadlock. Called before the runtime is closed for it.
    pub(crate) fn declare(&self, text: String) {
        let _once = self.report.set(text);
    }

    /// Returns the report of the deadlock for which the runtime was closed.
    pub(crate) fn report(&self) -> Option<&str> {
        self.report.get().map(String::as_str)
    }

    /// Counts a bridge that leads into the runtime: any foreign thread may come through it.
    pub(crate) fn add_bridge(&self) {
        self.bridges.fetch_add(1, Relaxed);
    }

    /// Uncounts a bridge.
    pub(crate) fn remove_bridge(&self) {
        self.bridges.fetch_sub(1, Relaxed);
    }

    /// Returns how many bridges lead into the runtime.
    pub(crate) fn bridges(&self) -> usize {
        self.bridges.load(Relaxed)
    }
}
