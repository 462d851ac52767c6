//! Timers: how a goroutine's time limit gets into a heap, and how it ends the wait.
//!
//! # Who calls it
//!
//! A goroutine that waits with a limit [arms](Armed::arm) a timer in the heap of the P it runs
//! with, parks, and [disarms](Armed::disarm) the timer when the wait is over, whatever ended it.
//! The M that finds the timer due claims the G by its park word, as any other waker would. Four
//! places look for due timers:
//!
//! - each M between two goroutines: at its own P's heap, and every 61st round at all heaps
//!   ([`fire`], from [`find`](super::find));
//! - an M that searches for work: at all heaps ([`fire`]);
//! - an M that on its last look before it sleeps finds timers due, and gets no P to search with
//!   ([`fire_all`], from `run`);
//! - sysmon, for deadlines that no sleeping M keeps ([`fire_all`]).
//!
//! # Who owns what
//!
//! The goroutine owns its timer: it alone takes the timer out, unless the timer fires first. The M
//! that takes a due [`Sleeper`] out of a heap owns the G if its notification won the claim. Firing
//! happens under the heap's lock, in the critical section in which the timer comes out. So `disarm`
//! comes before it, and there is nothing to fire, or after it, and all is done.
//!
//! # The handshake
//!
//! This file is both sides of *time*; the proof is at the head of `ds::timekeeper`:
//!
//! ```text
//! an M that falls asleep, `sleep`                an M that was the timekeeper
//!   1 (its goroutines' timers are in the heaps)    1 step down: the word says that nobody keeps
//!   2 fence                                          the time
//!   3 read the heaps, then the word: rely on       2 fence, before it sleeps, leaves or blocks
//!     the keeper, or take over                     3 read the heaps, then the word
//! ```
//!
//! An M with a timer to put in wakes no timekeeper: it looks at the word itself when it goes to
//! sleep.
//!
//! # Rejected
//!
//! Waking the timekeeper for each earlier deadline: two thread switches for each short sleep.
//! Timers on the waiting stacks, linked by their places in the heap: each step of a sift writes to
//! another page. Leaving a timer in the heap when its wait is over: most limits never come to pass.
//! A wheel: it rounds, and must be searched to know when to wake up.
//!
//! # Safety
//!
//! A [`Sleeper`] lies in a heap while its G is in [`Armed::arm`]'s wait and no longer, so the G's
//! record is there. A notification that wins the claim gives the G to its caller.
#![expect(unsafe_code, reason = "notifies Gs that lie in a heap")]

use std::time::Instant;

use gosched_runtime_sys::clock::monotonic_ns;
use gosched_runtime_sys::clock::to_instant;
use gosched_runtime_sys::memory::prefetch;
use gosched_runtime_sys::sync::note::Note;

use crate::ds::heap::TimerId;
use crate::ds::parker::Claim;
use crate::ds::timers::NEVER;
use crate::gmp::current::{self, Current, InsideWithP};
use crate::gmp::dispatch::{Slept, until_woken};
use crate::gmp::g::{G, Kind, Runnable};
use crate::gmp::m::M;
use crate::gmp::p::Sleeper;
use crate::gmp::sched::Sched;
use crate::policy;
use crate::policy::retake::TICK_NS;
use crate::proc::wake;

/// How many due timers come out of a heap at a time. The records and stacks of their goroutines are
/// then fetched at the same time. They are fired under the heap's lock.
const FETCHED: usize = 8;

/// A time limit of the calling goroutine's wait, in the heap of some P.
pub(crate) struct Armed<'a> {
    sched: &'a Sched,
    heap: usize,
    timer: TimerId,
}

impl<'a> Armed<'a> {
    /// Puts the calling goroutine `g` into a heap, to be notified at `at`. Returns `None` if there
    /// is no memory for it.
    ///
    /// The goroutine has begun its wait, and [disarms](Self::disarm) the timer before that wait
    /// returns.
    pub(crate) fn arm(sched: &'a Sched, g: &G, at: u64) -> Option<Self> {
        let with = current::with(|cx| {
            let mut inside = cx?.enter_with_p().ok()?;
            inside.owned().begin_timed_wait();
            inside.p.as_ref().map(|p| p.index)
        });
        // Without a P any heap will do: the M looks at all of them before it sleeps.
        let any = || {
            Some(g.id() as usize % sched.all_ps.len())
                .filter(|heap| sched.all_ps.get(*heap).is_some())
        };
        let heap = with.or_else(any).unwrap_or(0);
        let timer = sched.all_ps[heap].timers.add(at, Sleeper(g.into()))?;
        Some(Self { sched, heap, timer })
    }

