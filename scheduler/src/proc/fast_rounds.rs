//! Rounds of an M's loop that leave the P on the table.
//!
//! A whole round takes the P in hand, looks at everything that an M may run in the order that is
//! fair, and puts the P back: a read-modify-write and some hundred instructions, where the switch
//! itself takes a dozen. Where settled Gs of one M wake each other, or yield in turn, every such
//! round finds the same: nothing but the M's own queue. So a whole round that finds nothing else
//! [grants](grant) the M a number of quick ones, each of which takes the next G from that queue and
//! nothing else. What ends them early:
//!
//! - whoever takes the P in hand on this M (`Hand::enter`): only so can something come into the P's
//!   queues or timers;
//! - what others may have done, and every round asks by plain loads ([`goes_on`]): the P was taken,
//!   something lies in the inbox, somebody stands in the line, a P is to be shed, a slice is over
//!   or sysmon wants the M to look everywhere;
//! - nothing in the own queue.
//!
//! What a whole round looks at once in so many rounds (`policy::LOOK_ROUND`), and the clock for its
//! timers, keep their rhythm: a quick round counts, and the grant ends where one of them is due.
//!
//! The P lies on the table meanwhile, so it can be taken in the middle of such a round. That is no
//! different from its being taken right after a whole one let go of it: one more G runs, without a
//! P, to where it next enters the scheduler.

use crate::ds::timers::NEVER;
use crate::gmp::admission::Admission;
use crate::gmp::current::{Current, Entered, Hand};
use crate::gmp::g::{G, Runnable};
use crate::gmp::m::Local;
use crate::policy;
use crate::proc::start_m::tell_sysmon;

/// At the end of a whole round: how many quick ones may follow.
#[inline]
pub(crate) fn grant(hand: &mut Entered) {
    let (local, p) = hand.split();
    local.quick = match p {
        Some(p) if local.admission == Admission::Free && !local.asked && !p.has_work() => {
            let look = policy::LOOK_ROUND - 1 - local.tick % policy::LOOK_ROUND;
            if p.shared.timers.first() == NEVER {
                look
            } else {
                look.min(local.clock.rounds_left(local.tick))
            }
        }
        _ => 0,
    };
}

/// Whether this round may be a quick one.
#[inline(always)]
fn goes_on(cx: &Current, local: &Local) -> bool {
    let dispatch = &cx.sched().dispatch;
    local.quick > 0
        && cx.m.inbox.is_empty()
        && dispatch.line_len() == 0
        && dispatch.excess() == 0
        && !cx.m.pulse.urged()
        && cx.m.table.judge().on_table()
}

#[inline(always)]
fn count(local: &mut Local) {
    local.quick -= 1;
    local.tick = local.tick.wrapping_add(1);
}

/// The next settled G, if this round may be a quick one and there is one.
#[inline(always)]
pub(crate) fn next(cx: &Current, hand: &mut Hand) -> Option<Runnable> {
    let local = hand.local();
    if !goes_on(cx, local) {
        return None;
    }
    let g = local.pop_next(false).or_else(|| local.pop_settled())?;
    if !g.has_begun() {
        // It came to begin here, beside another one, which takes a whole round.
        local.put_back(g);
        return None;
    }
    count(local);
    announce(cx, local, g.g());
    Some(g)
}

/// For the running settled G that yields: true if its turn has come again at once, for there is
/// nobody else. It has not been switched from.
#[inline(always)]
pub(crate) fn comes_again(cx: &Current, g: &G) -> bool {
    let Ok(mut hand) = cx.take_local() else { return false };
    let local = hand.local();
    if local.has_settled() || !goes_on(cx, local) {
        return false;
    }
    count(local);
    local.begin_slice();
    announce(cx, local, g);
    true
}

#[inline(always)]
fn announce(cx: &Current, local: &Local, g: &G) {
    let settled = local.settled_ready();
    cx.m.pulse.switches_to(g, local.inherits(), settled as u32, 0);
    if settled > 0 {
        tell_sysmon(cx.sched());
    }
}

#[cfg(test)]
mod tests;
