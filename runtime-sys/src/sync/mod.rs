//! How threads wait for each other, and the one seam between std and loom.
//!
//! | module | what it holds |
//! |---|---|
//! | [`primitive`] | the atomics, cells and the futex of every modelled protocol; loom's in a model |
//! | [`lock`] | the mutex of the scheduler |
//! | [`held`] | in debug builds: whether the calling thread holds one |
//! | [`note`] | one thread sleeps until another wakes it |
//! | [`futex`], [`membarrier`] | the two calls of the system that these are built on |
//!
//! What may enter: a way to block or to order memory that knows no G, M or P and that a model can
//! run. A protocol of the scheduler belongs to `scheduler/src/ds`. Begin with `note.rs`: it is the
//! smallest protocol, and its model is `model/note.rs`.

pub mod futex;
pub mod held;
pub mod lock;
pub mod membarrier;
pub mod note;
pub mod primitive;
