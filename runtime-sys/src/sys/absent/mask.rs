//! The calling thread's signal mask, on a system without signals: nothing is ever blocked.

use std::ffi::c_int;

/// The signals that are open in every thread that this crate makes: none exist.
pub const OPEN_SIGNALS: [c_int; 0] = [];

/// A set of blocked signals: always empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignalMask(());

impl SignalMask {
    /// Blocks nothing.
    #[must_use = "the mask before is the only way back"]
    pub fn block_all() -> Self {
        Self(())
    }

    /// Returns the empty mask.
    pub fn current() -> Self {
        Self(())
    }

    /// Changes nothing.
    pub fn restore(&self) {}

    /// Returns the empty mask.
    #[must_use]
    pub fn without(&self, _signals: &[c_int]) -> Self {
        *self
    }

    /// Changes nothing.
    pub fn unblock(_signals: &[c_int]) {}

    /// Changes nothing.
    pub fn block(_signal: c_int) {}

    /// False.
    pub fn contains(&self, _signal: c_int) -> bool {
        false
    }
}
