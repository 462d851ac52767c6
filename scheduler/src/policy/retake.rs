//! When sysmon takes a P from an M, and how often it looks.
//!
//! Everything here is a function of what two looks saw; who looks, and what is done about the verdict, is `sysmon`'s.
//! The constants are starting points from small models on 2 CPUs, except where a measurement on the scheduler is named.

/// How long a goroutine may compute before its P is taken for whoever waits: Go's number. Long against a hand-over between
/// cores (57 us), short against what a person notices.
pub(crate) const SLICE_NS: u64 = 10_000_000;

/// Two looks at a thread's CPU clock are compared if they are at least so far apart: below, a thread that has just been
/// woken may not have been charged for anything yet.
pub(crate) const BLOCKED_NS: u64 = 100_000;

/// So many times `procs` Ms may compute without a P before new goroutines are let in one at a time only.
pub(crate) const COMPUTING_PER_PROC: usize = 4;

/// The longest time between two admissions of a goroutine that turn out to be hogs; the first is twice the slice.
pub(crate) const LONGEST_ADMISSION_NS: u64 = 1_000_000_000;

/// How often sysmon looks while something waits behind user code. A look costs some microseconds, most of them the timer's
/// interrupt and the switch, so this is well below a percent of a core.
pub(crate) const TICK_NS: u64 = 1_000_000;

/// While nothing has to be done about what waits, the time between looks doubles up to this. The worst case of a
/// goroutine that blocks just after a look is this and a tick: it is most of the gap that blocking Gs leave in a ticker.
pub(crate) const LONGEST_TICK_NS: u64 = 4_000_000;

/// After a blocked M lost its P, the goroutine that its P runs next is probably of the same kind: for so long sysmon looks
/// more often.
pub(crate) const BURST_NS: u64 = 5_000_000;
/// How often it does.
pub(crate) const BURST_TICK_NS: u64 = 100_000;

/// So many looks in a row must see nothing that waits before sysmon sleeps: two goroutines that wake each other leave work
/// behind in one look and none in the next, and a sleep that ends at once costs more than a look.
pub(crate) const QUIET_LOOKS: u32 = 3;

/// From when on a goroutine that keeps siblings waiting is reported, and from when on the report says that a lock may be
/// the reason.
pub(crate) const REPORT_NS: u64 = 100_000_000;
/// See [`REPORT_NS`].
pub(crate) const REPORT_LOCK_NS: u64 = 1_000_000_000;

/// How long after sysmon's thread could not be made the next try is.
pub(crate) const RETRY_NS: u64 = 100_000_000;

/// What is known of an M that keeps its P while others wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stay {
    /// How long it has been seen in the same round.
    pub(crate) stuck_ns: u64,
    /// What its thread's CPU clock did meanwhile, if that is known.
    pub(crate) cpu: Cpu,
}

/// What a thread's CPU clock did between two looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cpu {
    /// There are no two looks far enough apart.
    Unknown,
    /// It went on, or would if it had a core.
    Runs,
    /// It stood still, and the thread is not ready to run.
    Stands,
}

/// What an M is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is within its rights.
    Leave,
    /// Its thread is blocked: what it holds is of no use to it.
    Blocked,
    /// It computes, longer than its slice.
    Computing,
}

/// What is to be done about an M whose P others want.
pub(crate) fn judge(stay: Stay) -> Verdict {
    match stay.cpu {
        Cpu::Stands => Verdict::Blocked,
        Cpu::Runs | Cpu::Unknown if stay.stuck_ns >= SLICE_NS => Verdict::Computing,
        Cpu::Runs | Cpu::Unknown => Verdict::Leave,
    }
}

/// Whether so many Ms compute without a P that new goroutines are admitted one at a time.
pub(crate) fn is_crowded(computing: usize, procs: usize) -> bool {
    computing >= COMPUTING_PER_PROC * procs
}

/// How long the goroutine that was admitted last may run before the next one is, when `hogs` of those admitted before have
/// turned out to compute for longer than a slice.
pub(crate) fn admission_ns(hogs: u32) -> u64 {
    SLICE_NS.saturating_mul(2_u64.saturating_pow(hogs.saturating_add(1))).min(LONGEST_ADMISSION_NS)
}

