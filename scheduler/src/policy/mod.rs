//! What the scheduler decides, apart from how it is carried out.
//!
//! Pure functions over counts and times, with their constants and the measurement behind each. No
//! atomics, no clocks: who asks brings a snapshot. When a P is taken from an M is in [`retake`],
//! when what waits at the bottom of a queue goes first in [`oldest`]. Figures are from small models
//! on a 2-core virtual machine unless said otherwise: starting points, to be measured again on the
//! scheduler itself.

pub(crate) mod head_age;
pub(crate) mod oldest;
pub(crate) mod retake;
pub(crate) mod timer_polling;

use std::time::Duration;

/// Every so many rounds an M looks where it otherwise looks last: the global queue, its oldest
/// unstarted G, all timers. Prime, so that it does not beat with a program's own rhythm; Go uses
/// the same number.
pub(crate) const GLOBAL_INTERVAL: u32 = 61;

/// Whether an M looks everywhere in this round. Also if it was `requested` to, by an end that sysmon
/// has put to a round, since 61 of those take for ever; but only where it is the turn of new Gs
/// anyhow. Where 200 goroutines that compute wanted to begin, each round was put an end to, and a
/// migratory one that had slept for a millisecond waited for 190 ms in the queue of a P that went
/// from hand to hand.
pub(crate) fn looks_everywhere(tick: u32, requested: bool) -> bool {
    tick.is_multiple_of(GLOBAL_INTERVAL) || requested && tick.is_multiple_of(2)
}

/// A woken G goes next, and what it wakes after it: at most this often in a row while others wait.
pub(crate) const MAX_NEXT_STREAK: u32 = 61;

/// How long the head of a queue must have stood still before a thief takes it: what is about to be
/// run by its own M, or to talk to its spawner, is left alone (a pair on one M: 56 ns a round trip;
/// split: 455 ns spinning, 50 us asleep).
pub(crate) const STEAL_AGE_NS: u64 = 10_000;

/// The same for an M that owns more settled Gs than its share: long enough for the M with the
/// fewest to come first, short enough when that one is busy.
pub(crate) const STEAL_AGE_OVERFULL_NS: u64 = 200_000;

/// A head of the line that was passed over for so long gets the next P directly.
pub(crate) const PASSED_OVER_NS: u64 = 1_000_000;

/// An M with ready work gives way to the line after so long (by time, never by rounds: by rounds
/// left 14 % of the throughput). See [`TimeWithP`].
pub(crate) const GIVE_WAY_NS: u64 = 250_000;

/// How long an idle M looks for work without giving its core away (a futex round trip between cores
/// takes 57 us), and how long in all, offering the core between looks.
pub(crate) const SPIN_NS: u64 = 2_000;
/// See [`SPIN_NS`].
pub(crate) const SEARCH_NS: u64 = 30_000;

/// A helper of `blocking`, or a thread of the pool for goroutines that are threads, that had
/// nothing to do for so long ends. A burst that comes back sooner finds its threads (making one
/// takes about 30 us), and a crowd is gone within a second.
pub(crate) const HELPER_IDLE: Duration = Duration::from_millis(500);

/// How many helpers a runtime may have, unless its builder says otherwise. They exist while so many
/// calls block at the same time; a process is commonly allowed some thousands of threads, of which
/// these are not to be the most.
pub(crate) const MAX_HELPERS: usize = 512;

/// So many due timers an M fires before it runs what it has: a million that are due together hold
/// no other goroutine up.
pub(crate) const FIRE_AT_ONCE: usize = 64;

/// How an M with timers reads the clock: every so many rounds, as long as they take less than
/// [`SHORT_ROUND_NS`] each. A reading takes 25 ns, a round of yields 30.
pub(crate) const CLOCK_ROUNDS: u32 = 16;
/// See [`CLOCK_ROUNDS`].
pub(crate) const SHORT_ROUND_NS: u64 = 1_000;

/// After how many rounds an M with timers reads the clock again, when the last `rounds` took `ns`.
pub(crate) fn clock_rounds(rounds: u32, ns: u64) -> u32 {
    if ns < u64::from(rounds) * SHORT_ROUND_NS { CLOCK_ROUNDS } else { 1 }
}

