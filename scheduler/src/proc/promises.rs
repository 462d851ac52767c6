//! The promises of the modes, checked: debug builds with the feature `check-promises` look at the
//! stack of a goroutine that begins what may suspend.
//!
//! `preempt_point`, `yield_now` and `no_wait::check` call [`at_wait`], so all waits pass it.
//! Without the feature, or without debug assertions, it is nothing. Where it is there, `walk` goes
//! over the frames of the goroutine, and `known` says which functions must not be among them.
//!
//! # Why at each operation
//!
//! An operation that could suspend is looked at whether it does so or not. So one run finds a wait
//! that would need two goroutines and bad luck to do harm.
//!
//! # Rejected
//!
//! - Looking at what the runtime's own switches see (`Builder::carry`): a wait is linked there, and
//!   a warning is the user's code.
//! - Hooking the functions that are known: they belong to others, and are inlined.

#[cfg(all(feature = "check-promises", debug_assertions))]
mod known;
#[cfg(all(feature = "check-promises", debug_assertions))]
mod walk;

/// Looks whether the calling goroutine may suspend here, if its runtime was built to check that.
/// Warns if not.
#[inline(always)]
pub(crate) fn at_wait() {
    #[cfg(all(feature = "check-promises", debug_assertions))]
    walk::at_wait();
}
