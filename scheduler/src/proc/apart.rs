//! Gs that are to begin apart from those that have settled: who brings an M for them, and who takes
//! them.
//!
//! # Who calls it
//!
//! - [`push`] and [`announce`] queue a new G of which it is not known that it talks (`spawn`).
//!   [`end_burst`] follows the round in which a goroutine has made some (`run`).
//! - [`bring`] finds an M for them.
//! - An M that looks for something to start calls [`take`] (`find`).
//! - [`end_first_run`] follows the first run of a G that was taken here (`run`).
//! - Sysmon calls [`bring_left`] for what [`is_left`].
//!
//! Who may begin where is `policy::behaviour`.
//!
//! # The protocol
//!
//! An M on which nothing has settled may take every G. One at a time is on its way:
//!
//! ```text
//! a publisher                                an M that looks
//!   1 push the G                               1 coming = false
//!   2 coming = true; if it was false,          2 look at the queue, under its lock
//!     bring an M                               3 if Gs are left, publish them from step 2
//! ```
//!
//! The proof is at the head of `ds::pending`.
//!
//! For what a goroutine makes, an M is brought only when the goroutine has suspended. Made at once,
//! it would run the first G, and know its call site, while the maker makes the next ones. Those
//! would begin beside their maker, and the burst would be split for good.
//!
//! To bring an M is one of these, in this order: an M asleep on which nothing has settled gets an
//! idle P, or a place in the line; a new M is made, and does the same; if there are as many Ms as
//! there may be, a G that is known to compute is left to the Ms on which all compute, which look
//! here in each round; else the queue is *opened*, and the oldest G is free work for every M.
//!
//! No M is brought while one searches, because that one looks here. An M that takes the first of a
//! burst leaves the others to itself, because they will talk. Either M may be the wrong one, or its
//! goroutine may compute. So what is left to it is left *behind* (`wake_sysmon`): sysmon stays
//! awake while Gs wait here, and brings an M for one that has been the oldest for `LEFT_NS`.

use std::sync::atomic::Ordering::Relaxed;

use gosched_runtime_sys::clock::monotonic_ns;

use crate::gmp::admission::Admission;
use crate::gmp::current::{Current, InsideWithP};
use crate::gmp::dispatch::Kicked;
use crate::gmp::g::{Kind, Runnable};
use crate::gmp::m::{FirstRun, MOwned};
use crate::gmp::sched::Sched;
use crate::policy::START_SLACK;
use crate::policy::behaviour::{Behaviour, LEFT_TO_ITS_LIKE_NS, Run, Settled, may_make_apart};
use crate::proc::start_m::start_idle_m;
use crate::proc::wake;
use crate::proc::wake_sysmon::wake_sysmon;

/// Queues a new G. `maker` is the M whose goroutine made it. [`announce`] follows.
pub(crate) fn push(sched: &Sched, maker: Option<&mut MOwned>, g: Runnable) {
    let burst = maker.map_or(0, |owned| {
        owned.brings_apart = true;
        owned.burst(&sched.apart)
    });
    g.g().set_burst(burst);
    sched.apart.push(g);
}

/// Has an M come for a G that was pushed: at once or, `in_burst`, when its maker has suspended, so
/// that the whole burst is there when the first of it begins.
#[cold]
pub(crate) fn announce(sched: &Sched, in_burst: bool) {
    if in_burst {
        wake_sysmon(sched);
        if sched.has_sysmon.load(Relaxed) {
            return;
        }
    }
    publish(sched);
}

/// Does what is to be done when a goroutine that has made such Gs has given its M back. `is_free`:
/// the M may start others. If that goroutine has ended, and it was the only one here, this M takes
/// them itself.
#[cold]
pub(crate) fn end_burst(cx: &Current, inside: &mut InsideWithP, is_free: bool) {
    inside.owned().brings_apart = false;
    if is_free && cx.m.settled() == 0 && cx.sched().has_sysmon.load(Relaxed) {
        return wake_sysmon(cx.sched());
    }
    publish(cx.sched());
}

/// Has an M come for what was pushed.
fn publish(sched: &Sched) {
    if sched.idle.searching() > 0 && sched.has_sysmon.load(Relaxed) {
        return wake_sysmon(sched);
    }
    bring(sched);
}

/// Has an M come if Gs wait, unless one is on its way, or has begun with their burst.
#[cold]
pub(crate) fn bring(sched: &Sched) {
    if is_in_hand(sched) {
        return wake_sysmon(sched);
    }
    bring_left(sched, 0);
}

