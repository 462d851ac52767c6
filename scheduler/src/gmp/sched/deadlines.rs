//! When an M that sleeps has to look at timers.

use crate::ds::timers::NEVER;
use crate::gmp::sched::Sched;
use crate::policy;

impl Sched {
    /// Returns the earliest deadline: of any P's timers, or of the stack pool.
    ///
    /// In nanoseconds on the monotonic clock; [`NEVER`] if there is none. A hint, except for a
    /// caller that follows the rules of `ds::timekeeper`.
    pub(crate) fn first_timer(&self) -> u64 {
        self.first_limit().min(self.stacks.due())
    }

    /// Returns until when an M may sleep: until the earliest deadline; or past it by the runtime's
    /// slack, if so many are due by then that it pays to serve them together. Likewise.
    pub(crate) fn latest_wake(&self) -> u64 {
        let (first, slack) = (self.first_timer(), self.config.timer_slack_ns);
        if first == NEVER || slack == 0 {
            return first;
        }
        let until = first.saturating_add(slack);
        let mut missing = policy::SERVED_TOGETHER;
        for shared in self.all_ps.iter() {
            missing -= shared.timers.count_by(until, missing);
            if missing == 0 {
                return until;
            }
        }
        first
    }

    /// Returns the earliest deadline of a goroutine, likewise.
    pub(crate) fn first_limit(&self) -> u64 {
        self.all_ps.iter().map(|shared| shared.timers.first()).min().unwrap_or(NEVER)
    }

    /// Returns until when an M would have to sleep, if no sleeping M keeps the first deadline. In
    /// nanoseconds on the monotonic clock. A hint that the caller checks again.
    pub(crate) fn unkept_deadline(&self) -> Option<u64> {
        let until = self.timekeeper.until();
        // Mostly one is kept, and then nothing has to be counted.
        (self.first_timer() < until).then(|| self.latest_wake()).filter(|wake| *wake < until)
    }
}
