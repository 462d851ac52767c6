//! When an M with work gives its P to another M.
//!
//! - The line: Ms that own ready Gs and have no P. An M lets the line's head have its P after its
//!   share of time.
//! - Any M, if the M may not run what its P has: its thread is locked, or it leaves.
//! - A resident M that is free: what a spare M started would stay on the spare M's thread.
//! - Nobody: there are more Ps than are asked for.
//! - Anybody: a lent thread leaves.

use gosched_runtime_sys::clock::monotonic_ns;

use crate::gmp::current::{Current, InsideWithP};
use crate::gmp::m::MOwned;
use crate::gmp::sched::Sched;
use crate::policy::time_with_p::{TimeWithP, Waited};
use crate::proc::find::Wants;
use crate::proc::wake_sysmon::wake_sysmon;
use crate::proc::{excess_p, wake};

/// Called while Ms stand in the line: gives the P of an M to the line's head when the M has had its
/// share of time. A spare M gives way as soon as a resident M is back.
#[cold]
pub(crate) fn give_way(cx: &Current, inside: &mut InsideWithP, wants: Wants) {
    let (m, sched) = (cx.m, cx.sched());
    let (owned, p) = inside.split();
    let resident_is_back = !m.remote.is_resident() && sched.dispatch.returning() > 0;
    if p.is_none() {
        return;
    }
    let over = turn_is_over(owned);
    if over.is_none() && !resident_is_back {
        return;
    }
    let now = over.unwrap_or_else(monotonic_ns);
    owned.time_with_p = None;
    let ready = owned.has_settled() || !m.inbox.is_empty();
    let p = inside.take_p().expect("just looked");
    if !ready {
        // This M owns nothing that is ready: it looks again as an M without a P.
        m.remote.without_p();
        return wake::hand_off_p(sched, p);
    }
    match sched.dispatch.give_way(p, &&m.remote, now, wants.takes(m)) {
        Ok(()) => {
            sched.counts.hand_over();
            wake_sysmon(sched);
            inside.receive_p(sched, sched.dispatch.wait_for_turn(&&m.remote, &sched.idle));
            begin_turn(sched, inside.owned(), now);
        }
        Err(p) => inside.p = Some(p),
    }
}

/// Notes that the M, which has stood in the line since `since`, has a P again.
fn begin_turn(sched: &Sched, owned: &mut MOwned, since: u64) {
    let now = monotonic_ns();
    let ns = now.saturating_sub(since);
    owned.was_without_p(ns);
    let waited = Waited { ns, others: sched.dispatch.line_len(), procs: sched.procs() };
    owned.time_with_p = Some(TimeWithP::after_wait(waited, owned.tick, now));
}

/// Takes note of the clock, if that is due in this round. Returns the time if the M has had its
/// share.
fn turn_is_over(owned: &mut MOwned) -> Option<u64> {
    if !TimeWithP::wants_clock(owned.time_with_p, owned.tick) {
        return None;
    }
    let now = monotonic_ns();
    let turn = TimeWithP::after(owned.time_with_p, owned.tick, now);
    owned.time_with_p = Some(turn);
    turn.is_over().then_some(now)
}

/// Called on an M that runs no free work: hands its P on when it has had its share of time, if
/// there is such work and every P has an M. The M's own Gs may be ready again and again, so it may
/// never run dry; no M stands in the line for free work.
#[cold]
pub(crate) fn pass_on_free_work(cx: &Current, inside: &mut InsideWithP) {
    let sched = cx.sched();
    let (owned, p) = inside.split();
    if p.is_none() || sched.idle.idle_ps() > 0 || !sched.has_free_work() {
        owned.time_with_p = None;
        return;
    }
    if turn_is_over(owned).is_none() {
        return;
    }
    owned.time_with_p = None;
    let p = inside.take_p().expect("just looked");
    cx.m.remote.without_p();
    wake::hand_off_p(sched, p);
}

/// Hands the P of a spare M to a resident M that is free. The spare M goes on with what it owns,
/// now or when that is ready again, in its turn.
#[cold]
pub(crate) fn hand_p_to_resident(cx: &Current, inside: &mut InsideWithP, searching: bool) {
    let sched = cx.sched();
    inside.owned().leaves_p = false;
    let p = inside.take_p().expect("only an M with a P looks for work");
    cx.m.remote.without_p();
    wake::hand_off_p(sched, p);
    if searching && sched.idle.stop_search() {
        wake::wake_p_if_work(sched);
    }
}

/// Called while there are more Ps than are asked for: retires the M's P, unless others were faster.
#[cold]
pub(crate) fn drop_excess_p(cx: &Current, inside: &mut InsideWithP) {
    let Some(p) = inside.take_p() else { return };
    inside.p = excess_p::retire_p(cx.sched(), p);
    if inside.p.is_none() {
        cx.m.remote.without_p();
    }
    // What the P had is in the global queues now, and its M gave the P up without a last look.
    wake::wake_p_if_work(cx.sched());
}

/// A lent thread leaves the runtime: hands its P off.
pub(crate) fn leave_runtime(cx: &Current, mut inside: InsideWithP) {
    let p = inside.take_p();
    cx.m.remote.without_p();
    cx.sched().holders.noticed(cx.m);
    drop(inside);
    if let Some(p) = p {
        wake::hand_off_p(cx.sched(), p);
    }
    wake::ensure_timekeeper(cx.sched());
}
