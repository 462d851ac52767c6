//! Waiting in place: the G's thread sleeps, and runs no other G meanwhile.
//!
//! # Who calls it
//!
//! - [`park`](super::park), for a wait of a G that may not switch or is its thread: [`wait`].
//! - `blocking`, around a call that blocks the thread: [`Blocked`].
//! - [`yield_now`](super::yield_now), for a G that may not switch: [`yield_in_place`].
//!
//! # Who owns what
//!
//! The M's P goes first, before the thread looks for its waker or sleeps: the waker may need it. It
//! goes the way of every P whose M does not use it, by [`wake::hand_off_p`]. Afterwards the thread
//! takes an idle P, if there is one. If there is none, the M joins the line when its G next
//! switches; a G that is locked to its thread goes on without a P.
//!
//! A claimer of a G that waits in place queues nothing. It sets `resumed` in the M's
//! [`Remote`] and wakes the M's note: two steps, because the claim
//! alone does not let the thread go on. The claimer still reads the G's record after it. The flag
//! is the M's, because the record of a G may be gone as soon as its thread goes on.
//!
//! A thread may be in several runtimes, one inside the other: then each of its Ms gives up its P.
//!
//! # The handshakes
//!
//! *Hand off*: the P goes to the head of the line, else to a sleeping M, else to a new one, else it
//! becomes idle and is published (`wake`). *Time*: a thread that blocks can be the one that was to
//! look at the timers next, so it has another M keep the time ([`wake::ensure_timekeeper`]).
//! *Standstill*: a thread that sleeps without a time limit counts as parked, and looks whether it
//! was the last one (`ds::agents`, `standstill`). Its claimer takes that back.
//! *Behind*: a G that waits counts neither as running nor as a part of a slice, so sysmon takes
//! nothing from its M (`Progress::block`, `Progress::unblock`). What is ready behind it cannot run
//! before it goes on, and it may wait for that very thing; so sysmon watches, and reports it once
//! (`report`).
//!
//! # Rejected
//!
//! Waiting in the line for a P after each wait: two goroutines that are locked to their threads and
//! talk to each other would each time wait for the P that the other has.
//!
//! # Safety
//!
//! A G's own part is read and written by the G, which runs this. Between claim and `resume` it
//! belongs to the claimer.
#![expect(unsafe_code, reason = "reads the running G's own part")]

use std::marker::PhantomData;
use std::ptr::{self, NonNull};
use std::sync::atomic::Ordering::Relaxed;
use std::thread;
use std::time::{Duration, Instant};

use gosched_runtime_sys::clock::monotonic_ns;
use gosched_runtime_sys::thread::yield_thread;

use crate::ds::parker::{Claim, Commit};
use crate::gmp::current::{self, Current};
use crate::gmp::dispatch::Remote;
use crate::gmp::g::{G, GOwned, Kind};
use crate::gmp::m::M;
use crate::gmp::p::P;
use crate::gmp::progress::{Keeping, Keeps};
use crate::gmp::sched::Sched;
use crate::gmp::sched::deadlocks::Standstill;
use crate::gmp::wait_reason::WaitReason;
use crate::policy::SpinBudget;
use crate::proc::running::{tell_of_inbox, tell_of_kept};
use crate::proc::{cancel, standstill, wake};

/// Waits until `g` is notified, cancelled unless `shielded`, or the deadline has passed. May return
/// early.
///
/// `g` is the calling G, or the one borrowed for the calling thread. The thread spins within
/// `spin_budget` before it sleeps.
#[cold]
pub(crate) fn wait(g: &G, shielded: bool, deadline: Option<Instant>, spin_budget: SpinBudget) {
    // An M with a P gives it up at once, since the waker may need it. A thread-backed G has none.
    // The Ms below it on the same thread keep theirs while it spins.
    let had_p = kind_of_running(g) != Kind::ThreadBacked;
    if !had_p && look_first(g, spin_budget) {
        return;
    }
    let _blocked = Blocked::begin(if thread::panicking() { Keeps::Unwinds } else { Keeps::Nested });
    if !had_p || !look_first(g, spin_budget) {
        sleep(g, shielded, deadline);
    }
}

