//! How long the oldest G of a queue has stood there, as seen by an M that may not take it yet.
//!
//! An M takes the head of another M's queue only when the head has a certain age
//! ([`may_take_head`](super::may_take_head)). A G does not say since when it is queued, so the M
//! compares two looks.

/// The oldest G of a queue, as seen by an M that may not take it yet.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct HeadAge {
    head: u32,
    /// When the head was first seen, in ns; 0: not at all.
    since: u64,
    /// Time in ns before which the head may not be taken, so there is no need to look.
    not_before: u64,
}

impl HeadAge {
    /// Records that the head is seen at `now`. True: for the first time.
    pub(crate) fn observe(&mut self, head: u32, now: u64) -> bool {
        let new = self.head != head || self.since == 0;
        if new {
            *self = HeadAge { head, since: now, not_before: 0 };
        }
        new
    }

    /// Returns when the head was first seen.
    pub(crate) fn first_seen(&self) -> u64 {
        self.since
    }

    /// Notes that the head may not be taken before `ns` have passed since it was first seen.
    pub(crate) fn hold_for(&mut self, ns: u64) {
        self.not_before = self.since + ns;
    }

    /// True if the head is known to be too young.
    pub(crate) fn is_too_young(&self, now: u64) -> bool {
        now < self.not_before
    }

    /// Forgets the head, which is taken: the next head is another G.
    pub(crate) fn clear(&mut self) {
        *self = HeadAge::default();
    }
}
