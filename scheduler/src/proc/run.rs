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

use gosched_runtime_sys::fatal::{Part, fatal};
use gosched_runtime_sys::note::Note;
use gosched_runtime_sys::thread::monotonic_ns;

use crate::ds::parker::Commit;
use crate::ds::timers::NEVER;
use crate::gmp::admission::Admission;
use crate::gmp::current::{Current, Entered};
use crate::gmp::dispatch::{Given, Slept, Waited};
use crate::gmp::g::{G, Kind, Runnable, Switch};
use crate::gmp::m::M;
use crate::gmp::p::P;
use crate::gmp::sched::Sched;
use crate::policy::{self, Turn};
use crate::proc::find::{self, Wants};
use crate::proc::start_m::{self, reap, tell_deadline, tell_sysmon};
use crate::proc::{attach, cancel, check_dead, excess_p, fast_rounds, spawn, timers, wake};

/// The life of a thread made for an M.
pub(crate) fn m_main(sched: &Sched, m: &'static M) {
    let cx = Current::new(m);
    attach::attached(&cx, sched, || {
        match m.seat.take_handed() {
            Some(given) => run(&cx, Some(given), None),
            // It was made to be there when a P is taken from where it is.
            None => {
                match sched
                    .dispatch
                    .wait_enlisted(&&m.seat, &sched.idle, |note| timers::sleep(sched, note, None))
                {
                    Waited::Given(given) => run(&cx, Some(given), None),
                    Waited::Retry | Waited::Expired => run(&cx, None, None),
                    Waited::Closed => {}
                }
            }
        }
    });
    sched.remove_m(m);
    reap(sched);
}

/// What a thread that lends itself to the runtime (`Runtime::run`) waits for.
pub(crate) struct Lent {
    /// Its own G: the thread leaves when that and all settled Gs on it have ended.
    pub(crate) root: NonNull<G>,
}

/// The loop. Returns when the runtime has ended, or when a lent thread may leave.
pub(crate) fn run(cx: &Current, given: Option<Given<P>>, lent: Option<Lent>) {
    let unwinds = Unwinds;
    run_until_left(cx, given, lent);
    mem::forget(unwinds);
}

/// Ends the process if the loop unwinds: its Gs, on whose stacks others may rely, could not go on.
struct Unwinds;

impl Drop for Unwinds {
    fn drop(&mut self) {
        fatal(&[Part::Text("gosched: the scheduler's loop panicked\n")]);
    }
}

fn run_until_left(cx: &Current, given: Option<Given<P>>, lent: Option<Lent>) {
    cx.m.pulse.begin();
    let mut hand = enter(cx);
    let mut searching = given.as_ref().is_some_and(|given| given.searching);
    hand.p = given.map(|given| given.p);
    // From here on it starts nothing new, and ends when its settled Gs have ended.
    let mut leaves = false;
    let mut rested = false;
    loop {
        // Who came to settle beside one that has ended is here, and settles here.
        if leaves && cx.m.settled() == 0 && !hand.local().has_settled() && cx.m.inbox.is_empty() {
            return let_go(cx, hand);
        }
        let wants = Wants { start: !leaves };
        if hand.local().admission != Admission::Free {
            give_permit_back(cx, &mut hand);
        }
        if hand.p.is_none() {
            match get_p(cx, &mut hand, wants) {
                Waited::Given(given) => {
                    (hand.p, searching) = (Some(given.p), given.searching);
                    rested = true;
                    hand.local().begin_with_woken();
                }
                Waited::Retry => {
                    searching = look_again(cx, &mut hand, wants);
                    rested = true;
                    continue;
                }
                Waited::Expired if cx.sched().dismiss(cx.m) => return wake::keep_time(cx.sched()),
                Waited::Expired => continue,
                Waited::Closed => return,
            }
        }
        let found = match find::local(cx, &mut hand, wants) {
            Some(g) => Some(g),
            None if find::leaves_work(cx) => None,
            None => {
                let limit = policy::search_limit(cx.sched().procs());
                searching = searching || (wants.start && cx.sched().idle.start_search(limit));
                if searching {
                    find::search(cx, &mut hand, wants)
                } else {
                    find::await_mail(cx, &mut hand)
                }
            }
        };
        let Some(g) = found else {
            searching = if find::leaves_work(cx) {
                relieve(cx, &mut hand, searching)
            } else {
                retire(cx, &mut hand, searching, wants)
            };
            continue;
        };
        if mem::take(&mut searching) {
            find::found_while_searching(cx, &mut hand);
        }
        if mem::take(&mut rested) {
            keeps_no_time(cx.sched());
        }
        let outcome;
        (hand, outcome) = execute(cx, hand, g);
        if let Ran::Ended { g, locked } = outcome {
            let is_root = lent.as_ref().is_some_and(|lent| lent.root == g);
            // A thread that lent itself is not the runtime's to end.
            leaves |= is_root || (locked && lent.is_none() && retire_thread(cx));
        }
        if cx.sched().dispatch.line_len() > 0 {
            give_way(cx, &mut hand);
        }
        if cx.sched().dispatch.excess() > 0 {
            shed(cx, &mut hand);
        }
    }
}

