//! Which M that sleeps is woken by the clock.
//!
//! # What the outside needs
//!
//! Timers lie in one heap per P. An M that is awake looks at them between two goroutines. When Ms
//! sleep, one of them, the *timekeeper*, does so with a timeout, until the earliest deadline of all
//! heaps; more would wake up together for one timer, none would miss it. One promise: **if all Ms
//! sleep, one of them sleeps until no later than the earliest deadline.** And a process without
//! timers makes no wake-ups.
//!
//! # The protocol
//!
//! One word: until when the timekeeper sleeps, or that there is none. Who puts a timer in does
//! nothing but that: it is a goroutine that is about to park, and its M, if it finds nothing to
//! run, comes by here.
//!
//! ```text
//! an M that is about to sleep                        an M that wakes up
//!   (its goroutines' timers are in the heaps)  Put     if it was the timekeeper:
//!   fence                                      F       say that there is none                    Quit
//!   read the heaps, then the word              Look    ... run goroutines; before it sleeps again,
//!   the word says "by then": sleep             Rely    or before its thread leaves or blocks:
//!   else exchange it for the earliest:                 fence, read the heaps, then the word      G, Again
//!     be the timekeeper, in place of the
//!     one there is
//! ```
//!
//! An M that leaves, or lends its thread to a goroutine that blocks it, calls
//! [`needs_keeper`](Timekeeper::needs_keeper) in place of `take_over`, and wakes another M to be
//! the timekeeper.
//!
//! # Why it holds
//!
//! Let an M Rely on the word of a timekeeper X. Either X sleeps still, and wakes in time. Or X Quit
//! since, and is awake, or came to G later. If F is before G in the order of the `SeqCst` fences, X
//! Again sees Put. If G is before F, then so is Quit, and Look reads Quit or a later word, which is
//! not X's: against Rely. An M that waits in the line for a P in place of coming to G does so while
//! all Ps are with Ms that are awake, and the dispatch's lock puts Quit before the G of the one
//! whose P it gets.
//!
//! The word is X's until X takes it away: only an earlier deadline replaces it. Who takes it away
//! compares it with its own, and may meet an equal one of somebody else who came after it was
//! replaced; then one M more than needed keeps the time for a while, which is harmless, and never
//! one fewer.
//!
//! Who runs a goroutine that does not come back keeps no time, if others sleep or not: that is for
//! the one who watches the Ms ([`until`](Timekeeper::until) tells it what is kept).
//!
//! # Rejected
//!
//! - Whoever puts in an earlier deadline wakes the timekeeper: 5 us here and 50 us there for each
//!   short sleep, so that another M learns what the own one is about to do anyway.
//! - Waking the timekeeper that is replaced, so that it sleeps on without a timeout: the same
//!   price, to save it from waking up once, at the deadline that it had.
//! - A thread that only keeps the time: each timer is then two thread switches away.

use gosched_runtime_sys::sync::primitive::{AtomicU64, Ordering, const_fn, fence, mutated};

use super::timers::NEVER;

/// Until when which M sleeps; see the head of this file.
#[derive(Debug)]
#[repr(align(128))]
pub(crate) struct Timekeeper {
    until: AtomicU64,
}

impl Timekeeper {
    const_fn! {
        /// Nobody keeps the time.
        pub(crate) fn new() -> Self {
            Self { until: AtomicU64::new(NEVER) }
        }
    }

    /// For an M that is about to sleep; `first` reads the heaps. With `Some` it is the timekeeper
    /// and sleeps until then, and calls [`step_down`](Self::step_down) when it wakes up. With
    /// `None` it sleeps without a timeout.
    pub(crate) fn take_over(&self, first: impl FnOnce() -> u64) -> Option<u64> {
        if !mutated("timekeeper.watch_unfenced") {
            // ORDERING[timekeeper.handshake]: after this M's timers, and after it quit, before it
            // looks at both. Partner are this fence in another M and the one in `needs_keeper`.
            fence(Ordering::SeqCst);
        }
        let first = first();
        let mut until = self.until.load(Ordering::Relaxed);
        while first < until {
            match self.until.compare_exchange(until, first, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return Some(first),
                Err(other) => until = other,
            }
        }
        None
    }

    /// The timekeeper that slept until `until` is awake.
    pub(crate) fn step_down(&self, until: u64) {
        if mutated("timekeeper.quit_forgotten") {
            return;
        }
        // If it is not its own any more, somebody who wakes earlier took over.
        let _replaced =
            self.until.compare_exchange(until, NEVER, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// For an M that goes without sleeping here: whether somebody has to be woken to keep the time.
    pub(crate) fn needs_keeper(&self, first: impl FnOnce() -> u64) -> bool {
        if !mutated("timekeeper.leaves_unfenced") {
            // ORDERING[timekeeper.handshake]: as in `take_over`, whose fence in another M is the
            // partner.
            fence(Ordering::SeqCst);
        }
        first() < self.until.load(Ordering::Relaxed)
    }

    /// Until when the timekeeper sleeps, [`NEVER`] if nobody keeps the time: later deadlines are
    /// kept, those before are not. A hint.
    pub(crate) fn until(&self) -> u64 {
        self.until.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::{NEVER, Timekeeper};

    #[test]
    fn an_earlier_deadline_takes_over_and_a_later_one_relies() {
        let keeper = Timekeeper::new();
        assert_eq!(keeper.take_over(|| NEVER), None, "without timers nobody keeps the time");
        assert_eq!(keeper.take_over(|| 20), Some(20));
        assert_eq!(keeper.take_over(|| 20), None);
        assert_eq!(keeper.take_over(|| 10), Some(10));
        keeper.step_down(20);
        assert_eq!(keeper.until(), 10, "the one that was replaced takes nothing away");
        keeper.step_down(10);
        assert_eq!(keeper.until(), NEVER);
        assert!(keeper.needs_keeper(|| 20));
        assert!(!keeper.needs_keeper(|| NEVER));
    }
}
