//! The overseer, as `sysmon` and `crowd` are: looks, takes Ps from those who keep them, and lets
//! new goroutines in.

use std::collections::BTreeMap;

use crate::cost;
use crate::os::Tid;
use crate::policy::retake::{
    BLOCKED_NS, Cpu, Looked, Pace, SLICE_NS, Stay, Verdict, admission_ns, is_overloaded, judge,
    slice_ends,
};
use crate::world::{Event, Next, World};

/// Ps taken from Ms that were blocked.
pub(crate) const BLOCKED: &str = "retaken, blocked";
/// Ps taken from Ms that computed.
pub(crate) const COMPUTING: &str = "retaken, computing";

/// What earlier looks saw of an M.
#[derive(Clone, Copy)]
struct Seen {
    round: u64,
    round_since: u64,
    slice: u64,
    slice_since: u64,
    /// When its thread's clock was read last, and what it showed.
    clock: Option<(u64, u64)>,
    cpu: Cpu,
}

pub(crate) struct Sysmon {
    thread: Tid,
    asleep: bool,
    looks: bool,
    pace: Pace,
    seen: BTreeMap<usize, Seen>,
    crowded: bool,
    permit_is_out: bool,
    permit_since: Option<u64>,
    hogs: u32,
    /// Since when there was work for more Ps at each look.
    wanted_since: Option<u64>,
}

impl Sysmon {
    pub(crate) fn new(thread: Tid) -> Self {
        Self {
            thread,
            asleep: true,
            looks: false,
            pace: Pace::new(),
            seen: BTreeMap::new(),
            crowded: false,
            permit_is_out: false,
            permit_since: None,
            hogs: 0,
            wanted_since: None,
        }
    }

    /// Whether a goroutine could be started now.
    pub(crate) fn admits(&self) -> bool {
        !self.crowded || !self.permit_is_out
    }
}

impl World {
    /// Something waits that an M in user code may keep waiting.
    pub(crate) fn sysmon_is_told(&mut self) {
        if self.config.sysmon && std::mem::take(&mut self.sysmon.asleep) {
            self.at(self.now + cost::WOKEN, Event::Wake(self.sysmon.thread));
        }
    }

    /// May M `m` start a goroutine now?
    pub(crate) fn admit(&mut self, m: usize) -> bool {
        if !self.sysmon.crowded {
            return true;
        }
        let admitted = !std::mem::replace(&mut self.sysmon.permit_is_out, true);
        self.ms[m].permit |= admitted;
        admitted
    }

    /// What was started by permit has given the M back.
    pub(crate) fn give_permit_back(&mut self, m: usize) {
        if std::mem::take(&mut self.ms[m].permit) {
            self.sysmon.permit_is_out = false;
            if self.has_free_work() {
                self.submit(Some(m));
            }
        }
    }

    pub(crate) fn step_sysmon(&mut self) -> Next {
        if !std::mem::replace(&mut self.sysmon.looks, true) {
            return Next::Run(cost::SYSMON_LOOK);
        }
        self.sysmon.looks = false;
        let looked = self.look_at_ms();
        let now = self.now;
        match self.sysmon.pace.next(looked, now) {
            Some(ns) => Next::Block(ns + cost::TIMER_SLACK),
            None => {
                self.sysmon.seen.clear();
                self.sysmon.asleep = true;
                Next::Sleep
            }
        }
    }

