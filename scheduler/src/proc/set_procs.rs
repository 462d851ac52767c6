//! Changing the number of Ps while the runtime works.
//!
//! `Handle::set_procs` calls [`set_procs`] from any thread. It stops no M and waits for none. The
//! order is: room for the new number, the number itself, the resident Ms, the excess Ps, the
//! missing Ps.
//!
//! - *Fewer.* Idle Ps are retired here, Ps in use as `excess_p` tells. Sysmon is woken, since a
//!   goroutine may keep a P that is one too many.
//! - *More.* Retired Ps come back first, then new ones are made. Each becomes idle, and an M is
//!   woken for it if there is free work.
//!
//! Why no excess P stays: the number changes and Ps are retired under one lock, the dispatch's. A
//! thread that makes a P idle looks for an excess after it, and this function looks at the idle Ps
//! after it has changed the number. One of the two sees the other. Of several concurrent calls, the
//! last one to take the lock decides.
//!
//! // GO: debug.go GOMAXPROCS, proc.go procresize
//!
//! # Rejected
//!
//! Stopping all Ms, changing the number, and starting them again, as Go does. A goroutine cannot be
//! stopped here, and need not be: an excess P does no harm until it goes.

use crate::gmp::dispatch::Grown;
use crate::gmp::p;
use crate::gmp::sched::Sched;
use crate::proc::wake_sysmon::wake_sysmon;
use crate::proc::{excess_p, wake};

/// Changes the number of Ps to `n`. When it returns, new Ps are there and idle excess Ps are gone;
/// an excess P in use goes when its M is next between two goroutines.
pub(crate) fn set_procs(sched: &Sched, n: usize) {
    sched.dispatch.make_room_for_ps(n);
    sched.dispatch.set_procs(n);
    sched.fit_residents();
    excess_p::shrink(sched);
    loop {
        let p = match sched.dispatch.grow() {
            Grown::Revived(p) => p,
            Grown::Make(index) => {
                let (p, shared) = p::new(index);
                sched.all_ps.add(index, shared);
                p
            }
            Grown::Enough => break,
        };
        excess_p::put_back(sched, p);
        wake::wake_p_if_work(sched);
    }
    wake::wake_p_if_work(sched);
    if sched.dispatch.excess() > 0 {
        wake_sysmon(sched);
    }
}
