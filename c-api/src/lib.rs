//! The C interface of gosched: `libgosched` and its header, `include/gosched.h`.
//!
//! The header is written from these sources by cbindgen, and a test compares the two
//! (`tests/header.rs`). So the documentation of what is exported is written for C: each function
//! says on which threads it may be called, whether it waits, whether a signal handler may call it,
//! and in which states of the runtime. `docs/c.md` has the reasons.
//!
//! # Layers
//!
//! `code` and `failure` say what was wrong; `guard` is the frame of every exported function, and
//! `function` that of every function of C's; `sized` reads structs of programs of another age. On
//! these stands one file for each thing that C has.
//!
//! Panics and cancels end in `guard`, foreign unwinding in `function`: nothing unwinds from Rust
//! into C, or from C into Rust.
#![expect(clippy::missing_safety_doc, reason = "the header's comments are the contract, once")]

// The order is that of the header.
pub mod version;

pub mod code;
pub mod failure;

pub mod function;
mod guard;
mod sized;

pub mod runtime;

mod job;

pub mod go;

pub mod call;

pub mod enter;

pub mod current;

pub mod chan;

pub mod mutex;

pub mod wait_group;

pub mod mailbox;

pub mod stats;
