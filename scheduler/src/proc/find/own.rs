//! What this M and its P have.

use std::ops::Range;

use gosched_runtime_sys::clock::monotonic_ns;

use super::others::{take_global, take_offered, take_overdue};
use super::unstarted::{Wants, leaves_work_to_resident, resident_is_free, take_unstarted};
use crate::ds::timers::NEVER;
use crate::gmp::current::{Current, InsideWithP};
use crate::gmp::g::Runnable;
use crate::gmp::m::{M, MOwned};
use crate::gmp::p::{End, P};
use crate::gmp::sched::Sched;
use crate::policy;
use crate::proc::{timers, wake};

/// Takes the next G among those of this M and its P.
#[inline]
pub(crate) fn take_local(cx: &Current, inside: &mut InsideWithP, wants: Wants) -> Option<Runnable> {
    fire_own_timers(cx, inside);
    let (owned, p) = inside.split();
    let p = p.as_deref_mut()?;
    take_inbox(cx.m, owned);
    if cx.m.progress.preempt_requested() {
        p.look_everywhere.ask();
    }
    if p.look_everywhere.is_due(owned.tick)
        && let Some(g) = look_everywhere(cx, owned, p, wants)
    {
        return Some(g);
    }
    if owned.leaves_p {
        return None;
    }
    if let Some(g) = owned.pop_woken_last(&cx.m.progress, p, wants.free) {
        return Some(g);
    }
    owned.choices = owned.choices.wrapping_add(1);
    owned
        .pop_fresh(|owned| take_fresh(cx, owned, p, wants))
        .or_else(|| take_yielded(owned, p, wants))
        .or_else(|| take_fresh(cx, owned, p, wants))
}

/// Takes a G that has not had a turn yet. New ones and woken ones take turns. New ones in the
/// global queue come last. When they were left to every 61st round, 50 of them took 560 ms to
/// begin beside two goroutines that compute for 3 ms between their yields, with 1 P.
#[inline]
fn take_fresh(cx: &Current, owned: &mut MOwned, p: &P, wants: Wants) -> Option<Runnable> {
    let g = if owned.choices.is_multiple_of(2) {
        take_unstarted(cx, owned, p, End::Newest, wants)
            .or_else(|| take_woken(cx.sched(), owned, p, wants))
    } else {
        take_woken(cx.sched(), owned, p, wants)
            .or_else(|| take_unstarted(cx, owned, p, End::Newest, wants))
    };
    g.or_else(|| take_new_outside(cx, owned, wants))
}

#[inline]
fn take_new_outside(cx: &Current, owned: &mut MOwned, wants: Wants) -> Option<Runnable> {
    if !cx.sched().has_global_unstarted() || !wants.free || resident_is_free(cx) {
        return None;
    }
    take_global(cx, owned)
}

/// Takes a G that has had a turn. Settled and migratory ones take turns: otherwise one settled G
/// that yields in a loop keeps the P's migratory ones from running.
///
/// Where new ones took turns with these, 50 that were made beside two which compute for 3 ms
/// between their yields took 150 ms to begin, with 1 P.
#[inline]
fn take_yielded(owned: &mut MOwned, p: &P, wants: Wants) -> Option<Runnable> {
    if !wants.free {
        return owned.pop_yielded();
    }
    if owned.choices & 2 == 0 {
        owned.pop_yielded().or_else(|| p.pop_yielded())
    } else {
        p.pop_yielded().or_else(|| owned.pop_yielded())
    }
}

/// Makes Gs runnable whose timers are due. Without timers this reads no clock, and one word.
#[inline]
fn fire_own_timers(cx: &Current, inside: &mut InsideWithP) {
    let (owned, p) = inside.split();
    let Some(p) = p else { return };
    owned.tick = owned.tick.wrapping_add(1);
    if owned.tick % policy::GLOBAL_INTERVAL == 0 {
        p.stacks.rest_if_asked(&cx.sched().stacks);
        // While all Ms have work, nobody else looks at the timers of an idle P.
        fire_due(cx, inside, 0..cx.sched().all_ps.len());
    } else if p.shared.timers.first() != NEVER && owned.timer_polling.is_due(owned.tick) {
        let heap = p.index;
        fire_due(cx, inside, heap..heap + 1);
    }
}

