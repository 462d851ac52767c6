//! Rounds of an M's loop that leave the P on the table.
//!
//! A whole round takes the P in hand, looks at everything that an M may run in the order that is
//! fair, and puts the P back: a read-modify-write and some hundred instructions, where the switch
//! itself takes a dozen. Where settled Gs of one M wake each other, or yield in turn, every such
//! round finds the same: nothing but the M's own queue. So a whole round that finds nothing else
//! [grants](allow) the M a number of quick ones, each of which takes the next G from that queue and
//! nothing else. What ends them early:
//!
//! - whoever takes the P in hand on this M (`Inside::acquire_p`): only so can something come into the P's
//!   queues or timers;
//! - what others may have done, and every round asks by plain loads ([`may_continue`]): the P was taken,
//!   something lies in the inbox, somebody stands in the line, a P is to be shed, a slice is over
//!   or sysmon wants the M to look everywhere;
//! - nothing in the own queue.
//!
//! What a whole round looks at once in so many rounds (`policy::GLOBAL_INTERVAL`), and the clock for its
//! timers, keep their rhythm: a quick round counts, and the allow ends where one of them is due.
//!
//! The P lies on the table meanwhile, so it can be taken in the middle of such a round. That is no
//! different from its being taken right after a whole one let go of it: one more G runs, without a
//! P, to where it next enters the scheduler.

use crate::ds::timers::NEVER;
use crate::gmp::admission::Admission;
use crate::gmp::current::{Current, Inside, InsideWithP};
use crate::gmp::g::{G, Runnable};
use crate::gmp::m::MOwned;
use crate::policy;
use crate::proc::wake_sysmon::wake_sysmon;

/// At the end of a whole round: how many quick ones may follow.
#[inline]
pub(crate) fn allow(inside: &mut InsideWithP) {
    let (owned, p) = inside.split();
    owned.fast_rounds_left = match p {
        Some(p)
            if owned.admission == Admission::Free && !owned.look_everywhere && !p.has_work() =>
        {
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

/// Whether this round may be a quick one.
#[inline(always)]
fn may_continue(cx: &Current, owned: &MOwned) -> bool {
    let dispatch = &cx.sched().dispatch;
    owned.fast_rounds_left > 0
        && cx.m.inbox.is_empty()
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

/// The next settled G, if this round may be a quick one and there is one.
#[inline(always)]
pub(crate) fn next(cx: &Current, inside: &mut Inside) -> Option<Runnable> {
    let owned = inside.owned();
    if !may_continue(cx, owned) {
        return None;
    }
    let g = owned.pop_run_next(false).or_else(|| owned.pop_settled())?;
    if !g.has_begun() {
        // It came to begin here, beside another one, which takes a whole round.
        owned.put_back(g);
        return None;
    }
    count(owned);
    announce(cx, owned, g.g());
    Some(g)
}

/// For the running settled G that yields: true if its turn has come again at once, for there is
/// nobody else. It has not been switched from.
#[inline(always)]
pub(crate) fn yield_without_switch(cx: &Current, g: &G) -> bool {
    let Ok(mut inside) = cx.enter() else { return false };
    let owned = inside.owned();
    if owned.has_settled() || !may_continue(cx, owned) {
        return false;
    }
    count(owned);
    owned.begin_slice();
    announce(cx, owned, g);
    true
}

#[inline(always)]
fn announce(cx: &Current, owned: &MOwned, g: &G) {
    let settled = owned.settled_ready();
    cx.m.progress.switch_in(g, owned.inherits_slice(), settled as u32, 0);
    if settled > 0 {
        wake_sysmon(cx.sched());
    }
}

#[cfg(test)]
mod tests;