    fn look_at_ms(&mut self) -> Looked {
        self.record.count("looks");
        let keeps_waiting = self.ms.iter().any(|m| m.in_user_code && m.ready() > 0);
        let waits = keeps_waiting
            || self.excess() > 0
            || !self.dispatch.line.is_empty()
            || self.has_free_work()
            || self.timers_are_due();
        let mut looked = Looked { waits, blocked: false, busy: false };
        let mut wanted =
            self.free_work() + self.dispatch.line.len() + usize::from(self.timers_are_due());
        let now = self.now;
        let since = (wanted > 0).then(|| self.sysmon.wanted_since.unwrap_or(now));
        self.sysmon.wanted_since = since;
        let neglected = since.is_some_and(|since| slice_ends(now - since));
        if neglected {
            self.sysmon.wanted_since = Some(now);
        }
        let mut computing = 0;
        for m in 0..self.ms.len() {
            if self.ms[m].ended {
                continue;
            }
            self.ms[m].urged |= neglected && self.ms[m].in_user_code;
            let Some(seen) = self.see(m) else { continue };
            looked.busy |= waits;
            let ends = slice_ends(self.now - seen.slice_since);
            self.ms[m].urged |= ends && (self.ms[m].ready() > 0 || wanted > 0);
            if self.ms[m].p.is_none() {
                computing += usize::from(seen.cpu != Cpu::Stands);
                continue;
            }
            let verdict = judge(Stay { stuck_ns: self.now - seen.round_since, cpu: seen.cpu });
            if verdict == Verdict::Leave {
                continue;
            }
            looked.blocked |= verdict == Verdict::Blocked;
            self.retake(m, verdict, &mut wanted);
        }
        self.let_in(computing);
        looked
    }

    /// What is known of an M, if this look finds it in the same round of user code as the one
    /// before.
    fn see(&mut self, m: usize) -> Option<Seen> {
        let now = self.now;
        let (round, slice, thread) = (self.ms[m].round, self.ms[m].slice, self.ms[m].thread);
        let first = Seen {
            round,
            round_since: now,
            slice,
            slice_since: now,
            clock: None,
            cpu: Cpu::Unknown,
        };
        let seen = self.sysmon.seen.entry(m).or_insert(first);
        let same_round = seen.round == round;
        if !same_round {
            let slice_since = if seen.slice == slice { seen.slice_since } else { now };
            *seen = Seen { slice_since, ..first };
        }
        if !self.ms[m].in_user_code || !same_round {
            return None;
        }
        let apart = if self.ms[m].p.is_some() { BLOCKED_NS } else { SLICE_NS };
        if seen.clock.is_none_or(|(at, _)| now - at >= apart) {
            let shows = self.os.cpu(thread, now);
            if let Some((_, showed)) = seen.clock {
                let stands = shows == showed && self.os.is_blocked(thread);
                seen.cpu = if stands { Cpu::Stands } else { Cpu::Runs };
            }
            seen.clock = Some((now, shows));
        }
        Some(*seen)
    }

    fn retake(&mut self, m: usize, verdict: Verdict, wanted: &mut usize) {
        let p = self.ms[m].p.take().expect("it is on the table");
        self.record.count(if verdict == Verdict::Blocked { BLOCKED } else { COMPUTING });
        if *wanted > 0 {
            *wanted -= 1;
            self.hand_off(p, None);
        } else {
            self.put_back(p, None);
        }
    }

    /// Opens and closes the gate for new goroutines.
    fn let_in(&mut self, computing: usize) {
        let crowded = is_overloaded(computing, self.procs, self.config.cores);
        let opened = self.sysmon.crowded && !crowded;
        if self.sysmon.crowded != crowded {
            self.sysmon.crowded = crowded;
            self.sysmon.permit_is_out = false;
        }
        if !crowded {
            self.sysmon.hogs = 0;
        }
        if !(crowded && self.sysmon.permit_is_out) {
            self.sysmon.permit_since = None;
        }
        let now = self.now;
        let sysmon = &mut self.sysmon;
        let overdue = crowded
            && sysmon.permit_is_out
            && now - *sysmon.permit_since.get_or_insert(now) >= admission_ns(sysmon.hogs);
        if overdue {
            sysmon.hogs += 1;
            sysmon.permit_since = None;
            sysmon.permit_is_out = false;
        }
        if opened || overdue {
            self.submit(None);
        }
    }
}
