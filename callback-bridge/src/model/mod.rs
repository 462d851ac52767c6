//! The loom models: `RUSTFLAGS="--cfg gosched_loom --cfg gosched_mutants" cargo test --lib
//! --release model -- --test-threads=1`.
//!
//! Each protocol has one test that it holds, and one per named mistake that the model catches it.

mod door;
mod extra_list;
mod mailbox;
mod rebind;
mod slot;
