//! How long the oldest G of a queue has stood there, as seen by an M that may not take it yet.
//!
//! An M takes the head of another M's queue only when the head has a certain age
//! ([`may_take_head`](super::may_take_head)). A G does not say since when it is queued, so the M
//! compares two looks.
//!
//! Two looks at a long queue also say how long each of its Gs takes. An M that is slow with many
//! of them is helped without that age.

use super::{BACKLOG, SLOW_NS, STEAL_AGE_NS};

/// The oldest G of a queue, as seen by an M that may not take it yet.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct HeadAge {
    head: u32,
    /// When the head was first seen, in ns; 0: not at all.
    since: u64,
    /// Time in ns before which the head may not be taken, so there is no need to look.
    not_before: u64,
    pace: Pace,
}

/// How fast the M of a queue gets through it.
#[derive(Clone, Copy, Debug, Default)]
struct Pace {
    /// When the queue was looked at, in ns, and how many Gs were in it.
    looked: u64,
    len: usize,
    /// Between two looks the M took some, and [`SLOW_NS`] or more for each.
    slow: bool,
}

impl HeadAge {
    /// Records that the head is seen at `now`. True: for the first time.
    pub(crate) fn observe(&mut self, head: u32, now: u64) -> bool {
        self.observe_queue(head, 0, now)
    }

    /// Records that the head of a queue of `len` Gs is seen at `now`. True: for the first time.
    pub(crate) fn observe_queue(&mut self, head: u32, len: usize, now: u64) -> bool {
        self.pace.observe(len, now);
        let new = self.head != head || self.since == 0;
        if new {
            (self.head, self.since, self.not_before) = (head, now, 0);
        }
        new
    }

    /// Returns when the head was first seen.
    pub(crate) fn first_seen(&self) -> u64 {
        self.since
    }

    /// True if the M of the queue is slow, and has more than [`BACKLOG`] Gs to begin.
    pub(crate) fn is_behind(&self) -> bool {
        self.pace.slow && self.pace.len > BACKLOG
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
    pub(crate) fn take(&mut self) {
        // It is not the M of the queue that took this one.
        let pace = Pace { len: self.pace.len.saturating_sub(1), ..self.pace };
        *self = HeadAge { pace, ..HeadAge::default() };
    }

    /// Forgets all that was seen.
    pub(crate) fn clear(&mut self) {
        *self = HeadAge::default();
    }
}

impl Pace {
    /// Records that the queue has `len` Gs at `now`.
    fn observe(&mut self, len: usize, now: u64) {
        let (ns, taken) = (now.saturating_sub(self.looked), self.len.saturating_sub(len) as u64);
        // Long enough to tell, and not so long that the queue may have been another one meanwhile.
        if ns < STEAL_AGE_NS {
            if len > self.len {
                (self.looked, self.len) = (now, len);
            }
            return;
        }
        let tells = taken > 0 && ns < 10 * STEAL_AGE_NS;
        *self = Pace { looked: now, len, slow: tells && taken.saturating_mul(SLOW_NS) <= ns };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns whether an M with so many Gs, each of which takes `ns`, is seen to be behind after
    /// two looks.
    fn is_behind(len: usize, ns: u64) -> bool {
        let (mut age, began) = (HeadAge::default(), 1_000_000);
        age.observe_queue(7, len, began);
        assert!(!age.is_behind(), "one look says nothing");
        let taken = (STEAL_AGE_NS / ns) as usize;
        age.observe_queue(7, len - taken, began + STEAL_AGE_NS);
        age.is_behind()
    }

    #[test]
    fn who_is_slow_with_many_is_behind() {
        assert!(is_behind(1_000, 3_000) && is_behind(50, 9_000));
        assert!(!is_behind(1_000, 160), "it is fast");
        assert!(!is_behind(1_000, 1_000_000), "perhaps it still makes them: their age decides");
        assert!(!is_behind(20, 3_000), "these are few");
    }

    #[test]
    fn what_a_thief_takes_says_nothing_of_the_ms_pace() {
        let mut age = HeadAge::default();
        age.observe_queue(7, 100, 1_000_000);
        age.observe_queue(7, 97, 1_000_000 + STEAL_AGE_NS);
        assert!(age.is_behind());
        // 40 were taken by the thief and 3 by the M.
        (0..40).for_each(|_| age.take());
        age.observe_queue(8, 54, 1_000_000 + 2 * STEAL_AGE_NS);
        assert!(age.is_behind());
    }

    #[test]
    fn a_look_long_ago_says_nothing() {
        let mut age = HeadAge::default();
        age.observe_queue(7, 100, 1_000_000);
        age.observe_queue(7, 99, 1_000_000 + 10 * STEAL_AGE_NS);
        assert!(!age.is_behind());
    }
}
