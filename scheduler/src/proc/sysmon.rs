//! Sysmon: the thread that takes a P from an M whose goroutine keeps it too long.
//!
//! A goroutine that computes for seconds, waits for a disk or sleeps in C keeps its thread; it must
//! not keep the right to run goroutines with it. One thread per runtime looks at the Ms now and
//! then. Of an M it sees the [`Progress`](crate::gmp::progress::Progress) and the CPU clock of its
//! thread. `policy::retake` judges; this file carries the verdict out.
//!
//! # What a look does
//!
//! - *Take.* An M that two looks find in the same round is in user code. If its thread's clock
//!   stands still and the thread is not ready to run, the M is *blocked*, and its P goes at once.
//!   Otherwise it *computes*, and its P goes when the slice is over. The goroutine learns nothing
//!   of it: it goes on without a P until its next suspension.
//! - *Request preemption.* If a goroutine's slice is nearly over and others wait behind it, or its
//!   P is wanted elsewhere, the next operation that may suspend does. A slice that several share,
//!   each woken by the one before, is over sooner (`policy::chain`).
//! - *Restrict.* While many Ms compute without a P, new goroutines start one at a time
//!   ([`StartGate`](crate::gmp::admission::StartGate)).
//! - *Fire* the timers that no sleeping M keeps.
//! - *Wake an M* for free work that two looks see beside an idle P while nobody searches. An M that
//!   found several goroutines due at once keeps them to itself, and wakes nobody (`find`).
//! - *Report* who keeps siblings waiting, also by waiting in place ([`report`](super::report)).
//!
//! # Who owns what
//!
//! Sysmon runs no user code, allocates only with no lock held, and keeps no P. A P that it takes
//! goes to another M at once, so before it takes the P it makes sure that an M is there: one in the
//! line, one that sleeps, or one that it makes ([`start_idle_m`]). If no M can be made, nothing
//! changes. A P for which there is no work, behind a goroutine that overstays all the same, becomes
//! idle and wakes no M. Gs that sysmon makes runnable go to inboxes and global queues.
//!
//! It takes a P only from an M that is still one of this runtime's, since M records are reused
//! (`Sched::take_from`), and only if the M's slot holds what sysmon observed there.
//!
//! # The handshake
//!
//! This is the right side of *behind* (`wake_sysmon`). If nothing waits behind user code in three
//! looks in a row, sysmon says that it sleeps, makes the heavy fence, looks once more, and sleeps
//! until it is woken or the first deadline that no sleeping M keeps. The proof is at the head of
//! `ds::sysmon_note`.
//!
//! // GO: proc.go sysmon, retake
//!
//! # Rejected
//!
//! - Preempting by a signal and switching in its handler: the goroutine may hold malloc's lock, and
//!   addresses of thread-locals live in registers.
//! - Wrapping system calls, so that the P is given up before: a library does not own its process's.
//! - Asking the kernel for the thread's state each time: 10 us a file, against 0.3 us for its
//!   clock.

mod m_history;

use std::collections::HashMap;
use std::mem;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use gosched_runtime_sys::clock::monotonic_ns;

use crate::ds::revocable::Observed;
use crate::ds::timers::NEVER;
use crate::gmp::admission::Admission;
use crate::gmp::m::M;
use crate::gmp::progress::Ticks;
use crate::gmp::sched::Sched;
use crate::gmp::thread_g;
use crate::policy::chain::CHAIN_NS;
use crate::policy::head_age::HeadAge;
use crate::policy::retake::{
    BLOCKED_NS, Cpu, LEFT_NS, Looked, Pace, REPORT_KEPT_NS, REPORT_LOCK_NS, REPORT_NS, SLICE_NS,
    Stay, Verdict, admission_ns, is_overloaded, judge, slice_ends,
};
use crate::proc::report::Overstay;
use crate::proc::start_m::start_idle_m;
use crate::proc::{apart, excess_p, standstill, timers, wake};
use m_history::MHistory;

