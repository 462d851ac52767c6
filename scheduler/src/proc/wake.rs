//! Making Gs runnable, and bringing Ps to the Ms that run them.
//!
//! # Who calls it
//!
//! - [`ready`] makes a parked G runnable. The claimer calls it: the waker that won the G from its
//!   park word, by [`Claimed::now`](crate::proc::claimed::Claimed::now), or the M or sysmon that
//!   found the G's timer due. Two kinds of G do without it. The M's loop queues a G that yields,
//!   and [`timers::fire`](crate::proc::timers::fire) queues a G that came due in the M's own loop.
//! - [`wake_p`] follows every publishing of *free* work, that is of unstarted and migratory Gs,
//!   which any M may run. The publisher calls it when the work is in its queue. What an M wakes
//!   that keeps up (`policy::keeps_up`) is left to that M: it is work *behind*, as below.
//! - [`hand_off_p`] takes a P that its M cannot use: the M's loop, a thread that blocks
//!   ([`in_place`](crate::proc::in_place)) and sysmon call it.
//! - [`ensure_timekeeper`] precedes every block or exit of an M's thread that is not the sleep of
//!   an M without work.
//!
//! # Who owns what
//!
//! The claimer owns the G until `ready` has pushed it; from that moment another M may run the G and
//! end it. The caller of [`start_searcher`] owns one *search* of [`Idle`](crate::ds::idle::Idle):
//! publishers rely on that count, so an M carries the search out, or it is taken back. The caller
//! of `hand_off_p` owns the P.
//!
//! # The handshakes
//!
//! All four have one shape: write mine, fence, read yours. Of two fences one is first, and the
//! other side's read follows it. This file is the left side of each:
//!
//! ```text
//! publish   the publisher, wake_p             an M that stops searching (`run`)
//!             1 push the G                      1 P to the idle list, one search fewer
//!             2 fence                           2 fence, if that left nobody searching
//!             3 read the counts: if a P is      3 look at every queue; if there is work, take
//!               idle and nobody searches,         a P back and search again
//!               start a searcher
//! send      the waker, ready_settled          an M that falls asleep (`gmp::dispatch`)
//!             1 push the G to its home's        1 status = ASLEEP, under the dispatch's lock
//!               inbox                           2 fence
//!             2 fence                           3 inbox empty? Else take the status back,
//!             3 read the home's status: if        under the lock
//!               ASLEEP, hand it an idle P or
//!               put it into the line
//! time      an M that leaves or blocks,       the timekeeper that wakes up (`ds::timekeeper`)
//!           ensure_timekeeper
//!             1 (its goroutines' timers are     1 the word says that no M keeps the time
//!               in the heaps)                   2 fence, before it sleeps, leaves or blocks
//!             2 fence                           3 read the heaps, then the word
//!             3 read the heaps, then the
//!               word: if no M keeps the
//!               time, have one keep it
//! behind    an M that leaves work behind      sysmon (`ds::sysmon_note`)
//!           user code, wake_sysmon
//!             1 leave it                        1 word = ASLEEP
//!             2 light fence                     2 heavy fence
//!             3 read the word                   3 look at what waits
//! ```
//!
//! `Idle::submit` makes steps 2 and 3 of *publish*, `Dispatch::kick` those of *send*. The proofs
//! are at the heads of `ds::idle`, `gmp::dispatch`, `ds::timekeeper` and `ds::sysmon_note`.
//!
//! A home whose status is not ASLEEP needs no wake-up: the home looks into its inbox in each round
//! of its loop, and again before its next sleep. It may be in user code until then, so a send is
//! also the left side of *behind*: sysmon watches.
//!
//! # Rejected
//!
//! - Handing the ready G to the woken M together with the P: no M that comes sooner can then have
//!   it, and the waker itself often has nothing to run the next moment.
//! - One wake-up for each piece of work: N sleeping cores are woken for what one of them runs
//!   before the others have arrived.

use std::io;
use std::sync::atomic::Ordering::Relaxed;

use gosched_runtime_sys::clock::monotonic_ns;

use crate::gmp::current::{self, Current};
use crate::gmp::dispatch::{Kicked, Started};
use crate::gmp::g::{Kind, Runnable};
use crate::gmp::m::M;
use crate::gmp::p::P;
use crate::gmp::sched::Sched;
use crate::proc::excess_p;
use crate::proc::start_m::start_m;
use crate::proc::take_over::take_over;
use crate::proc::wake_sysmon::wake_sysmon;

