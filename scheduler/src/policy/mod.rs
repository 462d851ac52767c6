//! What the scheduler decides, apart from how it is carried out.
//!
//! Pure functions over counts and times, with their constants. No atomics, no clocks: the caller
//! passes a snapshot. The simulator compiles these files unchanged, so they use nothing of this
//! crate.
//!
//! - [`behaviour`] decides on which M a goroutine may begin.
//! - [`chain`] decides how long Gs that wake each other go first.
//! - [`retake`] decides when a P is revoked from an M, and how often sysmon looks.
//! - [`oldest`] decides when the oldest G of a queue goes first.
//! - [`timer_polling`] decides in which rounds an M reads the clock.
//! - [`head_age`] remembers how old a queue's head is.
//!
//! A constant's doc is one line. Why it has that value, and what other values cost, is in
//! `docs/scheduling.md`, "Measured constants". The figures there and here are from small models on
//! a 2-core virtual machine unless said otherwise: starting points, to be measured again on the
//! scheduler itself.

pub(crate) mod behaviour;
pub(crate) mod chain;
pub(crate) mod head_age;
pub(crate) mod keeps_up;
pub(crate) mod look_everywhere;
pub(crate) mod oldest;
pub(crate) mod retake;
pub(crate) mod time_with_p;
pub(crate) mod timer_polling;

use std::time::Duration;

/// Rounds between two looks of an M at what it otherwise looks at last; see [`look_everywhere`].
pub(crate) const GLOBAL_INTERVAL: u32 = 61;

/// Gs in a row, new or woken, that go before those that have had a turn.
pub(crate) const MAX_FRESH_STREAK: u32 = 8;

/// Time in ns for which the head of a queue must have stood still before a thief takes it.
pub(crate) const STEAL_AGE_NS: u64 = 10_000;

/// The same in ns for an M that owns more settled Gs than its share.
pub(crate) const STEAL_AGE_OVERFULL_NS: u64 = 200_000;

/// Time in ns for which an M that spreads its unstarted Gs evenly leaves them to others.
pub(crate) const SPREAD_NS: u64 = 1_000_000;

/// Time in ns for which an M puts off what it cannot start for want of memory, if it starts nothing
/// else meanwhile.
pub(crate) const NO_STACK_NS: u64 = 100_000_000;

/// Time in ns after which a head of the line that was passed over gets the next P directly.
pub(crate) const PASSED_OVER_NS: u64 = 1_000_000;

/// Time in ns for which an idle M looks for work without giving its core away.
pub(crate) const SPIN_NS: u64 = 2_000;
/// Time in ns for which an idle M looks for work in all; after [`SPIN_NS`] it offers the core.
pub(crate) const SEARCH_NS: u64 = 30_000;

/// Time after which an idle helper thread, of `blocking` or for thread-backed goroutines, ends.
pub(crate) const HELPER_IDLE: Duration = Duration::from_millis(500);

/// How often an idle helper looks for its next job before it sleeps: 3 to 7 us, by how long the
/// processor pauses. A goroutine that blocks again and again then finds its helper awake.
pub(crate) const HELPER_LOOKS: u32 = 128;

/// Number of helpers that a runtime may have, unless its builder says otherwise.
pub(crate) const MAX_HELPERS: usize = 512;

/// How much later than its deadline a timer may fire, unless the builder says otherwise, if
/// [`SERVED_TOGETHER`] are due by then.
///
/// To wake an M takes some 10 us of processor time. 100,000 sleepers whose deadlines are 10 us
/// apart take 0.84 s migratory and 1.15 s settled with 50 us, which is what the kernel's own timers
/// have, 0.71 s and 0.98 s with 200, and 0.65 s and 0.75 s with 1,000 (two CPUs).
pub(crate) const TIMER_SLACK: Duration = Duration::from_micros(200);

