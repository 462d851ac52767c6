//! Sleeping, and time limits, for futures.
//!
//! Both have the alarm of a future that waits for a clock's channel (`wait::alarm`): a thread of
//! the process calls the waker in time. So any executor may poll them, and no runtime is needed.
//!
//! Rejected: to build them on a clock's channel, as [`Timer`](super::Timer) has one. A sleep is
//! nobody else's, and would pay for a channel's memory and lock.
//!
//! # Safety
//!
//! The limited future is pinned with the future that limits it: it is polled and dropped where it
//! lies, and nothing moves it out.

#![expect(unsafe_code, reason = "polls a future inside a pinned one")]

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use super::timeout::Elapsed;
use crate::proc::yield_now::poll_turn;
use crate::wait::alarm::FutureAlarm;

/// As [`sleep`](super::sleep), for an async task: a future that is ready when `duration` has passed
/// since this call. It may be dropped at any time.
///
/// It may be polled anywhere: by [`block_on`](crate::future::block_on) on a goroutine or a thread,
/// or by another executor, such as tokio's. [`Duration::ZERO`] is ready at the first poll; a
/// duration that the clock cannot reach never is.
///
/// ```
/// use gosched::{future::block_on, time};
/// use std::time::{Duration, Instant};
///
/// let began = Instant::now();
/// block_on(time::sleep_async(Duration::from_millis(5)));
/// assert!(began.elapsed() >= Duration::from_millis(5));
/// ```
#[doc(alias("delay", "Timer"))]
#[inline]
pub fn sleep_async(duration: Duration) -> SleepFuture {
    SleepFuture::until(Instant::now().checked_add(duration))
}

/// As [`sleep_until`](super::sleep_until), for an async task: a future that is ready at `deadline`,
/// at the first poll if that has passed. As [`sleep_async`].
#[inline]
pub fn sleep_until_async(deadline: Instant) -> SleepFuture {
    SleepFuture::until(Some(deadline))
}

/// As [`timeout`](super::timeout()), for an async task: a future that is ready when `future` is, or
/// with [`Elapsed`] when `duration` has passed since this call.
///
/// `future` is polled first: what is ready in time is never lost, and one that is ready late, at
/// the poll in which the time is over, is still `Ok`. Otherwise `future` is dropped where it is, in
/// the poll that returns `Elapsed`: it has then left whatever it waited for. With
/// [`Duration::ZERO`] it is polled once. A duration that the clock cannot reach is no limit.
///
/// It may be dropped at any time, if `future` may, and be polled anywhere, as [`sleep_async`]. A
/// `future` that does not return from its poll is not ended. To limit what a goroutine does in the
/// blocking style, use [`timeout`](super::timeout()).
///
/// # Panics
///
/// As `future` does, in its polls, and in its drop if the time is over.
///
/// ```
/// use gosched::{chan, future::block_on, time};
/// use std::time::Duration;
///
/// let (tx, rx) = chan::bounded(1);
/// block_on(async {
///     let limited = time::timeout_async(Duration::from_millis(5), rx.recv_async());
///     assert_eq!(limited.await, Err(time::Elapsed));
///     tx.send_async("in time").await.unwrap();
///     let limited = time::timeout_async(Duration::from_secs(60), rx.recv_async());
///     assert_eq!(limited.await, Ok(Ok("in time")));
/// });
/// ```
#[doc(alias("WithTimeout", "time limit"))]
pub fn timeout_async<F: IntoFuture>(duration: Duration, future: F) -> TimeoutFuture<F::IntoFuture> {
    TimeoutFuture::new(sleep_async(duration), future.into_future())
}

/// Limits `future` as [`timeout_async`] does, until `deadline`.
///
/// # Panics
///
/// As [`timeout_async`].
#[doc(alias("WithDeadline", "deadline"))]
pub fn timeout_at_async<F: IntoFuture>(
    deadline: Instant,
    future: F,
) -> TimeoutFuture<F::IntoFuture> {
    TimeoutFuture::new(sleep_until_async(deadline), future.into_future())
}

/// The future of [`sleep_async`].
#[must_use = "a future does nothing unless it is polled"]
pub struct SleepFuture {
    /// None: never.
    deadline: Option<Instant>,
    alarm: FutureAlarm,
}

impl SleepFuture {
    #[inline]
    fn until(deadline: Option<Instant>) -> Self {
        Self { deadline, alarm: FutureAlarm::new() }
    }

    /// Ready if the time is over. If not, the waker is called in time.
    #[inline]
    fn poll_over(&self, cx: &Context<'_>) -> Poll<()> {
        match self.deadline {
            Some(deadline) if deadline <= Instant::now() => Poll::Ready(()),
            Some(deadline) => {
                self.alarm.set(deadline, cx);
                Poll::Pending
            }
            None => Poll::Pending,
        }
    }
}

impl Future for SleepFuture {
    type Output = ();

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        ready!(poll_turn(cx));
        self.poll_over(cx)
    }
}

/// The future of [`timeout_async`].
#[must_use = "a future does nothing unless it is polled"]
pub struct TimeoutFuture<F> {
    /// Pinned with `self`. None: the time was over.
    limited: Option<F>,
    limit: SleepFuture,
}

impl<F> TimeoutFuture<F> {
    fn new(limit: SleepFuture, future: F) -> Self {
        Self { limited: Some(future), limit }
    }
}

impl<F: Future> Future for TimeoutFuture<F> {
    type Output = Result<F::Output, Elapsed>;

    /// # Panics
    ///
    /// If it is polled after it has returned [`Elapsed`]. And as the limited future.
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // SAFETY: nothing is moved out: `limited` is used pinned only, and `limit` may be moved.
        let this = unsafe { self.get_unchecked_mut() };
        // SAFETY: it is pinned with `self`.
        let mut limited = unsafe { Pin::new_unchecked(&mut this.limited) };
        let future = limited.as_mut().as_pin_mut();
        let future = future.expect("a future whose time was over is not polled again");
        if let Poll::Ready(output) = future.poll(cx) {
            return Poll::Ready(Ok(output));
        }
        // Without a turn of its own: the limited future has had one.
        ready!(this.limit.poll_over(cx));
        limited.set(None);
        Poll::Ready(Err(Elapsed))
    }
}

impl fmt::Debug for SleepFuture {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SleepFuture").field("deadline", &self.deadline).finish_non_exhaustive()
    }
}

impl<F> fmt::Debug for TimeoutFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TimeoutFuture").field("limit", &self.limit).finish_non_exhaustive()
    }
}
