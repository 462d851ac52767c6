//! What a goroutine runs, how that begins, and what becomes of it if it does not.

use std::fmt;
use std::io;
use std::ptr::NonNull;
use std::sync::Arc;

use crate::names::Called;

/// What a G runs.
pub(crate) trait Body {
    /// Runs the closure, or drops it if `begin` says so, keeps the outcome for the joiner and wakes it. Catches every panic
    /// of the closure. A second call does nothing.
    fn run(&self, id: u64, begin: Begin);

    /// The same for one that is shared, and lets go of it as the last thing that its goroutine does.
    fn run_shared(self: Arc<Self>, id: u64, begin: Begin) {
        self.run(id, begin);
    }
}

/// How a G's life begins.
#[derive(Debug)]
pub(crate) enum Begin {
    /// It runs.
    Run,
    /// It was cancelled before.
    Cancelled,
    /// There was no stack for it.
    Failed(io::Error),
}

/// A body and how it is kept.
pub(crate) enum Entry {
    /// Shared with a `JoinHandle`.
    Shared(Arc<dyn Body + Send + Sync>),
    /// The same, with what a builder said of it.
    Built(Box<Built>),
    /// On the stack of a caller that waits until the G has ended (`run`).
    Borrowed(NonNull<dyn Body>),
}

/// A body and what its goroutine is to be like.
pub(crate) struct Built {
    pub(crate) body: Arc<dyn Body + Send + Sync>,
    pub(crate) called: Option<Called>,
    /// In bytes; the runtime's if it is not said.
    pub(crate) stack_size: Option<usize>,
}

/// The payload of a goroutine that never began, because there was no memory for its stack or no thread for it: what
/// `join` then gives back in place of a panic's payload.
#[derive(Debug)]
pub struct NotStarted(pub io::Error);

impl fmt::Display for NotStarted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the goroutine could not be started: {}", self.0)
    }
}

impl std::error::Error for NotStarted {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.0)
    }
}
