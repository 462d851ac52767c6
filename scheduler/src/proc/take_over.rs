//! A woken M takes over the P of an M whose goroutine is known to compute.
//!
//! # The problem
//!
//! A goroutine that serves sleeps on its M without a P. When it is woken and no P is idle, its M
//! stands in the line until another M gives way. An M whose goroutines compute for 3 ms between
//! their yields does so after 3 ms, and half of a service's callers waited for 1 to 4 ms. A
//! goroutine that computes for longer loses its P to sysmon after its slice, and goes on without:
//! then the system's scheduler shares the cores out, and a thread that has slept gets one at once.
//! Callers of the same service waited for 8 us.
//!
//! # What is done
//!
//! The waker does at once what sysmon does after a slice, if it is known that the goroutine
//! computes: one that was made at the same place has taken 2 ms of processor time in one run
//! (`policy::behaviour::COMPUTES_NS`). The M whose P was taken runs its goroutine to the next
//! operation that suspends. Then it stands in the line, behind those that were woken.
//!
//! # Bounds
//!
//! At most as many Ms as there are Ps run user code without the P that was taken from them in this
//! way (`gmp::sched::holders`). So a service that is woken all the time does not have all that
//! compute run at the same time: beyond the bound it waits for its turn as before.
//!
//! Where no place is known to compute, a wake-up reads one word more.
//!
//! # Rejected
//!
//! To take the P of any M that has had it for some time. A hand-over costs two wake-ups; among
//! goroutines that talk it would come with nearly each wake.

use crate::gmp::m::M;
use crate::gmp::p::P;
use crate::gmp::sched::Sched;
use crate::policy::behaviour::Behaviour;

/// Takes the P of an M whose goroutine is known to compute, if there is one, for somebody who was
/// woken. Called when no P is idle; the caller hands the P off.
#[inline]
pub(crate) fn take_over(sched: &Sched) -> Option<Box<P>> {
    if sched.call_sites.computing() == 0 {
        return None;
    }
    take_first(sched)
}

/// How many Ms are asked what they run, which takes the lock of the list of Ms. That all settled
/// goroutines of an M compute is one load.
const ASKED: usize = 8;

#[cold]
fn take_first(sched: &Sched) -> Option<Box<P>> {
    let ps = sched.all_ps.len();
    let holders = || (0..ps).filter_map(|p| sched.holders.of(p));
    let known = holders().filter(|m| m.computes()).find_map(|m| take_from(sched, m));
    let begin = sched.holders.begin(ps);
    let others = || holders().cycle().skip(begin).take(ps.min(ASKED));
    known
        .or_else(|| others().filter(|m| !m.computes()).find_map(|m| take_from(sched, m)))
        .inspect(|_| sched.counts.taken_over())
}

/// Takes the P of `m`, if its goroutine is known to compute.
fn take_from(sched: &Sched, m: &'static M) -> Option<Box<P>> {
    let observed = m.p.observe();
    if !observed.is_there() || !computes(sched, m) {
        return None;
    }
    m.progress.request_preempt();
    sched.take_over_p(m, &observed)
}

/// True if the goroutine that has the thread of `m` is known to compute.
fn computes(sched: &Sched, m: &M) -> bool {
    let made_at = sched.occupant(m).filter(|occupant| !occupant.in_place);
    let made_at = made_at.and_then(|occupant| occupant.view.made_at);
    made_at.is_some_and(|made_at| sched.call_sites.behaviour(made_at) == Behaviour::Computes)
}
