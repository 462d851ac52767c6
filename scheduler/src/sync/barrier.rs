//! Waiting for each other.
//!
//! # Safety
//!
//! The one list lies under the barrier's lock, as long as the barrier, which who waits borrows.

#![expect(unsafe_code, reason = "waits in its own queue")]

use gosched_runtime_sys::primitive::{Mutex, const_fn};
use std::fmt;
use std::time::{Duration, Instant};

use crate::proc::park::{Parking, Target, give_turn};
use crate::waiter::{Parks, Passed, Place, Step, WaitList, let_go_before, line_up};

struct State {
    arrived: usize,
    /// How often the barrier has opened.
    round: u64,
    list: WaitList<(), Target>,
}

/// A number of goroutines or threads wait until all of them are there: `std::sync::Barrier`, for those who park.
///
/// ```
/// use gosched_scheduler::sync::Barrier;
///
/// static BARRIER: Barrier = Barrier::new(2);
///
/// let other = std::thread::spawn(|| BARRIER.wait().is_leader());
/// let leads = BARRIER.wait().is_leader();
/// assert!(leads != other.join().unwrap(), "one of the two does");
/// ```
pub struct Barrier {
    n: usize,
    state: Mutex<State>,
}

/// What [`Barrier::wait`] returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BarrierWaitResult(bool);

impl BarrierWaitResult {
    /// Whether the caller came last: one in each round does.
    pub fn is_leader(&self) -> bool {
        self.0
    }
}

/// Not all were there in time. The caller is not counted any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BarrierTimeoutError;

impl Barrier {
    const_fn! {
        /// A barrier for `n`; one for 0 is one for 1: nobody waits there.
        pub fn new(n: usize) -> Self {
            Self { n, state: Mutex::new(State { arrived: 0, round: 0, list: WaitList::new() }) }
        }
    }

    /// Waits until all are there. Then the next round begins.
    ///
    /// # Panics
    ///
    /// Unwinds with `Cancelled` if the calling goroutine is cancelled while it waits; it is not counted any more then.
    pub fn wait(&self) -> BarrierWaitResult {
        // Without a deadline it opens in the end.
        self.wait_until(None).unwrap_or(BarrierWaitResult(false))
    }

    /// As [`wait`](Self::wait), at longest for `timeout`.
    ///
    /// # Errors
    ///
    /// If the time was over first.
    ///
    /// # Panics
    ///
    /// As [`wait`](Self::wait).
    pub fn wait_timeout(&self, timeout: Duration) -> Result<BarrierWaitResult, BarrierTimeoutError> {
        self.wait_until(Instant::now().checked_add(timeout))
    }

    /// As [`wait`](Self::wait), at longest until `deadline`.
    ///
    /// # Errors
    ///
    /// If the time was over first.
    ///
    /// # Panics
    ///
    /// As [`wait`](Self::wait).
    pub fn wait_deadline(&self, deadline: Instant) -> Result<BarrierWaitResult, BarrierTimeoutError> {
        self.wait_until(Some(deadline))
    }

    fn wait_until(&self, deadline: Option<Instant>) -> Result<BarrierWaitResult, BarrierTimeoutError> {
        give_turn();
        // The round that the caller is counted in. The look may be repeated; the round may have ended in between.
        let mut mine = None;
        let look = |state: &mut State| match mine {
            Some(round) if round != state.round => Step::Done(None),
            Some(_) => Step::Wait(None),
            None if state.arrived + 1 >= self.n => {
                state.arrived = 0;
                state.round += 1;
                // Those of the next round are not let go with this one.
                Step::Done(Some(state.list.mark()))
            }
            None => {
                state.arrived += 1;
                mine = Some(state.round);
                Step::Wait(None)
            }
        };
        let place = Place::behind(|state: &mut State| &mut state.list);
        // SAFETY: the list lies under that lock, and is not replaced.
        match unsafe { line_up(&self.state, place, Parking::begin, deadline, look, || None) } {
            Passed::AtOnce(Some(mark)) => {
                let_go_before(&self.state, self.state.lock(), |state| &mut state.list, mark);
                Ok(BarrierWaitResult(true))
            }
            Passed::AtOnce(None) | Passed::Served(_) => Ok(BarrierWaitResult(false)),
            Passed::TimedOut if self.withdraw(mine) => Err(BarrierTimeoutError),
            Passed::Cancelled(parking) if self.withdraw(mine) => Parks::raise(&parking),
            // The last one came before the caller could leave.
            Passed::TimedOut | Passed::Cancelled(_) => Ok(BarrierWaitResult(false)),
        }
    }

    /// Counts one fewer in this round, if it has not ended.
    fn withdraw(&self, round: Option<u64>) -> bool {
        let mut state = self.state.lock();
        let waits = round == Some(state.round);
        state.arrived -= usize::from(waits);
        waits
    }
}

impl fmt::Debug for Barrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Barrier").field("n", &self.n).finish_non_exhaustive()
    }
}

impl fmt::Display for BarrierTimeoutError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("timed out waiting at a barrier")
    }
}

impl std::error::Error for BarrierTimeoutError {}
