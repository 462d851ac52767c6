//! The threads of a runtime that may wake a goroutine and are no M of the dispatch, and how many of
//! them, and of the Ms, wait in place.
//!
//! An *agent* is a thread that runs goroutines or acts for one. The dispatch knows which Ms sleep;
//! this word knows the rest: agents that are no M, and agents of either kind whose thread sleeps
//! in place of its goroutine, without a time limit. The runtime stands still if every agent sleeps
//! or is parked here, because a goroutine is woken by an agent or from outside.
//!
//! # The protocol
//!
//! ```text
//! an agent that parks                       its waker, an agent itself or outside
//!   commit on the park word                   claim
//!   park: one more                            unpark: one fewer
//!   look: do all sleep?                       let the agent go on
//! ```
//!
//! **Property.** (1) If `look` finds all of them parked, all of them are. (2) If all agents park
//! and nobody wakes one, the look of one of them finds it.
//!
//! **Proof sketch.** All changes are read-modify-writes of one word, so they have one order. An
//! agent counts itself after its commit, and its waker takes that back before the agent goes on. So
//! a running agent never counts as parked: the number may be too small for a moment, if the waker
//! was faster, and is never too large. That is (1). The agent whose `park` comes last in the order
//! looks after it, and reads that change or a later one: (2).
//!
//! The upper part counts changes. A reader that finds the same word twice knows that nothing
//! changed in between, unless there were 2^20 changes.

use gosched_runtime_sys::sync::primitive::{AtomicU64, Ordering, mutated};

/// Bits of each of the two numbers. Linux has at most 2^22 threads.
const BITS: u32 = 22;
const MASK: u64 = (1 << BITS) - 1;
/// One more change.
const CHANGE: u64 = 1 << (2 * BITS);
const ONE_PARKED: u64 = 1;
const ONE_THREAD: u64 = 1 << BITS;

/// See the file's head.
#[derive(Debug)]
pub(crate) struct Agents(AtomicU64);

/// The word as one look saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Look(u64);

impl Agents {
    pub(crate) fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// Counts an agent that is no M. Called before it may run, by an agent or from outside.
    pub(crate) fn add(&self) {
        self.change(ONE_THREAD);
    }

    /// Uncounts such an agent, which wakes nobody from here on. The caller then looks.
    pub(crate) fn remove(&self) {
        self.change(0_u64.wrapping_sub(ONE_THREAD));
    }

    /// Counts the calling agent as parked. It has committed, and then looks.
    pub(crate) fn park(&self) {
        self.change(ONE_PARKED);
    }

    /// Uncounts a parked agent. Called by the claimer of its goroutine, before the agent may go on.
    pub(crate) fn unpark(&self) {
        if mutated("agents.unpark_forgotten") {
            return;
        }
        self.change(0_u64.wrapping_sub(ONE_PARKED));
    }

    fn change(&self, by: u64) {
        if mutated("agents.change_lost") {
            let before = self.0.load(Ordering::Acquire);
            return self.0.store(before.wrapping_add(by).wrapping_add(CHANGE), Ordering::Release);
        }
        // ORDERING[agents.word]: pairs with the load in `look`: a reader that finds an agent parked
        // sees what it did before.
        let _before = self.0.fetch_add(by.wrapping_add(CHANGE), Ordering::AcqRel);
    }

    /// Returns the word.
    pub(crate) fn look(&self) -> Look {
        // ORDERING[agents.word]: pairs with the changes.
        Look(self.0.load(Ordering::Acquire))
    }
}

impl Look {
    /// Returns how many agents are parked. Modulo 2^22: a waker may be faster than the count.
    pub(crate) fn parked(self) -> u64 {
        self.0 & MASK
    }

    /// Returns how many agents are no M.
    pub(crate) fn threads(self) -> u64 {
        self.0 >> BITS & MASK
    }

    /// True if the agents that are no M, and `awake` Ms, are all parked.
    pub(crate) fn all_parked(self, awake: u64) -> bool {
        self.parked() == self.threads() + awake
    }
}
