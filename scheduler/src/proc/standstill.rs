//! Whether a runtime stands still: no goroutine runs, and nothing that the runtime knows of can
//! change that.
//!
//! # Who calls it, and when
//!
//! An *agent* runs goroutines or acts for one, and may wake another: an M, a thread of
//! `Mode::threads` or `own_thread`, a helper of `blocking`. [`look`] is called by each of them when
//! it has counted itself as waiting, before it sleeps: by an M that has put itself among the
//! sleepers (`Dispatch::sleep`), and by a thread that has committed for a goroutine that waits in
//! place (`in_place`). It is called as well by whoever was the last to prevent it: an agent that
//! has ended, a thread of the runtime that has begun, sysmon after it fired timers, whoever drops a
//! bridge.
//!
//! # Why it holds
//!
//! A goroutine is woken by an agent, by sysmon or from outside. While all agents wait, the first do
//! nothing. [`Moment`] finds one moment in which all wait, by reading what does not change
//! between two readings (`ds::agents` has the proof for those that wait in place; the others are on
//! a list behind the dispatch's lock). Then everything is looked at that may come from outside, and
//! a second moment shows that no agent has run since the first.
//!
//! # What vetoes
//!
//! Free work, a goroutine that an M is being brought for (`proc::apart`), a timer, a wait with a
//! time limit in place, a bridge, a thread in a callback, a missing thread, the deadline of a
//! token: the runtime knows of them. Under [`Deadlock::Panic`] nothing else comes, as the builder
//! promised. Else a plain thread may: each thread of the process that is none of the runtime's
//! vetoes ([`OwnThreads`](crate::gmp::own_threads::OwnThreads)). So does a goroutine that waits for
//! a future, because its waker may be anywhere.
//!
//! A token's deadline may pass and wake nobody. So who lets the last one pass looks at the runtimes
//! that it kept from standing still.
//!
//! # What counts as waiting
//!
//! A goroutine that is ready on the thread of one that waits in place does not run before that one
//! does. It is as dead as the others.
//!
//! # Nothing is allocated
//!
//! The calling thread may have committed for its goroutine, and an allocator that waits would begin
//! another wait of the same goroutine. What is found is acted on by a function that lies above the
//! code that waits (`Sched::stands_still`, `check_dead`), once the goroutine is its thread's again.
//!
//! # Safety
//!
//! Reads G records, which live as long as their runtime, and of each record only the atomic fields.
#![expect(unsafe_code, reason = "reads G records")]

use std::ptr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use gosched_runtime_sys::thread::fork;

use crate::ds::agents;
use crate::ds::timers::NEVER;
use crate::gmp::sched::Sched;
use crate::gmp::sched::deadlocks::{Comes, Standstill};
use crate::gmp::thread_g;
use crate::gmp::wait_reason::WaitReason;
use crate::mode::Deadlock;
use crate::proc::events;

/// Acts on a standstill, if there is one. Called by a thread that is no agent, or is one that runs.
pub(crate) fn check(sched: &Sched) {
    // What was cancelled for a deadlock may go on waiting.
    while look(sched).is_some_and(|what| Acting::begin(sched, what).is_some()) {}
}

/// The stretch in which a thread acts on a standstill. Until its end the thread counts as an agent:
/// it has cancelled goroutines, and perhaps nobody else knows yet that these are ready.
#[derive(Debug)]
#[must_use = "the stretch ends when this is dropped"]
pub(crate) struct Acting<'a>(&'a Sched);

impl<'a> Acting<'a> {
    /// Acts. `None` if that woke no goroutine.
    pub(crate) fn begin(sched: &'a Sched, what: Standstill) -> Option<Self> {
        sched.deadlocks.agents.add();
        let acting = Self(sched);
        (sched.stands_still)(sched, what).then_some(acting)
    }
}

impl Drop for Acting<'_> {
    fn drop(&mut self) {
        self.0.deadlocks.agents.remove();
    }
}

