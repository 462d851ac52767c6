//! A period, with a channel that the clock sends into.

use std::fmt;
use std::time::{Duration, Instant};

use crate::chan::Receiver;
use crate::chan::timed::clocked;

/// A channel into which the clock sends once in each period: the moment at which that was due. As
/// [`tick`](crate::chan::tick), and it can be stopped, and set to another period.
///
/// It holds one value at a time: a receiver that is too slow for the period misses ticks, and does
/// not get them later. The moments are whole periods after the beginning, or after the last
/// [`reset`](Self::reset), however late they are received.
///
/// Clones of the channel belong to the ticker as well. They stay usable when the ticker is dropped,
/// and the ticker is then as it was set last.
///
/// ```
/// use gosched::time::Ticker;
/// use std::time::Duration;
///
/// let ticker = Ticker::new(Duration::from_millis(2));
/// let (first, second) = (ticker.wait(), ticker.wait());
/// assert!(second >= first + Duration::from_millis(2));
/// ticker.stop();
/// assert!(ticker.channel().try_recv().is_err());
/// ```
///
/// In a [`select!`](crate::select!) stands its channel. A time limit for the whole loop is made
/// before it: a `default(..)` would begin anew with each tick.
///
/// ```
/// use gosched::{chan, select, time::Ticker};
/// use std::time::Duration;
///
/// let (_stop_tx, stop) = chan::bounded::<()>(0);
/// let ticker = Ticker::new(Duration::from_millis(2));
/// let limit = chan::after(Duration::from_millis(20));
/// let mut ticks = 0;
/// loop {
///     select! {
///         recv(ticker.channel()) -> _due => ticks += 1,
///         recv(stop) -> _message_or_disconnected => break,
///         recv(limit) -> _due => break,
///     }
/// }
/// assert!(ticks <= 10);
/// ```
#[doc(alias("interval", "NewTicker", "Tick"))]
pub struct Ticker {
    channel: Receiver<Instant>,
}

impl Ticker {
    /// Returns a ticker whose first tick is due when a period has passed. With a period of zero
    /// there is always a tick. With one that the clock cannot reach there never is.
    #[must_use]
    #[inline]
    pub fn new(period: Duration) -> Self {
        Self { channel: clocked(Instant::now().checked_add(period), Some(period)) }
    }

    /// Returns the channel, for a select, an iteration, or another waiter.
    #[must_use]
    #[inline]
    pub fn channel(&self) -> &Receiver<Instant> {
        &self.channel
    }

    /// Waits for the next tick, and receives the moment at which it was due. Waits for ever while
    /// the ticker is stopped.
    ///
    /// # Panics
    ///
    /// Unwinds with [`Cancelled`](crate::Cancelled) if the calling goroutine is cancelled while it
    /// waits.
    #[inline]
    pub fn wait(&self) -> Instant {
        self.channel.recv().expect("the clock does not go away")
    }

    /// As [`wait`](Self::wait), for an async task. The future may be dropped at any time: the tick
    /// is the next one's.
    ///
    /// ```
    /// use gosched::{future::block_on, time::Ticker};
    /// use std::time::Duration;
    ///
    /// let ticker = Ticker::new(Duration::from_millis(2));
    /// let (first, second) = block_on(async { (ticker.wait_async().await, ticker.wait()) });
    /// assert!(second >= first + Duration::from_millis(2));
    /// ```
    pub async fn wait_async(&self) -> Instant {
        self.channel.recv_async().await.expect("the clock does not go away")
    }

    /// The ticks as a stream, without an end. As [`Receiver::stream`], of the feature
    /// `futures-core`.
    ///
    /// ```
    /// use futures_lite::StreamExt;
    /// use gosched::{future::block_on, time::Ticker};
    /// use std::time::Duration;
    ///
    /// let ticker = Ticker::new(Duration::from_millis(2));
    /// assert_eq!(block_on(ticker.stream().take(3).count()), 3);
    /// ```
    #[cfg(feature = "futures-core")]
    pub fn stream(&self) -> crate::chan::RecvStream<'_, Instant> {
        self.channel.stream()
    }

    /// As [`stream`](Self::stream), with the ticker in it.
    #[cfg(feature = "futures-core")]
    pub fn into_stream(self) -> crate::chan::IntoStream<Instant> {
        self.channel.into_stream()
    }

    /// Stops the ticker: no tick is received after this, until it is [`reset`](Self::reset). The
    /// channel is not disconnected.
    #[inline]
    pub fn stop(&self) {
        let _it_was_set = self.channel.set_clock(None, None);
    }

    /// Begins anew with this period. The next tick is due when one period has passed from now. A
    /// tick that was not received is gone.
    #[inline]
    pub fn reset(&self, period: Duration) {
        let _it_was_set = self.channel.set_clock(Instant::now().checked_add(period), Some(period));
    }
}

impl fmt::Debug for Ticker {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ticker").finish_non_exhaustive()
    }
}
