//! The search of an M that has nothing of its own: all queues, all timers.

use std::mem;
use std::sync::atomic::Ordering::Relaxed;

use gosched_runtime_sys::clock::monotonic_ns;

use super::others::{Scan, scan_global, scan_p, take_global};
use super::own::take_inbox_and_pop;
use super::spin::spin_or_yield;
use super::unstarted::{Wants, leaves_work_to_resident, take_apart, take_unstarted};
use crate::gmp::current::{Current, InsideWithP};
use crate::gmp::g::Runnable;
use crate::gmp::p::End;
use crate::gmp::sched::Sched;
use crate::proc::{apart, timers, wake};

/// Looks everywhere until something is found or the spin budget is used up. The M counts as
/// searching; the caller ends that.
pub(crate) fn search(cx: &Current, inside: &mut InsideWithP, wants: Wants) -> Option<Runnable> {
    let sched = cx.sched();
    let spin_budget = inside.owned().spin.spin_budget(sched.spin_budget());
    inside.owned().found_due = false;
    inside.owned().rest();
    if let Some(p) = &inside.p {
        p.rest();
    }
    let began = monotonic_ns();
    let mut spun = false;
    loop {
        let now = monotonic_ns();
        let waited = now.saturating_sub(began);
        let (found, useful, ends) = match scan(cx, inside, wants, now) {
            Scan::Found(g) => (Some(g), true, true),
            Scan::Due(g) => (Some(g), false, true),
            Scan::TooYoung => (None, false, false),
            Scan::KeptUp => (None, false, true),
            Scan::Nothing => (None, false, waited >= spin_budget.total_ns),
        };
        if ends {
            let owned = inside.owned();
            if spun {
                owned.spin.searched(useful);
            }
            if let Some(ns) = owned.woken_after.take().filter(|_| useful) {
                owned.spin.woken_after(ns);
            }
            return found;
        }
        spun = true;
        spin_or_yield(spin_budget, waited);
    }
}

/// Looks everywhere once.
fn scan(cx: &Current, inside: &mut InsideWithP, wants: Wants, now: u64) -> Scan {
    let sched = cx.sched();
    if let Some(g) = take_inbox_and_pop(cx.m, inside.owned()) {
        return if cx.m.take_timer_wake() { Scan::Due(g) } else { Scan::Found(g) };
    }
    if !wants.free || leaves_work_to_resident(cx) {
        apart::bring(sched);
        return Scan::Nothing;
    }
    if let Some(g) =
        take_global(cx, inside.owned()).or_else(|| scan_global(sched, inside.owned(), now))
    {
        return Scan::of(g);
    }
    if sched.apart.waits() {
        if let Some(g) = take_apart(cx, inside.owned(), wants) {
            return Scan::Found(g);
        }
        // Publishers rely on an M that searches, and this one is the wrong one.
        apart::bring(sched);
    }
    // What this M offered to others is its own again once they have as many Gs.
    if let (owned, Some(p)) = inside.split()
        && p.shared.offers()
        && let Some(g) = take_unstarted(cx, owned, p, End::Newest, wants)
    {
        return Scan::Found(g);
    }
    let me = inside.p.as_ref().map_or(0, |p| p.index);
    let ps = sched.all_ps.len();
    let mut too_young = sched.has_global_unstarted() && sched.start_gate.admits();
    let mut kept_up = false;
    for i in 0..ps {
        let victim = (me + i) % ps;
        if timers::fire(cx, inside, victim, now)
            && let (owned, Some(p)) = inside.split()
            && let Some(g) = p.pop_migratory().or_else(|| take_inbox_and_pop(cx.m, owned))
        {
            owned.found_due = true;
            return Scan::Due(g);
        }
        match scan_p(sched, cx.m, inside.owned(), (me, victim), now) {
            Scan::TooYoung => too_young = true,
            Scan::KeptUp => kept_up = true,
            Scan::Nothing => {}
            found @ (Scan::Found(_) | Scan::Due(_)) => {
                if victim != me {
                    cx.m.count_stolen();
                }
                return found;
            }
        }
    }
    match (too_young, kept_up) {
        (true, _) => Scan::TooYoung,
        (false, true) => Scan::KeptUp,
        (false, false) => Scan::Nothing,
    }
}

/// True if work was published that any M may take. This is the last look of an M before it sleeps,
/// after its P was counted idle and the fence that goes with it. The M takes nothing: it has no P.
pub(crate) fn work_was_published(cx: &Current) -> bool {
    cx.sched().has_work_for_others() || apart::is_for(cx)
}

/// Ends the search of an M that found something. If it was the last searcher, publishers may have
/// relied on it for the rest, so another M is woken.
pub(crate) fn stop_searching(cx: &Current, inside: &mut InsideWithP) {
    let sched = cx.sched();
    let due = mem::take(&mut inside.owned().found_due);
    if !sched.idle.stop_search() {
        return;
    }
    apart::bring(sched);
    if sched.has_work_for_others() && !(due && is_left_to_sysmon(sched, inside)) {
        wake::wake_p(sched);
    }
}

/// True if the only work left is what came due together with the G about to run. This M runs it
/// within microseconds, before a woken M could arrive. If it does not, sysmon wakes an M
/// (`policy::retake::LEFT_NS`).
///
/// No publisher has relied on this search for any of it: what was published before the search ended
/// lies in other queues, and those are empty.
fn is_left_to_sysmon(sched: &Sched, inside: &InsideWithP) -> bool {
    let Some(p) = &inside.p else { return false };
    sched.has_sysmon.load(Relaxed) && !p.has_unstarted() && !sched.has_free_work_beside(p.index)
}
