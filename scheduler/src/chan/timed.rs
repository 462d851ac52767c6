//! Channels that the clock sends into, and one that nobody does.

use std::time::{Duration, Instant};

use gosched_runtime_sys::sync::primitive::Arc;

use super::Receiver;
use super::clock::Clock;
use super::raw::Channel;

/// A channel from which one value comes when `duration` has passed: the moment at which it was due.
/// It is never disconnected.
///
/// [`Duration::ZERO`] is over at once; a duration that the clock cannot reach never is. The channel
/// costs what any small allocation does; dropped early it leaves nothing behind. Where it is only
/// to bound a wait, a deadline does without it: [`Receiver::recv_timeout`], `default(..)` in
/// [`select!`](crate::select!).
///
/// ```
/// use gosched::{chan, select};
/// use std::time::Duration;
///
/// let (_tx, words) = chan::bounded::<&str>(1);
/// let late = chan::after(Duration::from_millis(1));
/// select! {
///     recv(words) -> word => unreachable!("{word:?}"),
///     recv(late) -> due => assert!(due.unwrap().elapsed() < Duration::from_secs(3600)),
/// }
/// ```
#[doc(alias("After", "delay"))]
#[must_use]
#[inline]
pub fn after(duration: Duration) -> Receiver<Instant> {
    clocked(Instant::now().checked_add(duration), None)
}

/// A channel from which one value comes at `moment`, which it is. As [`after`].
#[must_use]
#[inline]
pub fn at(moment: Instant) -> Receiver<Instant> {
    clocked(Some(moment), None)
}

/// A channel from which a value comes once in each period, for the first time when one has passed:
/// the moment at which it was due. It is never disconnected.
///
/// It holds one value at a time. Who receives too slowly for the period misses those between, and
/// the next one comes when it would have come in any case: values are due at whole periods from the
/// beginning. With [`Duration::ZERO`], as with any period shorter than it takes to receive, a value
/// is always there.
///
/// ```
/// use gosched::chan;
/// use std::time::{Duration, Instant};
///
/// let (began, period) = (Instant::now(), Duration::from_millis(2));
/// let ticks: Vec<_> = chan::tick(period).iter().take(3).collect();
/// assert!(ticks[0] >= began + period && ticks[2] >= ticks[1] + period);
/// ```
#[doc(alias("Tick", "interval"))]
#[must_use]
#[inline]
pub fn tick(period: Duration) -> Receiver<Instant> {
    clocked(Instant::now().checked_add(period), Some(period))
}

/// A channel from which nothing ever comes, and which is never disconnected: for a case of a select
/// that is not wanted now.
///
/// ```
/// use gosched::chan::{self, TryRecvError};
///
/// assert_eq!(chan::never::<u32>().try_recv(), Err(TryRecvError::Empty));
/// ```
#[must_use]
pub fn never<T>() -> Receiver<T> {
    // It counts a sender that nobody has.
    Receiver::of(Arc::new(Channel::new(Some(0))))
}

/// A channel with the first value at `next`, then one in each period.
#[inline]
pub(crate) fn clocked(next: Option<Instant>, period: Option<Duration>) -> Receiver<Instant> {
    Receiver::of(Arc::new(Channel::of_clock(Clock::new(next, period, |due| due))))
}
