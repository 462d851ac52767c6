//! Sysmon: the overseer that takes a P from an M whose goroutine keeps it too long.
//!
//! A goroutine that computes for seconds, waits for a disk or sleeps in C keeps its thread; it must
//! not keep the right to run goroutines with it. One thread per runtime looks at the Ms every now
//! and then. What it sees of an M is its [`Progress`](crate::gmp::progress::Progress) and its
//! thread's CPU clock; what is to be done about it is in `policy::retake`; here it is carried out.
//!
//! - An M that two looks find in the same round is in user code. Its thread's clock stands and it
//!   is not ready to run: it is *blocked*, and its P goes at once. Else it *computes*, and its P
//!   goes when the slice is over. The goroutine knows nothing of it and goes on, without a P, until
//!   its next suspension.
//! - A P is taken only if somebody is there to have it: an M that waits for one, or sleeps, or one
//!   that is made before. If none can be made, all stays as it is. A P that nobody wants, behind a
//!   goroutine that overstays all the same, goes to the idle ones and wakes nobody.
//! - A goroutine that suspends only when it must, with others behind it, is *urged*: the next
//!   operation that may suspend does.
//! - While many compute without a P, new goroutines are let in one at a time (`start_gate`).
//!
//! It runs no user code, allocates only with no lock held, and holds no P: what it makes runnable
//! goes to inboxes and global queues. When nothing waits behind user code it sleeps until it is
//! told (`ds::sysmon_note`).
//!
//! // GO: proc.go sysmon, retake
//!
//! Rejected: preempting by a signal, and switching in its handler: the goroutine may hold malloc's
//! lock, and addresses of thread-locals live in registers. Wrapping system calls, so that the P is
//! given up before: not for a library in somebody else's process. Asking the kernel for the
//! thread's state each time: 10 us a file, against 0.3 us for its clock.

use std::collections::HashMap;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use gosched_runtime_sys::clock::monotonic_ns;

use crate::ds::revocable::Observed;
use crate::ds::timers::NEVER;
use crate::gmp::admission::Admission;
use crate::gmp::m::M;
use crate::gmp::progress::Ticks;
use crate::gmp::sched::Sched;
use crate::policy::retake::{
    BLOCKED_NS, Cpu, LEFT_NS, Looked, Pace, REPORT_LOCK_NS, REPORT_NS, SLICE_NS, Stay, Verdict,
    admission_ns, is_overloaded, judge, slice_ends,
};
use crate::proc::report::Overstay;
use crate::proc::start_m::start_idle_m;
use crate::proc::{excess_p, timers, wake};

/// What sysmon's thread runs.
pub(crate) fn main(sched: &Sched) {
    let mut sysmon = Sysmon::new();
    sched.has_sysmon.store(true, Relaxed);
    while !sched.sysmon_note.closed() {
        let now = monotonic_ns();
        let looked = sysmon.look(sched, now);
        let deadline = sched.unkept_deadline();
        match sysmon.pace.next(looked, now) {
            Some(ns) => {
                let left = sysmon.left_since.map_or(NEVER, |since| since.saturating_add(LEFT_NS));
                let next = now.saturating_add(ns).min(deadline.unwrap_or(NEVER)).min(left);
                sched.sysmon_note.pause(next);
            }
            None => {
                // What was seen before the sleep says nothing about what is seen after it.
                sysmon.seen.clear();
                sysmon.left_since = None;
                let until = deadline.unwrap_or(NEVER);
                sched.sysmon_note.sleep(until, || something_waits(sched, until, &mut sysmon.ms));
            }
        }
    }
}

/// What earlier looks saw of an M.
#[derive(Clone, Copy)]
struct MHistory {
    ticks: Ticks,
    round_since: u64,
    slice_since: u64,
    /// When its thread's clock was read last, and what it showed.
    clock: Option<(u64, u64)>,
    cpu: Cpu,
    /// How far its present stay was reported.
    reported_ns: u64,
}

impl MHistory {
    fn first(ticks: Ticks, now: u64) -> Self {
        Self {
            ticks,
            round_since: now,
            slice_since: now,
            clock: None,
            cpu: Cpu::Unknown,
            reported_ns: 0,
        }
    }

    /// Takes over what this look sees. True: the M is in the same round as before.
    fn update(&mut self, ticks: Ticks, now: u64) -> bool {
        if ticks.sched == self.ticks.sched {
            return true;
        }
        let slice_since = if ticks.slice == self.ticks.slice { self.slice_since } else { now };
        *self = Self { slice_since, ..Self::first(ticks, now) };
        false
    }