/// How long an M or a waiting thread may look before it sleeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SpinBudget {
    /// Without giving the core away.
    pub(crate) spin_ns: u64,
    /// In all.
    pub(crate) total_ns: u64,
}

impl SpinBudget {
    /// It sleeps at once.
    pub(crate) const NONE: SpinBudget = SpinBudget { spin_ns: 0, total_ns: 0 };
}

/// After so many searches in a row that spinning did not end, an M searches without: it looks once,
/// and sleeps. 100,000 goroutines that sleep took 0.83 s of processor time with 1, 0.85 with 2,
/// 0.94 with 8, up to 1.2 with 32, up to 1.4 with 128; trees, callbacks and pairs were as fast with
/// each. More than one or two, so that a short lull does not make a busy M's next partner pay for
/// its sleep.
pub(crate) const FAILED_SPINS: u32 = 8;

/// Who was woken so soon after it fell asleep would have been better off spinning. As long as a
/// search, and as long again for being woken.
pub(crate) const WOKEN_SOON_NS: u64 = 2 * SEARCH_NS;

/// Whether an M spins before it sleeps: as long as that pays. What it finds by spinning comes from
/// others, who would have had to wake it. Timers it would have found asleep, and several of them at
/// a time: where 100,000 goroutines slept for up to a second, two Ms spent more than half of their
/// time between two deadlines 10 us apart.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct AdaptiveSpin {
    failed: u32,
}

impl AdaptiveSpin {
    /// What is left of the patience that the machine allows.
    pub(crate) fn spin_budget(self, allowed: SpinBudget) -> SpinBudget {
        if self.failed < FAILED_SPINS { allowed } else { SpinBudget::NONE }
    }

    /// A search that has looked more than once is over. `useful`: others brought it something.
    pub(crate) fn searched(&mut self, useful: bool) {
        self.failed = if useful { 0 } else { self.failed.saturating_add(1) };
    }

    /// It was woken after having slept for so long.
    pub(crate) fn woken_after(&mut self, ns: u64) {
        if ns < WOKEN_SOON_NS {
            self.failed = 0;
        }
    }
}

/// What the machine lets this process use.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cpus {
    pub(crate) count: usize,
    pub(crate) quota_limited: bool,
}

/// How many Ms may look for work at the same time. At least one: the wake-up protocol needs a
/// looker to rely on.
pub(crate) fn search_limit(procs: usize) -> usize {
    (procs / 2).max(1)
}

/// How long a looker spins. None where another thread needs the core: on one CPU, under a
/// fractional quota, or when the threads in user code leave none over. The looker itself is not
/// counted: with one CPU held back besides, two Ms on two CPUs would never spin for each other, and
/// a hand-over between them would cost 57 us instead of half of one.
pub(crate) fn spin_budget(cpus: Cpus, in_user_code: usize) -> SpinBudget {
    if cpus.count <= 1 || cpus.quota_limited || in_user_code >= cpus.count {
        return SpinBudget::NONE;
    }
    SpinBudget { spin_ns: SPIN_NS, total_ns: SEARCH_NS }
}

/// Whether an M that owns `mine` started, unfinished settled Gs may start one more, when the home M
/// with the fewest owns `least`: else an acceptor's children would all settle on its M.
pub(crate) fn may_start(mine: usize, least: usize) -> bool {
    mine <= least + least / 4 + START_SLACK
}

/// The constant part of [`may_start`]: below it nobody counts.
pub(crate) const START_SLACK: usize = 8;

/// The same for a G that no M has made, and that lies in the global queue: earlier than what its
/// own Gs make it is left to who has less. So an M whose share is not yet there has room for the
/// children of what it starts, which are about to talk to it: where 64 pairs begin, and the second
/// M's thread comes 0.4 ms after the first one's, the first had started 51 of the parents by then,
/// and its share kept it from starting their children.
pub(crate) fn may_start_global(mine: usize, least: usize) -> bool {
    mine <= least + least / 8 + START_SLACK / 2
}