/// An M is about to run a goroutine that slept until now, and may have kept the time for all: if it
/// does not come back, that is sysmon's affair. What was due has been fired.
#[inline]
fn keeps_no_time(sched: &Sched) {
    tell_deadline(sched, sched.first_timer());
}

fn enter(cx: &Current) -> Entered {
    cx.enter().expect("the loop is not inside itself")
}

/// What was started by permit has given the M back.
#[cold]
fn give_permit_back(cx: &Current, hand: &mut Entered) {
    let admission = mem::replace(&mut hand.local().admission, Admission::Free);
    if cx.sched().crowd.give_back(admission) && cx.sched().has_free_work() {
        wake::submit(cx.sched());
    }
}

/// An M without a P: it waits for its turn if it owns something ready, else it sleeps. One that was
/// made to help out, and owns nothing, does so for a while only.
#[cold]
fn get_p(cx: &Current, hand: &mut Entered, wants: Wants) -> Waited<P> {
    let (m, sched) = (cx.m, cx.sched());
    let local = hand.local();
    local.turn = None;
    let seat = &&m.seat;
    m.pulse.waits_with(local.settled_ready());
    if local.has_settled() || !m.inbox.is_empty() {
        let returns = m.seat.is_home();
        let p = sched
            .dispatch
            .join_line(seat, &sched.idle, monotonic_ns(), returns)
            .unwrap_or_else(|| {
                tell_sysmon(sched);
                sched.dispatch.wait_for_turn(seat, &sched.idle)
            });
        return Waited::Given(Given { p, searching: false });
    }
    let woken_after = Cell::new(None);
    let sleep = |note: &Note| {
        // Asked each time: it may have ceased to be a home M.
        let lingers = !m.seat.is_home() && m.settled() == 0 && sched.has_surplus();
        let began = monotonic_ns();
        let slept = timers::sleep(sched, note, lingers.then(|| Instant::now() + policy::LINGER));
        if slept == Slept::Woken {
            woken_after.set(Some(monotonic_ns() - began));
        }
        slept
    };
    let to_do = || !m.inbox.is_empty() || check_dead::found(sched);
    let waited = sched.dispatch.sleep(seat, &sched.idle, wants.start, to_do, sleep);
    let woken_after = woken_after.get().filter(|_| !m.was_brought_by_time());
    let searches = matches!(&waited, Waited::Given(given) if given.searching);
    local.woken_after = woken_after.filter(|_| searches);
    if let Some(ns) = woken_after.filter(|_| !searches) {
        local.thrift.woken_after(ns);
    }
    waited
}

