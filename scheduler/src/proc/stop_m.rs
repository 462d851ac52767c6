//! An M without work, or without a P: how it stops, and how it gets a P again.
//!
//! This is the STOP side of the handshake with publishers (`proc::run`, and the proof in
//! `ds::idle`), and it leads to the SLEEP side of the handshake with those who send bound work
//! (`gmp::dispatch`).
//!
//! // GO: proc.go stopm

use std::cell::Cell;
use std::time::Instant;

use gosched_runtime_sys::clock::monotonic_ns;
use gosched_runtime_sys::sync::note::Note;

use crate::ds::timers::NEVER;
use crate::gmp::current::{Current, InsideWithP};
use crate::gmp::dispatch::{NextP, Slept, WaitedForP, Why};
use crate::gmp::p::P;
use crate::policy;
use crate::proc::find::{self, Wants};
use crate::proc::standstill::{self, Acting};
use crate::proc::wake_sysmon::wake_sysmon;
use crate::proc::{excess_p, timers, wake};

/// Waits until an M without a P gets one. If the M owns ready Gs, it stands in the line; else it
/// sleeps. A spare M that owns nothing sleeps for a while only.
#[cold]
pub(crate) fn wait_for_p(cx: &Current, inside: &mut InsideWithP, wants: Wants) -> WaitedForP<P> {
    let (m, sched) = (cx.m, cx.sched());
    let owned = inside.owned();
    owned.time_with_p = None;
    owned.rest();
    let remote = &&m.remote;
    let taken_over = sched.holders.noticed(m);
    m.progress.wait_in_line(owned.settled_ready());
    if owned.has_settled() || !m.inbox.is_empty() {
        let woken = !m.inbox.is_empty() || owned.has_woken();
        let why = match m.remote.is_resident() && !taken_over {
            true => Why::Returns,
            false if woken => Why::Woken,
            // Above all one whose P was taken over.
            false => Why::LetsPass,
        };
        let p = sched
            .dispatch
            .join_line(remote, &sched.idle, monotonic_ns(), why, wants.takes(m))
            .unwrap_or_else(|| {
                wake_sysmon(sched);
                sched.dispatch.wait_for_turn(remote, &sched.idle)
            });
        return WaitedForP::Got(NextP { p, searching: false });
    }
    let woken_after = Cell::new(None);
    let sleep = |note: &Note| {
        // Asked each time: the M may have ceased to be resident.
        let lingers = !m.remote.is_resident() && m.settled() == 0 && sched.has_surplus();
        let began = monotonic_ns();
        m.set_asleep_since(began);
        let slept = timers::sleep(sched, note, lingers.then(|| Instant::now() + policy::LINGER));
        if slept == Slept::Woken {
            woken_after.set(Some(monotonic_ns() - began));
        }
        slept
    };
    let acting = Cell::new(None);
    let to_do = || {
        if !m.inbox.is_empty() {
            return true;
        }
        let acts = standstill::look(sched).and_then(|what| Acting::begin(sched, what));
        let acted = acts.is_some();
        acting.set(acts);
        acted
    };
    let waited = sched.dispatch.sleep(remote, &sched.idle, wants.takes(m), to_do, sleep);
    m.set_asleep_since(NEVER);
    // The M is off the list of sleepers.
    drop(acting);
    let woken_after = woken_after.get().filter(|_| !m.take_timer_wake());
    let searches = matches!(&waited, WaitedForP::Got(given) if given.searching);
    owned.woken_after = woken_after.filter(|_| searches);
    if let Some(ns) = woken_after.filter(|_| !searches) {
        owned.spin.woken_after(ns);
    }
    waited
}

/// Makes the P of an M that found nothing idle. The M then looks once more before it sleeps. True
/// if it has a P again, and searches.
#[cold]
pub(crate) fn stop_m(
    cx: &Current,
    inside: &mut InsideWithP,
    searching: bool,
    wants: Wants,
) -> bool {
    let sched = cx.sched();
    let mut p = inside.p.take().expect("only an M with a P looks for work");
    p.look_everywhere.found_nothing();
    p.stacks.come_to_rest(&sched.stacks);
    sched.stacks.tidy(monotonic_ns());
    sched.dispatch.release(p, &cx.m.remote, &sched.idle, sched.line_now());
    excess_p::shrink(sched);
    if searching {
        let _it_looks_anyway = sched.idle.stop_search();
    }
    // If this M was the last searcher, `release` or `stop_search` fenced after the count. What was
    // published before is seen here; a later publisher sees an idle P and nobody searching. If this
    // M was not the last, it looks all the same: it has the time.
    look_again(cx, inside, wants)
}

/// Looks at every queue before an M without a P sleeps. True if the M has a P again, and searches.
pub(crate) fn look_again(cx: &Current, inside: &mut InsideWithP, wants: Wants) -> bool {
    let sched = cx.sched();
    let due = timers::any_due(sched);
    if due {
        sched.stacks.tidy(monotonic_ns());
    }
    if !due && !find::work_was_published(cx) {
        return false;
    }
    if !wants.free {
        timers::fire_all(sched);
        // This M starts nothing new. An idle M shall take what it saw, which may be what its own P
        // was left with.
        wake::wake_p(sched);
        return false;
    }
    if let Some(p) = sched.dispatch.try_take(&cx.m.remote, &sched.idle) {
        inside.receive_p(sched, p);
    } else if due {
        // All Ps are with other Ms. Those get the Gs, or this M stands in the line for its own.
        timers::fire_all(sched);
    }
    // While this M searched, publishers woke nobody, perhaps for several pieces of work. So it
    // counts as searching again: when it finds one piece, it wakes an M for the rest.
    inside.p.is_some() && sched.idle.start_search(usize::MAX)
}