/// Makes a claimed G runnable. The caller is the claimer, and gives the G up here.
#[inline(always)]
pub(crate) fn ready(sched: &Sched, g: Runnable) {
    if g.owned().in_place.get() {
        return wake_thread(g);
    }
    current::with(|cx| {
        // If a goroutine of `sched` has entered another runtime, the thread's current place is in
        // that runtime. Its M is not one of `sched`.
        let cx = cx.filter(|cx| std::ptr::eq(cx.sched(), sched));
        match g.kind() {
            Kind::Settled => ready_settled(sched, cx, g),
            Kind::Migratory | Kind::ThreadBacked => ready_other(sched, cx, g),
        }
    });
}

/// Gives a claimed G that waits in place back to its thread, and wakes the thread.
#[cold]
pub(crate) fn wake_thread(g: Runnable) {
    let home = g.owned().home.get().expect("a G that waits in place has an M");
    g.owned().unpark();
    let _the_thread_has_it = g.into_raw();
    M::of(home).remote.resume();
}

/// Brings a settled G to its home. `cx` is the calling thread's place in `sched`, if it has one.
#[inline(always)]
fn ready_settled(sched: &Sched, cx: Option<&Current>, g: Runnable) {
    let home = M::of(g.owned().home.get().expect("a settled G that waited has started"));
    if let Some(cx) = cx.filter(|cx| std::ptr::eq(cx.m, home)) {
        match cx.enter() {
            Ok(mut inside) => {
                inside.owned().push_woken(g);
                drop(inside);
                home.progress.ready_behind();
                wake_sysmon(sched);
            }
            // The M is inside a queue operation, under which an allocator hook readies the G. The M
            // looks into its inbox before it sleeps, or goes on with the goroutine that it runs.
            Err(_reentered) => {
                home.inbox.push(g);
                wake_sysmon(sched);
            }
        }
        return;
    }
    home.inbox.push(g);
    kick_m(sched, home);
}

/// Tells one M to look, after something came for it alone. A sleeping M gets an idle P and is
/// woken. If no P is idle, it joins the line, and sysmon is woken to watch the line. An M that is
/// awake may be in user code, or on its way there after its last look into its inbox; so sysmon is
/// woken for that, too. It is not for an M without work, which watches its inbox.
///
/// Rejected: to ask first whether the M runs a goroutine. The M would need a full fence between
/// saying so and its last look, at every switch. Where it ends its watch, it has one.
pub(crate) fn kick_m(sched: &Sched, m: &'static M) {
    match sched.dispatch.kick(&&m.remote, &sched.idle, monotonic_ns) {
        Kicked::Given => return,
        Kicked::InLine => hand_on_from_who_computes(sched),
        Kicked::Nobody => {}
    }
    wake_sysmon(sched);
}

/// Hands the P of a goroutine that is known to compute on to what was woken.
#[inline]
fn hand_on_from_who_computes(sched: &Sched) {
    if let Some(p) = take_over(sched) {
        hand_off_p(sched, p);
    }
}

/// Brings in a resident M that sleeps, for the unstarted Gs that a busy spare M leaves to it. The
/// spare M may never run dry, and so never hand its P off.
#[cold]
pub(crate) fn kick_resident(sched: &Sched) {
    if sched.dispatch.kick_resident(&sched.idle, monotonic_ns) {
        wake_sysmon(sched);
    }
}

/// Makes a G runnable that is not settled for good.
fn ready_other(sched: &Sched, cx: Option<&Current>, g: Runnable) {
    match g.resumes() {
        Kind::Settled => ready_locked(sched, cx, g),
        Kind::Migratory | Kind::ThreadBacked => ready_migratory(sched, cx, g),
    }
}

/// Brings a migratory G to the M to whose thread it is locked.
#[cold]
#[inline(never)]
fn ready_locked(sched: &Sched, cx: Option<&Current>, g: Runnable) {
    ready_settled(sched, cx, g);
}

/// Publishes a migratory G: in the P of the calling thread, or in the global queue.
fn ready_migratory(sched: &Sched, cx: Option<&Current>, g: Runnable) {
    match cx.map(Current::enter_with_p) {
        Some(Ok(entered)) if entered.p.is_some() => {
            let p = entered.p.as_ref().expect("just looked");
            p.push_woken(g);
            if p.shared.keeps_up() {
                return wake_sysmon(sched);
            }
        }
        _ => {
            sched.push_migratory(g);
            if sched.idle.idle_ps() == 0 {
                hand_on_from_who_computes(sched);
            }
        }
    }
    wake_p(sched);
}

/// Wakes one M to search, if a P is idle and nobody searches. Called after free work was
/// published.
///
/// If no P is idle, user code may keep all of them, so sysmon is woken.
#[inline]
pub(crate) fn wake_p(sched: &Sched) {
    if sched.idle.submit() {
        start_searcher(sched);
    } else if sched.idle.idle_ps() == 0 {
        wake_sysmon(sched);
    }
}