/// The main function of sysmon's thread.
pub(crate) fn main(sched: &Sched) {
    let mut sysmon = Sysmon::new();
    while !sched.sysmon_note.closed() {
        let now = monotonic_ns();
        let looked = sysmon.look(sched, now);
        let deadline = sched.unkept_deadline();
        match sysmon.pace.next(looked, now) {
            Some(ns) => {
                // One that was seen for longer is left to an M that computes.
                let apart = Some(sysmon.apart.first_seen()).filter(|since| since + LEFT_NS > now);
                let left = sysmon
                    .leftover_since
                    .into_iter()
                    .chain(apart)
                    .min()
                    .map_or(NEVER, |since| since.max(now).saturating_add(LEFT_NS));
                let next = now.saturating_add(ns).min(deadline.unwrap_or(NEVER)).min(left);
                sched.sysmon_note.pause(next);
            }
            None => {
                // Rounds seen before the sleep say nothing about rounds seen after it.
                sysmon.seen.clear();
                sysmon.leftover_since = None;
                let until = deadline.unwrap_or(NEVER);
                sched.sysmon_note.sleep(until, || something_waits(sched, until, &mut sysmon.ms));
            }
        }
    }
}

/// What sysmon knows from one look to the next.
struct Sysmon {
    pace: Pace,
    /// By the address of the M's record.
    seen: HashMap<usize, MHistory>,
    ms: Vec<&'static M>,
    /// Since when the permit to start a goroutine is out.
    permit_since: Option<u64>,
    /// How often the permit did not come back in time.
    hogs: u32,
    /// Since when each look has seen work for more Ps.
    wanted_since: Option<u64>,
    /// Since when each look has seen free work beside an idle P while no M searched.
    leftover_since: Option<u64>,
    /// The oldest G that is to begin apart, and since when it was seen.
    apart: HeadAge,
}

/// One look at all Ms.
struct Pass<'a> {
    sched: &'a Sched,
    now: u64,
    looked: Looked,
    /// How many more Ps would find work.
    wanted: usize,
    /// Such work has waited for so long that busy Ms have to look everywhere.
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
            leftover_since: None,
            apart: HeadAge::default(),
        }
    }

    fn look(&mut self, sched: &Sched, now: u64) -> Looked {
        if sched.unkept_deadline().is_some_and(|first| first <= now) {
            // Between the claim of a goroutine and its wake-up only this thread knows of it.
            sched.deadlocks.agents.add();
            timers::fire_all(sched);
            sched.deadlocks.agents.remove();
            standstill::check(sched);
        }
        thread_g::mark_waits(sched, now);
        sched.list_ms(&mut self.ms);
        let waits = any_waits(sched, &self.ms);
        let looked = Looked { waits, blocked: false, busy: false };
        let wanted = wanted(sched);
        self.wanted_since = (wanted > 0).then(|| self.wanted_since.unwrap_or(now));
        let neglected =
            self.wanted_since.is_some_and(|since| slice_ends(now.saturating_sub(since)));
        if neglected {
            // Once in a slice: an M that looks everywhere looks at its own Gs last.
            self.wanted_since = Some(now);
        }
        let mut pass = Pass { sched, now, looked, wanted, neglected, computing: 0 };
        pass.looked.busy = self.wake_for_leftovers(sched, now);
        self.bring_for_apart(sched, now);
        for m in &self.ms {
            let ticks = m.progress.ticks();
            let seen = self
                .seen
                .entry(std::ptr::from_ref::<M>(m).addr())
                .or_insert_with(|| MHistory::first(ticks, now));
            pass.look_at(m, seen, ticks);
        }
        if self.seen.len() > 2 * self.ms.len() + 16 {
            // Most records are of Ms that have left. The histories of the others begin anew.
            self.seen.clear();
        }
        sched.counts.computing.store(pass.computing, Relaxed);
        let (computing, looked) = (pass.computing, pass.looked);
        self.control_start_gate(sched, computing, now);
        looked
    }

    /// Wakes an M for free work that the M which found it has left to itself and not run in time.
    /// True if there is such work, or an M is on its way to some.
    ///
    /// The kernel may have put that M behind one that computes, beside an idle core. It looks again
    /// when that core has had something to do, such as a look of this thread.
    fn wake_for_leftovers(&mut self, sched: &Sched, now: u64) -> bool {
        let free = sched.has_free_work();
        let searching = sched.idle.searching() > 0;
        let left = free && !searching && sched.idle.idle_ps() > 0;
        self.leftover_since = left.then(|| self.leftover_since.unwrap_or(now));
        if self.leftover_since.is_some_and(|since| now.saturating_sub(since) >= LEFT_NS) {
            self.leftover_since = None;
            wake::wake_p(sched);
        }
        left || free && searching
    }

    /// Brings an M for a G that is to begin apart and that nobody has taken in time.
    fn bring_for_apart(&mut self, sched: &Sched, now: u64) {
        if !apart::is_left(sched) {
            self.apart.clear();
        } else if !self.apart.observe(sched.apart.head(), now) {
            let waited_ns = now.saturating_sub(self.apart.first_seen());
            if waited_ns >= LEFT_NS {
                apart::bring_left(sched, waited_ns);
            }
        }
    }

    /// Restricts and opens the start gate, and makes a new permit for one that is overdue.
    fn control_start_gate(&mut self, sched: &Sched, computing: usize, now: u64) {
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
            apart::bring(sched);
        }
    }
}

