//! How long Gs that wake each other go before the others of their M.
//!
//! A woken G runs next, since what it was handed is in the cache. Two Gs that wake each other so
//! keep their M, and a *chain* of such wakes has to end for the others. A fixed number of wakes is
//! no fair end: beside a pair whose turns take 3 ms, a pair with turns of 100 ns had a thousandth
//! of the time. A fixed time is none either: with a thousand pairs on one M, each waits for all
//! the others.
//!
//! So a chain lasts three quarters as long as the slices of its M lasted on average, and [`LEAST`]
//! wakes at least. Short turns on all sides keep all chains short. One chain beside one that takes
//! long has three fifths of its time, and all chains together [`ROUND_NS`] at most in a round. The
//! M itself looks at the clock, once in [`LOOK`] wakes. Sysmon ends a chain after [`CHAIN_NS`], so
//! that no third G waits for two long ones.
//!
//! Not as long as the average, since chains are slices, too: a hundred pairs then kept each other's
//! chains at a millisecond, long after the one that had taken so long had ended.
//!
//! Rejected: to keep, for each G in the queue, how long it ran. That takes the clock at each
//! switch, 25 ns beside a switch of 13.

/// Wakes between two looks at the clock: a hundredth of the time of the shortest turns.
const LOOK: u32 = 32;
/// Wakes in a row with which a chain may end.
const LEAST: u32 = 2 * LOOK;

/// How many turns of all that wait are measured at a time.
const ROUNDS: u64 = 4;

/// Time in ns that all chains of an M have at most, with [`LEAST`] wakes each at least, until each
/// of the others has had its turn.
const ROUND_NS: u64 = 4_000_000;

/// Time in ns after which sysmon asks a chain to end.
pub(crate) const CHAIN_NS: u64 = 1_000_000;

/// What the M sees when it looks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Look {
    /// How many Gs wait.
    pub(crate) others: usize,
    /// How many slices have begun on the M so far. The count wraps around.
    pub(crate) slices: u32,
    pub(crate) now: u64,
}

/// The chain of wakes that an M follows.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Chain {
    /// How many Gs in a row were woken by the one before.
    wakes: u32,
    /// When the M looked last, in ns.
    looked: u64,
    /// When the chain ends, if it has [`LEAST`] wakes.
    ends: u64,
    /// When the time began in which slices are counted, and what their number was; 0: it has not.
    since: (u64, u32),
    /// How long a slice took on average in such a time.
    mean_ns: u64,
}

impl Chain {
    /// Adds the G that was just woken. False if the chain ends before it.
    #[inline]
    pub(crate) fn extend(&mut self, look: impl FnOnce() -> Look) -> bool {
        if self.wakes % LOOK != LOOK - 1 {
            self.wakes += 1;
            return true;
        }
        self.goes_beyond(look())
    }

    #[cold]
    fn goes_beyond(&mut self, look: Look) -> bool {
        if look.others == 0 {
            // There is nobody to be fair to.
            *self = Self::default();
            return false;
        }
        let last = std::mem::replace(&mut self.looked, look.now);
        self.wakes += 1;
        if self.wakes < LEAST {
            return true;
        }
        let step = look.now.saturating_sub(last);
        if self.wakes == LEAST {
            self.measure(look);
            // The chain began about a step before its first look.
            let most = ROUND_NS / (look.others as u64 + 1);
            self.ends = last.saturating_sub(step) + most.min(self.mean_ns / 4 * 3);
        }
        let goes_on = look.now + step <= self.ends;
        if !goes_on {
            self.wakes = 0;
        }
        goes_on
    }

    /// Measures how long a slice takes, over some turns of all that wait.
    fn measure(&mut self, look: Look) {
        let (since, first) = self.since;
        let slices = look.slices.wrapping_sub(first);
        let enough = ROUNDS.saturating_mul(look.others as u64 + 1);
        if since > 0 && u64::from(slices) < enough {
            return;
        }
        if since > 0 {
            self.mean_ns = look.now.saturating_sub(since) / u64::from(slices);
        }
        self.since = (look.now, look.slices);
    }

    /// Ends the chain: a G is next that the one before has not woken.
    #[inline]
    pub(crate) fn end(&mut self) {
        self.wakes = 0;
    }

    /// Notes that the M has nothing to run. The time until it has is nobody's slice.
    pub(crate) fn rest(&mut self) {
        *self = Self::default();
    }