/// Commits on the park word and sleeps until the claimer has given `g` back.
fn sleep(g: &G, shielded: bool, deadline: Option<Instant>) {
    // SAFETY: the calling G's own record, or the one borrowed for this wait.
    let owned = unsafe { crate::gmp::g::running_owned(g) };
    let home = owned.home.get();
    current::with(|cx| {
        if let Some(cx) = cx {
            // Other threads read the home of a settled G, so it stays as it is.
            if home.is_none() {
                owned.home.set(Some(cx.m.as_home()));
            }
        }
    });
    owned.in_place.set(true);
    let counts_in = if deadline.is_none() { counts_in(g, owned) } else { None };
    // SAFETY: the calling thread is in that runtime until this goroutine has gone on.
    let counts_in = counts_in.map(|sched| unsafe { sched.as_ref() });
    owned.parked_in.set(counts_in.map(|sched| NonNull::from(&sched.deadlocks.agents)));
    let remote = &M::of(owned.home.get().expect("it has just been set")).remote;
    // That the G was claimed is not enough: `owned` is the claimer's until it gives the G back.
    // After the deadline the thread claims the G for itself, unless a claimer was faster.
    let mut stands_still = None;
    if g.parker.commit(!shielded && cancel::may_end_waits(owned)) == Commit::Parked {
        stands_still = counts_in.and_then(park);
        if stands_still.is_some() || !sleep_until_resumed(remote, deadline) {
            if g.parker.notify() == Claim::Won {
                owned.unpark();
            } else {
                stands_still = None;
                let _by_its_claimer = remote.sleep_until_resumed(None);
            }
        }
    } else {
        owned.parked_in.set(None);
    }
    // SAFETY: as above.
    owned.in_place.set(unsafe { crate::gmp::g::running_kind(g) } == Kind::ThreadBacked);
    if home.is_none() {
        owned.home.set(None);
    }
    if let Some((sched, what)) = counts_in.zip(stands_still) {
        let _woken = (sched.stands_still)(sched, what);
    }
}

/// Returns the runtime in which the calling thread, which is about to sleep for `g`, counts as
/// waiting: it is an agent there, and what `g` waits for is no future.
fn counts_in(g: &G, owned: &GOwned) -> Option<NonNull<Sched>> {
    current::with(|cx| {
        let cx = cx.filter(|cx| cx.g().is_some_and(|running| ptr::eq(running, g)))?;
        let counts = owned.is_agent.get() && g.wait_reason() != WaitReason::Future;
        counts.then(|| NonNull::from(cx.sched()))
    })
}

/// Counts the calling thread as parked, and returns what there is to do if that was the last one.
fn park(sched: &Sched) -> Option<Standstill> {
    sched.deadlocks.agents.park();
    standstill::look(sched)
}

/// How long a thread sleeps at a time while a thread for an M is missing.
const TRY_AGAIN: Duration = Duration::from_millis(100);

/// Sleeps until the claimer has given the thread's G back. False if the deadline passed first.
///
/// If a thread for an M could not be made, what this G waits for may wait for that thread, and no
/// other thread may be there to try again.
fn sleep_until_resumed(remote: &Remote<P>, deadline: Option<Instant>) -> bool {
    while is_thread_missing() {
        let again = Instant::now() + TRY_AGAIN;
        if deadline.is_some_and(|deadline| deadline <= again) {
            break;
        }
        if remote.sleep_until_resumed(Some(again)) {
            return true;
        }
        each_place(|cx, _| {
            if !cx.m.in_scheduler() {
                let _tried = wake::try_missing_thread(cx.sched());
            }
        });
    }
    remote.sleep_until_resumed(deadline)
}