impl Pass<'_> {
    fn look_at(&mut self, m: &'static M, seen: &mut MHistory, ticks: Ticks) {
        let same_round = seen.update(ticks, self.now);
        if self.neglected && m.progress.runs() {
            // On this request the M looks everywhere before it begins its next round.
            m.progress.request_preempt();
        }
        if m.progress.is_in_place() {
            return self.report_kept(m, seen);
        }
        let runs = m.progress.runs();
        if runs {
            self.request_preempt(m, seen, !same_round);
        }
        if !runs || !same_round {
            return;
        }
        let stuck_ns = self.now - seen.round_since;
        self.sched.counts.longest_run_ns.fetch_max(stuck_ns, Relaxed);
        self.looked.busy |= self.looked.waits;
        let observed = m.p.observe();
        let apart = if observed.is_there() { BLOCKED_NS } else { SLICE_NS };
        seen.look_at_clock(m, self.now, apart);
        let verdict = judge(Stay { stuck_ns, cpu: seen.cpu });
        if seen.run(self.now).keeps_thread() && !mem::replace(&mut seen.told, true) {
            self.tell_call_site(m);
        }
        if observed.is_there() {
            self.retake(m, &observed, verdict);
        } else if m.remote.works() && seen.cpu != Cpu::Stands {
            self.computing += 1;
        }
        self.report(m, seen, stuck_ns);
    }

    /// Records of the call site of the goroutine on `m` that it computes, or blocks its thread.
    fn tell_call_site(&self, m: &M) {
        let running = self.sched.occupant(m).filter(|occupant| !occupant.in_place);
        if let Some(made_at) = running.and_then(|occupant| occupant.view.made_at) {
            self.sched.call_sites.computes(made_at);
        }
    }

    /// Requests that the goroutine suspends at its next chance, if its slice is nearly over and
    /// others wait behind it or its P is wanted elsewhere. A slice `is_chain` if several goroutines
    /// share it, each woken by the one before.
    fn request_preempt(&self, m: &M, seen: &MHistory, is_chain: bool) {
        let lasts = self.now.saturating_sub(seen.slice_since);
        let ends = slice_ends(lasts) || is_chain && lasts >= CHAIN_NS;
        if ends && (keeps_others_waiting(m) || self.wanted > 0) {
            m.progress.request_preempt();
        }
    }

    /// Takes the P of `m`, as `verdict` says, and hands it off.
    fn retake(&mut self, m: &M, observed: &Observed, verdict: Verdict) {
        let sched = self.sched;
        let count = match verdict {
            Verdict::Leave => return,
            Verdict::Blocked => &sched.counts.retaken_blocked,
            Verdict::Computing => &sched.counts.retaken_computing,
        };
        // A receiver must be there before the P is taken, unless the P is one too many.
        if self.wanted > 0
            && sched.dispatch.excess() == 0
            && !sched.dispatch.has_receiver()
            && start_idle_m(sched).is_err()
        {
            // The M that could not be made may have been handed a P meanwhile, which is idle now.
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
            // A publisher may have found no idle P.
            wake::wake_p_if_work(sched);
        }
    }

    /// Reports a goroutine that waits in place and keeps those waiting that are ready behind it.
    fn report_kept(&self, m: &'static M, seen: &mut MHistory) {
        if !keeps_in_place(m) {
            seen.keeps_since = None;
            return;
        }
        let since = *seen.keeps_since.get_or_insert(self.now);
        let kept_ns = self.now - since;
        if kept_ns < REPORT_KEPT_NS {
            return;
        }
        m.progress.set_told();
        if let Some(kept) = Overstay::of(self.sched, m, Duration::from_nanos(kept_ns), false) {
            kept.spawn_report(false);
        }
    }

    /// Reports a goroutine that keeps its siblings waiting, if events are listened to.
    fn report(&self, m: &'static M, seen: &mut MHistory, stuck_ns: u64) {
        let next = if seen.reported_ns == 0 { REPORT_NS } else { REPORT_LOCK_NS };
        // What the M's P had is behind another M if the P was taken.
        let keeps = keeps_settled(m) || m.p.observe().is_there() && keeps_others_waiting(m);
        if stuck_ns < next || seen.reported_ns >= REPORT_LOCK_NS || !keeps {
            return;
        }
        let blocked = seen.cpu == Cpu::Stands;
        if let Some(overstay) = Overstay::of(self.sched, m, Duration::from_nanos(stuck_ns), blocked)
        {
            seen.reported_ns = next;
            overstay.spawn_report(next >= REPORT_LOCK_NS);
        }
    }
}