    /// Notes that the M has just been without its P for `ns`. That time is nobody's slice either.
    pub(crate) fn skip(&mut self, ns: u64) {
        self.looked += ns;
        self.ends += ns;
        if self.since.0 > 0 {
            self.since.0 += ns;
        }
    }

    /// True if the G that was taken last was woken by the one before it.
    #[inline]
    pub(crate) fn goes_on(&self) -> bool {
        self.wakes > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An M with its chain, the time and the number of slices.
    #[derive(Default)]
    struct World {
        chain: Chain,
        now: u64,
        slices: u32,
    }

    impl World {
        /// Follows a chain of turns of `turn` ns. Returns how many there were.
        fn follow(&mut self, turn: u64, others: usize) -> u32 {
            let mut turns = 1;
            self.begin(turn);
            let look = |world: &Self| Look { others, slices: world.slices, now: world.now };
            while let seen = look(self)
                && self.chain.extend(|| seen)
            {
                self.now += turn;
                turns += 1;
            }
            turns
        }

        /// One turn of a G that was not woken by the one before.
        fn begin(&mut self, turn: u64) {
            self.chain.end();
            self.slices = self.slices.wrapping_add(1);
            self.now += turn;
        }
    }

    #[test]
    fn alone_and_beside_short_turns_a_chain_is_short() {
        let mut world = World::default();
        for _ in 0..100 {
            assert_eq!(world.follow(100, 0), LOOK);
            assert!(!world.chain.goes_on());
        }
        for _ in 0..1000 {
            let turns = world.follow(100, 1);
            assert!(turns <= LEAST, "{turns}");
            world.begin(100);
        }
    }

    #[test]
    fn two_chains_share_the_time_whatever_their_turns() {
        for (short, long) in [(100, 10_000), (100, 20_000), (50, 50), (1_000, 3_000)] {
            let mut world = World { slices: u32::MAX - 10, ..World::default() };
            let (mut of_short, mut of_long) = (0, 0);
            for _ in 0..200 {
                of_short += u64::from(world.follow(short, 1)) * short;
                of_long += u64::from(world.follow(long, 1)) * long;
            }
            assert!(of_long / of_short < 4 && of_short / of_long < 4, "{of_short} {of_long}");
            let bound = 400 * u64::from(LEAST + LOOK) * long;
            assert!(world.now < bound, "they egg each other on: {}", world.now);
        }
    }

    #[test]
    fn one_that_computes_in_pieces_gets_no_more_than_a_chain() {
        let mut world = World::default();
        let mut of_chain = 0;
        for _ in 0..100 {
            world.begin(3_000_000);
            of_chain += u64::from(world.follow(100, 1)) * 100;
        }
        assert!(of_chain > 90_000_000, "{of_chain} of 300 ms");
    }

    #[test]
    fn chains_do_not_keep_each_other_long_when_what_took_long_has_ended() {
        let mut world = World::default();
        for _ in 0..20 {
            world.begin(30_000_000);
            let began = world.now;
            (0..100).for_each(|_| _ = world.follow(100, 100));
            assert!(world.now - began <= ROUND_NS, "{} ns of chains", world.now - began);
        }
        for _ in 0..4_000 {
            world.follow(100, 99);
        }
        for _ in 0..100 {
            let turns = world.follow(100, 99);
            assert!(turns <= LEAST, "{turns}");
        }
    }

    #[test]
    fn many_chains_do_not_make_each_other_longer() {
        let mut world = World::default();
        for _ in 0..100_000 {
            let turns = world.follow(100, 99);
            assert!(turns <= LEAST, "{turns}");
        }
    }

    #[test]
    fn what_others_run_with_the_p_is_no_slice() {
        let mut world = World::default();
        for _ in 0..10_000 {
            let turns = world.follow(100, 40);
            assert!(turns <= LEAST, "{turns}");
            world.now += 250_000;
            world.chain.skip(250_000);
        }
    }

    #[test]
    fn who_has_rested_begins_anew() {
        let mut world = World::default();
        for _ in 0..100 {
            world.begin(3_000_000);
            world.follow(100, 1);
        }
        assert!(world.follow(100, 1) > LEAST);
        world.chain.rest();
        assert!(world.follow(100, 1) <= LEAST);
    }
}