/// True if a runtime that the thread is in could not make a thread for an M.
fn is_thread_missing() -> bool {
    let mut missing = false;
    each_place(|cx, _| missing |= cx.sched().thread_missing.load(Relaxed));
    missing
}

/// True if the wait ended while the thread spun for it, before it goes to sleep.
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

/// Returns how long a thread that waits in place spins here.
pub(crate) fn spin_budget() -> SpinBudget {
    current::with(|cx| cx.map_or(SpinBudget::NONE, |cx| cx.sched().spin_budget()))
}

/// Calls `f` with the thread's place in each runtime that it is in, and with the G that runs there,
/// unless that is thread-backed.
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
    pub(crate) fn begin(keeps: Keeps) -> Self {
        Self::begin_with(keeps, give_up_p)
    }

    /// Begins the stretch. The Ms do with their Ps what `release` says.
    fn begin_with(keeps: Keeps, release: fn(&Current)) -> Self {
        let keeping = keeping(keeps);
        each_place(|cx, g| {
            // The M of a thread-backed G has no P, shows no progress, and never kept the time.
            if let Some(g) = g {
                release(cx);
                cx.m.progress.block(g, keeping);
                tell_of_kept(cx);
                wake::ensure_timekeeper(cx.sched());
            }
        });
        Self { _thread: PhantomData }
    }
}

/// Returns what the calling goroutine waits for, and why its thread is kept.
fn keeping(keeps: Keeps) -> Keeping {
    let waits = current::with(|cx| {
        let (g, owned) = (cx?.g()?, cx?.owned()?);
        let joins = g.wait_reason() == WaitReason::Join;
        Some((g.wait_reason(), if joins { owned.joins.get() } else { 0 }))
    });
    let (waits_for, joins) = waits.unwrap_or((WaitReason::Unsaid, 0));
    Keeping { keeps, waits_for, joins }
}

impl Drop for Blocked {
    /// The thread's Gs go on, with an idle P if there is one, so that what they make or wake next
    /// goes the short way. Without one, the M waits for its turn when its G switches; a G that is
    /// locked to its thread goes on without.
    fn drop(&mut self) {
        each_place(|cx, g| {
            let Some(g) = g else { return };
            cx.m.progress.unblock(g);
            tell_of_inbox(cx);
            let Ok(mut inside) = cx.enter_with_p() else { return };
            if inside.p.is_none()
                && let Some(p) = cx.sched().dispatch.try_take(&cx.m.remote, &cx.sched().idle)
            {
                inside.receive_p(cx.sched(), p);
            }
        });
    }
}

/// Gives up the P of the M at `cx`, if it has one.
fn give_up_p(cx: &Current) {
    let p = cx.enter_with_p().ok().and_then(|mut inside| inside.take_p());
    if let Some(p) = p {
        cx.m.remote.without_p();
        wake::hand_off_p(cx.sched(), p);
    }
}

/// Gives up the P of the M at `cx` if another M has something to run with it.
fn offer_p(cx: &Current) {
    let p = cx.enter_with_p().ok().and_then(|mut inside| {
        let has_use = inside.p.as_mut().is_some_and(|p| wake::has_use(cx.sched(), p));
        if has_use { inside.take_p() } else { None }
    });
    if let Some(p) = p {
        cx.m.remote.without_p();
        wake::hand_off_p(cx.sched(), p);
    }
}

/// Yields where no sibling may run: other Ms get the Ps that they have use for, and other threads
/// the core.
#[cold]
pub(crate) fn yield_in_place() {
    let busy = current::with(|cx| cx.is_some_and(|cx| cx.m.in_scheduler()));
    if busy {
        return yield_thread();
    }
    let _blocked = Blocked::begin_with(Keeps::Nested, offer_p);
    yield_thread();
}

/// Returns the kind of `g`, the running G of the calling thread.
pub(crate) fn kind_of_running(g: &G) -> Kind {
    // SAFETY: callers pass the running G of their own thread.
    unsafe { crate::gmp::g::running_kind(g) }
}