/// Whether a thief may take the head that it saw first at `since`. `share`: by [`may_start`] it is
/// this M's turn. `offered`: the M that has the queue leaves it to others, so there is nothing to
/// wait for.
pub(crate) fn may_take_head(since: u64, now: u64, share: bool, offered: bool) -> bool {
    (share && offered)
        || now.saturating_sub(since) >= if share { STEAL_AGE_NS } else { STEAL_AGE_OVERFULL_NS }
}

/// Whether an M that is busy, and owns `mine` settled Gs, takes one that another M offers: if no
/// home M has fewer, since those that have nothing to do come anyway. Without the slack of
/// [`may_start`], or the first one to come by would have all of it.
pub(crate) fn may_take_offered(mine: usize, least: usize) -> bool {
    mine <= least
}

/// Whether the head of the line, there since `since`, gets the next P directly.
pub(crate) fn passed_over(since: u64, now: u64) -> bool {
    now.saturating_sub(since) >= PASSED_OVER_NS
}

/// How long an M has had its P while others stand in the line. The clock is read in each round;
/// while [`GLOBAL_INTERVAL`] such rounds would pass within [`GIVE_WAY_NS`], after twice as many as the
/// last time, up to that number. 61 rounds of goroutines that compute for 3 ms made the line wait
/// for 370 ms, and 61 after one short round, where short and long ones alternate, for 96.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TimeWithP {
    since: u64,
    read: u64,
    tick: u32,
    rounds: u32,
}

impl TimeWithP {
    /// Whether the clock is to be read in round `tick`.
    pub(crate) fn wants_clock(turn: Option<TimeWithP>, tick: u32) -> bool {
        turn.is_none_or(|turn| tick.wrapping_sub(turn.tick) >= turn.rounds)
    }

    /// What is known after a reading in round `tick`. The first one begins the turn.
    pub(crate) fn after(turn: Option<TimeWithP>, tick: u32, now: u64) -> TimeWithP {
        let Some(turn) = turn else { return TimeWithP { since: now, read: now, tick, rounds: 1 } };
        let (passed, ns) = (u64::from(tick.wrapping_sub(turn.tick)), now.saturating_sub(turn.read));
        let short = ns.saturating_mul(u64::from(GLOBAL_INTERVAL)) <= passed * GIVE_WAY_NS;
        TimeWithP {
            read: now,
            tick,
            rounds: if short { GLOBAL_INTERVAL.min(2 * turn.rounds) } else { 1 },
            ..turn
        }
    }

    /// Whether it is the turn of the line.
    pub(crate) fn is_over(&self) -> bool {
        self.read.saturating_sub(self.since) >= GIVE_WAY_NS
    }
}

/// How long an M that is not needed waits for somebody to need it: a thread that is made anew for
/// each burst of blocking calls costs 50 us, one that is kept its stack.
pub(crate) const LINGER: Duration = Duration::from_millis(200);

