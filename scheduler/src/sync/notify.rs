//! A signal without content.
//!
//! # Safety
//!
//! A future's node is pinned when it is polled, and leaves when it is dropped.

#![expect(unsafe_code, reason = "polls with the node of a pinned future")]

use gosched_runtime_sys::sync::primitive::const_fn;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use crate::proc::park::Parking;
use crate::proc::target::Target;
use crate::proc::yield_now::{give_turn, poll_turn, preempt_point};
use crate::sync::raw::mutex::TimedOut;
use crate::sync::raw::notify::{RawNotify, Round};
use crate::wait::polled::PolledNode;

/// Notifies one waiter, or all waiters, that something has happened.
///
/// [`notify_one`](Self::notify_one) gives its notification to one waiter. If there is none, the
/// notification is kept for the next one; several are kept as one.
/// [`notify_waiters`](Self::notify_waiters) notifies those that wait now, and is not kept.
///
/// A future that was woken for a notification has that notification: no other waiter takes it. A
/// future that is dropped before it was polled again passes its notification on. One that is
/// forgotten, as by [`mem::forget`](std::mem::forget), keeps it.
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
#[doc(alias("event", "ManualResetEvent"))]
pub struct Notify {
    raw: RawNotify<Target>,
}

// It holds who waits, and nothing of the user's.
impl std::panic::UnwindSafe for Notify {}
impl std::panic::RefUnwindSafe for Notify {}

/// The error of a wait that was not notified in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotifyTimeoutError;

impl Notify {
    const_fn! {
        /// Returns one that was not notified.
        #[inline]
        pub fn new() -> Self {
            Self { raw: RawNotify::new() }
        }
    }

    /// Notifies the waiter that has waited longest, a future or not, or the next one if there is
    /// none.
    pub fn notify_one(&self) {
        self.raw.notify_one();
    }

    /// Notifies all that wait now. A future waits from when it was made.
    #[inline]
    pub fn notify_waiters(&self) {
        self.raw.notify_waiters();
    }

    /// Waits to be notified.
    ///
    /// # Panics
    ///
    /// Unwinds with `Cancelled` if the calling goroutine is cancelled while it waits; it has used
    /// no notification up then.
    #[inline]
    pub fn wait(&self) {
        // Without a deadline it is notified in the end.
        let _notified = self.wait_until(None);
    }

    /// Takes a notification that was kept. True if there was one. If not, a goroutine whose slice
    /// is over gives its turn.
    #[inline]
    pub fn try_wait(&self) -> bool {
        let notified = self.raw.try_wait();
        if !notified {
            give_turn();
        }
        notified
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
    #[inline]
    pub fn wait_deadline(&self, deadline: Instant) -> Result<(), NotifyTimeoutError> {
        self.wait_until(Some(deadline))
    }

    #[inline]
    fn wait_until(&self, deadline: Option<Instant>) -> Result<(), NotifyTimeoutError> {
        preempt_point();
        self.raw.wait(deadline, Parking::begin).map_err(|TimedOut| NotifyTimeoutError)
    }

    /// As [`wait`](Self::wait), for an async task: returns a future that is ready when it was
    /// notified. It may be dropped at any time: a notification that it was woken for goes to the
    /// next waiter.
    #[inline]
    pub fn notified(&self) -> Notified<'_> {
        let (made, node) = (self.raw.round(), PolledNode::new(None));
        Notified { notify: self, made, node }
    }

    /// As [`notified`](Self::notified), and the future holds this itself: it may go wherever the
    /// `Arc` may, into a struct, a goroutine.
    ///
    /// ```
    /// use gosched::{Mode, future::go_future, run, sync::Notify};
    /// use std::sync::Arc;
    ///
    /// run(Mode::threads(), || {
    ///     let notify = Arc::new(Notify::new());
    ///     let waits = go_future(notify.notified_owned());
    ///     // It counts for the future from when that was made.
    ///     notify.notify_waiters();
    ///     waits.join().unwrap();
    /// });
    /// ```
    #[inline]
    pub fn notified_owned(self: &Arc<Self>) -> impl Future<Output = ()> + Send + 'static + use<> {
        let (notify, made) = (self.clone(), self.raw.round());
        async move { Notified { notify: &notify, made, node: PolledNode::new(None) }.await }
    }
}

/// The future of [`Notify::notified`].
#[must_use = "a future does nothing unless it is polled"]
pub struct Notified<'a> {
    notify: &'a Notify,
    /// A `notify_waiters` counts if it came after the future was made.
    made: Round,
    node: PolledNode<Round, Target>,
}

impl Future for Notified<'_> {
    type Output = ();

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.as_ref().get_ref();
        ready!(poll_turn(cx));
        // SAFETY: pinned; `drop` leaves.
        if unsafe { this.notify.raw.poll(&this.node, this.made, cx.waker().clone()) } {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }
}

impl Drop for Notified<'_> {
    #[inline]
    fn drop(&mut self) {
        self.notify.raw.leave(&self.node);
    }
}

impl Default for Notify {
    #[inline]
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Notify {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Notify { .. }")
    }
}

impl fmt::Debug for Notified<'_> {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Notified { .. }")
    }
}

impl fmt::Display for NotifyTimeoutError {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("timed out waiting to be notified")
    }
}

impl std::error::Error for NotifyTimeoutError {}
