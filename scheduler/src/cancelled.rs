//! The payload that a cancelled goroutine unwinds with.

use std::error::Error;
use std::fmt;

/// The payload a cancelled goroutine unwinds with. It comes back from `join` as any panic does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Cancelled {
    /// The goroutine's number; zero for a thread that is none.
    pub g: u64,
    /// What the cancel was meant for.
    pub scope: CancelScope,
}

/// What a cancel was meant for: how far a goroutine that it reached unwinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CancelScope {
    /// The goroutine, by its `JoinHandle`.
    Goroutine,
    /// What it ran under the token of this number.
    Token(u64),
    /// What it ran with a time limit, [`time::timeout`](crate::time::timeout); of this number.
    Timeout(u64),
    /// Everything in the runtime, which is being shut down.
    Runtime,
    /// The same, because all of it waited for each other; see
    /// [`Deadlock::Panic`](crate::Deadlock::Panic).
    Deadlock,
}

impl fmt::Display for Cancelled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { g, scope } = self;
        match scope {
            CancelScope::Goroutine => write!(f, "goroutine {g} was cancelled"),
            CancelScope::Token(token) => write!(f, "goroutine {g} was cancelled by token {token}"),
            CancelScope::Timeout(_) => write!(f, "goroutine {g} ran out of time"),
            CancelScope::Deadlock => {
                write!(f, "goroutine {g} was cancelled, its runtime was deadlocked")
            }
            CancelScope::Runtime => {
                write!(f, "goroutine {g} was cancelled, its runtime shuts down")
            }
        }
    }
}

impl Error for Cancelled {}
