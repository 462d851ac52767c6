//! More of what a builder may be told.

use super::Builder;
use crate::carry::Carry;
use crate::mode::Deadlock;

impl Builder {
    /// What is done when all goroutines wait, and nothing in the runtime is left that could wake
    /// one. Unless set: [`Deadlock::Report`].
    ///
    /// Nothing is noticed in [`Mode::threads`](crate::Mode::threads), nor while a goroutine waits
    /// that keeps its thread to itself (in a callback nested in it, or while it panics).
    #[must_use]
    pub fn deadlock(mut self, deadlock: Deadlock) -> Self {
        self.deadlock = deadlock;
        self
    }

    /// Has goroutines carry context along that lives in thread-locals; see [`Carry`]. What was
    /// registered first is taken first and put back last.
    #[must_use]
    pub fn carry(mut self, carry: impl Carry) -> Self {
        self.carried.push(carry);
        self
    }
}
