//! The promises of the modes, checked: debug builds with the feature `check-promises` look at the
//! stack of a goroutine that begins what may suspend.
//!
//! `preempt_point`, `yield_now` and `no_wait::check` call [`at_wait`], so all waits pass it.
//! Without the feature, or without debug assertions, it is nothing. Where it is there, `walk` goes
//! over the frames of the goroutine, and `known` says which functions must not be among them.
//!
//! A warning has two stacks: that of the wait, and that on which the goroutine was made. Whoever
//! makes a goroutine takes the second by [`maker`], while it may still allocate.
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

use crate::gmp::current::Current;
use crate::gmp::g::G;
use crate::gmp::sched::Sched;

/// The stack of a goroutine's maker, where that is kept.
#[derive(Clone, Copy)]
pub(crate) struct Maker(#[cfg(all(feature = "check-promises", debug_assertions))] u64);

/// Returns the calling stack, for a goroutine that is about to be made in `sched`. `cx` is the
/// caller's place, if it has one. Allocates where promises are checked.
#[inline(always)]
#[cfg_attr(
    not(all(feature = "check-promises", debug_assertions)),
    expect(unused_variables, reason = "nothing is kept")
)]
pub(crate) fn maker(sched: &Sched, cx: Option<&Current>) -> Maker {
    Maker(
        #[cfg(all(feature = "check-promises", debug_assertions))]
        walk::stack_of_maker(sched, cx),
    )
}

impl Maker {
    /// Notes it in the new goroutine.
    #[inline(always)]
    #[cfg_attr(
        not(all(feature = "check-promises", debug_assertions)),
        expect(unused_variables, reason = "nothing is kept")
    )]
    pub(crate) fn made(self, g: &G) {
        #[cfg(all(feature = "check-promises", debug_assertions))]
        g.set_made_on(self.0);
    }
}

/// Looks whether the calling goroutine may suspend here, if its runtime was built to check that.
/// Warns if not.
#[inline(always)]
pub(crate) fn at_wait() {
    #[cfg(all(feature = "check-promises", debug_assertions))]
    walk::at_wait();
}
