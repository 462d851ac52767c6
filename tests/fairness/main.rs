//! No goroutine stops the others: what computes, blocks or holds a lock keeps its own thread, and
//! nobody else's P.
//!
//! Bounds on time are the issue's own. A machine that is busy with something else breaks them
//! through no fault of the scheduler, so a test that measures does so up to three times, and fails
//! if no measurement keeps the bound. They run one at a time, and in a step of their own: `cargo
//! xtask test --only timing`.

mod blocked;
mod hogs;
mod idle;
mod lost_p;
mod sleepers;
mod spread;
mod support;
#[cfg(not(feature = "tracing"))]
mod untraced;
#[cfg(feature = "tracing")]
mod warning;
