//! A moment that can be waited for in a select, put off and given up.

use std::fmt;
use std::time::{Duration, Instant};

use crate::chan::Receiver;
use crate::chan::timed::clocked;

/// A channel into which the clock sends once: the moment at which that was due. It can be stopped,
/// and set again.
///
/// A moment that was set before a [`stop`](Self::stop) or a [`reset`](Self::reset) is received
/// before that call or never. Nothing has to be drained.
///
/// Clones of the channel belong to the timer as well. They stay usable when the timer is dropped,
/// and the timer is then as it was set last.
///
/// ```
/// use gosched::{chan, select, time::Timer};
/// use std::time::Duration;
///
/// let (tx, work) = chan::bounded(4);
/// (0..4).for_each(|n| tx.send(n).unwrap());
/// let idle = Timer::new(Duration::from_millis(5));
/// let mut done = 0;
/// loop {
///     select! {
///         recv(work) -> _job => {
///             done += 1;
///             idle.reset(Duration::from_millis(5));
///         }
///         recv(idle.channel()) -> _due => break,
///     }
/// }
/// assert_eq!(done, 4);
/// ```
#[doc(alias("NewTimer", "delay"))]
pub struct Timer {
    channel: Receiver<Instant>,
}

impl Timer {
    /// Returns a timer that is due when `duration` has passed: at once if that is zero, never if
    /// the clock cannot reach it.
    #[must_use]
    #[inline]
    pub fn new(duration: Duration) -> Self {
        Self { channel: clocked(Instant::now().checked_add(duration), None) }
    }

    /// Returns a timer that is due at `moment`: at once, if that has passed.
    #[must_use]
    #[inline]
    pub fn at(moment: Instant) -> Self {
        Self { channel: clocked(Some(moment), None) }
    }

    /// Returns a timer that is stopped.
    #[must_use]
    #[inline]
    pub fn stopped() -> Self {
        Self { channel: clocked(None, None) }
    }

    /// Returns the channel, for a select or for another waiter.
    #[must_use]
    #[inline]
    pub fn channel(&self) -> &Receiver<Instant> {
        &self.channel
    }

    /// Waits until the timer is due, and receives that moment. If the timer is stopped, or its
    /// moment was received elsewhere, this waits until the timer is set again and due.
    ///
    /// # Panics
    ///
    /// Unwinds with [`Cancelled`](crate::Cancelled) if the calling goroutine is cancelled while it
    /// waits.
    #[inline]
    pub fn wait(&self) -> Instant {
        self.channel.recv().expect("the clock does not go away")
    }

    /// As [`wait`](Self::wait), for an async task. The future may be dropped at any time: the
    /// moment is the next one's.
    pub async fn wait_async(&self) -> Instant {
        self.channel.recv_async().await.expect("the clock does not go away")
    }

    /// Stops the timer. True: it was set, and its moment was not received, and never is. False: its
    /// moment was received, the timer was stopped, or it was set to a moment that the clock cannot
    /// reach.
    #[inline]
    pub fn stop(&self) -> bool {
        self.channel.set_clock(None, None)
    }

    /// Sets the timer anew, due when `duration` has passed from now. Returns what
    /// [`stop`](Self::stop) would have returned.
    #[inline]
    pub fn reset(&self, duration: Duration) -> bool {
        self.channel.set_clock(Instant::now().checked_add(duration), None)
    }

    /// Sets the timer anew, due at `moment`. Returns what [`stop`](Self::stop) would have returned.
    #[inline]
    pub fn reset_at(&self, moment: Instant) -> bool {
        self.channel.set_clock(Some(moment), None)
    }
}

impl fmt::Debug for Timer {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Timer").finish_non_exhaustive()
    }
}
