//! How long an M that has found nothing looks again before it stops.

use gosched_runtime_sys::clock::monotonic_ns;
use gosched_runtime_sys::thread::yield_thread;

use super::own::take_inbox_and_pop;
use super::unstarted::{Wants, take_apart};
use crate::gmp::current::{Current, InsideWithP};
use crate::gmp::g::Runnable;
use crate::policy::SpinBudget;

/// Waits within the spin budget for something in the inbox, while other Ms search. A settled G that
/// talks to one on a searching M is answered within a microsecond; sleeping in between would cost
/// both of them a futex round trip. Nobody relies on this M meanwhile, and like every M it looks at
/// everything once more when it gives up.
///
/// An M that runs no free work does not keep its P from those that would. One that does has begun
/// a burst, perhaps, and takes the rest of it.
pub(crate) fn await_inbox(
    cx: &Current,
    inside: &mut InsideWithP,
    wants: Wants,
) -> Option<Runnable> {
    // The rest of a burst that this M has begun is left to it.
    if let Some(g) = take_apart(cx, inside.owned(), wants) {
        return Some(g);
    }
    if cx.m.settled() == 0 || (!wants.free && cx.sched().has_free_work()) {
        return None;
    }
    let spin_budget = inside.owned().spin.spin_budget(cx.sched().spin_budget());
    let began = monotonic_ns();
    let mut spun = false;
    loop {
        let found = take_inbox_and_pop(cx.m, inside.owned());
        let waited = monotonic_ns().saturating_sub(began);
        if found.is_some() || waited >= spin_budget.total_ns {
            if spun {
                inside.owned().spin.searched(found.is_some() && !cx.m.take_timer_wake());
            }
            return found;
        }
        spun = true;
        spin_or_yield(spin_budget, waited);
    }
}

/// Passes the time between two looks: spins at first, then offers the core to other threads.
pub(super) fn spin_or_yield(spin_budget: SpinBudget, waited: u64) {
    if waited < spin_budget.spin_ns {
        std::hint::spin_loop();
    } else {
        yield_thread();
    }
}
