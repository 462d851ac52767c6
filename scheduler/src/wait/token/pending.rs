//! A cancel that comes at its time, from the thread of the process's clock.

use std::task::Waker;
use std::time::Instant;

use crate::gmp::sched::deadlocks::Comes;
use crate::proc::new_thread::make_for_process;
use crate::wait::alarm::Alarm;

/// A cancel that is to come. Dropping it calls it off.
///
/// The canceller of a token takes it out and drops it when all is woken. So there is no moment in
/// which a goroutine was not made ready yet and nothing seems to come.
pub(super) struct Pending {
    /// Dropped first: a call that is off does not count.
    _alarm: Alarm,
    _comes: Comes,
}

impl Pending {
    /// Has `waker` called at `at`.
    pub(super) fn begin(at: Instant, waker: Waker) -> Self {
        // Counted first: the waker may be called before this returns.
        let comes = Comes::begin();
        Self { _alarm: Alarm::set(at, waker, make_for_process), _comes: comes }
    }
}