/// Brings an idle P to an M that then searches. The caller has counted that search in `idle`, and
/// gives it up here.
#[cold]
pub(crate) fn start_searcher(sched: &Sched) {
    loop {
        let mut failed = false;
        match sched.dispatch.give_to_sleeper(&sched.idle) {
            Started::Woken => return,
            // The M that took the last P looks at every queue before it releases the P. It may have
            // released it since, and a publisher that came later relied on this search.
            Started::NoP => {}
            Started::NeedM(p) => match start_m(sched, p, true) {
                Ok(()) => return,
                Err((p, error)) => {
                    excess_p::put_back(sched, p);
                    failed = true;
                    thread_is_missing(sched, &error);
                }
            },
        }
        if !(sched.idle.stop_search() && sched.has_free_work()) {
            return;
        }
        // If no thread can be made, the Ms there are run the work. An M that fell asleep relying on
        // this search is woken by the next pass of this loop. An M that is about to fall asleep is
        // sent back. All other Ms look anyway.
        if (failed && sched.dispatch.ask_next_sleeper_to_look()) || !sched.idle.submit() {
            // The M that took the P may run user code with it, and not look for long.
            return wake_sysmon(sched);
        }
    }
}

/// Notes that no thread for an M could be made, so that those who wait in place try again.
///
/// If the runtime has no M, nobody is there to try again, and what has not begun never will.
#[cold]
fn thread_is_missing(sched: &Sched, error: &io::Error) {
    sched.thread_missing.store(true, Relaxed);
    if sched.m_count() == 0 {
        (sched.refuse)(sched, error);
    }
}

/// Tries again to make an M, if that has failed since somebody tried. True if it had.
#[cold]
pub(crate) fn try_missing_thread(sched: &Sched) -> bool {
    let missing = sched.thread_missing.swap(false, Relaxed);
    if missing {
        wake_p_if_work(sched);
    }
    missing
}

/// Kicks the resident M with the fewest settled Gs, so that it takes unstarted ones.
#[cold]
pub(crate) fn kick_least_loaded(sched: &Sched) {
    match sched.least_loaded_resident().0 {
        Some(m) => kick_m(sched, m),
        // That M is yet to be made. `wake_p` would rely on the searching Ms, and those may have
        // their share, too; the caller, which searches itself, has.
        None if sched.idle.idle_ps() > 0 && sched.idle.start_search(usize::MAX) => {
            start_searcher(sched)
        }
        None => wake_p(sched),
    }
}

/// True if another M would find something to run with `p`.
pub(crate) fn has_use(sched: &Sched, p: &P) -> bool {
    p.has_work() || sched.has_free_work() || sched.dispatch.line_len() > 0
}

/// Gives up the P of an M whose thread goes on without it, or sleeps.
///
/// If there is work for the P, it goes to the head of the line, else to a sleeping M, else to a new
/// M. If no M can be made, or there is no work, the P becomes idle. A P too many is retired.
pub(crate) fn hand_off_p(sched: &Sched, p: Box<P>) {
    let p = if sched.dispatch.excess() > 0 {
        let Some(p) = excess_p::retire_p(sched, p) else { return wake_p_if_work(sched) };
        p
    } else {
        p
    };
    let p = if has_use(sched, &p) {
        match sched.dispatch.hand_off(p) {
            Started::Woken | Started::NoP => return sched.counts.hand_over(),
            Started::NeedM(p) => match start_m(sched, p, false) {
                Ok(()) => return sched.counts.hand_over(),
                Err((p, error)) => {
                    thread_is_missing(sched, &error);
                    p
                }
            },
        }
    } else {
        p
    };
    // The P lies idle together with its queues, which thieves reach. The fence of `put_back` pairs
    // with the fence of every publisher.
    excess_p::put_back(sched, p);
    wake_p_if_work(sched);
}

/// Publishes anew, if there is free work. Called after a P became idle: an earlier publisher may
/// have found no idle P.
pub(crate) fn wake_p_if_work(sched: &Sched) {
    if sched.has_free_work() {
        wake_p(sched);
    }
}

/// Has another M keep the time, if timers are left that nobody keeps.
///
/// Called by an M whose thread leaves, or blocks, other than by the sleep of an M without work.
pub(crate) fn ensure_timekeeper(sched: &Sched) {
    if !sched.timekeeper.needs_keeper(|| sched.latest_wake()) || sched.dispatch.wake_a_sleeper() {
        return;
    }
    // No M sleeps. If a P is idle, goroutines may keep all Ms that are awake. If none is idle, the
    // next M that releases its P looks at the timers.
    if sched.idle.idle_ps() > 0 && sched.idle.start_search(usize::MAX) {
        start_searcher(sched);
    }
}
