//! A count of parties that are not done, and waiting for zero.
//!
//! # Safety
//!
//! A future's node is pinned when it is polled, and leaves the group when it is dropped.

#![expect(unsafe_code, reason = "polls with the node of a pinned future")]

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use crate::go::go;
use crate::join::JoinHandle;
use crate::proc::park::Parking;
use crate::proc::target::Target;
use crate::proc::yield_now::{poll_turn, preempt_point};
use crate::sync::raw::mutex::TimedOut;
use crate::sync::raw::wait_group::{RawWaitGroup, TooOften};
use crate::wait::polled::PolledNode;

/// A count of parties that are not done, and a way to wait until it is zero: Go's `sync.WaitGroup`.
/// Clones count together.
///
/// [`add`](Self::add) counts up, before the counted party begins; [`done`](Self::done) counts down.
/// [`go`](Self::go) does both for a goroutine, also if it panics. Where the results of goroutines
/// are wanted, use [`scope`](crate::scope()).
///
/// ```
/// use gosched::sync::WaitGroup;
///
/// let group = WaitGroup::new();
/// for _ in 0..3 {
///     group.add(1);
///     let group = group.clone();
///     std::thread::spawn(move || group.done());
/// }
/// group.wait();
/// ```
#[doc(alias("errgroup", "CountDownLatch", "latch"))]
#[derive(Clone)]
pub struct WaitGroup(Arc<RawWaitGroup<Target>>);

// It holds a number and who waits, and nothing of the user's.
impl std::panic::UnwindSafe for WaitGroup {}
impl std::panic::RefUnwindSafe for WaitGroup {}

/// The error of a wait whose group was not done in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WaitGroupTimeoutError;

/// Counts down when it is dropped, also if the counted goroutine unwinds.
struct Member(WaitGroup);

impl Drop for Member {
    #[inline]
    fn drop(&mut self) {
        self.0.done();
    }
}

impl WaitGroup {
    /// Returns a group with a count of zero.
    #[inline]
    pub fn new() -> Self {
        Self(Arc::new(RawWaitGroup::new()))
    }

    /// Counts `n` more.
    #[inline]
    pub fn add(&self, n: usize) {
        self.0.add(n);
    }

    /// Counts one down. The last one wakes the waiters.
    ///
    /// # Panics
    ///
    /// If it was called more often than was added.
    #[inline]
    pub fn done(&self) {
        if let Err(TooOften) = self.0.done() {
            panic!("a wait group was done more often than it was added to");
        }
    }

    /// Makes a goroutine that is counted until it has ended.
    ///
    /// # Panics
    ///
    /// As [`go`](crate::go()).
    #[doc(alias = "spawn")]
    #[track_caller]
    pub fn go<T: Send + 'static>(&self, f: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
        self.add(1);
        let member = Member(self.clone());
        go(move || {
            let _member = member;
            f()
        })
    }

    /// Returns the count.
    #[inline]
    pub fn count(&self) -> usize {
        self.0.count()
    }

    /// Waits until the count is zero.
    ///
    /// # Panics
    ///
    /// Unwinds with `Cancelled` if the calling goroutine is cancelled while it would have to wait.
    #[inline]
    pub fn wait(&self) {
        // Without a deadline it is zero in the end.
        let _done = self.wait_until(None);
    }

    /// Waits until the count is zero, at longest for `timeout`.
    ///
    /// # Errors
    ///
    /// If the time was over first.
    ///
    /// # Panics
    ///
    /// As [`wait`](Self::wait).
    #[inline]
    pub fn wait_timeout(&self, timeout: Duration) -> Result<(), WaitGroupTimeoutError> {
        self.wait_until(Instant::now().checked_add(timeout))
    }

    /// Waits until the count is zero, at longest until `deadline`.
    ///
    /// # Errors
    ///
    /// If the time was over first.
    ///
    /// # Panics
    ///
    /// As [`wait`](Self::wait).
    #[inline]
    pub fn wait_deadline(&self, deadline: Instant) -> Result<(), WaitGroupTimeoutError> {
        self.wait_until(Some(deadline))
    }

    #[inline]
    fn wait_until(&self, deadline: Option<Instant>) -> Result<(), WaitGroupTimeoutError> {
        preempt_point();
        self.0.wait(deadline, Parking::begin).map_err(|TimedOut| WaitGroupTimeoutError)
    }

    /// Waits until the count is zero, for an async task: returns a future that is ready then. It
    /// may be dropped at any time.
    ///
    /// ```
    /// use gosched::future::block_on;
    /// use gosched::sync::WaitGroup;
    ///
    /// let group = WaitGroup::new();
    /// group.add(1);
    /// let theirs = group.clone();
    /// std::thread::spawn(move || theirs.done());
    /// block_on(group.wait_async());
    /// assert_eq!(group.count(), 0);
    /// ```
    #[inline]
    pub fn wait_async(&self) -> WaitGroupFuture<'_> {
        WaitGroupFuture { group: self, node: PolledNode::new(None) }
    }
}

/// The future of [`WaitGroup::wait_async`].
#[must_use = "a future does nothing unless it is polled"]
pub struct WaitGroupFuture<'a> {
    group: &'a WaitGroup,
    node: PolledNode<(), Target>,
}

impl Future for WaitGroupFuture<'_> {
    type Output = ();

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.as_ref().get_ref();
        ready!(poll_turn(cx));
        // SAFETY: pinned; `drop` leaves.
        if unsafe { this.group.0.poll(&this.node, cx.waker().clone()) } {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }
}

impl Drop for WaitGroupFuture<'_> {
    #[inline]
    fn drop(&mut self) {
        self.group.0.leave(&self.node);
    }
}

impl Default for WaitGroup {
    #[inline]
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for WaitGroup {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WaitGroup").field("count", &self.count()).finish()
    }
}

impl fmt::Debug for WaitGroupFuture<'_> {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WaitGroupFuture { .. }")
    }
}

impl fmt::Display for WaitGroupTimeoutError {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("timed out waiting for a wait group")
    }
}

impl std::error::Error for WaitGroupTimeoutError {}
