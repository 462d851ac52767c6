//! An M's loop: find a G, run it, do what it asked for when it gave the M back.
//!
//! The loop runs on the thread's own stack, with the table BUSY and the P in hand except while a G
//! runs. No user code runs in between: closures, results and values are dropped on their G's stack,
//! before its last switch.
//!
//! # Safety
//!
//! A settled G is resumed by the M that started it, a migratory one by any: who made it promised
//! that it may (`Mode::migratory`, `go_migratory`).
#![expect(unsafe_code, reason = "resumes contexts")]

use std::cell::Cell;
use std::mem;
use std::ptr::NonNull;
use std::time::Instant;

use gosched_runtime_sys::clock::monotonic_ns;
use gosched_runtime_sys::signal::fatal::{Part, fatal};
use gosched_runtime_sys::sync::note::Note;

use crate::ds::parker::Commit;
use crate::ds::timers::NEVER;
use crate::gmp::admission::Admission;
use crate::gmp::current::{Current, InsideWithP};
use crate::gmp::dispatch::{NextP, Slept, WaitedForP};
use crate::gmp::g::{G, Kind, Runnable, Switch};
use crate::gmp::m::M;
use crate::gmp::p::P;
use crate::gmp::sched::Sched;
use crate::policy::{self, TimeWithP};
use crate::proc::find::{self, Wants};
use crate::proc::start_m::{self, reap};
use crate::proc::wake_sysmon::{wake_sysmon, wake_sysmon_for_deadline};
use crate::proc::{attach, cancel, check_dead, excess_p, fast_rounds, start, timers, wake};

/// The life of a thread made for an M.
pub(crate) fn m_main(sched: &Sched, m: &'static M) {
    let cx = Current::new(m);
    attach::attached(&cx, sched, || {
        match m.remote.take_next_p() {
            Some(given) => run(&cx, Some(given), None),
            // It was made to be there when a P is taken from where it is.
            None => {
                match sched
                    .dispatch
                    .wait_enlisted(&&m.remote, &sched.idle, |note| timers::sleep(sched, note, None))
                {
                    WaitedForP::NextP(given) => run(&cx, Some(given), None),
                    WaitedForP::Retry | WaitedForP::Expired => run(&cx, None, None),
                    WaitedForP::Closed => {}
                }
            }
        }
    });
    sched.remove_m(m);
    reap(sched);
}

/// What a thread that lends itself to the runtime (`Runtime::run`) waits for.
pub(crate) struct LentThread {
    /// Its own G: the thread leaves when that and all settled Gs on it have ended.
    pub(crate) root: NonNull<G>,
}

/// The loop. Returns when the runtime has ended, or when a lent thread may leave.
pub(crate) fn run(cx: &Current, given: Option<NextP<P>>, lent: Option<LentThread>) {
    let unwinds = AbortOnUnwind;
    run_loop(cx, given, lent);
    mem::forget(unwinds);
}

/// Ends the process if the loop unwinds: its Gs, on whose stacks others may rely, could not go on.
struct AbortOnUnwind;

impl Drop for AbortOnUnwind {
    fn drop(&mut self) {
        fatal(&[Part::Text("gosched: the scheduler's loop panicked\n")]);
    }
}

