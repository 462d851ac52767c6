//! When sysmon revokes a P from an M, and how often it looks.
//!
//! Everything here is a function of what two looks saw. `proc::sysmon` looks, and carries the
//! verdict out. Each constant was varied on the scheduler itself, 2 Ps on 2 CPUs, the others as
//! they are; the results are in `docs/scheduling.md`, "Measured constants" and section 12.

/// Time in ns for which a goroutine may compute before its P is revoked for others that wait.
pub(crate) const SLICE_NS: u64 = 10_000_000;

/// Time in ns that two readings of a thread's CPU clock must be apart to be compared.
pub(crate) const BLOCKED_NS: u64 = 100_000;

/// Number of Ms, per P or per core, that may compute without a P; see [`is_overloaded`].
pub(crate) const COMPUTING_PER_PROC: usize = 4;

/// Longest time in ns between two admissions of goroutines that turn out to be hogs.
pub(crate) const LONGEST_ADMISSION_NS: u64 = 1_000_000_000;

/// Shortest time in ns between two looks of sysmon while something waits behind user code.
pub(crate) const TICK_NS: u64 = 1_000_000;

/// Longest time in ns between two looks of sysmon; reached by doubling.
pub(crate) const LONGEST_TICK_NS: u64 = 4_000_000;

/// Time in ns for which sysmon looks more often after a blocked M lost its P.
pub(crate) const BURST_NS: u64 = 5_000_000;
/// Time in ns between two looks during [`BURST_NS`].
pub(crate) const BURST_TICK_NS: u64 = 100_000;

/// Time in ns for which free work may lie beside an idle P before sysmon wakes an M for it.
pub(crate) const LEFT_NS: u64 = 200_000;

/// Number of looks in a row that must see nothing that waits before sysmon sleeps.
pub(crate) const QUIET_LOOKS: u32 = 3;

/// Time in ns after which a goroutine that keeps siblings waiting is reported.
pub(crate) const REPORT_NS: u64 = 100_000_000;
/// Time in ns after which that report says that a lock may be the reason.
pub(crate) const REPORT_LOCK_NS: u64 = 1_000_000_000;

/// Time in ns after which a goroutine is reported that waits and keeps its thread.
pub(crate) const REPORT_KEPT_NS: u64 = 500_000_000;

/// Time in ns after which a failed attempt to make sysmon's thread is repeated.
pub(crate) const RETRY_NS: u64 = 100_000_000;

/// What is known of an M that keeps its P while others wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stay {
    /// How long the M has been seen in the same round, in ns.
    pub(crate) stuck_ns: u64,
    /// What its thread's CPU clock did meanwhile, if that is known.
    pub(crate) cpu: Cpu,
}

/// What a thread's CPU clock did between two looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cpu {
    /// No two readings are far enough apart.
    Unknown,
    /// The clock went on, or would if the thread had a core.
    Runs,
    /// The clock stood still, and the thread is not ready to run.
    Stands,
}

/// What an M is doing, as far as sysmon must know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Within its slice: leave it alone.
    Leave,
    /// Its thread is blocked, so the P is of no use to it.
    Blocked,
    /// It computes for longer than its slice.
    Computing,
}

/// Returns what to do about an M whose P others want.
pub(crate) fn judge(stay: Stay) -> Verdict {
    match stay.cpu {
        Cpu::Stands => Verdict::Blocked,
        Cpu::Runs | Cpu::Unknown if stay.stuck_ns >= SLICE_NS => Verdict::Computing,
        Cpu::Runs | Cpu::Unknown => Verdict::Leave,
    }
}

/// True if a goroutine whose slice has lasted for `slice_ns` is asked to suspend at its next
/// chance.
///
/// That is a tick before its P is revoked, so a goroutine that has such chances keeps its P. When
/// the request came only with the revocation, 8 goroutines whose operations never wait lost 160 Ps
/// a second on 2 Ps; now they lose 4 to 11.
pub(crate) fn slice_ends(slice_ns: u64) -> bool {
    slice_ns >= SLICE_NS - TICK_NS
}

/// True if new goroutines are admitted one at a time, because so many Ms compute without a P.
///
/// The limit is [`COMPUTING_PER_PROC`] per P, or per core if those are fewer.
pub(crate) fn is_overloaded(computing: usize, procs: usize, cpus: usize) -> bool {
    computing >= COMPUTING_PER_PROC * procs.min(cpus)
}

/// Returns how long the last admitted goroutine may run before the next one is admitted, in ns.
///
/// `hogs` of those admitted before have turned out to compute for longer than a slice. The first
/// time is twice the slice.
pub(crate) fn admission_ns(hogs: u32) -> u64 {
    SLICE_NS.saturating_mul(2_u64.saturating_pow(hogs.saturating_add(1))).min(LONGEST_ADMISSION_NS)
}

/// What a look of sysmon found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Looked {
    /// Something waits behind user code.
    pub(crate) waits: bool,
    /// A P was revoked from a blocked M.
    pub(crate) blocked: bool,
    /// Something was done or is about to be: a P was revoked, an M is in the same round as at an
    /// earlier look, or free work waits for an M that is on its way or is to be woken.
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
    /// Returns the pace after a sleep.
    pub(crate) fn new() -> Self {
        Self { tick_ns: TICK_NS, burst_until: 0, quiet: 0 }
    }

    /// Returns the time in ns until the next look; `None` if sysmon may sleep until it is woken.
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

/// True if a waker may take the P of an M whose goroutine is known to compute, when there are
/// `procs` Ps, and `without` others compute without the P that was taken from them.
///
/// With twice as many allowed, callbacks were no faster (2 to 200 that compute, 1 to 4 Ps).
pub(crate) fn may_take_over(without: usize, procs: usize) -> bool {
    without < procs
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
