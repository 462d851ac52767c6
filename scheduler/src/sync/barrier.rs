//! Waiting for each other.
//!
//! # Safety
//!
//! Both lists lie under the barrier's lock, as long as the barrier, which the waiters borrow. A
//! future's node is pinned when it is polled, and leaves when it is dropped.

#![expect(unsafe_code, reason = "waits in its own queue")]

use gosched_runtime_sys::sync::lock::Mutex;
use gosched_runtime_sys::sync::primitive::const_fn;
use std::cell::Cell;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use crate::proc::park::Parking;
use crate::proc::target::Target;
use crate::proc::yield_now::{poll_turn, preempt_point};
use crate::wait::owed::Panics;
use crate::wait::park::Park;
use crate::wait::parked::{Look, WaitIn, WaitedFor, wait_for};
use crate::wait::polled::PolledNode;
use crate::wait::waiter::{Mark, WaitList};
use crate::wait::wake::wake_up_to;

struct State {
    arrived: usize,
    /// Number of times that the barrier has opened.
    round: u64,
    parked: WaitList<(), Target>,
    polling: WaitList<(), Target>,
}

/// The waiters of a round that has ended, as against those of the next one.
struct Waited {
    parked: Mark,
    polling: Mark,
}

impl State {
    /// Counts one of `n`. The last one ends the round and gets its waiters.
    #[inline]
    fn arrive(&mut self, n: usize) -> Option<Waited> {
        if self.arrived + 1 < n {
            self.arrived += 1;
            return None;
        }
        self.arrived = 0;
        self.round += 1;
        Some(Waited { parked: self.parked.mark(), polling: self.polling.mark() })
    }
}

/// Lets a number of goroutines or threads wait until all of them are there: `std::sync::Barrier`,
/// except that waiters park.
///
/// ```
/// use gosched::sync::Barrier;
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

// Who has come is counted under a lock, in which no user code runs.
impl std::panic::UnwindSafe for Barrier {}
impl std::panic::RefUnwindSafe for Barrier {}

/// The result of [`Barrier::wait`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BarrierWaitResult(bool);

impl BarrierWaitResult {
    /// True if the caller came last: one in each round does.
    #[inline]
    pub fn is_leader(&self) -> bool {
        self.0
    }
}

/// The error of a wait for which not all were there in time. The caller is not counted any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BarrierTimeoutError;

impl Barrier {
    const_fn! {
        /// Returns a barrier for `n`. One for 0 is as one for 1: nobody waits there.
        #[inline]
        pub fn new(n: usize) -> Self {
            Self { n, state: Mutex::new(State {
                arrived: 0,
                round: 0,
                parked: WaitList::new(),
                polling: WaitList::new(),
            }) }
        }
    }

    /// Waits until all are there. Then the next round begins.
    ///
    /// # Panics
    ///
    /// Unwinds with `Cancelled` if the calling goroutine is cancelled while it waits; it is not
    /// counted any more then.
    #[inline]
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
    #[inline]
    pub fn wait_timeout(
        &self,
        timeout: Duration,
    ) -> Result<BarrierWaitResult, BarrierTimeoutError> {
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
    #[inline]
    pub fn wait_deadline(
        &self,
        deadline: Instant,
    ) -> Result<BarrierWaitResult, BarrierTimeoutError> {
        self.wait_until(Some(deadline))
    }

    #[inline]
    fn wait_until(
        &self,
        deadline: Option<Instant>,
    ) -> Result<BarrierWaitResult, BarrierTimeoutError> {
        preempt_point();
        // The round that the caller is counted in. The look may be repeated; the round may have
        // ended in between.
        let mut mine = None;
        let look = |state: &mut State| match mine {
            Some(round) if round != state.round => Look::Done(None),
            Some(_) => Look::Wait(None),
            None => match state.arrive(self.n) {
                Some(waited) => Look::Done(Some(waited)),
                None => {
                    mine = Some(state.round);
                    Look::Wait(None)
                }
            },
        };
        let place = WaitIn::behind(|state: &mut State| &mut state.parked);
        // SAFETY: the list lies under that lock, and is not replaced.
        match unsafe { wait_for(&self.state, place, Parking::begin, deadline, look, || None) } {
            WaitedFor::AtOnce(Some(waited)) => {
                self.open(waited).go_on();
                Ok(BarrierWaitResult(true))
            }
            WaitedFor::AtOnce(None) | WaitedFor::Served(_) => Ok(BarrierWaitResult(false)),
            WaitedFor::TimedOut if self.withdraw(mine) => Err(BarrierTimeoutError),
            WaitedFor::Cancelled(parking) if self.withdraw(mine) => Park::raise(&parking),
            // The last one came before the caller could leave.
            WaitedFor::TimedOut | WaitedFor::Cancelled(_) => Ok(BarrierWaitResult(false)),
        }
    }

    /// Wakes all whose round has ended. Returns their wakers' panics.
    #[inline]
    fn open(&self, waited: Waited) -> Panics {
        let state = self.state.lock();
        let woken = wake_up_to(&self.state, state, |state| &mut state.parked, waited.parked);
        let state = self.state.lock();
        let polls = wake_up_to(&self.state, state, |state| &mut state.polling, waited.polling);
        woken.and(polls)
    }

    /// Waits until all are there, for an async task: returns a future that is ready then. It is
    /// counted from its first poll on. If it is dropped before all are there, it is not counted any
    /// more.
    ///
    /// ```
    /// use gosched::future::block_on;
    /// use gosched::sync::Barrier;
    ///
    /// static BARRIER: Barrier = Barrier::new(2);
    ///
    /// let other = std::thread::spawn(|| BARRIER.wait().is_leader());
    /// let leads = block_on(BARRIER.wait_async()).is_leader();
    /// assert!(leads != other.join().unwrap());
    /// ```
    #[inline]
    pub fn wait_async(&self) -> BarrierFuture<'_> {
        let (mine, node) = (Cell::new(None), PolledNode::new(None));
        BarrierFuture { barrier: self, mine, node }
    }

