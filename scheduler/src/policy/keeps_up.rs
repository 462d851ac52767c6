//! Whether an M gets through the migratory Gs of its P by itself.
//!
//! A woken migratory G waits in the P of the M whose goroutine woke it, and any M that searches may
//! take it. That is right if the G would wait for long. Where goroutines that wake each other run
//! for 100 ns at a time, it is wrong: two Ms pass the same channels and queues to and fro between
//! two cores, and together are slower than one. Four that send to four, with 2 Ps: 160 to 190 ns an
//! item where one M takes 20.
//!
//! So a thief looks twice, [`LOOK_NS`] apart. An M that took a G from this queue each [`FAST_NS`]
//! meanwhile, and has no more than [`BACKLOG`] left, *keeps up*: the thief leaves the queue to it,
//! and what that M wakes next wakes no other M. Sysmon brings a thief again when it sees Gs there
//! beside an idle P in two of its looks, `retake::LEFT_NS` or more apart. So an M that ceases to
//! keep up is helped when sysmon has looked twice: after 0.2 ms at best, and 4 ms at worst.
//!
//! [`FAST_NS`] is what a G takes that fills or empties a buffer of 128 before it suspends. With 1
//! us in its place, the four and four still had two Ms half of the time, and took 120 ns an item.
//! Without [`BACKLOG`], a thousand that yield stayed on one M, whose cache does not hold as many
//! stacks: 99 ns a yield in place of 9.
//!
//! *The price*: up to 32 Gs that have nothing to do with each other, and each suspend within 3 us,
//! have one core.
//!
//! Rejected: to leave a G to an M that has it for less than a wake-up costs, 50 us. Jobs of 20 us
//! would have one core.

use super::BACKLOG;

/// Time in ns between the two looks of a thief.
pub(crate) const LOOK_NS: u64 = 5_000;

/// Time in ns that each G takes of an M that keeps up.
const FAST_NS: u64 = 3_000;

/// Time in ns after which a first look says nothing any more, unless the second one follows it.
const STALE_NS: u64 = 10 * LOOK_NS;

/// What a thief makes of a queue with Gs in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It has looked once only, and looks again soon.
    Early,
    /// The M of the queue keeps up.
    KeepsUp,
    /// The thief takes what it finds.
    IsBehind,
}

/// What a thief saw of the migratory Gs of a P.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct KeepsUp {
    /// When it looked first, in ns, and how many Gs the M had taken by then; 0: not at all.
    first: (u64, u32),
    /// There was no verdict since. A thief that comes to its second look late, because others have
    /// its core, decides then: it might come late each time.
    open: bool,
}

impl KeepsUp {
    /// Records that the M has taken so many Gs at `now`, and that there are `left` more.
    pub(crate) fn observe(&mut self, taken: u32, left: usize, now: u64) -> Verdict {
        if left > BACKLOG {
            return Verdict::IsBehind;
        }
        let (since, first) = self.first;
        let ns = now.saturating_sub(since);
        if ns >= STALE_NS && !self.open {
            *self = Self { first: (now, taken), open: true };
            return Verdict::Early;
        }
        if ns < LOOK_NS {
            return Verdict::Early;
        }
        self.open = false;
        if u64::from(taken.wrapping_sub(first)) * FAST_NS > ns {
            Verdict::KeepsUp
        } else {
            Verdict::IsBehind
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the verdict of a thief that looks all the time at an M each of whose Gs takes
    /// `round_ns`, and after how long.
    fn verdict(round_ns: u64) -> (Verdict, u64) {
        let (mut seen, began) = (KeepsUp::default(), 1_000_000);
        (began..)
            .step_by(100)
            .map(|now| (seen.observe((now / round_ns) as u32, 1, now), now - began))
            .find(|(verdict, _)| *verdict != Verdict::Early)
            .expect("some time is enough")
    }

    #[test]
    fn who_takes_a_g_each_hundred_ns_keeps_up() {
        assert_eq!(verdict(100), (Verdict::KeepsUp, LOOK_NS));
        assert_eq!(verdict(FAST_NS / 2), (Verdict::KeepsUp, LOOK_NS));
    }

    #[test]
    fn who_takes_longer_is_helped_at_the_second_look() {
        for round_ns in [2 * FAST_NS, 20_000, 1_000_000_000] {
            assert_eq!(verdict(round_ns), (Verdict::IsBehind, LOOK_NS), "{round_ns}");
        }
    }

    #[test]
    fn a_second_look_decides_however_late_it_comes() {
        let looks = |taken| {
            let mut seen = KeepsUp::default();
            [(7, 1_000_000), (taken, 4_000_000), (taken, 9_000_000)]
                .map(|(taken, now)| seen.observe(taken, 1, now))
        };
        assert_eq!(looks(8), [Verdict::Early, Verdict::IsBehind, Verdict::Early]);
        assert_eq!(looks(10_000), [Verdict::Early, Verdict::KeepsUp, Verdict::Early]);
    }

    #[test]
    fn who_has_many_left_is_helped_at_once() {
        assert_eq!(KeepsUp::default().observe(0, BACKLOG + 1, 1_000_000), Verdict::IsBehind);
    }

    #[test]
    fn a_thief_that_has_done_something_meanwhile_takes_the_next_one_at_once() {
        let mut seen = KeepsUp::default();
        assert_eq!(seen.observe(7, 1, 1_000_000), Verdict::Early);
        assert_eq!(seen.observe(8, 1, 1_025_000), Verdict::IsBehind);
        assert_eq!(seen.observe(9, 1, 1_045_000), Verdict::IsBehind);
        assert_eq!(seen.observe(9, 1, 1_000_000 + STALE_NS), Verdict::Early);
    }
}