#[cold]
fn fire_due(cx: &Current, inside: &mut InsideWithP, heaps: Range<usize>) {
    let all_ps = &cx.sched().all_ps;
    if heaps.clone().all(|heap| all_ps.get(heap).is_none_or(|half| half.timers.first() == NEVER)) {
        return;
    }
    let now = monotonic_ns();
    let owned = inside.owned();
    owned.timer_polling.record_reading(owned.tick, now);
    for heap in heaps {
        let _any = timers::fire(cx, inside, heap, now);
    }
}

/// Takes a woken G. Settled and migratory ones take turns.
#[inline]
fn take_woken(sched: &Sched, owned: &mut MOwned, p: &P, wants: Wants) -> Option<Runnable> {
    if !wants.free {
        return owned.pop_woken();
    }
    if owned.choices & 2 == 0 {
        owned.pop_woken().or_else(|| take_migratory(sched, owned, p))
    } else {
        take_migratory(sched, owned, p).or_else(|| owned.pop_woken())
    }
}

/// Takes a woken migratory G. Those of the P and those that threads without a P woke take turns.
/// When the latter were left to every 61st round, 50 of them took 590 ms to have run once beside
/// two goroutines that compute for 3 ms between their yields.
#[inline]
fn take_migratory(sched: &Sched, owned: &MOwned, p: &P) -> Option<Runnable> {
    if sched.global_migratory() == 0 {
        return p.pop_migratory();
    }
    if owned.choices & 4 == 0 {
        sched.pop_migratory().or_else(|| p.pop_migratory())
    } else {
        p.pop_migratory().or_else(|| sched.pop_migratory())
    }
}

/// Queues what lies in the inbox behind what was woken before. This happens in each round, for
/// rounds may be long: when it was done in every 61st, a ticker beside a goroutine that computes
/// for 3 ms between its yields had gaps of 200 ms.
#[inline]
pub(crate) fn take_inbox(m: &M, owned: &mut MOwned) {
    if !m.inbox.is_empty() {
        owned.append_woken(m.inbox.take_all());
    }
}

/// Takes the settled G that waits longest, with what lies in the inbox.
pub(super) fn take_inbox_and_pop(m: &M, owned: &mut MOwned) -> Option<Runnable> {
    take_inbox(m, owned);
    owned.pop_settled()
}

/// Takes what is otherwise looked at last; see `policy::look_everywhere`.
///
/// What has begun goes on at any M. What is new is left to a resident M that sleeps. As long as the
/// Gs of this one yield, it does not run dry, so it gives its P to the resident M, and the request
/// with it.
///
/// Rejected: only to bring the resident M in. It takes the first P that another M hands on, which
/// may be a resident M at the end of its turn, again and again. What is new waited here for good.
#[cold]
fn look_everywhere(cx: &Current, owned: &mut MOwned, p: &mut P, wants: Wants) -> Option<Runnable> {
    if !wants.free || resident_is_free(cx) {
        if cx.sched().has_unstarted() {
            p.look_everywhere.left_to_another();
        }
        if leaves_work_to_resident(cx) {
            wake::kick_resident(cx.sched());
            owned.leaves_p = true;
            return None;
        }
        return if wants.free { cx.sched().pop_migratory() } else { None };
    }
    if let Some(g) = take_global(cx, owned) {
        return Some(g);
    }
    let waited = p.has_unstarted().then(|| {
        p.take_if_due(monotonic_ns(), |p| take_unstarted(cx, owned, p, End::Oldest, wants))
    });
    waited
        .flatten()
        .or_else(|| take_overdue(cx, owned, p, wants))
        .or_else(|| take_offered(cx, owned, p, wants))
}
