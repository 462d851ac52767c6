//! The auto traits of the types that are behind features; `tests/auto_traits.rs` has the others,
//! and the list of these.

use std::panic::{RefUnwindSafe, UnwindSafe};

fn all<T: Send + Sync + Unpin + UnwindSafe + RefUnwindSafe>() {}
fn moves<T: Send + Sync + Unpin>() {}

#[test]
fn they_have_what_they_should() {
    all::<gosched::CarrySpans>();
    // A subscriber is the user's, and need not be unwind-safe.
    moves::<gosched::CarriedSpans>();
}