/// Whether a runtime with `ms` Ms has more than it keeps when there is nothing to do: one for each
/// P, and one that helps when one of those is blocked.
pub(crate) fn is_surplus(ms: usize, procs: usize) -> bool {
    ms > procs + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: Cpus = Cpus { count: 2, quota_limited: false };

    #[test]
    fn nobody_spins_where_a_core_is_wanted() {
        assert_eq!(spin_budget(Cpus { count: 1, ..TWO }, 0).total_ns, 0);
        assert_eq!(spin_budget(Cpus { quota_limited: true, ..TWO }, 0).total_ns, 0);
        assert_eq!(spin_budget(TWO, 2).total_ns, 0);
        assert!(spin_budget(TWO, 1).total_ns > 0);
    }

    #[test]
    fn of_two_rounds_that_are_put_an_end_to_one_looks_everywhere() {
        let looks = |tick| [false, true].map(|requested| looks_everywhere(tick, requested));
        assert_eq!([1, 2, 3].map(looks), [[false; 2], [false, true], [false; 2]]);
        assert_eq!(looks(GLOBAL_INTERVAL), [true; 2]);
    }

    #[test]
    fn who_spins_in_vain_ceases_until_it_would_have_paid() {
        let allowed = spin_budget(TWO, 0);
        let mut thrift = AdaptiveSpin::default();
        for _ in 1..FAILED_SPINS {
            thrift.searched(false);
        }
        assert_eq!(thrift.spin_budget(allowed), allowed);
        thrift.searched(false);
        assert_eq!(thrift.spin_budget(allowed), SpinBudget::NONE);
        thrift.woken_after(WOKEN_SOON_NS);
        assert_eq!(thrift.spin_budget(allowed), SpinBudget::NONE);
        thrift.woken_after(WOKEN_SOON_NS - 1);
        assert_eq!(thrift.spin_budget(allowed), allowed);
        (0..FAILED_SPINS).for_each(|_| thrift.searched(false));
        thrift.searched(true);
        assert_eq!(thrift.spin_budget(allowed), allowed);
    }

    #[test]
    fn two_thousand_children_spread_over_two_ms() {
        let mut settled = [0_usize; 2];
        for _ in 0..2000 {
            // The greedy M takes each one it is allowed to.
            let m = usize::from(!may_start(settled[0], settled[1]));
            settled[m] += 1;
        }
        assert!(settled[0] * 10 <= settled[1] * 13, "spread {settled:?}");
    }

    #[test]
    fn who_takes_from_the_global_queue_has_room_for_a_child_of_each() {
        for least in 0..200 {
            let most = (0..).take_while(|mine| may_start_global(*mine, least)).count();
            assert!(
                (most..most + START_SLACK / 2).all(|mine| may_start(mine, least)),
                "{most} with {least}"
            );
        }
    }

    #[test]
    fn what_is_offered_goes_at_once_to_who_has_room() {
        assert!(may_take_head(7, 7, true, true));
        assert!(!may_take_head(7, 7, true, false) && !may_take_head(7, 7, false, true));
        assert!(may_take_head(0, STEAL_AGE_OVERFULL_NS, false, true));
        assert!(may_take_offered(3, 3) && !may_take_offered(4, 3));
    }

    #[test]
    fn somebody_may_always_look() {
        assert_eq!(search_limit(1), 1);
        assert_eq!(search_limit(8), 4);
    }

    #[test]
    fn the_clock_is_read_seldom_only_in_short_rounds() {
        assert_eq!(clock_rounds(CLOCK_ROUNDS, 16 * 50), CLOCK_ROUNDS);
        assert_eq!(clock_rounds(CLOCK_ROUNDS, 1_000_000), 1);
        assert_eq!(clock_rounds(1, SHORT_ROUND_NS), 1);
        assert_eq!(clock_rounds(1, 50), CLOCK_ROUNDS);
        assert_eq!(clock_rounds(u32::MAX, u64::MAX), 1);
    }

    /// When a turn ends, and after how many readings, if the rounds take so long in turn.
    fn turn_over(rounds_ns: &[u64]) -> (u64, u32) {
        let (mut turn, mut readings, mut tick, mut now) = (None, 0, u32::MAX - 3, 0);
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

    #[test]
    fn a_turn_ends_by_time_however_long_the_rounds() {
        assert_eq!(turn_over(&[3_000_000]), (6_000_000, 2), "the second reading");
        let (ns, readings) = turn_over(&[50]);
        assert!(ns < GIVE_WAY_NS + 62 * 50 && readings < 90, "{ns} ns, {readings} readings");
        let (ns, _) = turn_over(&[4_000]);
        assert!(ns <= 2 * GIVE_WAY_NS, "{ns} ns");
    }

    #[test]
    fn a_short_round_says_little_about_the_next() {
        let (long, short) = (3_000_000, 1_000);
        for rounds in
            [[long, short, long, short], [short, long, short, long], [long, short, short, short]]
        {
            let (ns, _) = turn_over(&rounds);
            assert!(ns <= 3 * long, "{rounds:?}: {ns} ns");
        }
    }

    #[test]
    fn times_are_compared_across_an_early_clock() {
        assert!(!may_take_head(100, 50, true, false));
        assert!(!may_take_head(0, STEAL_AGE_NS, false, false));
        assert!(passed_over(0, PASSED_OVER_NS));
    }
}
