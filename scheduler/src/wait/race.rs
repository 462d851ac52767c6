//! The claim word of a select: of all its nodes, in as many lists under as many locks, one is
//! served.
//!
//! A waker that would serve a node of the select, under the lock of that node's list, must first
//! win the race for that node's case. An owner that gives the wait up must win the race, too. All
//! do it by one compare-exchange on one word, so one of them wins, and values move only after that.
//! A waker that lost drops the node from its list and looks at the next node. An owner that lost
//! waits for the winner's `done`.
//!
//! The word carries a number and nothing else. The node's `done` publishes what the winner did to
//! the slot, and the locks make the nodes reachable at all. So every access is `Relaxed`.
//!
//! # Safety
//!
//! A ticket points to a race in the owner's frame, and lies in a node that is on a list. The owner
//! leaves the frame only after it took the lock of every such list and found its node off it.

#![expect(unsafe_code, reason = "a node points to the race of its select")]

use gosched_runtime_sys::sync::primitive::{AtomicUsize, Ordering, mutated};
use std::ptr::NonNull;

const OPEN: usize = 0;
const GIVEN_UP: usize = 1;
/// What is added to a case's index, so that it differs from the two values above.
const FIRST: usize = 2;

/// The claim word, in the frame of the select.
#[derive(Debug)]
pub(crate) struct Race(AtomicUsize);

/// One case's entry in a race.
#[derive(Clone, Copy)]
pub(super) struct Ticket {
    race: NonNull<Race>,
    case: usize,
}

// SAFETY: any thread follows the pointer only under the lock of the list that its node is on; the
// word is an atomic.
unsafe impl Send for Ticket {}

impl Race {
    pub(crate) fn new() -> Self {
        Self(AtomicUsize::new(OPEN))
    }

    /// Returns the entry of the `case`th case. The caller keeps the race in place while the entry
    /// is used.
    pub(super) fn ticket(&self, case: usize) -> Ticket {
        Ticket { race: self.into(), case }
    }

    /// Gives the wait up, by the owner. False: a waker won before.
    pub(crate) fn give_up(&self) -> bool {
        self.take(GIVEN_UP)
    }

    /// Returns the case that won.
    pub(crate) fn winner(&self) -> Option<usize> {
        self.0.load(Ordering::Relaxed).checked_sub(FIRST)
    }

    fn take(&self, value: usize) -> bool {
        if mutated("race.claim_by_store") {
            let open = self.0.load(Ordering::Relaxed) == OPEN;
            self.0.store(value, Ordering::Relaxed);
            return open;
        }
        self.0.compare_exchange(OPEN, value, Ordering::Relaxed, Ordering::Relaxed).is_ok()
            || mutated("race.claim_regardless")
    }
}

impl Ticket {
    fn race(&self) -> &Race {
        // SAFETY: the contract of `CaseNode::wait`. The callers have the node on a list, or just
        // took it off, and hold the lock that the owner must take before it may leave.
        unsafe { self.race.as_ref() }
    }

    /// True if a waker with the list's lock may serve the node.
    pub(super) fn win(self) -> bool {
        self.race().take(self.case + FIRST)
    }

    /// True if nobody has won yet.
    pub(super) fn is_open(self) -> bool {
        self.race().0.load(Ordering::Relaxed) == OPEN
    }
}
