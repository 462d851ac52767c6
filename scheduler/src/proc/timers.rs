//! Timers: how a goroutine's time limit is put in and comes to pass.
//!
//! A goroutine that waits with a limit puts itself into the heap of the P it runs with, parks, and
//! takes itself out when the wait is over. Who finds it due notifies its park word, as any other
//! waker would. Due timers are looked for
//!
//! - by each M between two goroutines: at its own P's, if there are any, and now and then at all
//!   ([`find`](super::find));
//! - by an M that searches for work: at all;
//! - by an M that sleeps and keeps the time (`ds::timekeeper`), which need not have a P for it.
//!
//! # Safety
//!
//! A [`Sleeper`] lies in a heap while its G is in [`Armed::arm`]'s wait and no longer, so the G's
//! record is there; notifying a park word gives its G to who parked it.
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
use crate::proc::wake;

/// So many due timers come out of a heap at a time, so that what their goroutines need is fetched
/// at the same time. They are fired under the heap's lock.
const FETCHED: usize = 8;

/// A time limit of the calling goroutine's wait, in the heap of some P.
pub(crate) struct Armed<'a> {
    sched: &'a Sched,
    heap: usize,
    timer: TimerId,
}

impl<'a> Armed<'a> {
    /// Puts the calling goroutine `g` in, to be notified at `at`. It has begun its wait, and takes
    /// the timer out ([`disarm`](Self::disarm)) before that wait returns. None if there is no
    /// memory for it.
    pub(crate) fn arm(sched: &'a Sched, g: &G, at: u64) -> Option<Self> {
        let with = current::with(|cx| {
            cx.and_then(|cx| cx.enter_with_p().ok()?.p.as_ref().map(|p| p.index))
        });
        // Without a P any heap will do; its M comes by all of them before it sleeps.
        let any = || {
            Some(g.id() as usize % sched.all_ps.len())
                .filter(|heap| sched.all_ps.get(*heap).is_some())
        };
        let heap = with.or_else(any).unwrap_or(0);
        let timer = sched.all_ps[heap].timers.add(at, Sleeper(g.into()))?;
        Some(Self { sched, heap, timer })
    }

    /// Takes the timer out. Nothing that it does reaches the goroutine any more.
    pub(crate) fn disarm(self) {
        let _it_has_fired = !self.sched.all_ps[self.heap].timers.remove(self.timer);
    }
}

/// Takes the next due timers out of a heap. The Gs that were parked: they are the caller's. `None`:
/// so many are not due.
fn pop<const N: usize>(sched: &Sched, heap: usize, now: u64) -> [Option<Option<Runnable>>; N] {
    let fetch = |Sleeper(g): &Sleeper| prefetch::line(g.addr().get());
    sched.all_ps[heap].timers.pop_several(now, fetch, |Sleeper(g)| {
        // SAFETY: it lies in a heap, so its goroutine waits and its record is there.
        match unsafe { g.as_ref() }.parker.notify() {
            Claim::Lost => None,
            // SAFETY: the parker made this caller the owner.
            Claim::Won => Some(unsafe { Runnable::from_raw(g) }),
        }
    })
}

/// Makes Gs of one P's heap runnable that are due, by an M with a P in its loop. True if there were
/// any. Not all of them, if they are many: the M runs some in between, and comes again.
pub(crate) fn fire(cx: &Current, inside: &mut InsideWithP, heap: usize, now: u64) -> bool {
    let sched = cx.sched();
    if sched.all_ps.get(heap).is_none_or(|half| half.timers.first() > now) {
        return false;
    }
    let (mut fired, mut published) = (0, false);
    while fired < policy::FIRE_AT_ONCE {
        let due = pop::<FETCHED>(sched, heap, now);
        due.iter().flatten().flatten().for_each(Runnable::fetch);
        let popped = due.iter().flatten().count();
        for g in due.into_iter().flatten().flatten() {
            published |= place(cx, inside, g);
        }
        fired += popped;
        if popped < FETCHED {
            break;
        }
    }
    if published {
        wake::wake_p(sched);
    }
    fired > 0
}

/// Queues a due G, behind those that were due before it. True if any M may take it.
fn place(cx: &Current, inside: &mut InsideWithP, g: Runnable) -> bool {
    let (owned, p) = inside.split();
    match (g.kind(), p) {
        (Kind::Settled, _)
            if g.owned().home.get().is_some_and(|home| std::ptr::eq(M::of(home), cx.m)) =>
        {
            owned.queue.push_back(g);
            false
        }
        (Kind::Migratory, Some(p)) => {
            p.push_migratory(g);
            true
        }
        _ => {
            ready(cx.sched(), g);
            false
        }
    }
}

/// Makes every G of every heap runnable that is due, by any thread.
pub(crate) fn fire_all(sched: &Sched) {
    let now = monotonic_ns();
    sched.stacks.tidy(now);
    for heap in 0..sched.all_ps.len() {
        while sched.all_ps.get(heap).is_some_and(|half| half.timers.first() <= now)
            && let [Some(g)] = pop(sched, heap, now)
        {
            if let Some(g) = g {
                ready(sched, g);
            }
        }
    }
}

/// A due G that another M may have to run.
fn ready(sched: &Sched, g: Runnable) {
    if let (Kind::Settled, Some(home)) = (g.kind(), g.owned().home.get()) {
        M::of(home).mark_timer_wake();
    }
    wake::ready(sched, g);
}

/// Whether any timer is due.
pub(crate) fn any_due(sched: &Sched) -> bool {
    let first = sched.first_timer();
    first != NEVER && first <= monotonic_ns()
}

/// How an M sleeps that has nothing to do: until it is woken, or, if nobody else keeps the time,
/// until the first timer is due; and until `linger`, if it is not to stay longer.
pub(crate) fn sleep(sched: &Sched, note: &Note, linger: Option<Instant>) -> Slept {
    let until = sched.timekeeper.take_over(|| sched.first_timer());
    // What is later than the clock can say does not come.
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