fn run_loop(cx: &Current, given: Option<NextP<P>>, lent: Option<LentThread>) {
    cx.m.progress.reset();
    let mut inside = enter(cx);
    let mut searching = given.as_ref().is_some_and(|given| given.searching);
    inside.p = given.map(|given| given.p);
    // From here on it starts nothing new, and ends when its settled Gs have ended.
    let mut leaves = false;
    let mut rested = false;
    loop {
        // Who came to settle beside one that has ended is here, and settles here.
        if leaves && cx.m.settled() == 0 && !inside.owned().has_settled() && cx.m.inbox.is_empty() {
            return leave_runtime(cx, inside);
        }
        let wants = Wants { start: !leaves };
        if inside.owned().admission != Admission::Free {
            give_permit_back(cx, &mut inside);
        }
        if inside.p.is_none() {
            match get_p(cx, &mut inside, wants) {
                WaitedForP::NextP(given) => {
                    (inside.p, searching) = (Some(given.p), given.searching);
                    rested = true;
                    inside.owned().begin_with_woken();
                }
                WaitedForP::Retry => {
                    searching = look_again(cx, &mut inside, wants);
                    rested = true;
                    continue;
                }
                WaitedForP::Expired if cx.sched().try_remove_idle_m(cx.m) => {
                    return wake::ensure_timekeeper(cx.sched());
                }
                WaitedForP::Expired => continue,
                WaitedForP::Closed => return,
            }
        }
        let found = match find::take_local(cx, &mut inside, wants) {
            Some(g) => Some(g),
            None if find::leaves_work_to_resident(cx) => None,
            None => {
                let limit = policy::search_limit(cx.sched().procs());
                searching = searching || (wants.start && cx.sched().idle.start_search(limit));
                if searching {
                    find::search(cx, &mut inside, wants)
                } else {
                    find::await_inbox(cx, &mut inside)
                }
            }
        };
        let Some(g) = found else {
            searching = if find::leaves_work_to_resident(cx) {
                hand_p_to_resident(cx, &mut inside, searching)
            } else {
                stop_m(cx, &mut inside, searching, wants)
            };
            continue;
        };
        if mem::take(&mut searching) {
            find::found_while_searching(cx, &mut inside);
        }
        if mem::take(&mut rested) {
            report_first_deadline(cx.sched());
        }
        let outcome;
        (inside, outcome) = run_g(cx, inside, g);
        if let Ran::Ended { g, locked } = outcome {
            let is_root = lent.as_ref().is_some_and(|lent| lent.root == g);
            // A thread that lent itself is not the runtime's to end.
            leaves |= is_root || (locked && lent.is_none() && replace_m(cx));
        }
        if cx.sched().dispatch.line_len() > 0 {
            give_way(cx, &mut inside);
        }
        if cx.sched().dispatch.excess() > 0 {
            drop_excess_p(cx, &mut inside);
        }
    }
}

/// An M is about to run a goroutine that slept until now, and may have kept the time for all: if it
/// does not come back, that is sysmon's affair. What was due has been fired.
#[inline]
fn report_first_deadline(sched: &Sched) {
    wake_sysmon_for_deadline(sched, sched.first_timer());
}

fn enter(cx: &Current) -> InsideWithP {
    cx.enter_with_p().expect("the loop is not inside itself")
}

/// What was started by permit has given the M back.
#[cold]
fn give_permit_back(cx: &Current, inside: &mut InsideWithP) {
    let admission = mem::replace(&mut inside.owned().admission, Admission::Free);
    if cx.sched().start_gate.give_back(admission) && cx.sched().has_free_work() {
        wake::wake_p(cx.sched());
    }
}

/// An M without a P: it waits for its turn if it owns something ready, else it sleeps. One that was
/// made to help out, and owns nothing, does so for a while only.
#[cold]
fn get_p(cx: &Current, inside: &mut InsideWithP, wants: Wants) -> WaitedForP<P> {
    let (m, sched) = (cx.m, cx.sched());
    let owned = inside.owned();
    owned.time_with_p = None;
    let remote = &&m.remote;
    m.progress.wait_in_line(owned.settled_ready());
    if owned.has_settled() || !m.inbox.is_empty() {
        let returns = m.remote.is_resident();
        let p = sched
            .dispatch
            .join_line(remote, &sched.idle, monotonic_ns(), returns)
            .unwrap_or_else(|| {
                wake_sysmon(sched);
                sched.dispatch.wait_for_turn(remote, &sched.idle)
            });
        return WaitedForP::NextP(NextP { p, searching: false });
    }
    let woken_after = Cell::new(None);
    let sleep = |note: &Note| {
        // Asked each time: it may have ceased to be a home M.
        let lingers = !m.remote.is_resident() && m.settled() == 0 && sched.has_surplus();
        let began = monotonic_ns();
        let slept = timers::sleep(sched, note, lingers.then(|| Instant::now() + policy::LINGER));
        if slept == Slept::Woken {
            woken_after.set(Some(monotonic_ns() - began));
        }
        slept
    };
    let to_do = || !m.inbox.is_empty() || check_dead::check(sched);
    let waited = sched.dispatch.sleep(remote, &sched.idle, wants.start, to_do, sleep);
    let woken_after = woken_after.get().filter(|_| !m.take_timer_wake());
    let searches = matches!(&waited, WaitedForP::NextP(given) if given.searching);
    owned.woken_after = woken_after.filter(|_| searches);
    if let Some(ns) = woken_after.filter(|_| !searches) {
        owned.spin.woken_after(ns);
    }
    waited
}

