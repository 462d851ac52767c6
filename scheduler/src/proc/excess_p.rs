//! Ps beyond the number that is asked for, and how they go.
//!
//! When fewer Ps are asked for, those that are idle go at once. The others are with Ms: each M sees
//! between two goroutines that there are too many, and lets its own go; sysmon takes one from an M
//! whose goroutine keeps it for longer than its slice; and whoever puts one back among the idle
//! ones looks after it. Which of them go is of no importance.
//!
//! What such a P has is given to all before it goes: its Gs to the global queues, its stacks and
//! records to the runtime. Its shared half stays, with timers of goroutines that wait, for
//! everybody who looks at all of them.
//!
//! Nothing here submits, and everybody who calls it does: the Gs were published anew.

use crate::gmp::p::{End, P};
use crate::gmp::sched::Sched;

/// A P that nobody has: among the idle ones, unless it is one too many.
pub(crate) fn put_back(sched: &Sched, p: Box<P>) {
    sched.dispatch.put_back(p, &sched.idle, sched.line_now());
    shrink(sched);
}

/// Retires idle Ps as long as there are too many.
pub(crate) fn shrink(sched: &Sched) {
    while sched.dispatch.excess() > 0
        && let Some(p) = sched.dispatch.take_excess(&sched.idle)
    {
        if let Some(p) = retire_p(sched, p) {
            sched.dispatch.put_back(p, &sched.idle, sched.line_now());
        }
    }
}

/// Empties `p` and retires it; back if it is not one too many any more.
#[must_use]
pub(crate) fn retire_p(sched: &Sched, mut p: Box<P>) -> Option<Box<P>> {
    drain(sched, &mut p);
    sched.dispatch.retire_p(p).err()
}

fn drain(sched: &Sched, p: &mut P) {
    while let Some(g) = p.pop_migratory() {
        sched.push_migratory(g);
    }
    while let Some(g) = p.pop_unstarted(End::Oldest) {
        sched.push_unstarted(g);
    }
    sched.slab.put(p.vacant.drain(..));
    p.stacks.empty(&sched.stacks);
}
