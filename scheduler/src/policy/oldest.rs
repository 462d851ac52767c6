//! When the oldest unstarted G goes before newer ones.
//!
//! A P starts its newest G first: a tree of spawns then runs depth first, with one stack for each
//! level. So the Gs at the bottom of the queue wait as long as newer ones come. Now and then some
//! of them go first, but only those that have waited for a while. In a tree the oldest G is the
//! other half of all there is to do, and an M that begins it leaves its path unfinished. Where one
//! in 61 rounds began with the oldest G, however young, hundreds of goroutines of a tree of depth
//! 16 waited at a time.
//!
//! No G notes when it was queued. Noted is how many Gs there were at some moment. Once that moment
//! is long enough ago, that many of the oldest Gs have waited for as long; or fewer, if the newest
//! of them were started meanwhile.

/// Time in ns after which the oldest unstarted G goes before newer ones.
pub(crate) const OLDEST_WAITS_NS: u64 = 10_000_000;

/// What is known of the ages of the Gs in a P's queue.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Oldest {
    since: u64,
    /// How many of the Gs that were there at `since` may still be there.
    left: usize,
}

impl Oldest {
    /// Records a look at the queue, which holds `queued` Gs. True if the oldest goes first.
    pub(crate) fn is_due(&mut self, queued: usize, now: u64) -> bool {
        self.left = self.left.min(queued);
        if self.left == 0 {
            *self = Self { since: now, left: queued };
            return false;
        }
        now.saturating_sub(self.since) >= OLDEST_WAITS_NS
    }

    /// Records that the oldest was taken.
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

    /// However many Gs come, and whichever M starts the newest meanwhile: the oldest of `n` Gs goes
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
