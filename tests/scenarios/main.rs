//! The scenarios of Go's tests for channels, selects, locks and timers, each between a goroutine
//! and whoever else may be at the other end: another goroutine, a thread of C's in a callback, a
//! plain thread, a tokio task; with 1, 2, 4 and 8 Ps.
//!
//! Which of Go's tests went where, and which have no counterpart, stands in `docs/go-scenarios.md`;
//! `go_table.rs` holds that document against the tests.

mod channels;
mod condvar;
mod go_table;
mod groups;
mod mutex;
mod other_side;
mod rwlock;
mod select;
mod tickers;
mod timers;