/// What a look found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Looked {
    /// Something waits behind user code.
    pub(crate) waits: bool,
    /// A P was taken from a blocked M.
    pub(crate) blocked: bool,
    /// Something was done or is about to be: a P was taken, or an M is in the same round as a look before.
    pub(crate) busy: bool,
}

/// How sysmon spaces its looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pace {
    tick_ns: u64,
    burst_until: u64,
    quiet: u32,
}

impl Pace {
    /// As after a sleep.
    pub(crate) fn new() -> Self {
        Self { tick_ns: TICK_NS, burst_until: 0, quiet: 0 }
    }

    /// How long until the next look; none if sysmon may sleep until it is woken.
    pub(crate) fn next(&mut self, looked: Looked, now: u64) -> Option<u64> {
        self.quiet = if looked.waits { 0 } else { self.quiet + 1 };
        if self.quiet >= QUIET_LOOKS {
            *self = Self::new();
            return None;
        }
        if looked.blocked {
            self.burst_until = now + BURST_NS;
        }
        if now < self.burst_until {
            self.tick_ns = TICK_NS;
            return Some(BURST_TICK_NS);
        }
        let tick = if looked.busy { TICK_NS } else { self.tick_ns };
        self.tick_ns = (2 * tick).min(LONGEST_TICK_NS);
        Some(tick)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTHING: Looked = Looked { waits: false, blocked: false, busy: false };
    const WAITS: Looked = Looked { waits: true, ..NOTHING };

    #[test]
    fn the_blocked_go_at_once_and_the_computing_after_their_slice() {
        let stay = |stuck_ns, cpu| judge(Stay { stuck_ns, cpu });
        assert_eq!(stay(BLOCKED_NS, Cpu::Stands), Verdict::Blocked);
        assert_eq!(stay(SLICE_NS - 1, Cpu::Runs), Verdict::Leave);
        assert_eq!(stay(SLICE_NS, Cpu::Runs), Verdict::Computing);
        assert_eq!(stay(SLICE_NS, Cpu::Unknown), Verdict::Computing, "a slice is over without a clock, too");
    }

    #[test]
    fn admissions_grow_rare_and_never_end() {
        assert_eq!((admission_ns(0), admission_ns(1)), (2 * SLICE_NS, 4 * SLICE_NS));
        assert!((0..100).map(admission_ns).is_sorted());
        assert_eq!(admission_ns(u32::MAX), LONGEST_ADMISSION_NS);
        assert!(is_crowded(8, 2) && !is_crowded(7, 2));
    }

    #[test]
    fn looks_grow_rare_while_nothing_has_to_be_done() {
        let mut pace = Pace::new();
        let ticks: Vec<_> = (0..5).map(|n| pace.next(WAITS, n).expect("something waits")).collect();
        assert!(ticks.is_sorted() && ticks[0] == TICK_NS && ticks[4] == LONGEST_TICK_NS, "{ticks:?}");
        assert_eq!(pace.next(Looked { busy: true, ..WAITS }, 9), Some(TICK_NS));
    }

    #[test]
    fn a_blocked_m_is_followed_by_a_burst_of_looks() {
        let mut pace = Pace::new();
        let blocked = Looked { blocked: true, busy: true, ..WAITS };
        assert_eq!(pace.next(blocked, 7), Some(BURST_TICK_NS));
        assert_eq!(pace.next(WAITS, 7 + BURST_NS - 1), Some(BURST_TICK_NS));
        assert_eq!(pace.next(WAITS, 7 + BURST_NS), Some(TICK_NS));
    }

    #[test]
    fn nothing_in_a_few_looks_is_a_reason_to_sleep() {
        let mut pace = Pace::new();
        for _ in 1..QUIET_LOOKS {
            assert!(pace.next(NOTHING, 0).is_some());
        }
        assert_eq!(pace.next(NOTHING, 0), None);
        assert!(pace.next(NOTHING, 0).is_some(), "it was woken: it counts anew");
    }
}
