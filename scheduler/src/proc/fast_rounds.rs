//! Fast rounds: rounds of an M's loop that leave the P where it is.
//!
//! A whole round acquires the P, looks at everything that the M may run in an order that is fair,
//! and releases the P: a read-modify-write and some hundred instructions, where the switch itself
//! takes a dozen. Where settled Gs of one M wake each other, or yield in turn, every whole round
//! finds the same: nothing but the M's own queue.
//!
//! So a whole round that finds nothing else [allows](allow) the M a number of fast rounds. Each of
//! these takes the next G from the M's own queue and looks at nothing else. They end early when
//!
//! - the thread acquires the P ([`Inside::acquire_p`]): only so can something come into the P's
//!   queues or timers;
//! - another thread may have done something. Every fast round asks by plain loads
//!   ([`may_continue`]): the P was revoked; the inbox is not empty; a G lies in a global
//!   queue; an M stands in the line; there are too many Ps; a slice is over; sysmon wants the M to
//!   look everywhere;
//! - the M's own queue is empty.
//!
//! A whole round looks at some things once in so many rounds (`policy::GLOBAL_INTERVAL`, and the
//! clock for its timers). These keep their rhythm: a fast round counts, and the allowance ends
//! where one of them is due.
//!
//! Sysmon may revoke the P in the middle of a fast round. That is no different from a revocation
//! right after a whole round has released the P: one more G runs, without a P, until it next enters
//! the scheduler.

use crate::ds::timers::NEVER;
use crate::gmp::current::{Current, Inside, InsideWithP};
use crate::gmp::g::{G, Runnable};
use crate::gmp::m::MOwned;
use crate::policy;
use crate::proc::running::Running;

/// Sets how many fast rounds may follow a whole round.
#[inline]
pub(crate) fn allow(inside: &mut InsideWithP) {
    let (owned, p) = inside.split();
    owned.fast_rounds_left = match p {
        Some(p) if owned.first_run.is_none() && !p.look_everywhere.is_asked() && !p.has_work() => {
            let look = policy::GLOBAL_INTERVAL - 1 - owned.tick % policy::GLOBAL_INTERVAL;
            if p.shared.timers.first() == NEVER {
                look
            } else {
                look.min(owned.timer_polling.rounds_left(owned.tick))
            }
        }
        _ => 0,
    };
}

/// True if this round may be a fast one.
#[inline(always)]
fn may_continue(cx: &Current, owned: &MOwned) -> bool {
    let sched = cx.sched();
    let dispatch = &sched.dispatch;
    owned.fast_rounds_left > 0
        && cx.m.inbox.is_empty()
        && !sched.has_global_work()
        && dispatch.line_len() == 0
        && dispatch.excess() == 0
        && !cx.m.progress.preempt_requested()
        && cx.m.p.observe().is_there()
}

#[inline(always)]
fn count(owned: &mut MOwned) {
    owned.fast_rounds_left -= 1;
    owned.tick = owned.tick.wrapping_add(1);
}

/// Takes the next settled G, if this round may be a fast one and there is such a G.
#[inline(always)]
pub(crate) fn next<'a>(cx: &'a Current, inside: &mut Inside) -> Option<(Runnable, Running<'a>)> {
    let owned = inside.owned();
    if !may_continue(cx, owned) {
        return None;
    }
    let g = owned.pop_run_next(&cx.m.progress).or_else(|| owned.pop_settled())?;
    if !g.has_begun() {
        // It is to begin here, beside another G. That takes a whole round.
        owned.put_back(g);
        return None;
    }
    count(owned);
    let running = Running::in_fast_round(cx, owned, g.g());
    Some((g, running))
}

/// Has the running G go on without a switch when it yields, if there is nobody else to run. True if
/// it goes on.
#[inline(always)]
pub(crate) fn yield_without_switch(cx: &Current, g: &G) -> bool {
    let Ok(mut inside) = cx.enter() else { return false };
    let owned = inside.owned();
    if owned.has_settled() || !may_continue(cx, owned) {
        return false;
    }
    count(owned);
    owned.begin_slice();
    Running::renew(cx, owned, g);
    true
}

#[cfg(test)]
mod tests;
