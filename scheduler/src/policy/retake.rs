//! When sysmon takes a P from an M, and how often it looks.
//!
//! Everything here is a function of what two looks saw; who looks, and what is done about the
//! verdict, is `sysmon`'s. Each constant was varied on the scheduler itself, 2 Ps on 2 CPUs, the
//! others as they are; what came of it stands beside it, and all of it in `docs/scheduling.md`.

/// How long a goroutine may compute before its P is taken for whoever waits: Go's number. With 5
/// ms, goroutines that compute for 6 ms at a time lost 145 Ps a second and a tenth of their
/// throughput, with 10 ms none; with 20 ms, two hogs left gaps of up to 36 ms in a 1 ms ticker,
/// with 10 ms of 14.
pub(crate) const SLICE_NS: u64 = 10_000_000;

/// Two looks at a thread's CPU clock are compared if they are at least so far apart: below, a
/// thread that has just been woken may not have been charged for anything yet. 30 us gain nothing,
/// since looks are 100 us apart at best; with 300 us, 64 calls that block for 20 ms took 38 ms
/// instead of 32, with 1 ms 63.
pub(crate) const BLOCKED_NS: u64 = 100_000;

/// So many times `procs`, or as many times the cores if those are fewer, Ms may compute without a P
/// before new goroutines are let in one at a time only. Each of them is a thread that wants a core,
/// so the cores count: with 8 Ps on 2 of them, 32 such threads and the 8 with a P had each other
/// wait for 60 ms. Beside 200 hogs, a ticker had gaps of up to 22 ms with 1, 36 ms with 4, 39 ms
/// with 8, 64 ms with 16, which is more than is promised; with 1, a third fewer of the hogs had
/// begun after 3 s.
pub(crate) const COMPUTING_PER_PROC: usize = 4;

/// The longest time between two admissions of a goroutine that turn out to be hogs; the first is
/// twice the slice. With 20 ms each time, 200 hogs had 79 threads after 3 s and left gaps of 100
/// ms; with 100 ms 38 and 45 ms, with 300 ms 23 and 28 ms, with a second 18 and as much. Longer
/// ones gain nothing, and keep what is no hog waiting.
pub(crate) const LONGEST_ADMISSION_NS: u64 = 1_000_000_000;

/// How often sysmon looks while something waits behind user code. A look costs some microseconds,
/// most of them the timer's interrupt and the switch, so this is well below a percent of a core. 16
/// goroutines that block for 5 ms again and again made 2,700 calls a second; with 2 ms 2,300, with
/// 4 ms 1,400; with 0.25 ms a tenth more, for as much more of the overseer's time.
pub(crate) const TICK_NS: u64 = 1_000_000;

/// While nothing has to be done about what waits, the time between looks doubles up to this. The
/// worst case of a goroutine that blocks just after a look is this and a tick: it is most of the
/// gap that blocking Gs leave in a ticker. While 1,000 goroutines yield, sysmon takes 14 ms of
/// processor time a second with 1 ms, 6 with 2, 2.5 with 4, 1.9 with 8: from here on it is cheap.
pub(crate) const LONGEST_TICK_NS: u64 = 4_000_000;

/// After a blocked M lost its P, the goroutine that its P runs next is probably of the same kind:
/// for so long sysmon looks more often. Without, 64 calls that block for 20 ms took 104 ms; with
/// anything from 1 to 20 ms, 32.
pub(crate) const BURST_NS: u64 = 5_000_000;
/// How often it does. With 0.2 ms, those 64 calls took 38 ms, with 0.5 ms 64, with 50 us 31.
pub(crate) const BURST_TICK_NS: u64 = 100_000;

/// Work for any M that lies beside an idle P for so long, seen by two looks so far apart, has an M
/// woken for it. Only what came due together with a goroutine that then computes lies so; see
/// `proc::find`. Long enough for an M to run 50 sleepers of 4 us, each of whom a woken M would have
/// come too late for.
pub(crate) const LEFT_NS: u64 = 200_000;

/// So many looks in a row must see nothing that waits before sysmon sleeps: two goroutines that
/// wake each other leave work behind in one look and none in the next, and a sleep that ends at
/// once costs more than a look. While 1,000 goroutines yield, 1 look costs 6.1 ms of processor time
/// a second, 2 cost 4.1, 3 cost 2.7, 6 as much.
pub(crate) const QUIET_LOOKS: u32 = 3;

/// From when on a goroutine that keeps siblings waiting is reported, and from when on the report
/// says that a lock may be the reason. For people: ten slices, which no goroutine that suspends now
/// and then comes to; and a second, which few calls block for. A report takes sysmon 15 us, for the
/// thread that tells it, and a walk over all records: 25 to 30 us with 10,000 goroutines, 2 ms with
/// a million. So what suspends each 100 ms, and is reported each time, costs 0.03 % of a core, or 2
/// % beside a million.
pub(crate) const REPORT_NS: u64 = 100_000_000;
/// See [`REPORT_NS`].
pub(crate) const REPORT_LOCK_NS: u64 = 1_000_000_000;

/// How long after sysmon's thread could not be made the next try is. One that fails for want of
/// memory takes 0.5 us, since that is tried out first, and one that fails last about as much as one
/// that succeeds, 12 to 18 us: so it costs 0.02 % of a core at most, where a try at each tick could
/// cost 2 %.
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

/// Whether a goroutine whose slice has lasted so long is asked to suspend at its next chance: a
/// tick before its P is taken, so that one that has chances keeps it. Asked when it was taken, 8
/// goroutines whose operations never wait lost 160 Ps a second on 2 Ps, and now lose 4 to 11.
pub(crate) fn slice_ends(slice_ns: u64) -> bool {
    slice_ns >= SLICE_NS - TICK_NS
}

/// Whether so many Ms compute without a P that new goroutines are admitted one at a time.
pub(crate) fn is_overloaded(computing: usize, procs: usize, cpus: usize) -> bool {
    computing >= COMPUTING_PER_PROC * procs.min(cpus)
}

/// How long the goroutine that was admitted last may run before the next one is, when `hogs` of
/// those admitted before have turned out to compute for longer than a slice.
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
    /// Something was done or is about to be: a P was taken, or an M is in the same round as a look
    /// before.
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
        assert_eq!(
            stay(SLICE_NS, Cpu::Unknown),
            Verdict::Computing,
            "a slice is over without a clock, too"
        );
    }

    #[test]
    fn admissions_grow_rare_and_never_end() {
        assert_eq!((admission_ns(0), admission_ns(1)), (2 * SLICE_NS, 4 * SLICE_NS));
        assert!((0..100).map(admission_ns).is_sorted());
        assert_eq!(admission_ns(u32::MAX), LONGEST_ADMISSION_NS);
        assert!(is_overloaded(8, 2, 8) && !is_overloaded(7, 2, 8));
        assert!(is_overloaded(8, 8, 2) && !is_overloaded(7, 8, 2));
    }

    #[test]
    fn looks_grow_rare_while_nothing_has_to_be_done() {
        let mut pace = Pace::new();
        let ticks: Vec<_> = (0..5).map(|n| pace.next(WAITS, n).expect("something waits")).collect();
        assert!(
            ticks.is_sorted() && ticks[0] == TICK_NS && ticks[4] == LONGEST_TICK_NS,
            "{ticks:?}"
        );
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
