//! No goroutine stops the others: a goroutine that computes, blocks or holds a lock keeps its own
//! thread, and no other goroutine's P.
//!
//! The bounds on time are requirements. A machine that is busy with other programs breaks them
//! although the scheduler is right. So a test that measures does so up to three times, and fails if
//! no measurement keeps the bound. The tests run one at a time, in a step of their own: `cargo
//! xtask test --only timing`.

mod blocked;
mod hogs;
mod idle;
mod lost_p;
mod service;
mod sleepers;
mod spare;
mod spread;
mod support;
mod turns;
mod unheard;
#[cfg(not(feature = "tracing"))]
mod untraced;
#[cfg(feature = "tracing")]
mod warning;
