//! gosched beside crates of others. The programs are in `examples`, and `tests` runs them.
//!
//! This is a package of its own because of what it depends on: nobody who builds or tests gosched
//! builds that.
//!
//! ```text
//! $ cargo test -p gosched-beside
//! ```
