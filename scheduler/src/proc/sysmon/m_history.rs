//! What sysmon remembers of an M from one look to the next.

use crate::gmp::m::M;
use crate::gmp::progress::Ticks;
use crate::policy::behaviour::Run;
use crate::policy::retake::Cpu;

/// What earlier looks have seen of one M.
#[derive(Clone, Copy)]
pub(super) struct MHistory {
    pub(super) ticks: Ticks,
    pub(super) round_since: u64,
    pub(super) slice_since: u64,
    /// When its thread's clock was read last, and what the clock showed.
    pub(super) clock: Option<(u64, u64)>,
    /// What the clock showed first.
    pub(super) clock_began: Option<u64>,
    pub(super) cpu: Cpu,
    /// Up to which length its present stay was reported.
    pub(super) reported_ns: u64,
    /// The call site of the G that makes the stay has been told.
    pub(super) told: bool,
    /// Since when its thread sleeps or blocks for a G, with others ready behind it.
    pub(super) keeps_since: Option<u64>,
}

impl MHistory {
    pub(super) fn first(ticks: Ticks, now: u64) -> Self {
        Self {
            ticks,
            round_since: now,
            slice_since: now,
            clock: None,
            clock_began: None,
            cpu: Cpu::Unknown,
            reported_ns: 0,
            told: false,
            keeps_since: None,
        }
    }

    /// Updates the history with what this look sees. True if the M is in the same round as before.
    pub(super) fn update(&mut self, ticks: Ticks, now: u64) -> bool {
        if ticks.sched == self.ticks.sched {
            return true;
        }
        let slice_since = if ticks.slice == self.ticks.slice { self.slice_since } else { now };
        *self = Self { slice_since, ..Self::first(ticks, now) };
        false
    }

    /// Reads the thread's clock, unless the last reading is less than `apart` old, and concludes
    /// from the two what the thread did between them.
    pub(super) fn look_at_clock(&mut self, m: &M, now: u64, apart: u64) {
        let Some(clock) = m.progress.clock() else { return };
        let due = self.clock.is_none_or(|(at, _)| now.saturating_sub(at) >= apart);
        let Some(shows) = due.then(|| clock.read()).flatten() else { return };
        if let Some((_, showed)) = self.clock {
            let stands = shows == showed && clock.is_runnable() == Some(false);
            self.cpu = if stands { Cpu::Stands } else { Cpu::Runs };
        }
        self.clock = Some((now, shows));
        self.clock_began = self.clock_began.or(Some(shows));
    }

    /// Returns the run of the goroutine that makes the stay, as far as it was seen.
    pub(super) fn run(&self, now: u64) -> Run {
        let cpu_ns = self.clock.zip(self.clock_began).map(|((_, shows), began)| shows - began);
        Run {
            lasted_ns: now - self.round_since,
            cpu_ns,
            blocked: self.cpu == Cpu::Stands,
            timed: false,
        }
    }
}