/// True if the M that took the first of a burst comes for the oldest G as well. One that is known
/// to compute is not left to it.
fn is_in_hand(sched: &Sched) -> bool {
    sched.apart.head_is_served()
        && sched.has_sysmon.load(Relaxed)
        && !sched.apart.oldest_is(|g| computes(sched, g))
}

/// Has an M come if Gs wait, unless one is on its way. The oldest is known to have been the next
/// one for `waited_ns`.
#[cold]
pub(crate) fn bring_left(sched: &Sched, waited_ns: u64) {
    if !sched.apart.waits() {
        return;
    }
    if !may_begin(sched) {
        wake_sysmon(sched);
    } else if sched.apart.coming.begin() {
        bring_one(sched, waited_ns);
    }
}

/// True if Gs wait that could begin, and no M is on its way.
pub(crate) fn is_left(sched: &Sched) -> bool {
    sched.apart.waits() && !sched.apart.coming.is_set() && may_begin(sched)
}

/// True if the oldest G may begin, as far as the start gate is concerned. The gate is for Gs that
/// compute; where it is shut, others go before them.
fn may_begin(sched: &Sched) -> bool {
    sched.start_gate.admits() || sched.apart.skip_to(|g| !computes(sched, g))
}

fn computes(sched: &Sched, g: &Runnable) -> bool {
    behaviour(sched, g) == Behaviour::Computes
}

fn bring_one(sched: &Sched, waited_ns: u64) {
    // What is known to compute waits behind what was woken; the unknown may be one that serves.
    let passes = sched.apart.skip_to(|g| !computes(sched, g));
    match sched.dispatch.kick_vacant(passes, &sched.idle, monotonic_ns) {
        Kicked::Given => return,
        Kicked::InLine => {}
        // Ms without work end while the runtime closes, the new one, too.
        Kicked::Nobody if !sched.closing() && may_make(sched) && start_idle_m(sched).is_ok() => {
            // If there is nobody, another thread has brought the new M for something else. Then
            // what is left here is sysmon's.
            if sched.dispatch.kick_vacant(passes, &sched.idle, monotonic_ns) == Kicked::Nobody {
                leave_to_sysmon(sched);
            }
        }
        Kicked::Nobody if !passes && is_left_to_its_like(sched, waited_ns) => {
            sched.apart.coming.clear();
        }
        Kicked::Nobody => open(sched),
    }
    wake_sysmon(sched);
}

/// True if a G that is known to compute waits until an M on which all compute has taken it. Sysmon
/// sees when that does not happen.
fn is_left_to_its_like(sched: &Sched, waited_ns: u64) -> bool {
    waited_ns < LEFT_TO_ITS_LIKE_NS && sched.has_sysmon.load(Relaxed) && sched.somebody_computes()
}

/// Notes that no M comes. Sysmon brings one for what waits; without sysmon, any M may take it.
fn leave_to_sysmon(sched: &Sched) {
    if sched.has_sysmon.load(Relaxed) {
        sched.apart.coming.clear();
    } else {
        open(sched);
    }
}

/// Lets any M take the oldest G.
fn open(sched: &Sched) {
    sched.apart.open();
    wake::wake_p(sched);
}

/// True if one more M may be made for a G that is to begin apart.
fn may_make(sched: &Sched) -> bool {
    may_make_apart(sched.ms_with_waiting(), sched.procs())
}

/// Takes a G for an M that may have been brought for it, if that M is free to start one
/// (`is_free`).
#[cold]
pub(crate) fn arrive(cx: &Current, owned: &mut MOwned, is_free: bool) -> Option<Runnable> {
    let apart = &cx.sched().apart;
    let taken = apart.coming.look(|| if is_free { take(cx, owned) } else { None });
    if taken.is_none() && apart.waits() {
        // It was the wrong M, or has others to run first, or the start gate is shut.
        wake_sysmon(cx.sched());
    }
    taken
}

