//! Loom models of this crate's protocols.

mod lock;
mod membarrier;
mod note;
mod parking;

/// Asserts that the model fails with this mistake in the code, and holds again without it.
#[cfg(gosched_mutants)]
fn is_caught(name: &'static str, model: fn()) {
    crate::sync::primitive::switch_on(name);
    let outcome = std::panic::catch_unwind(model);
    crate::sync::primitive::switch_on("");
    assert!(outcome.is_err(), "the model does not notice {name}");
}