/// A home M has come back: its P is for it, and this M goes on with what it owns, when that is
/// ready again.
#[cold]
fn hand_p_to_resident(cx: &Current, inside: &mut InsideWithP, searching: bool) -> bool {
    let sched = cx.sched();
    let p = inside.p.take().expect("only an M with a P looks for work");
    cx.m.remote.without_p();
    wake::hand_off_p(sched, p);
    if searching && sched.idle.stop_search() {
        wake::wake_p_if_work(sched);
    }
    false
}

/// There are more Ps than are asked for: this M's goes, unless others were faster.
#[cold]
fn drop_excess_p(cx: &Current, inside: &mut InsideWithP) {
    let Some(p) = inside.p.take() else { return };
    inside.p = excess_p::retire_p(cx.sched(), p);
    if inside.p.is_none() {
        cx.m.remote.without_p();
    }
    // What the P had is for all now; and its M lets go of it without having looked at everything.
    wake::wake_p_if_work(cx.sched());
}

/// An M found nothing: its P becomes idle, and it looks once more before it sleeps. True: it has a
/// P again and searches.
#[cold]
fn stop_m(cx: &Current, inside: &mut InsideWithP, searching: bool, wants: Wants) -> bool {
    let sched = cx.sched();
    let mut p = inside.p.take().expect("only an M with a P looks for work");
    p.stacks.tidy();
    sched.stacks.tidy(monotonic_ns());
    sched.dispatch.release(p, &cx.m.remote, &sched.idle, sched.line_now());
    excess_p::shrink(sched);
    if searching {
        let _it_looks_anyway = sched.idle.stop_search();
    }
    // If it was the last, `release` or `stop_search` fenced after it counted: who published before
    // is seen here, who publishes later sees an idle P and nobody searching. If it was not, it
    // looks all the same: it has the time.
    look_again(cx, inside, wants)
}

/// The last look of an M without a P before it sleeps. True: it has one again, and searches.
fn look_again(cx: &Current, inside: &mut InsideWithP, wants: Wants) -> bool {
    let sched = cx.sched();
    let due = timers::any_due(sched);
    if due {
        sched.stacks.tidy(monotonic_ns());
    }
    if !due && !find::work_was_published(cx) {
        return false;
    }
    if !wants.start {
        timers::fire_all(sched);
        // It may not take what it saw, which may be what its own P was left with; whoever is idle
        // shall.
        wake::wake_p(sched);
        return false;
    }
    inside.p = sched.dispatch.try_take(&cx.m.remote, &sched.idle);
    if due && inside.p.is_none() {
        // All Ps are with others: they get the Gs, or this M stands in the line for its own.
        timers::fire_all(sched);
    }
    // It searches, for timers as well. Everybody who published while this M searched relied on it,
    // however many pieces those are: it searches on, so that it brings the next M when it finds one
    // of them.
    inside.p.is_some() && sched.idle.start_search(usize::MAX)
}

/// A lent thread leaves: its P goes to whoever has work for it.
fn leave_runtime(cx: &Current, mut inside: InsideWithP) {
    let p = inside.p.take();
    cx.m.remote.without_p();
    drop(inside);
    if let Some(p) = p {
        wake::hand_off_p(cx.sched(), p);
    }
    wake::ensure_timekeeper(cx.sched());
}

/// While others stand in the line, an M with ready work lets them have its P after its share of
/// time; one that only helps out, as soon as a home M is back.
#[cold]
fn give_way(cx: &Current, inside: &mut InsideWithP) {
    let (m, sched) = (cx.m, cx.sched());
    let (owned, p) = inside.split();
    let relieved = !m.remote.is_resident() && sched.dispatch.returning() > 0;
    if (!TimeWithP::wants_clock(owned.time_with_p, owned.tick) && !relieved) || p.is_none() {
        return;
    }
    let now = monotonic_ns();
    let turn = TimeWithP::after(owned.time_with_p, owned.tick, now);
    owned.time_with_p = Some(turn);
    if !turn.is_over() && !relieved {
        return;
    }
    owned.time_with_p = None;
    let ready = owned.has_settled() || !m.inbox.is_empty();
    let p = inside.p.take().expect("just looked");
    if !ready {
        // Nothing that only this M can run: it may as well look again as somebody without a P.
        m.remote.without_p();
        return wake::hand_off_p(sched, p);
    }
    match sched.dispatch.give_way(p, &&m.remote, now) {
        Ok(()) => {
            sched.counts.hand_over();
            wake_sysmon(sched);
            inside.p = Some(sched.dispatch.wait_for_turn(&&m.remote, &sched.idle));
        }
        Err(p) => inside.p = Some(p),
    }
}