/// Returns what there is to do if the runtime stands still, for the first time.
#[inline]
pub(crate) fn look(sched: &Sched) -> Option<Standstill> {
    if sched.config.deadlock == Deadlock::Ignore {
        return None;
    }
    let moment = Moment::of(sched)?;
    let what = what_to_do(sched)?;
    (Moment::of(sched)? == moment).then_some(what)
}

/// A moment in which no agent of the runtime was awake.
#[derive(PartialEq, Eq)]
struct Moment {
    agents: agents::Look,
    /// How often an M fell asleep, and how often one joined or left.
    ms: (u64, u64),
}

impl Moment {
    /// Returns the moment of the call, if no agent was awake then.
    fn of(sched: &Sched) -> Option<Self> {
        let agents = sched.deadlocks.agents.look();
        let (ms, changes) = sched.m_changes();
        // Of this moment, under the dispatch's lock, the rest is true as well if it has not changed
        // around it.
        let (asleep, fell_asleep) = sched.dispatch.asleep()?;
        let awake = (ms as u64).checked_sub(asleep as u64)?;
        let same = sched.m_changes() == (ms, changes) && sched.deadlocks.agents.look() == agents;
        (agents.all_parked(awake) && same).then_some(Self { agents, ms: (fell_asleep, changes) })
    }
}

/// Decides what to do about a runtime of which no agent is awake.
#[cold]
fn what_to_do(sched: &Sched) -> Option<Standstill> {
    let deadlocks = &sched.deadlocks;
    let comes = deadlocks.bridges() > 0
        || sched.first_limit() != NEVER
        || sched.has_migratory()
        || sched.has_unstarted()
        || sched.apart.waits()
        || sched.thread_missing.load(Relaxed)
        || sched.generation != fork::generation()
        || sched.live() == 0
        || thread_g::count_in(sched).callbacks > 0
        || is_vetoed(sched);
    if comes {
        return None;
    }
    if sched.closing() {
        let stuck = deadlocks.report().is_some() && !deadlocks.is_stuck() && is_proven(sched);
        return stuck.then_some(Standstill::Stuck);
    }
    match sched.config.deadlock {
        Deadlock::Ignore => None,
        Deadlock::Report
            if !deadlocks.is_told()
                && events::warnings_are_heard(sched.config.warnings)
                && is_proven(sched) =>
        {
            Some(Standstill::Told)
        }
        Deadlock::Report => {
            (!deadlocks.is_listed() && events::reports_are_heard()).then_some(Standstill::Listed)
        }
        Deadlock::Panic | Deadlock::PanicIfProven => is_proven(sched).then_some(Standstill::Ended),
    }
}

/// True if a cancel comes at its time. The runtime is looked at again when none does any more.
fn is_vetoed(sched: &Sched) -> bool {
    let later = Arc::downgrade(&sched.arc());
    let look_again = move || later.upgrade().into_iter().for_each(|sched| check(&sched));
    Comes::vetoes(ptr::from_ref(sched).addr(), look_again)
}

/// True if nothing outside of the runtime is left, or it was promised that nothing comes from
/// there.
fn is_proven(sched: &Sched) -> bool {
    let alone = sched.config.deadlock == Deadlock::Panic
        || sched.deadlocks.own_threads.are_all(sched.config.bystander);
    alone && !awaits_a_future(sched)
}

/// True if a goroutine waits for a future, or has waited for one and does not run: a thread outside
/// may have claimed it, and be about to make it ready. Those that wait in place never count as
/// waiting.
fn awaits_a_future(sched: &Sched) -> bool {
    let mut found = false;
    sched.slab.each(|g| {
        // SAFETY: records live as long as the slab.
        let g = unsafe { g.as_ref() };
        found |= g.id() != 0 && g.wait_reason() == WaitReason::Future;
    });
    found
}
