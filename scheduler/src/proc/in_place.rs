//! Waiting in place: the G's thread sleeps, and runs nobody else meanwhile.
//!
//! For a G that is its thread, and for one whose frames must not have a sibling's above them (see
//! [`park`](super::park)); and for a thread that is about to block in a call.
//!
//! # Safety
//!
//! A G's own part is read and written by the G, which runs this; in between it belongs to whoever
//! claims it, until that one has given it back.
#![expect(unsafe_code, reason = "reads the running G's own part")]

use std::marker::PhantomData;
use std::time::Instant;

use gosched_runtime_sys::clock::monotonic_ns;
use gosched_runtime_sys::thread::yield_thread;

use crate::ds::parker::{Claim, Commit};
use crate::gmp::current::{self, Current};
use crate::gmp::g::{G, Kind};
use crate::gmp::m::M;
use crate::policy::SpinBudget;
use crate::proc::{cancel, wake};

/// Waits until `g`, the calling G or the one borrowed for the calling thread, is notified or,
/// unless `shielded`, cancelled; or until the deadline has passed. Looks out for that as long as
/// `spin_budget` says before it sleeps. May return early.
#[cold]
pub(crate) fn wait(g: &G, shielded: bool, deadline: Option<Instant>, spin_budget: SpinBudget) {
    // Who has a P gives it up at once, for whoever is to wake it may need it. A thread-backed G has
    // none, and what it lies on top of keeps its own for as long as it looks out.
    let had_p = kind_of_running(g) != Kind::ThreadBacked;
    if !had_p && look_first(g, spin_budget) {
        return;
    }
    let _blocked = Blocked::begin();
    if !had_p || !look_first(g, spin_budget) {
        sleep(g, shielded, deadline);
    }
}

fn sleep(g: &G, shielded: bool, deadline: Option<Instant>) {
    // SAFETY: the calling G's own record, or the one borrowed for this wait.
    let owned = unsafe { crate::gmp::g::running_owned(g) };
    let home = owned.home.get();
    current::with(|cx| {
        if let Some(cx) = cx {
            // Others read the home of a settled G: it is left alone.
            if home.is_none() {
                owned.home.set(Some(cx.m.as_home()));
            }
        }
    });
    owned.in_place.set(true);
    let remote = &M::of(owned.home.get().expect("it has just been set")).remote;
    // Claimed is not enough: until the claimer gives the G back, `own` is its. After the deadline
    // the thread claims it for itself, unless somebody was faster.
    if g.parker.commit(!shielded && cancel::may_end_waits(owned)) == Commit::Parked
        && !remote.sleep_until_resumed(deadline)
        && g.parker.notify() == Claim::Lost
    {
        let _by_its_claimer = remote.sleep_until_resumed(None);
    }
    // SAFETY: as above.
    owned.in_place.set(unsafe { crate::gmp::g::running_kind(g) } == Kind::ThreadBacked);
    if home.is_none() {
        owned.home.set(None);
    }
}

/// Looks for a while whether the wait is over before the thread goes to sleep.
fn look_first(g: &G, spin_budget: SpinBudget) -> bool {
    if spin_budget.total_ns == 0 {
        return g.parker.notified();
    }
    let began = monotonic_ns();
    loop {
        if g.parker.notified() {
            return true;
        }
        let waited = monotonic_ns().saturating_sub(began);
        if waited >= spin_budget.total_ns {
            return false;
        }
        if waited < spin_budget.spin_ns {
            std::hint::spin_loop();
        } else {
            yield_thread();
        }
    }
}

/// How long who waits in place looks out, here.
pub(crate) fn spin_budget() -> SpinBudget {
    current::with(|cx| cx.map_or(SpinBudget::NONE, |cx| cx.sched().spin_budget()))
}

/// Calls `f` with each place of the thread, one per runtime that it is in, and for its M's G if
/// that is not the thread.
fn each_place(mut f: impl FnMut(&Current, Option<&G>)) {
    current::with(|cx| {
        let mut place = cx;
        while let Some(cx) = place {
            f(cx, cx.g().filter(|g| kind_of_running(g) != Kind::ThreadBacked));
            place = cx.prev();
        }
    });
}

/// The stretch in which the thread sleeps, blocks or offers its core in place of its Gs. These do
/// not run meanwhile, and their Ms have given their Ps up, or may have.
#[must_use = "the stretch ends when this is dropped"]
pub(crate) struct Blocked {
    /// Not `Send`: it stands for the thread's own stretch.
    _thread: PhantomData<*const ()>,
}

impl Blocked {
    /// Begins the stretch, for a thread that blocks in a call of the user's: others run what its Ps
    /// have to run.
    pub(crate) fn begin() -> Self {
        Self::begin_with(give_up_p)
    }

    /// Begins the stretch. The Ms do with their Ps what `release` says.
    fn begin_with(release: fn(&Current)) -> Self {
        each_place(|cx, g| {
            // The M of a thread-backed G has no P, shows no progress, and never kept the time.
            if g.is_some() {
                release(cx);
                cx.m.progress.block();
                wake::ensure_timekeeper(cx.sched());
            }
        });
        Self { _thread: PhantomData }
    }
}

impl Drop for Blocked {
    /// The thread's Gs go on, with an idle P if there is one, so that what they make or wake next
    /// goes the short way. Without one, the M waits for its turn when its G switches; a G that is
    /// locked to its thread goes on without.
    fn drop(&mut self) {
        each_place(|cx, g| {
            let Some(g) = g else { return };
            cx.m.progress.unblock(g);
            let Ok(mut inside) = cx.enter_with_p() else { return };
            if inside.p.is_none() {
                inside.p = cx.sched().dispatch.try_take(&cx.m.remote, &cx.sched().idle);
            }
        });
    }
}

fn give_up_p(cx: &Current) {
    let p = cx.enter_with_p().ok().and_then(|mut inside| inside.p.take());
    if let Some(p) = p {
        cx.m.remote.without_p();
        wake::hand_off_p(cx.sched(), p);
    }
}

/// The same if others have something to run with it.
fn offer_p(cx: &Current) {
    let p = cx
        .enter_with_p()
        .ok()
        .and_then(|mut inside| inside.p.take_if(|p| wake::has_use(cx.sched(), p)));
    if let Some(p) = p {
        cx.m.remote.without_p();
        wake::hand_off_p(cx.sched(), p);
    }
}

/// A yield where no sibling may run: others get what its Ps have to run, and the core.
#[cold]
pub(crate) fn offer() {
    let busy = current::with(|cx| cx.is_some_and(|cx| cx.m.in_scheduler()));
    if busy {
        return yield_thread();
    }
    let _blocked = Blocked::begin_with(offer_p);
    yield_thread();
}

/// What the running G of the calling thread is.
pub(crate) fn kind_of_running(g: &G) -> Kind {
    // SAFETY: callers pass the running G of their own thread.
    unsafe { crate::gmp::g::running_kind(g) }
}
