//! Excess Ps: those beyond the number that is asked for, and how they go.
//!
//! # Who calls it
//!
//! `set_procs` may ask for fewer Ps than there are. Which of them go is of no importance, so
//! nothing but the number is kept (`Dispatch::excess`). A P goes at the first of these:
//!
//! - `set_procs` retires idle Ps by [`shrink`]; so does every thread that makes a P idle, by
//!   [`put_back`] or, in the M's loop, right after the release.
//! - An M sees `excess() > 0` between two goroutines and [retires](retire_p) its own P.
//! - An M or sysmon that hands a P off retires it instead. Sysmon stays awake meanwhile, and takes
//!   the P of an M whose goroutine has kept it for longer than its slice.
//!
//! # Who owns what
//!
//! The caller owns the P, and empties it before it offers it to the dispatch: the Gs go to the
//! global queues, vacant records and stacks to the runtime's pools. Under its lock the dispatch
//! retires the P, or gives it back if other threads were faster or more Ps are asked for again. The
//! shared half of a retired P stays in `Sched::all_ps`, with the timers of goroutines that wait:
//! every M that looks at all heaps sees them.
//!
//! # The handshake
//!
//! Emptying a P publishes its Gs anew, and between the two queues no M sees them. Nothing in this
//! file calls `wake_p`; every caller does, after it
//! ([`wake_p_if_work`](super::wake::wake_p_if_work)).
//!
//! # Rejected
//!
//! Retiring the Ps with the highest numbers: a goroutine that computes may keep one of those while
//! others are idle.

use crate::gmp::p::{End, P};
use crate::gmp::sched::Sched;

/// Makes `p` idle, and retires idle Ps if there are too many. Its stacks come to rest.
pub(crate) fn put_back(sched: &Sched, mut p: Box<P>) {
    p.stacks.come_to_rest(&sched.stacks);
    sched.dispatch.put_back(p, &sched.idle, sched.line_now());
    shrink(sched);
}

/// Retires idle Ps as long as there are too many Ps.
pub(crate) fn shrink(sched: &Sched) {
    while sched.dispatch.excess() > 0
        && let Some(p) = sched.dispatch.take_excess(&sched.idle)
    {
        if let Some(p) = retire_p(sched, p) {
            sched.dispatch.put_back(p, &sched.idle, sched.line_now());
        }
    }
}

/// Empties `p` and retires it. Gives it back if there are no longer too many.
#[must_use]
pub(crate) fn retire_p(sched: &Sched, mut p: Box<P>) -> Option<Box<P>> {
    drain(sched, &mut p);
    sched.dispatch.retire_p(p).err()
}

/// Moves everything that `p` has to the runtime, but for its timers.
fn drain(sched: &Sched, p: &mut P) {
    while let Some(g) = p.pop_migratory().or_else(|| p.pop_yielded()) {
        sched.push_migratory(g);
    }
    while let Some(g) = p.pop_unstarted(End::Oldest) {
        sched.push_unstarted(g);
    }
    sched.slab.put(p.vacant.drain(..));
    p.stacks.empty(&sched.stacks);
}
