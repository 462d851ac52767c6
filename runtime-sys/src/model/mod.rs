//! Loom models of this crate's protocols.

mod note;
