//! A signal without content.
//!
//! # Safety
//!
//! The lists lie under the queue's lock, as long as the `Notify`, which who waits borrows. A
//! future's node is pinned when it is polled, and leaves when it is dropped.

#![expect(unsafe_code, reason = "waits in its own queue")]

use gosched_runtime_sys::sync::lock::Mutex;
use gosched_runtime_sys::sync::primitive::const_fn;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use crate::proc::park::Parking;
use crate::proc::target::Target;
use crate::proc::yield_now::preempt_point;
use crate::wait::park::Park;
use crate::wait::parked::{Look, WaitIn, WaitedFor, wait_for};
use crate::wait::polled::{PolledNode, Standing};
use crate::wait::waiter::{Popped, WaitList, Wakeup};
use crate::wait::wake::wake_all;

struct State {
    /// A notification that nobody had a use for yet.
    permit: bool,
    /// How often everybody was notified.
    round: u64,
    parked: WaitList<(), Target>,
    polling: WaitList<(), Target>,
}

/// Tells one that waits, or all, that something has happened.
///
/// [`notify_one`](Self::notify_one) is kept, once, for the next one if nobody waits;
/// [`notify_waiters`](Self::notify_waiters) is for who waits now.
///
/// ```
/// use gosched::sync::Notify;
///
/// let notify = Notify::new();
/// notify.notify_one();
/// notify.notify_one();
/// notify.wait();
/// assert!(!notify.try_wait(), "two that nobody waited for are one");
/// ```
#[doc(alias("event", "Parker", "ManualResetEvent"))]
pub struct Notify {
    state: Mutex<State>,
}

// It holds who waits, and nothing of the user's.
impl std::panic::UnwindSafe for Notify {}
impl std::panic::RefUnwindSafe for Notify {}

/// Nobody notified in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotifyTimeoutError;

impl Notify {
    const_fn! {
        /// One that was not notified.
        pub fn new() -> Self {
            Self {
                state: Mutex::new(State { permit: false, round: 0, parked: WaitList::new(), polling: WaitList::new() }),
            }
        }
    }

    /// Notifies the one that has waited longest; the next one that waits, if nobody does. Futures
    /// come after goroutines and threads.
    pub fn notify_one(&self) {
        let mut state = self.state.lock();
        let parked = state.parked.pop().map(Popped::finish);
        state.permit |= parked.is_none();
        let wakeup = parked.or_else(|| state.polling.pop().map(Popped::finish));
        drop(state);
        wakeup.into_iter().for_each(Wakeup::now);
    }

    /// Notifies everybody who waits now. A future waits from when it was made.
    pub fn notify_waiters(&self) {
        let mut state = self.state.lock();
        state.round += 1;
        wake_all(&self.state, state, |state| &mut state.parked);
        wake_all(&self.state, self.state.lock(), |state| &mut state.polling);
    }

    /// Waits to be notified.
    ///
    /// # Panics
    ///
    /// Unwinds with `Cancelled` if the calling goroutine is cancelled while it waits; it has used
    /// no notification up then.
    pub fn wait(&self) {
        // Without a deadline it is notified in the end.
        let _notified = self.wait_until(None);
    }

    /// Whether there is a notification that nobody has used; uses it up.
    pub fn try_wait(&self) -> bool {
        std::mem::take(&mut self.state.lock().permit)
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
    pub fn wait_timeout(&self, timeout: Duration) -> Result<(), NotifyTimeoutError> {
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
    pub fn wait_deadline(&self, deadline: Instant) -> Result<(), NotifyTimeoutError> {
        self.wait_until(Some(deadline))
    }

    fn wait_until(&self, deadline: Option<Instant>) -> Result<(), NotifyTimeoutError> {
        preempt_point();
        let look = |state: &mut State| match std::mem::take(&mut state.permit) {
            true => Look::Done(()),
            false => Look::Wait(None),
        };
        let place = WaitIn::behind(|state: &mut State| &mut state.parked);
        // SAFETY: the list lies under that lock, and is not replaced.
        match unsafe { wait_for(&self.state, place, Parking::begin, deadline, look, || None) } {
            WaitedFor::AtOnce(()) | WaitedFor::Served(_) => Ok(()),
            WaitedFor::TimedOut => Err(NotifyTimeoutError),
            WaitedFor::Cancelled(parking) => Park::raise(&parking),
        }
    }

    /// As [`wait`](Self::wait), for an executor: a future that is ready when it was notified. It
    /// may be dropped at any time; a notification that it was woken for goes to the next one.
    pub fn notified(&self) -> Notified<'_> {
        Notified { notify: self, round: self.state.lock().round, node: PolledNode::new(None) }
    }
}

/// The future of [`Notify::notified`].
#[must_use = "a future does nothing unless it is polled"]
pub struct Notified<'a> {
    notify: &'a Notify,
    /// Everybody's notification counts if it came after the future was made.
    round: u64,
    node: PolledNode<(), Target>,
}

impl Future for Notified<'_> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.as_ref().get_ref();
        let waker = cx.waker().clone();
        let mut guard = this.notify.state.lock();
        let state = &mut *guard;
        let everybody = state.round != this.round;
        if !everybody && !std::mem::take(&mut state.permit) {
            // SAFETY: pinned; the list is under this lock, and `drop` leaves it.
            let before = unsafe { this.node.wait(&mut state.polling, waker) };
            // Wakers are the user's: dropped when the lock is free.
            drop(guard);
            drop(before);
            return Poll::Pending;
        }
        let (before, next) = this.end(state);
        drop(guard);
        drop((before, waker));
        next.into_iter().for_each(Wakeup::now);
        Poll::Ready(())
    }
}

impl Notified<'_> {
    /// Leaves, with the state in hand: the waker to be dropped and whom to wake once the lock is
    /// free. If it was woken for a notification that it does not use, that is for the next one.
    fn end(&self, state: &mut State) -> (Option<Waker>, Option<Wakeup<Target>>) {
        // SAFETY: it waits in this list, if at all.
        let (standing, waker) = unsafe { self.node.leave(&mut state.polling) };
        let pass_on = standing == Standing::Woken && state.permit;
        (waker, if pass_on { state.polling.pop().map(Popped::finish) } else { None })
    }
}

impl Drop for Notified<'_> {
    fn drop(&mut self) {
        let mut state = self.notify.state.lock();
        let (waker, next) = self.end(&mut state);
        drop(state);
        drop(waker);
        next.into_iter().for_each(Wakeup::now);
    }
}

impl Default for Notify {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Notify {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Notify { .. }")
    }
}

impl fmt::Debug for Notified<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Notified { .. }")
    }
}

impl fmt::Display for NotifyTimeoutError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("timed out waiting to be notified")
    }
}

impl std::error::Error for NotifyTimeoutError {}