/// A home M has come back: its P is for it, and this M goes on with what it owns, when that is
/// ready again.
#[cold]
fn relieve(cx: &Current, hand: &mut Entered, searching: bool) -> bool {
    let sched = cx.sched();
    let p = hand.p.take().expect("only an M with a P looks for work");
    cx.m.seat.without_p();
    wake::hand_off_p(sched, p);
    if searching && sched.idle.stop_search() {
        wake::submit_if_any(sched);
    }
    false
}

/// There are more Ps than are asked for: this M's goes, unless others were faster.
#[cold]
fn shed(cx: &Current, hand: &mut Entered) {
    let Some(p) = hand.p.take() else { return };
    hand.p = excess_p::retire(cx.sched(), p);
    if hand.p.is_none() {
        cx.m.seat.without_p();
    }
    // What the P had is for all now; and its M lets go of it without having looked at everything.
    wake::submit_if_any(cx.sched());
}

/// An M found nothing: its P becomes idle, and it looks once more before it sleeps. True: it has a
/// P again and searches.
#[cold]
fn retire(cx: &Current, hand: &mut Entered, searching: bool, wants: Wants) -> bool {
    let sched = cx.sched();
    let mut p = hand.p.take().expect("only an M with a P looks for work");
    p.stacks.tidy();
    sched.stacks.tidy(monotonic_ns());
    sched.dispatch.release(p, &cx.m.seat, &sched.idle, sched.line_now());
    excess_p::shrink(sched);
    if searching {
        let _it_looks_anyway = sched.idle.stop_search();
    }
    // If it was the last, `release` or `stop_search` fenced after it counted: who published before
    // is seen here, who publishes later sees an idle P and nobody searching. If it was not, it
    // looks all the same: it has the time.
    look_again(cx, hand, wants)
}

/// The last look of an M without a P before it sleeps. True: it has one again, and searches.
fn look_again(cx: &Current, hand: &mut Entered, wants: Wants) -> bool {
    let sched = cx.sched();
    let due = timers::any_due(sched);
    if due {
        sched.stacks.tidy(monotonic_ns());
    }
    if !due && !find::missed_something(cx) {
        return false;
    }
    if !wants.start {
        timers::fire_all(sched);
        // It may not take what it saw, which may be what its own P was left with; whoever is idle
        // shall.
        wake::submit(sched);
        return false;
    }
    hand.p = sched.dispatch.try_take(&cx.m.seat, &sched.idle);
    if due && hand.p.is_none() {
        // All Ps are with others: they get the Gs, or this M stands in the line for its own.
        timers::fire_all(sched);
    }
    // It searches, for timers as well. Everybody who published while this M searched relied on it,
    // however many pieces those are: it searches on, so that it brings the next M when it finds one
    // of them.
    hand.p.is_some() && sched.idle.start_search(usize::MAX)
}

/// A lent thread leaves: its P goes to whoever has work for it.
fn let_go(cx: &Current, mut hand: Entered) {
    let p = hand.p.take();
    cx.m.seat.without_p();
    drop(hand);
    if let Some(p) = p {
        wake::hand_off_p(cx.sched(), p);
    }
    wake::keep_time(cx.sched());
}

/// While others stand in the line, an M with ready work lets them have its P after its share of
/// time; one that only helps out, as soon as a home M is back.
#[cold]
fn give_way(cx: &Current, hand: &mut Entered) {
    let (m, sched) = (cx.m, cx.sched());
    let (local, p) = hand.split();
    let relieved = !m.seat.is_home() && sched.dispatch.returning() > 0;
    if (!Turn::wants_clock(local.turn, local.tick) && !relieved) || p.is_none() {
        return;
    }
    let now = monotonic_ns();
    let turn = Turn::after(local.turn, local.tick, now);
    local.turn = Some(turn);
    if !turn.is_over() && !relieved {
        return;
    }
    local.turn = None;
    let ready = local.has_settled() || !m.inbox.is_empty();
    let p = hand.p.take().expect("just looked");
    if !ready {
        // Nothing that only this M can run: it may as well look again as somebody without a P.
        m.seat.without_p();
        return wake::hand_off_p(sched, p);
    }
    match sched.dispatch.give_way(p, &&m.seat, now) {
        Ok(()) => {
            sched.counts.hand_over();
            tell_sysmon(sched);
            hand.p = Some(sched.dispatch.wait_for_turn(&&m.seat, &sched.idle));
        }
        Err(p) => hand.p = Some(p),
    }
}

