//! Waiting in place: the G's thread sleeps, and runs nobody else meanwhile.
//!
//! For a G that is its thread, and for one whose frames must not have a sibling's above them (see [`park`](super::park)); and
//! for a thread that is about to block in a call.
//!
//! # Safety
//!
//! A G's own part is read and written by the G, which runs this; in between it belongs to whoever claims it, until that one has
//! given it back.
#![expect(unsafe_code, reason = "reads the running G's own part")]

use std::time::Instant;

use gosched_runtime_sys::thread::{monotonic_ns, yield_thread};

use crate::current::{self, Current};
use crate::ds::parker::{Commit, Notify};
use crate::g::{G, Kind};
use crate::m::M;
use crate::policy::Patience;
use crate::proc::{cancel, wake};

/// Waits until `g`, the calling G or the one borrowed for the calling thread, is notified or, unless `shielded`, cancelled; or
/// until the deadline has passed. Looks out for that as long as `patience` says before it sleeps. May return early.
#[cold]
pub(crate) fn wait(g: &G, shielded: bool, deadline: Option<Instant>, patience: Patience) {
    if look_first(g, patience) {
        return;
    }
    // SAFETY: the calling G's own record, or the one borrowed for this wait.
    let own = unsafe { crate::g::running_own(g) };
    let home = own.home.get();
    current::with(|cx| {
        if let Some(cx) = cx {
            give_up_p(cx);
            own.home.set(Some(cx.m.as_home()).filter(|_| home.is_none()).or(home));
        }
    });
    own.in_place.set(true);
    let seat = &M::of(own.home.get().expect("it has just been set")).seat;
    // Claimed is not enough: until the claimer gives the G back, `own` is its. After the deadline the thread claims it
    // for itself, unless somebody was faster.
    if g.parker.commit(!shielded && cancel::may_end_waits(own)) == Commit::Parked
        && !seat.sleep_until_resumed(deadline)
        && g.parker.notify() == Notify::Left
    {
        let _by_its_claimer = seat.sleep_until_resumed(None);
    }
    // SAFETY: as above.
    own.in_place.set(unsafe { crate::g::running_kind(g) } == Kind::ThreadBacked);
    own.home.set(home);
}

/// Looks for a while whether the wait is over before the thread goes to sleep.
fn look_first(g: &G, patience: Patience) -> bool {
    if patience.total_ns == 0 {
        return g.parker.notified();
    }
    let began = monotonic_ns();
    loop {
        if g.parker.notified() {
            return true;
        }
        let waited = monotonic_ns().saturating_sub(began);
        if waited >= patience.total_ns {
            return false;
        }
        if waited < patience.spin_ns {
            std::hint::spin_loop();
        } else {
            yield_thread();
        }
    }
}

/// How long who waits in place looks out, here.
pub(crate) fn patience() -> Patience {
    current::with(|cx| cx.map_or(Patience::NONE, |cx| cx.sched().patience()))
}

/// Before its thread sleeps or blocks, every M on it (one per runtime that the thread is in) gives its P up.
fn give_up_p(cx: &Current) {
    let mut place = Some(cx);
    while let Some(cx) = place {
        let p = cx.enter().ok().and_then(|mut hand| hand.p.take());
        if let Some(p) = p {
            cx.m.seat.without_p();
            wake::hand_off_p(cx.sched(), p);
        }
        // The M of a thread-backed G never kept the time.
        if cx.g().is_some_and(|g| kind_of_running(g) != Kind::ThreadBacked) {
            wake::keep_time(cx.sched());
        }
        place = cx.prev();
    }
}

/// Before the calling thread blocks for long: others run what its Ps have to run. Its G goes on without one.
pub(crate) fn give_up_ps() {
    current::with(|cx| {
        if let Some(cx) = cx {
            give_up_p(cx);
        }
    });
}

/// After such a call: an idle P, if there is one, so that what the G makes or wakes next goes the short way. If not, its M
/// waits for its turn when the G suspends.
pub(crate) fn take_p_back() {
    current::with(|cx| {
        // Only an M that runs Gs has use for a P; the M of a thread-backed G is none of the dispatch's.
        let Some(cx) = cx.filter(|cx| cx.g().is_some_and(|g| kind_of_running(g) != Kind::ThreadBacked)) else { return };
        let Ok(mut hand) = cx.enter() else { return };
        if hand.p.is_none() {
            hand.p = cx.sched().dispatch.try_take(&cx.m.seat, &cx.sched().idle);
        }
    });
}

/// What the running G of the calling thread is.
pub(crate) fn kind_of_running(g: &G) -> Kind {
    // SAFETY: callers pass the running G of their own thread.
    unsafe { crate::g::running_kind(g) }
}
