//! Why a runtime has not ended.

use std::error::Error;
use std::fmt;

/// Why a runtime has not ended, although it was shut down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ShutdownError {
    /// The grace is over. What has not ended is left alone; nothing new starts, and the runtime's
    /// memory stays.
    Running {
        /// Goroutines that have not ended.
        goroutines: u64,
        /// Threads of others that are inside a callback.
        callbacks: usize,
    },
    /// It was called inside the runtime: the caller would wait for itself.
    Inside,
    /// It was called in a forked child, where the runtime's threads do not exist. The runtime stays
    /// with the parent.
    Forked,
}

impl fmt::Display for ShutdownError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Running { goroutines, callbacks } => {
                write!(
                    f,
                    "{goroutines} goroutines and {callbacks} callbacks have not ended within \
                     the grace"
                )
            }
            Self::Inside => f.write_str("a runtime cannot be shut down from inside"),
            Self::Forked => {
                f.write_str("a runtime cannot be shut down in a forked child of its process")
            }
        }
    }
}

impl Error for ShutdownError {}