/// Shows what this M is about to run, and has sysmon look if something waits behind it.
#[inline(always)]
fn announce(cx: &Current, hand: &mut Entered, g: &Runnable) {
    let (local, p) = hand.split();
    let (settled, queued) = (local.settled_ready(), p.as_ref().map_or(0, |p| p.queued()));
    cx.m.pulse.switches_to(g.g(), local.inherits(), settled as u32, queued as u32);
    if settled + queued > 0 {
        tell_sysmon(cx.sched());
    }
    let first = p.as_ref().map_or(NEVER, |p| p.shared.timers.first());
    if first != NEVER {
        tell_deadline(cx.sched(), first);
    }
}

/// The thread is to end, once nothing is settled on it. False: nobody could stand in for it.
#[cold]
fn retire_thread(cx: &Current) -> bool {
    let replaced = start_m::replace(cx.sched(), cx.m);
    if !replaced {
        // The one that could not be made may have been handed a P meanwhile.
        wake::submit_if_any(cx.sched());
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
fn execute(cx: &Current, mut hand: Entered, mut g: Runnable) -> (Entered, Ran) {
    if !g.has_begun()
        && let Err(error) = spawn::start(cx, &mut hand, &mut g)
    {
        drop(hand);
        let record = g.as_raw();
        spawn::abandon(cx, g, error);
        return (enter(cx), Ran::Ended { g: record, locked: false });
    }
    announce(cx, &mut hand, &g);
    fast_rounds::grant(&mut hand);
    drop(hand);
    loop {
        let switch = resume(cx, &mut g);
        let mut hand = cx.take_local().expect("the loop is not inside itself");
        match switch {
            None => {
                let (mut hand, record) = (hand.enter(), g.as_raw());
                let locked = spawn::finish(cx, &mut hand, g);
                return (hand, Ran::Ended { g: record, locked });
            }
            Some(Switch::Yield) if hand.local().quick > 0 && g.kind() == Kind::Settled => {
                hand.local().queue.push_back(g);
            }
            Some(Switch::Yield) => {
                let mut hand = hand.enter();
                queue_yielded(cx, &mut hand, g);
                return (hand, Ran::Suspended);
            }
            // A panicking thread's wait, which a cancel must not end either, does not switch and
            // does not come here.
            Some(switch) => {
                match g.g().parker.commit(cancel::may_end_waits(g.own()) && switch == Switch::Park)
                {
                    // GONE: from here on the G belongs to whoever claims it.
                    Commit::Parked => _ = g.into_raw(),
                    // Woken before it was switched out: it goes on.
                    Commit::Refused => continue,
                }
            }
        }
        match fast_rounds::next(cx, &mut hand) {
            Some(next) => g = next,
            None => return (hand.enter(), Ran::Suspended),
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
    cx.m.pulse.switched_back();
    switch
}

/// A G that can go on queues up behind the others.
#[inline]
fn queue_yielded(cx: &Current, hand: &mut Entered, g: Runnable) {
    match (g.kind(), hand.p.as_ref()) {
        (Kind::Settled, _) => hand.local().queue.push_back(g),
        (_, Some(p)) => p.push_migratory(g),
        (_, None) => {
            cx.sched().push_woken(g);
            wake::submit(cx.sched());
        }
    }
}