/// Shows what this M is about to run, and has sysmon look if something waits behind it.
#[inline(always)]
fn announce(cx: &Current, inside: &mut InsideWithP, g: &Runnable) {
    let (owned, p) = inside.split();
    let (settled, queued) = (owned.settled_ready(), p.as_ref().map_or(0, |p| p.queued()));
    cx.m.progress.switch_in(g.g(), owned.inherits_slice(), settled as u32, queued as u32);
    if settled + queued > 0 {
        wake_sysmon(cx.sched());
    }
    let first = p.as_ref().map_or(NEVER, |p| p.shared.timers.first());
    if first != NEVER {
        wake_sysmon_for_deadline(cx.sched(), first);
    }
}

/// The thread is to end, once nothing is settled on it. False: nobody could stand in for it.
#[cold]
fn replace_m(cx: &Current) -> bool {
    let replaced = start_m::replace(cx.sched(), cx.m);
    if !replaced {
        // The one that could not be made may have been handed a P meanwhile.
        wake::wake_p_if_work(cx.sched());
    }
    replaced
}

/// How the last of the Gs that ran gave the M back.
enum Ran {
    Suspended,
    /// The record is somebody else's by now. `locked`: what it left to its thread is for nobody
    /// else, which is to end.
    Ended {
        g: NonNull<G>,
        locked: bool,
    },
}

/// Runs a G until it gives the M back, and the Gs of the quick rounds that follow. The P may be
/// gone by then.
#[inline]
fn run_g(cx: &Current, mut inside: InsideWithP, mut g: Runnable) -> (InsideWithP, Ran) {
    if !g.has_begun()
        && let Err(error) = start::start(cx, &mut inside, &mut g)
    {
        drop(inside);
        let record = g.as_raw();
        start::abandon(cx, g, error);
        return (enter(cx), Ran::Ended { g: record, locked: false });
    }
    announce(cx, &mut inside, &g);
    fast_rounds::grant(&mut inside);
    drop(inside);
    loop {
        let switch = resume(cx, &mut g);
        let mut inside = cx.enter().expect("the loop is not inside itself");
        match switch {
            None => {
                let (mut inside, record) = (inside.acquire_p(), g.as_raw());
                let locked = start::finish(cx, &mut inside, g);
                return (inside, Ran::Ended { g: record, locked });
            }
            Some(Switch::Yield)
                if inside.owned().fast_rounds_left > 0 && g.kind() == Kind::Settled =>
            {
                inside.owned().queue.push_back(g);
            }
            Some(Switch::Yield) => {
                let mut inside = inside.acquire_p();
                queue_yielded(cx, &mut inside, g);
                return (inside, Ran::Suspended);
            }
            // A panicking thread's wait, which a cancel must not end either, does not switch and
            // does not come here.
            Some(switch) => {
                match g
                    .g()
                    .parker
                    .commit(cancel::may_end_waits(g.owned()) && switch == Switch::Park)
                {
                    // GONE: from here on the G belongs to whoever claims it.
                    Commit::Parked => _ = g.into_raw(),
                    // Woken before it was switched out: it goes on.
                    Commit::Refused => continue,
                }
            }
        }
        match fast_rounds::next(cx, &mut inside) {
            Some(next) => g = next,
            None => return (inside.acquire_p(), Ran::Suspended),
        }
    }
}

/// Lets `g` run until it gives the M back: none if it has ended.
#[inline(always)]
fn resume(cx: &Current, g: &mut Runnable) -> Option<Switch> {
    cx.set_g(Some(g.g()));
    let context = g.context().as_mut().expect("it has started");
    // SAFETY: see the module's head: settled Gs are only ever queued on the M that started them.
    let switch = unsafe { context.resume(cx.as_resumed()) };
    cx.set_g(None);
    cx.m.progress.switch_out();
    switch
}

/// A G that can go on queues up behind the others.
#[inline]
fn queue_yielded(cx: &Current, inside: &mut InsideWithP, g: Runnable) {
    match (g.kind(), inside.p.as_ref()) {
        (Kind::Settled, _) => inside.owned().queue.push_back(g),
        (_, Some(p)) => p.push_migratory(g),
        (_, None) => {
            cx.sched().push_migratory(g);
            wake::wake_p(cx.sched());
        }
    }
}