/// True if ready settled Gs, or Gs of the M's P, wait for the running one.
fn keeps_others_waiting(m: &M) -> bool {
    m.progress.behind() > 0 || !m.inbox.is_empty()
}

/// True if ready settled Gs wait for the running one.
fn keeps_settled(m: &M) -> bool {
    m.progress.settled_behind() > 0 || !m.inbox.is_empty()
}

/// True if settled Gs wait for one that waits in place, and that was not told yet.
fn keeps_in_place(m: &M) -> bool {
    m.progress.keeps_untold() && keeps_settled(m)
}

/// Returns how many more Ps would find work now.
fn wanted(sched: &Sched) -> usize {
    let free = if sched.has_free_work() { sched.free_work() } else { 0 };
    free + sched.dispatch.line_len()
}

/// True if something waits that an M in user code may keep waiting.
fn any_waits(sched: &Sched, ms: &[&'static M]) -> bool {
    sched.dispatch.line_len() > 0
        || sched.dispatch.excess() > 0
        || sched.apart.waits()
        || sched.has_migratory()
        || sched.has_unstarted()
        || ms.iter().any(|m| m.progress.runs() && keeps_others_waiting(m) || keeps_in_place(m))
}

/// The last look before a sleep until `until`. True if something waits, so that sysmon must not
/// sleep.
fn something_waits(sched: &Sched, until: u64, ms: &mut Vec<&'static M>) -> bool {
    sched.list_ms(ms);
    any_waits(sched, ms) || sched.unkept_deadline().is_some_and(|first| first < until)
}