/// How much later than its deadline, in ns, a timer may be if an M keeps its P and sysmon sleeps
/// for a crowd that the runtime's slack holds back.
pub(crate) const LATE_NS: u64 = 1_000_000;

/// How many timers have to be due within the slack for an M to sleep past the first of them. A few
/// would all be late to save a few wake-ups.
pub(crate) const SERVED_TOGETHER: usize = 8;

/// Number of due timers that an M fires before it runs what it has.
pub(crate) const FIRE_AT_ONCE: usize = 64;

/// After how many tries that have failed a goroutine gives its turn. A try takes some 20 ns, and a
/// turn that nobody else wants 50 to 100. Whoever is waited for may share the thread, and would
/// else come after the slice of 10 ms: a rendezvous of two of which one only tries took that long.
pub(crate) const TRIES: u32 = 64;

/// Rounds between two readings of the clock by an M with timers; see [`clock_rounds`].
pub(crate) const CLOCK_ROUNDS: u32 = 16;
/// Time in ns below which a round is short; see [`clock_rounds`].
pub(crate) const SHORT_ROUND_NS: u64 = 1_000;

/// Returns after how many rounds an M with timers reads the clock again, when the last `rounds`
/// took `ns`.
pub(crate) fn clock_rounds(rounds: u32, ns: u64) -> u32 {
    if ns < u64::from(rounds) * SHORT_ROUND_NS { CLOCK_ROUNDS } else { 1 }
}

/// How long an M or a waiting thread may look before it sleeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SpinBudget {
    /// Time in ns without giving the core away.
    pub(crate) spin_ns: u64,
    /// Time in ns in all.
    pub(crate) total_ns: u64,
}

impl SpinBudget {
    /// The M sleeps at once.
    pub(crate) const NONE: SpinBudget = SpinBudget { spin_ns: 0, total_ns: 0 };
}

/// Number of failed searches in a row after which an M looks once and sleeps, without spinning.
pub(crate) const FAILED_SPINS: u32 = 8;

/// Time asleep in ns below which spinning would have been better than sleeping.
pub(crate) const WOKEN_SOON_NS: u64 = 2 * SEARCH_NS;

/// Whether an M spins before it sleeps: as long as that pays.
///
/// What an M finds by spinning comes from other threads, which would have had to wake it. Timers do
/// not count: asleep, the M would have found them too, and several at a time. Where 100,000
/// goroutines slept for up to a second, two Ms spent more than half of their time spinning between
/// two deadlines 10 us apart.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct AdaptiveSpin {
    failed: u32,
}

impl AdaptiveSpin {
    /// Returns the spin budget of this M, of the one that the machine allows.
    pub(crate) fn spin_budget(self, allowed: SpinBudget) -> SpinBudget {
        if self.failed < FAILED_SPINS { allowed } else { SpinBudget::NONE }
    }

    /// Records the end of a search that has looked more than once. `useful`: it found something
    /// that others published.
    pub(crate) fn searched(&mut self, useful: bool) {
        self.failed = if useful { 0 } else { self.failed.saturating_add(1) };
    }

    /// Records that the M was woken after it had slept for `ns`.
    pub(crate) fn woken_after(&mut self, ns: u64) {
        if ns < WOKEN_SOON_NS {
            self.failed = 0;
        }
    }
}

/// The CPUs that the machine lets this process use.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cpus {
    pub(crate) count: usize,
    pub(crate) quota_limited: bool,
}

/// Returns how many Ms may search at the same time. At least one: the wake-up protocol needs a
/// searcher to rely on.
pub(crate) fn search_limit(procs: usize) -> usize {
    (procs / 2).max(1)
}

