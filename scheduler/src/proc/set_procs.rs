//! The number of Ps changes while the runtime works.
//!
//! // GO: debug.go GOMAXPROCS, proc.go procresize
//!
//! Rejected: stopping all Ms, changing the number, and letting them go on, as Go does. A goroutine
//! cannot be stopped here, and it need not be: a P too many does no harm while it is on its way
//! out.

use crate::gmp::dispatch::Grown;
use crate::gmp::p;
use crate::gmp::sched::Sched;
use crate::proc::wake_sysmon::wake_sysmon;
use crate::proc::{excess_p, wake};

/// From here on there are to be `n` Ps. Those that are idle go at once, new ones are there when
/// this returns, and what is in use goes as soon as its M comes by.
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