    /// Asks the thread's clock, if that was not asked just now.
    fn look_at_clock(&mut self, m: &M, now: u64, apart: u64) {
        let Some(clock) = m.progress.clock() else { return };
        let due = self.clock.is_none_or(|(at, _)| now.saturating_sub(at) >= apart);
        let Some(shows) = due.then(|| clock.read()).flatten() else { return };
        if let Some((_, showed)) = self.clock {
            let stands = shows == showed && clock.is_runnable() == Some(false);
            self.cpu = if stands { Cpu::Stands } else { Cpu::Runs };
        }
        self.clock = Some((now, shows));
    }
}

struct Sysmon {
    pace: Pace,
    /// By the address of the M's record.
    seen: HashMap<usize, MHistory>,
    ms: Vec<&'static M>,
    /// Since when the permit to start a goroutine is out, and how often it did not come back in
    /// time.
    permit_since: Option<u64>,
    hogs: u32,
    /// Since when there was work for more Ps at each look.
    wanted_since: Option<u64>,
    /// Since when such work lay beside an idle P at each look, and nobody searched.
    left_since: Option<u64>,
}

/// One look at all Ms.
struct Pass<'a> {
    sched: &'a Sched,
    now: u64,
    looked: Looked,
    /// How many more Ps would find work.
    wanted: usize,
    /// There has been some for so long that somebody has to come by at it.
    neglected: bool,
    /// Ms that compute without a P.
    computing: usize,
}

impl Sysmon {
    fn new() -> Self {
        Self {
            pace: Pace::new(),
            seen: HashMap::new(),
            ms: Vec::new(),
            permit_since: None,
            hogs: 0,
            wanted_since: None,
            left_since: None,
        }
    }

    fn look(&mut self, sched: &Sched, now: u64) -> Looked {
        if sched.unkept_deadline().is_some_and(|first| first <= now) {
            timers::fire_all(sched);
        }
        sched.list_ms(&mut self.ms);
        let waits = any_waits(sched, &self.ms);
        let looked = Looked { waits, blocked: false, busy: false };
        let wanted = wanted(sched);
        self.wanted_since = (wanted > 0).then(|| self.wanted_since.unwrap_or(now));
        let neglected =
            self.wanted_since.is_some_and(|since| slice_ends(now.saturating_sub(since)));
        if neglected {
            // Once in a slice: who looks everywhere looks at those last that it has itself.
            self.wanted_since = Some(now);
        }
        self.look_after_what_is_left(sched, now);
        let mut look = Pass { sched, now, looked, wanted, neglected, computing: 0 };
        for m in &self.ms {
            let ticks = m.progress.ticks();
            let seen = self
                .seen
                .entry(std::ptr::from_ref::<M>(m).addr())
                .or_insert_with(|| MHistory::first(ticks, now));
            look.at(m, seen, ticks);
        }
        if self.seen.len() > 2 * self.ms.len() + 16 {
            // Records of Ms that have left; the others are seen anew.
            self.seen.clear();
        }
        sched.counts.computing.store(look.computing, Relaxed);
        let (computing, looked) = (look.computing, look.looked);
        self.let_in(sched, computing, now);
        looked
    }

    /// Has an M come for what was left to the one that found it, and that it has not run in time.
    fn look_after_what_is_left(&mut self, sched: &Sched, now: u64) {
        let left = sched.has_free_work() && sched.idle.idle_ps() > 0 && sched.idle.searching() == 0;
        self.left_since = left.then(|| self.left_since.unwrap_or(now));
        if self.left_since.is_some_and(|since| now.saturating_sub(since) >= LEFT_NS) {
            self.left_since = None;
            wake::wake_p(sched);
        }
    }

    /// Opens and closes the gate for new goroutines.
    fn let_in(&mut self, sched: &Sched, computing: usize, now: u64) {
        let restricted = is_overloaded(computing, sched.procs(), sched.cpus.count);
        let opened = sched.start_gate.restrict(restricted);
        if !restricted {
            self.hogs = 0;
        }
        if !sched.start_gate.permit_is_out() {
            self.permit_since = None;
        }
        let overdue = sched.start_gate.permit_is_out()
            && now.saturating_sub(*self.permit_since.get_or_insert(now)) >= admission_ns(self.hogs);
        if overdue {
            self.hogs += 1;
            self.permit_since = None;
        }
        if opened || overdue && sched.start_gate.give_back(Admission::Permit) {
            wake::wake_p(sched);
        }
    }
}