    /// Takes the timer out. Afterwards nothing that it does reaches the goroutine.
    pub(crate) fn disarm(self) {
        let _it_has_fired = !self.sched.all_ps[self.heap].timers.remove(self.timer);
    }
}

/// Takes the next due timers out of a heap, up to `N`. Returns a `Some` for each, with the G if the
/// caller has claimed it; `None` where no further timer is due.
fn pop_due<const N: usize>(sched: &Sched, heap: usize, now: u64) -> [Option<Option<Runnable>>; N] {
    let fetch = |Sleeper(g): &Sleeper| prefetch::line(g.addr().get());
    sched.all_ps[heap].timers.pop_several(now, fetch, |Sleeper(g)| {
        // SAFETY: it lies in a heap, so its goroutine waits and the record is there.
        match unsafe { g.as_ref() }.parker.notify() {
            Claim::Lost => None,
            // SAFETY: the parker made this caller the owner.
            Claim::Won => Some(unsafe { Runnable::from_raw(g) }),
        }
    })
}

/// Makes due Gs of one heap runnable, from the loop of an M with a P. True if any timer was due.
///
/// If many are due, only the first `FIRE_AT_ONCE`: the M runs some goroutines in between, and fires
/// again.
pub(crate) fn fire(cx: &Current, inside: &mut InsideWithP, heap: usize, now: u64) -> bool {
    let sched = cx.sched();
    if sched.all_ps.get(heap).is_none_or(|half| half.timers.first() > now) {
        return false;
    }
    let (mut fired, mut published) = (0, false);
    while fired < policy::FIRE_AT_ONCE {
        let due = pop_due::<FETCHED>(sched, heap, now);
        due.iter().flatten().flatten().for_each(Runnable::fetch);
        let popped = due.iter().flatten().count();
        for g in due.into_iter().flatten().flatten() {
            published |= queue_due(cx, inside, g);
        }
        fired += popped;
        if popped < FETCHED {
            break;
        }
    }
    if published {
        wake::wake_p(sched);
        if fired > 1 {
            // What this M runs first may compute.
            sched.sysmon_note.hurry(now + TICK_NS);
        }
    }
    fired > 0
}

/// Queues a due G behind those that were due before it. True if any M may take it.
fn queue_due(cx: &Current, inside: &mut InsideWithP, g: Runnable) -> bool {
    let (owned, p) = inside.split();
    match (g.resumes(), p) {
        (Kind::Settled, _)
            if g.owned().home.get().is_some_and(|home| std::ptr::eq(M::of(home), cx.m)) =>
        {
            owned.push_due(g);
            false
        }
        (Kind::Migratory, Some(p)) => {
            p.push_migratory(g);
            true
        }
        _ => {
            ready_due(cx.sched(), g);
            false
        }
    }
}

/// Makes every due G of every heap runnable, from any thread.
pub(crate) fn fire_all(sched: &Sched) {
    let now = monotonic_ns();
    sched.stacks.tidy(now);
    for heap in 0..sched.all_ps.len() {
        while sched.all_ps.get(heap).is_some_and(|half| half.timers.first() <= now)
            && let [Some(g)] = pop_due(sched, heap, now)
        {
            if let Some(g) = g {
                ready_due(sched, g);
            }
        }
    }
}

/// Makes a due G runnable that another M may have to run.
///
/// That M is marked first: what it finds in its inbox then does not count as found by spinning.
fn ready_due(sched: &Sched, g: Runnable) {
    if let (Kind::Settled, Some(home)) = (g.resumes(), g.owned().home.get()) {
        M::of(home).mark_timer_wake();
    }
    wake::ready(sched, g);
}

/// True if any timer is due.
pub(crate) fn any_due(sched: &Sched) -> bool {
    let first = sched.first_timer();
    first != NEVER && first <= monotonic_ns()
}

/// Sleeps on the note of an M that has nothing to do, until the note is woken.
///
/// If no other M keeps the time, the sleep ends when the first timer is due. It ends at `linger`,
/// if there is one: then the M is not to stay longer.
pub(crate) fn sleep(sched: &Sched, note: &Note, linger: Option<Instant>) -> Slept {
    let until = sched.timekeeper.take_over(|| sched.latest_wake());
    // A deadline that the clock cannot express never comes.
    let due = until.and_then(to_instant);
    let first = due.into_iter().chain(linger).min();
    let woken =
        first.map_or_else(|| until_woken(note) == Slept::Woken, |first| note.sleep_until(first));
    if let Some(until) = until {
        sched.timekeeper.step_down(until);
    }
    match (woken, first == due) {
        (true, _) => Slept::Woken,
        (false, true) => Slept::Look,
        (false, false) => Slept::Expired,
    }
}
