//! What a runtime knows of being quiet: whether it was told, what came of it, and who may come from
//! outside.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

#[derive(Debug, Default)]
pub(crate) struct Deadlocks {
    seen: AtomicBool,
    report: OnceLock<String>,
    bridges: AtomicUsize,
}

impl Deadlocks {
    /// True for the first caller.
    pub(crate) fn first_time(&self) -> bool {
        !self.seen.swap(true, Relaxed)
    }

    /// It is a deadlock, and this is the report. Before the runtime is closed for it.
    pub(crate) fn declare(&self, text: String) {
        let _once = self.report.set(text);
    }

    /// The report of the deadlock for which the runtime was closed.
    pub(crate) fn report(&self) -> Option<&str> {
        self.report.get().map(String::as_str)
    }

    /// A bridge leads into the runtime: any thread may come.
    pub(crate) fn add_bridge(&self) {
        self.bridges.fetch_add(1, Relaxed);
    }

    /// It does no longer.
    pub(crate) fn remove_bridge(&self) {
        self.bridges.fetch_sub(1, Relaxed);
    }

    /// How many bridges lead into the runtime.
    pub(crate) fn bridges(&self) -> usize {
        self.bridges.load(Relaxed)
    }
}
