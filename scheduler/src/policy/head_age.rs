//! How long the oldest G of a queue has stood there, as an M saw it that may not take it yet.
//!
//! An M takes the head of another's queue only when the head has a certain age
//! ([`may_take_head`](super::may_take_head)). The M cannot ask a G since when it is queued: it
//! compares two looks.

/// The oldest G of a queue, as an M saw it that may not take it yet.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct HeadAge {
    head: u32,
    /// When first; 0: not at all.
    since: u64,
    /// Before this nothing is to be had there, so there is no need to look.
    not_before: u64,
}

impl HeadAge {
    /// It is seen at `now`. True: for the first time.
    pub(crate) fn observe(&mut self, head: u32, now: u64) -> bool {
        let new = self.head != head || self.since == 0;
        if new {
            *self = HeadAge { head, since: now, not_before: 0 };
        }
        new
    }

    /// When it was seen first.
    pub(crate) fn first_seen(&self) -> u64 {
        self.since
    }

    /// It is too early to take it, and will be for so long at least.
    pub(crate) fn hold_for(&mut self, ns: u64) {
        self.not_before = self.since + ns;
    }

    /// Whether it is known to be too early.
    pub(crate) fn is_too_young(&self, now: u64) -> bool {
        now < self.not_before
    }

    /// It is taken, so whatever is seen next is another one.
    pub(crate) fn clear(&mut self) {
        *self = HeadAge::default();
    }
}