/// Returns the spin budget of a searcher.
///
/// It is zero where another thread needs the core: on one CPU, under a fractional quota, or when
/// the threads in user code leave no CPU over. The searcher itself is not counted. With one CPU
/// held back for it, two Ms on two CPUs would never spin for each other. A hand-over between them
/// would cost 57 us instead of half of one.
pub(crate) fn spin_budget(cpus: Cpus, in_user_code: usize) -> SpinBudget {
    if cpus.count <= 1 || cpus.quota_limited || in_user_code >= cpus.count {
        return SpinBudget::NONE;
    }
    SpinBudget { spin_ns: SPIN_NS, total_ns: SEARCH_NS }
}

/// The load of an M on which no G may begin that talks, if another M has less. With the slack of
/// [`may_start`] it is still a number.
pub(crate) const LOADED: usize = usize::MAX / 2;

/// True if an M that owns `mine` started, unfinished settled Gs may start one more, when the
/// resident M with the fewest owns `least`.
///
/// Without the limit, an acceptor's children would all settle on its M. `evenly`: the Gs are known
/// to gain more from a core of their own than from each other; see
/// [`Run::works`](behaviour::Run::works).
pub(crate) fn may_start(mine: usize, least: usize, evenly: bool) -> bool {
    mine <= if evenly { least } else { least + least / 4 + START_SLACK }
}

/// True if an M that owns `mine` starts one more of its own Gs that are spread evenly, and does not
/// leave it to the M that owns `least`, the fewest of the others. Of two with as many it is the
/// other's turn: this one has had the first of them.
pub(crate) fn keeps_evenly(mine: usize, least: usize) -> bool {
    mine < least
}

/// True if an M that spreads its unstarted Gs evenly, since `since`, still leaves them to others.
///
/// Those come when they have nothing else to run. Where each of them always had a goroutine that
/// had yielded, each left the Gs to another, and none of these ever began.
pub(crate) fn is_left_to_others(since: u64, now: u64) -> bool {
    now.saturating_sub(since) < SPREAD_NS
}

/// Number of settled Gs up to which no M is above its share; the constant part of [`may_start`].
pub(crate) const START_SLACK: usize = 8;

/// [`may_start`] for a G in the global queue, which no M has made.
///
/// The limit is lower than that for the M's own Gs: the M leaves such a G to an M with fewer Gs
/// before it stops starting its own. So an M below its share has room for the children of the Gs
/// that it starts, which are about to talk to it.
///
/// Without the lower limit, 64 pairs began while the second M's thread came 0.4 ms after the first
/// one's. By then the first M had started 51 of the parents, and its share kept it from starting
/// their children.
pub(crate) fn may_start_global(mine: usize, least: usize) -> bool {
    mine <= least + least / 8 + START_SLACK / 2
}

/// True if a thief may take the head that it saw first at `since`.
///
/// `share`: by [`may_start`] it is this M's turn. `offered`: the M that has the queue leaves the
/// head to others, so there is nothing to wait for. `behind`: the M has more than it soon begins;
/// see [`HeadAge::is_behind`](head_age::HeadAge::is_behind).
pub(crate) fn may_take_head(
    since: u64,
    now: u64,
    share: bool,
    offered: bool,
    behind: bool,
) -> bool {
    (share && (offered || behind))
        || now.saturating_sub(since) >= if share { STEAL_AGE_NS } else { STEAL_AGE_OVERFULL_NS }
}

/// True if a busy M that owns `mine` settled Gs takes a G that another M offers.
///
/// It does so only if no resident M has fewer, because Ms that have nothing to do come anyway.
/// There is no slack as in [`may_start`], or the first M to look would take all of them.
pub(crate) fn may_take_offered(mine: usize, least: usize) -> bool {
    mine <= least
}

/// Number of unstarted Gs in a queue above which its M is helped at once, if it is slow.
///
/// More than a tree has on its path. Where an M had a thousand pieces of 3 us each, a thief that
/// waited for each head to stand still took one in 10 us, and two Ms were no faster than one.
pub(crate) const BACKLOG: usize = 32;

/// Time in ns that a G of a queue takes its M, from which on the M is slow. Two Ms are slower than
/// one with Gs that take less: they pass the queue's cache lines to and fro.
pub(crate) const SLOW_NS: u64 = 1_000;

