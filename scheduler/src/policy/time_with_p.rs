//! How long an M keeps its P while others stand in the line for one.
//!
//! An M with ready Gs gives way after [`GIVE_WAY_NS`]. It can do so only between two rounds, so the
//! turn of an M whose Gs run for 5 ms at a time lasts 5 ms. With a fixed time for the others, two
//! Gs that wake each other every microsecond had a fortieth of the time of two on another M that
//! compute for 5 ms in between.
//!
//! So a turn lasts three quarters as long as the turns of the others lasted on average. The M knows
//! that average from its own wait in the line. Not as long as the average, so that long turns do
//! not stay long when what made them so has ended: see [`chain`](super::chain), where Gs of one M
//! share its time by the same rule. And not so long that all who stand in the line wait for more
//! than [`ROUND_NS`] because of turns that were made longer.
//!
//! The M reads the clock in each round. While [`GLOBAL_INTERVAL`] such rounds would pass within
//! [`GIVE_WAY_NS`], it doubles the number of rounds to the next reading, up to that number. A fixed
//! 61 rounds of goroutines that compute for 3 ms made the line wait for 370 ms. 61 rounds after one
//! short round, where short and long rounds alternate, made it wait for 96 ms.
//!
//! Rejected: a turn that begins with the first reading of the clock. A turn of long rounds then
//! takes one more than it has to, so each turn of two Gs that compute for 5 ms took 10 ms.

use super::GLOBAL_INTERVAL;

/// Time in ns after which an M with ready work gives way to the line.
pub(crate) const GIVE_WAY_NS: u64 = 250_000;

/// Time in ns in which each M that stands in the line has a turn, as far as turns that are longer
/// than [`GIVE_WAY_NS`] decide.
const ROUND_NS: u64 = 4_000_000;

/// How an M came to the turn that it has.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Waited {
    /// How long it stood in the line, in ns.
    pub(crate) ns: u64,
    /// How many others stand there now.
    pub(crate) others: usize,
    pub(crate) procs: usize,
}

impl Waited {
    /// Returns how long the turn lasts.
    fn turn_ns(self) -> u64 {
        let (others, procs) = (self.others.max(1) as u64, self.procs as u64);
        let mean_ns = self.ns.saturating_mul(procs) / others;
        let most = ROUND_NS.min(ROUND_NS * procs / (others + 1));
        (mean_ns / 4 * 3).min(most).max(GIVE_WAY_NS)
    }
}

/// How long an M has had its P while others stand in the line.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TimeWithP {
    since: u64,
    lasts: u64,
    read: u64,
    tick: u32,
    rounds: u32,
}

impl TimeWithP {
    /// The turn of an M that has just waited for its P. Round `tick` comes next.
    pub(crate) fn after_wait(waited: Waited, tick: u32, now: u64) -> TimeWithP {
        TimeWithP { since: now, lasts: waited.turn_ns(), read: now, tick, rounds: 1 }
    }

    /// True if the clock is to be read in round `tick`.
    pub(crate) fn wants_clock(turn: Option<TimeWithP>, tick: u32) -> bool {
        turn.is_none_or(|turn| tick.wrapping_sub(turn.tick) >= turn.rounds)
    }

    /// Returns what is known after a reading in round `tick`. The first reading begins the turn of
    /// an M that had its P when the line was empty.
    pub(crate) fn after(turn: Option<TimeWithP>, tick: u32, now: u64) -> TimeWithP {
        let Some(turn) = turn else {
            return TimeWithP { since: now, lasts: GIVE_WAY_NS, read: now, tick, rounds: 1 };
        };
        let (passed, ns) = (u64::from(tick.wrapping_sub(turn.tick)), now.saturating_sub(turn.read));
        let short = ns.saturating_mul(u64::from(GLOBAL_INTERVAL)) <= passed * GIVE_WAY_NS;
        TimeWithP {
            read: now,
            tick,
            rounds: if short { GLOBAL_INTERVAL.min(2 * turn.rounds) } else { 1 },
            ..turn
        }
    }

    /// True if it is the line's turn.
    pub(crate) fn is_over(&self) -> bool {
        self.read.saturating_sub(self.since) >= self.lasts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns how long a turn lasts that begins with `turn`, and how often the clock is read, if
    /// the rounds take `rounds_ns` in turn.
    fn turn_over(mut turn: Option<TimeWithP>, rounds_ns: &[u64]) -> (u64, u32) {
        let (mut readings, mut tick, mut now) = (0, u32::MAX - 3, 0);
        for round_ns in rounds_ns.iter().cycle() {
            tick = tick.wrapping_add(1);
            now += round_ns;
            if TimeWithP::wants_clock(turn, tick) {
                readings += 1;
                turn = Some(TimeWithP::after(turn, tick, now));
                if turn.is_some_and(|turn| turn.is_over()) {
                    break;
                }
            }
        }
        (now, readings)
    }

    /// Returns how long the turn lasts of an M that has waited `ns` beside `others`.
    fn turn_after_wait(ns: u64, others: usize, rounds_ns: &[u64]) -> u64 {
        let waited = Waited { ns, others, procs: 1 };
        turn_over(Some(TimeWithP::after_wait(waited, u32::MAX - 3, 0)), rounds_ns).0
    }

    #[test]
    fn a_turn_ends_by_time_however_long_the_rounds() {
        assert_eq!(turn_over(None, &[3_000_000]), (6_000_000, 2), "the second reading");
        let (ns, readings) = turn_over(None, &[50]);
        assert!(ns < GIVE_WAY_NS + 62 * 50 && readings < 90, "{ns} ns, {readings} readings");
        let (ns, _) = turn_over(None, &[4_000]);
        assert!(ns <= 2 * GIVE_WAY_NS, "{ns} ns");
    }

    #[test]
    fn who_has_waited_gives_way_after_one_long_round() {
        assert_eq!(turn_after_wait(5_000_000, 1, &[5_000_000]), 5_000_000);
    }

    #[test]
    fn a_short_round_says_little_about_the_next() {
        let (long, short) = (3_000_000, 1_000);
        for rounds in
            [[long, short, long, short], [short, long, short, long], [long, short, short, short]]
        {
            let (ns, _) = turn_over(None, &rounds);
            assert!(ns <= 3 * long, "{rounds:?}: {ns} ns");
        }
    }

    #[test]
    fn short_rounds_have_their_time_beside_long_ones() {
        for (long, others) in [(1_000_000, 1), (5_000_000, 1), (10_000_000, 1), (2_000_000, 3)] {
            let ns = turn_after_wait(others as u64 * long, others, &[2_000]);
            assert!(6 * ns >= long && ns <= long, "{long} beside {others}: {ns} ns");
        }
    }

    #[test]
    fn long_turns_do_not_stay_long() {
        let mut turns = [5_000_000; 2];
        for at in [0, 1].repeat(20) {
            turns[at] = turn_after_wait(turns[1 - at], 1, &[2_000]);
        }
        assert!(turns.iter().all(|ns| *ns < 2 * GIVE_WAY_NS), "{turns:?}");
    }

    #[test]
    fn who_stands_in_a_long_line_waits_for_short_turns() {
        for (others, procs) in [(3, 1), (63, 1), (200, 2), (64, 64)] {
            let turn_ns = Waited { ns: u64::MAX, others, procs }.turn_ns();
            let round_ns = turn_ns * (others as u64 + 1) / procs as u64;
            let most = ROUND_NS.max(GIVE_WAY_NS * (others as u64 + 1) / procs as u64);
            assert!(round_ns <= most && turn_ns <= ROUND_NS, "{others} others: {turn_ns} ns");
        }
    }
}
