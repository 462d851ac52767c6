//! When the oldest G that has not started goes before newer ones.
//!
//! A P starts its newest first: a tree of spawns is then run depth first, on one stack for each
//! level. So what lies at the bottom waits for as long as newer ones come. Some of it goes first
//! now and then; but only what has waited for a while, since in a tree that is the other half of
//! all there is to do, and an M that begins it leaves its path unfinished. Where one in 61 rounds
//! began with the oldest, however young, hundreds of goroutines of a tree of depth 16 waited at a
//! time.
//!
//! Nobody notes when a G was queued. What is noted is how many there were at some moment: once that
//! is long enough ago, so many of the oldest have waited for as long, or fewer, if the newest of
//! them were started meanwhile.

/// How long. As long as a goroutine that computes may take at a time
/// ([`SLICE_NS`](super::retake::SLICE_NS)): who waits behind one of those waits for as long.
pub(crate) const OLDEST_WAITS_NS: u64 = 10_000_000;

/// What is known of the Gs in a P's queue.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Oldest {
    since: u64,
    /// How many of those that were there then may still be.
    left: usize,
}

impl Oldest {
    /// A look at the queue, which holds `queued`. Whether the oldest goes first.
    pub(crate) fn is_due(&mut self, queued: usize, now: u64) -> bool {
        self.left = self.left.min(queued);
        if self.left == 0 {
            *self = Self { since: now, left: queued };
            return false;
        }
        now.saturating_sub(self.since) >= OLDEST_WAITS_NS
    }

    /// It was taken.
    pub(crate) fn went_first(&mut self) {
        self.left = self.left.saturating_sub(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_was_there_for_long_goes_first_and_who_came_since_does_not() {
        let mut oldest = Oldest::default();
        assert!(!oldest.is_due(3, 1));
        assert!(!oldest.is_due(9, OLDEST_WAITS_NS));
        for queued in [9, 8, 7] {
            assert!(oldest.is_due(queued, 1 + OLDEST_WAITS_NS));
            oldest.went_first();
        }
        assert!(!oldest.is_due(6, 1 + OLDEST_WAITS_NS), "the six came later");
        assert!(oldest.is_due(6, 1 + 2 * OLDEST_WAITS_NS));
    }

    #[test]
    fn what_is_gone_is_not_waited_for() {
        let mut oldest = Oldest::default();
        assert!(!oldest.is_due(5, 0));
        assert!(!oldest.is_due(0, 1), "the newest went, down to the last");
        assert!(!oldest.is_due(5, OLDEST_WAITS_NS), "these are others");
        assert!(oldest.is_due(1, 2 * OLDEST_WAITS_NS));
    }

    /// However many come, and whoever starts the newest meanwhile: who is the oldest of `n` goes
    /// first within `n` looks and twice the time.
    #[test]
    fn a_flood_of_newer_ones_keeps_nobody_for_good() {
        let (mut oldest, mut now, mut before_it, look_ns) = (Oldest::default(), 0, 100, 10_000);
        while before_it > 0 {
            if oldest.is_due(1_000, now) {
                oldest.went_first();
                before_it -= 1;
            }
            now += look_ns;
        }
        assert!(now <= 2 * OLDEST_WAITS_NS + 101 * look_ns, "{now} ns");
    }
}