impl Pass<'_> {
    fn at(&mut self, m: &'static M, seen: &mut MHistory, ticks: Ticks) {
        let same_round = seen.update(ticks, self.now);
        if self.neglected && m.progress.runs() {
            // Urged, it looks everywhere before the next round.
            m.progress.request_preempt();
        }
        if !m.progress.runs() || !same_round {
            return;
        }
        let stuck_ns = self.now - seen.round_since;
        self.sched.counts.longest_run_ns.fetch_max(stuck_ns, Relaxed);
        self.looked.busy |= self.looked.waits;
        self.request_preempt(m, seen);
        let observed = m.p.observe();
        let apart = if observed.is_there() { BLOCKED_NS } else { SLICE_NS };
        seen.look_at_clock(m, self.now, apart);
        if observed.is_there() {
            self.retake(m, &observed, judge(Stay { stuck_ns, cpu: seen.cpu }));
        } else if m.remote.works() && seen.cpu != Cpu::Stands {
            self.computing += 1;
        }
        self.report(m, seen, stuck_ns);
    }

    /// A slice that is about to be over ends at the goroutine's next chance, if others wait behind
    /// it or its P is wanted elsewhere.
    fn request_preempt(&self, m: &M, seen: &MHistory) {
        if slice_ends(self.now.saturating_sub(seen.slice_since))
            && (keeps_others_waiting(m) || self.wanted > 0)
        {
            m.progress.request_preempt();
        }
    }

    fn retake(&mut self, m: &M, observed: &Observed, verdict: Verdict) {
        let sched = self.sched;
        let count = match verdict {
            Verdict::Leave => return,
            Verdict::Blocked => &sched.counts.retaken_blocked,
            Verdict::Computing => &sched.counts.retaken_computing,
        };
        // Somebody must be there to have it, before it is taken; but for one too many.
        if self.wanted > 0
            && sched.dispatch.excess() == 0
            && !sched.dispatch.has_receiver()
            && start_idle_m(sched).is_err()
        {
            // It may have been handed a P meanwhile.
            wake::wake_p_if_work(sched);
            return;
        }
        m.progress.request_preempt();
        let Some(p) = sched.revoke_p(m, observed) else { return };
        count.fetch_add(1, Relaxed);
        self.looked.blocked |= verdict == Verdict::Blocked;
        if self.wanted > 0 {
            self.wanted -= 1;
            wake::hand_off_p(sched, p);
        } else {
            excess_p::put_back(sched, p);
            // Somebody may have published when no P was idle.
            wake::wake_p_if_work(sched);
        }
    }

    /// Tells whoever listens of a goroutine that keeps its siblings waiting.
    fn report(&self, m: &'static M, seen: &mut MHistory, stuck_ns: u64) {
        let next = if seen.reported_ns == 0 { REPORT_NS } else { REPORT_LOCK_NS };
        if stuck_ns < next || seen.reported_ns >= REPORT_LOCK_NS || !keeps_others_waiting(m) {
            return;
        }
        let blocked = seen.cpu == Cpu::Stands;
        if let Some(overstay) = Overstay::of(self.sched, m, Duration::from_nanos(stuck_ns), blocked)
        {
            seen.reported_ns = next;
            overstay.tell(next >= REPORT_LOCK_NS);
        }
    }
}

/// Whether ready settled Gs, or Gs of the M's P, wait for the one that runs.
fn keeps_others_waiting(m: &M) -> bool {
    m.progress.behind() > 0 || !m.inbox.is_empty()
}

/// How many Ps would find work now.
fn wanted(sched: &Sched) -> usize {
    let free = if sched.has_free_work() { sched.free_work() } else { 0 };
    free + sched.dispatch.line_len()
}

/// Whether something waits that an M in user code may keep waiting.
fn any_waits(sched: &Sched, ms: &[&'static M]) -> bool {
    sched.dispatch.line_len() > 0
        || sched.dispatch.excess() > 0
        || sched.has_migratory()
        || sched.has_unstarted()
        || ms.iter().any(|m| m.progress.runs() && keeps_others_waiting(m))
}

/// The last view before a sleep until `until`.
fn something_waits(sched: &Sched, until: u64, ms: &mut Vec<&'static M>) -> bool {
    sched.list_ms(ms);
    any_waits(sched, ms) || sched.unkept_deadline().is_some_and(|first| first < until)
}
