//! Making Gs runnable, and bringing Ps to Ms that will run them.
//!
//! `ready` is the only place where a G that waited becomes runnable. Whoever publishes work that
//! any M may take calls `wake_p` after it: the first half of the wake-up protocol of `ds::idle`, of
//! which `find` is the other.

use gosched_runtime_sys::clock::monotonic_ns;

use crate::gmp::current::{self, Current};
use crate::gmp::dispatch::Started;
use crate::gmp::g::{Kind, Runnable};
use crate::gmp::m::M;
use crate::gmp::p::P;
use crate::gmp::sched::Sched;
use crate::proc::excess_p;
use crate::proc::start_m::start_m;
use crate::proc::wake_sysmon::wake_sysmon;

/// Makes a G runnable whose owner the caller has become.
#[inline(always)]
pub(crate) fn ready(sched: &Sched, g: Runnable) {
    if g.owned().in_place.get() {
        return wake_thread(g);
    }
    current::with(|cx| {
        // A place on top of this runtime's (another runtime entered from a goroutine) does not
        // count: its M is not ours.
        let here = cx.filter(|cx| std::ptr::eq(cx.sched(), sched));
        match g.kind() {
            Kind::Settled => ready_settled(sched, here, g),
            Kind::Migratory | Kind::ThreadBacked => ready_migratory(sched, here, g),
        }
    });
}

/// A G whose thread sleeps for it: the thread goes on by itself.
#[cold]
pub(crate) fn wake_thread(g: Runnable) {
    let home = g.owned().home.get().expect("a G that waits in place has an M");
    let _the_thread_has_it = g.into_raw();
    M::of(home).remote.resume();
}

#[inline(always)]
fn ready_settled(sched: &Sched, here: Option<&Current>, g: Runnable) {
    let home = M::of(g.owned().home.get().expect("a settled G that waited has started"));
    if here.is_some_and(|cx| std::ptr::eq(cx.m, home)) {
        match here.expect("just looked").enter() {
            Ok(mut inside) => {
                inside.owned().push_woken(g);
                drop(inside);
                home.progress.ready_behind();
                wake_sysmon(sched);
            }
            // The M is in the middle of a queue operation (an allocator hook): it looks here before
            // it sleeps.
            Err(_reentered) => home.inbox.push(g),
        }
        return;
    }
    home.inbox.push(g);
    kick_m(sched, home);
}

/// After something came for this very M: it is woken, or stands in the line, and sysmon sees to it
/// that the line moves.
pub(crate) fn kick_m(sched: &Sched, m: &'static M) {
    if sched.dispatch.kick(&&m.remote, &sched.idle, monotonic_ns) {
        wake_sysmon(sched);
    }
}

fn ready_migratory(sched: &Sched, here: Option<&Current>, g: Runnable) {
    match here.map(Current::enter_with_p) {
        Some(Ok(entered)) if entered.p.is_some() => {
            entered.p.as_ref().expect("just looked").push_migratory(g);
        }
        _ => sched.push_migratory(g),
    }
    wake_p(sched);
}

/// After work was published that any M may take: wakes one M to look, if a P is idle and nobody
/// looks already. If none is idle, user code may keep them all, and sysmon is told.
#[inline]
pub(crate) fn wake_p(sched: &Sched) {
    if sched.idle.submit() {
        start_searcher(sched);
    } else if sched.idle.idle_ps() == 0 {
        wake_sysmon(sched);
    }
}

/// Brings an idle P to an M that then searches. The caller has taken the searching token from
/// `idle`.
#[cold]
pub(crate) fn start_searcher(sched: &Sched) {
    loop {
        let mut failed = false;
        match sched.dispatch.give_to_sleeper(&sched.idle) {
            Started::Woken => return,
            // Who took the last P looks at every queue before it lets go of it - but it may have
            // let go already, and who published since relied on this token.
            Started::NoP => {}
            Started::NeedM(p) => match start_m(sched, p, true) {
                Ok(()) => return,
                Err((p, _error)) => {
                    excess_p::put_back(sched, p);
                    failed = true;
                }
            },
        }
        if !(sched.idle.stop_search() && sched.has_free_work()) {
            return;
        }
        // No thread can be made: the work is for the Ms there are. One that fell asleep relying on
        // this token is woken, and one that is about to is sent back; the others look of
        // themselves.
        if (failed && sched.dispatch.ask_next_sleeper_to_look()) || !sched.idle.submit() {
            // Whoever took the P may run user code with it, and not look for long.
            return wake_sysmon(sched);
        }
    }
}

/// Sees to it that the home M with the fewest settled Gs comes and takes unstarted ones.
#[cold]
pub(crate) fn kick_least_loaded(sched: &Sched) {
    match sched.least_loaded_resident().0 {
        Some(m) => kick_m(sched, m),
        // It is yet to be made. `wake_p` would rely on those who search: they may have their share,
        // too, as the caller does who searches itself.
        None if sched.idle.idle_ps() > 0 && sched.idle.start_search(usize::MAX) => {
            start_searcher(sched)
        }
        None => wake_p(sched),
    }
}

/// Whether somebody else would find something to run with `p`.
pub(crate) fn has_use(sched: &Sched, p: &P) -> bool {
    p.has_work() || sched.has_free_work() || sched.dispatch.line_len() > 0
}

/// An M gives its P up while its thread goes on or sleeps: with work left, somebody else must run
/// it.
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
                Err((p, _error)) => p,
            },
        }
    } else {
        p
    };
    // Idle with its queues: thieves reach those, and the fence of `put_back` pairs with whoever
    // submits.
    excess_p::put_back(sched, p);
    wake_p_if_work(sched);
}

/// After a P became idle: whoever published before may have found none.
pub(crate) fn wake_p_if_work(sched: &Sched) {
    if sched.has_free_work() {
        wake_p(sched);
    }
}

/// An M's thread leaves, or blocks, without going to sleep as one that has nothing to do: if timers
/// are left, somebody else keeps the time.
pub(crate) fn ensure_timekeeper(sched: &Sched) {
    if !sched.timekeeper.needs_keeper(|| sched.first_timer()) || sched.dispatch.wake_a_sleeper() {
        return;
    }
    // Nobody sleeps. While a P is idle, those that are awake may all be kept by their goroutines;
    // without one, whoever lets go of a P comes by the timers.
    if sched.idle.idle_ps() > 0 && sched.idle.start_search(usize::MAX) {
        start_searcher(sched);
    }
}