    /// Counts one fewer in this round, if it has not ended. True if it has not.
    #[inline]
    fn withdraw(&self, round: Option<u64>) -> bool {
        let mut state = self.state.lock();
        let waits = round == Some(state.round);
        state.arrived -= usize::from(waits);
        waits
    }
}

/// The future of [`Barrier::wait_async`].
#[must_use = "a future does nothing unless it is polled"]
pub struct BarrierFuture<'a> {
    barrier: &'a Barrier,
    /// The round in which the future is counted.
    mine: Cell<Option<u64>>,
    node: PolledNode<(), Target>,
}

impl Future for BarrierFuture<'_> {
    type Output = BarrierWaitResult;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<BarrierWaitResult> {
        let this = self.as_ref().get_ref();
        ready!(poll_turn(cx));
        // Wakers are the user's: cloned before the lock is taken, dropped when it is free. A panic
        // in that drop is given up: it must not cost the caller its place in the round.
        let (waker, mut drops) = (cx.waker().clone(), Panics::none());
        let mut state = this.barrier.state.lock();
        if this.mine.get().is_none() {
            this.mine.set(Some(state.round));
            if let Some(waited) = state.arrive(this.barrier.n) {
                drop(state);
                let woken = this.barrier.open(waited);
                drops.drop_value(waker);
                drops.give_up();
                woken.go_on();
                return Poll::Ready(BarrierWaitResult(true));
            }
        }
        let opened = this.mine.get() != Some(state.round);
        let unused = if opened {
            // SAFETY: it waits in this list, if at all.
            let (_, before) = unsafe { this.node.leave(&mut state.polling) };
            [before, Some(waker)]
        } else {
            // SAFETY: pinned; the list is under this lock, and `drop` leaves it.
            [unsafe { this.node.wait(&mut state.polling, waker) }, None]
        };
        drop(state);
        unused.into_iter().flatten().for_each(|waker| drops.drop_value(waker));
        drops.give_up();
        if opened { Poll::Ready(BarrierWaitResult(false)) } else { Poll::Pending }
    }
}

impl Drop for BarrierFuture<'_> {
    #[inline]
    fn drop(&mut self) {
        let mut state = self.barrier.state.lock();
        // SAFETY: it waits in this list, if at all.
        let (_, waker) = unsafe { self.node.leave(&mut state.polling) };
        state.arrived -= usize::from(self.mine.get() == Some(state.round));
        drop(state);
        let mut panics = Panics::none();
        panics.drop_value(waker);
        panics.go_on();
    }
}

impl fmt::Debug for BarrierFuture<'_> {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BarrierFuture { .. }")
    }
}

impl fmt::Debug for Barrier {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Barrier").field("n", &self.n).finish_non_exhaustive()
    }
}

impl fmt::Display for BarrierTimeoutError {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("timed out waiting at a barrier")
    }
}

impl std::error::Error for BarrierTimeoutError {}
