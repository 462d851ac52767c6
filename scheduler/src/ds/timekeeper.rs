//! Which sleeping M is woken by the clock.
//!
//! # What the outside needs
//!
//! Timers lie in one heap per P. An M that is awake looks at them between two goroutines. When Ms
//! sleep, one of them, the *timekeeper*, sleeps with a timeout, until the earliest deadline of all
//! heaps. If more Ms did, they would wake up together for one timer; none would miss it. One
//! promise: **if all Ms sleep, one of them sleeps until no later than the earliest deadline.** And
//! a process without timers makes no wake-ups. A deadline is here what the caller says: with a
//! slack it is a little later than that of the first timer.
//!
//! # The protocol
//!
//! One word: until when the timekeeper sleeps, or that there is none. To put a timer in takes
//! nothing else: the caller is a goroutine that is about to park, and its M, if it finds nothing to
//! run, follows this protocol before it sleeps.
//!
//! ```text
//! an M that is about to sleep                        an M that wakes up
//!   (its goroutines' timers are in the heaps)  Put     if it was the timekeeper:
//!   fence                                      F         say that there is none           Quit
//!   read the heaps, then the word              Look    ... run goroutines; before it sleeps again,
//!   the word says "by then": sleep             Rely    or before its thread leaves or blocks:
//!   else exchange it for the earliest:                   fence                            G
//!     be the timekeeper, in place of the                 read the heaps, then the word    Again
//!     one there is
//! ```
//!
//! An M that leaves, or lends its thread to a goroutine that blocks it, calls
//! [`needs_keeper`](Timekeeper::needs_keeper) in place of `take_over`, and wakes another M to be
//! the timekeeper.
//!
//! # Why it holds
//!
//! Let an M Rely on the word of a timekeeper X. Either X sleeps still, and wakes in time; or X Quit
//! since, and is awake, or came to G later. If F is before G in the order of the `SeqCst` fences, X
//! Again sees Put. If G is before F, then Quit is before F too, and Look reads Quit or a later
//! word, which is not X's: against Rely. An M may wait in the line for a P instead of coming to G.
//! It does so only while all Ps are with Ms that are awake. The dispatch's lock then puts Quit
//! before the G of the M whose P it gets.
//!
//! The word is X's until X clears it: only an earlier deadline replaces it. `step_down` clears the
//! word if it holds X's deadline. Another M may have replaced X and stepped down, and a third may
//! have stored a deadline equal to X's since. Then `step_down` clears that M's word; that M still
//! keeps time, although the word says that no M does. So one M more than needed may keep the time
//! for a while, which is harmless; there is never one too few.
//!
//! An M whose goroutine never returns to the scheduler keeps no time, whether others sleep or not.
//! Sysmon fires the deadlines that no sleeping M keeps ([`until`](Timekeeper::until) tells it which
//! are kept).
//!
//! # Rejected
//!
//! - A wake-up of the timekeeper by each goroutine that puts in an earlier deadline: 5 us here and
//!   50 us there for each short sleep, so that another M learns what the own M is about to do
//!   anyway.
//! - A wake-up of the timekeeper that is replaced, so that it sleeps on without a timeout: the same
//!   price, to save it from waking up once, at the deadline that it had.
//! - A thread that only keeps the time: each timer is then two thread switches away.

use gosched_runtime_sys::sync::primitive::{AtomicU64, Ordering, const_fn, fence, mutated};

use super::timers::NEVER;

/// Until when the timekeeper sleeps; see the head of this file.
#[derive(Debug)]
#[repr(align(128))]
pub(crate) struct Timekeeper {
    until: AtomicU64,
}

impl Timekeeper {
    const_fn! {
        /// No M keeps the time.
        pub(crate) fn new() -> Self {
            Self { until: AtomicU64::new(NEVER) }
        }
    }

    /// Makes the caller, an M that is about to sleep, the timekeeper if its deadline is the
    /// earliest. `first` reads the heaps.
    ///
    /// With `Some` the M is the timekeeper and sleeps until then, and calls
    /// [`step_down`](Self::step_down) when it wakes up. With `None` it sleeps without a timeout.
    pub(crate) fn take_over(&self, first: impl FnOnce() -> u64) -> Option<u64> {
        if !mutated("timekeeper.take_over_unfenced") {
            // ORDERING[timekeeper.handshake]: after this M put its timers in, and after it stepped
            // down, and before it looks at both. Partners are this fence in another M and the one
            // in `needs_keeper`.
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

    /// Says that the timekeeper that slept until `until` is awake.
    pub(crate) fn step_down(&self, until: u64) {
        if mutated("timekeeper.step_down_forgotten") {
            return;
        }
        // If the word is not this M's any more, an M that wakes earlier took over.
        let _replaced =
            self.until.compare_exchange(until, NEVER, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// True if another M has to be woken to keep the time; for an M that leaves without sleeping
    /// here.
    pub(crate) fn needs_keeper(&self, first: impl FnOnce() -> u64) -> bool {
        if !mutated("timekeeper.leaves_unfenced") {
            // ORDERING[timekeeper.handshake]: as in `take_over`, whose fence in another M is the
            // partner.
            fence(Ordering::SeqCst);
        }
        first() < self.until.load(Ordering::Relaxed)
    }

    /// Returns until when the timekeeper sleeps, [`NEVER`] if no M keeps the time. Later deadlines
    /// are kept, earlier ones are not. A hint.
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