/// True if the head of the line, there since `since`, gets the next P directly.
pub(crate) fn passed_over(since: u64, now: u64) -> bool {
    now.saturating_sub(since) >= PASSED_OVER_NS
}

/// Time in ns for which an M in the line that has had a turn, or is to start a G, lets those pass
/// that were woken.
pub(crate) const LETS_PASS_NS: u64 = 100_000_000;

/// True if an M that has had a turn, and stands in the line since `since`, lets one pass that is
/// woken.
///
/// Without it, a woken M waits for a turn of each M that computes for some ms between its yields.
/// Beside eight of these, with 2 Ps, half of the callbacks waited for 13 ms.
pub(crate) fn lets_pass(since: u64, now: u64) -> bool {
    now.saturating_sub(since) < LETS_PASS_NS
}

/// The time slice that threads which run goroutines ask the system for.
pub(crate) const THREAD_SLICE: Duration = Duration::from_micros(100);

/// Time for which an M that nobody needs stays before its thread ends.
pub(crate) const LINGER: Duration = Duration::from_millis(200);

/// True if a runtime with `ms` Ms has more than it keeps when there is nothing to do: one for each
/// P, and one to replace a blocked M.
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
    fn who_spins_in_vain_ceases_until_it_would_have_paid() {
        let allowed = spin_budget(TWO, 0);
        let mut spin = AdaptiveSpin::default();
        for _ in 1..FAILED_SPINS {
            spin.searched(false);
        }
        assert_eq!(spin.spin_budget(allowed), allowed);
        spin.searched(false);
        assert_eq!(spin.spin_budget(allowed), SpinBudget::NONE);
        spin.woken_after(WOKEN_SOON_NS);
        assert_eq!(spin.spin_budget(allowed), SpinBudget::NONE);
        spin.woken_after(WOKEN_SOON_NS - 1);
        assert_eq!(spin.spin_budget(allowed), allowed);
        (0..FAILED_SPINS).for_each(|_| spin.searched(false));
        spin.searched(true);
        assert_eq!(spin.spin_budget(allowed), allowed);
    }

    #[test]
    fn two_thousand_children_spread_over_two_ms() {
        let mut settled = [0_usize; 2];
        for _ in 0..2000 {
            // The greedy M takes each G that it may.
            let m = usize::from(!may_start(settled[0], settled[1], false));
            settled[m] += 1;
        }
        assert!(settled[0] * 10 <= settled[1] * 13, "spread {settled:?}");
    }

    #[test]
    fn who_takes_from_the_global_queue_has_room_for_a_child_of_each() {
        for least in 0..200 {
            let most = (0..).take_while(|mine| may_start_global(*mine, least)).count();
            assert!(
                (most..most + START_SLACK / 2).all(|mine| may_start(mine, least, false)),
                "{most} with {least}"
            );
        }
    }

    #[test]
    fn what_is_offered_goes_at_once_to_who_has_room() {
        assert!(may_take_head(7, 7, true, true, false));
        assert!(
            !may_take_head(7, 7, true, false, false) && !may_take_head(7, 7, false, true, false)
        );
        assert!(may_take_head(0, STEAL_AGE_OVERFULL_NS, false, true, false));
        assert!(may_take_offered(3, 3) && !may_take_offered(4, 3));
    }

    #[test]
    fn who_has_more_than_it_soon_begins_is_helped_at_once() {
        assert!(may_take_head(7, 7, true, false, true));
        assert!(!may_take_head(7, 7, false, false, true), "not by an M that has its share");
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

    #[test]
    fn times_are_compared_across_an_early_clock() {
        assert!(!may_take_head(100, 50, true, false, false));
        assert!(!may_take_head(0, STEAL_AGE_NS, false, false, false));
        assert!(passed_over(0, PASSED_OVER_NS));
    }
}