/// Takes the oldest G for an M that may start it.
#[cold]
pub(crate) fn take(cx: &Current, owned: &mut MOwned) -> Option<Runnable> {
    let sched = cx.sched();
    let settled = settled(cx, owned);
    let open = sched.apart.is_open();
    let joins = sched.apart.head_burst() == owned.company.burst || owned.company.computes;
    if settled != Settled::Nobody && !open && !joins {
        return None;
    }
    let shut = !sched.start_gate.admits();
    if shut && !may_begin(sched) {
        return None;
    }
    let admission = if shut { Admission::Free } else { sched.start_gate.admit()? };
    let mut taken = None;
    let g = sched.apart.pop_if(|g| {
        let behaviour = behaviour(sched, g);
        taken = Some((behaviour, g.g().made_at()));
        if shut && behaviour == Behaviour::Computes {
            return false;
        }
        open || owned.company.admits(settled, behaviour, g.g().burst())
    });
    let Some((g, (behaviour, made_at))) = g.zip(taken) else {
        let _it_looks_itself = sched.start_gate.give_back(admission);
        return None;
    };
    // Before the M stops searching: that brings another one for what is left.
    sched.apart.serve(g.g().burst());
    let (since, cpu_since) = (monotonic_ns(), cpu_time(cx));
    owned.first_run =
        Some(FirstRun { admission, behaviour, since, cpu_since, made_at, timed: false });
    sched.counts.begun_apart.fetch_add(1, Relaxed);
    Some(g)
}

/// Returns what those do who have settled on the M at `cx`. A G that is about to settle here counts
/// as well, above all the root of a lent thread.
fn settled(cx: &Current, owned: &MOwned) -> Settled {
    if owned.settled_ready() > 0 || !cx.m.inbox.is_empty() {
        Settled::Busy
    } else if cx.m.settled() > 0 {
        Settled::Waiting
    } else {
        Settled::Nobody
    }
}

/// Returns the processor time of the calling thread, which is that of the M at `cx`.
fn cpu_time(cx: &Current) -> Option<u64> {
    cx.m.progress.clock()?.read()
}

/// True if Gs wait that the M at `cx` may take, whatever they are.
pub(crate) fn is_for(cx: &Current) -> bool {
    let sched = cx.sched();
    cx.m.settled() == 0 && sched.apart.waits() && may_begin(sched)
}

/// True if `g` is a migratory G that has begun and may compute from now on, so that a lent thread
/// leaves it to other Ms: the root can run nowhere else, and would wait for it.
#[inline]
pub(crate) fn may_compute(cx: &Current, g: &Runnable) -> bool {
    let sched = cx.sched();
    sched.call_sites.any_in_doubt()
        && g.has_begun()
        && g.resumes() == Kind::Migratory
        && sched.call_sites.is_in_doubt(g.g().made_at())
        && !sched.thread_missing.load(Relaxed)
}

/// Returns what is to be expected of a G that has not begun.
fn behaviour(sched: &Sched, g: &Runnable) -> Behaviour {
    let known = || g.g().made_at().map(|made_at| sched.call_sites.behaviour(made_at));
    g.expected_behaviour().or_else(known).unwrap_or_default()
}

/// Has an M come for the Gs that are left, when the M has taken one that it is about to run.
pub(crate) fn leave_others(sched: &Sched) {
    if sched.apart.waits() {
        bring(sched);
    }
}

/// Does what is to be done when the G that was started last has given its M back: records how long
/// it ran, and frees those of its kind if it talks.
#[cold]
pub(crate) fn end_first_run(cx: &Current, inside: &mut InsideWithP) {
    let Some(run) = inside.owned().first_run.take() else { return };
    let sched = cx.sched();
    if sched.start_gate.give_back(run.admission) {
        wake::wake_p_if_work(sched);
        bring(sched);
    }
    let mut works = false;
    if let Some(made_at) = run.made_at {
        let cpu_ns = cpu_time(cx).zip(run.cpu_since).map(|(now, since)| now.saturating_sub(since));
        let lasted_ns = monotonic_ns().saturating_sub(run.since);
        let run = Run { lasted_ns, cpu_ns, blocked: false, timed: run.timed };
        works = run.works();
        sched.call_sites.first_run(made_at, run);
    }
    let mut freed = 0;
    while let Some(g) = sched.apart.pop_if(|g| behaviour(sched, g) == Behaviour::Talks) {
        // Behind a P that is never without work, the global queue is looked at seldom.
        match inside.p.as_ref() {
            Some(p) => p.push_unstarted(g),
            None => sched.push_unstarted(g),
        }
        freed += 1;
    }
    if freed == 0 {
        return;
    }
    if let Some(p) = inside.p.as_ref().filter(|_| works) {
        p.spread();
    }
    // They suspend soon, too. What this M may begin by its share it has begun before another one
    // comes, which would split those that talk.
    let others =
        works || freed > START_SLACK || inside.p.is_none() || !sched.has_sysmon.load(Relaxed);
    if others { wake::wake_p(sched) } else { wake_sysmon(sched) }
}
