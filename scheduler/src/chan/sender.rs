//! The sending end.

use gosched_runtime_sys::sync::primitive::Arc;
use std::fmt;
use std::time::{Duration, Instant};

use super::ChannelRef;
use super::error::{SendError, SendTimeoutError, TrySendError};
use super::future::SendFuture;
use super::place::in_place;
use crate::proc::park::Parking;
use crate::proc::yield_now::{give_turn, preempt_point_of};

/// The sending end of a channel. Clones send into the same channel; when the last is dropped, the
/// channel is disconnected: receivers take what is left and then get an error.
#[doc(alias("mpsc", "mpmc", "SyncSender", "UnboundedSender", "chan<-"))]
pub struct Sender<T> {
    pub(super) channel: ChannelRef<T>,
}

// A value is in the channel or it is not, whatever unwinds.
impl<T> std::panic::UnwindSafe for Sender<T> {}
impl<T> std::panic::RefUnwindSafe for Sender<T> {}

impl<T> Sender<T> {
    /// The one sender that a new channel counts.
    pub(super) fn of(channel: ChannelRef<T>) -> Self {
        Self { channel }
    }

    /// Sends `value`, waiting until there is room for it; in a channel without a buffer, until a
    /// receiver takes it.
    ///
    /// Senders that wait are served in the order of their arrival. A goroutine that waits parks and
    /// leaves its processor to others; a thread that is none sleeps. Sending into a channel with
    /// room never waits.
    ///
    /// # Errors
    ///
    /// [`SendError`] gives the value back if all receivers are gone, or go while this waits, or if
    /// the channel is [closed](Self::close). `Ok` does not promise that the value is received: from
    /// the buffer, nobody may take it.
    ///
    /// # Panics
    ///
    /// Unwinds with `Cancelled` if the calling goroutine is cancelled while it would have to wait.
    /// The value was not sent then, and is dropped.
    ///
    /// # Examples
    ///
    /// ```
    /// use gosched::chan::{self, SendError};
    ///
    /// let (tx, rx) = chan::bounded(0);
    /// let receiver = std::thread::spawn(move || rx.recv());
    /// tx.send("hello").expect("the receiver waits for one value");
    /// assert_eq!(receiver.join().expect("no panic"), Ok("hello"));
    /// assert_eq!(tx.send("anybody?"), Err(SendError("anybody?")));
    /// ```
    #[cfg_attr(not(debug_assertions), inline(always))]
    pub fn send(&self, value: T) -> Result<(), SendError<T>> {
        in_place!(T, value, |place| self.channel.send_in_place(place))
    }

    /// Sends `value` if that is possible without waiting: there is room, or a receiver waits.
    ///
    /// The answer is exact for the moment of the call. A future that receives counts as waiting
    /// only where there is a buffer: nothing is handed into a future, it comes and takes. Where it
    /// fails, a goroutine whose slice is over gives its turn.
    ///
    /// # Errors
    ///
    /// [`TrySendError`] gives the value back, and says whether there was no room or all receivers
    /// are gone.
    ///
    /// # Examples
    ///
    /// ```
    /// use gosched::chan::{self, TrySendError};
    ///
    /// let (tx, rx) = chan::bounded(1);
    /// assert_eq!(tx.try_send(1), Ok(()));
    /// assert_eq!(tx.try_send(2), Err(TrySendError::Full(2)));
    /// drop(rx);
    /// assert_eq!(tx.try_send(3), Err(TrySendError::Disconnected(3)));
    /// ```
    pub fn try_send(&self, value: T) -> Result<(), TrySendError<T>> {
        in_place!(T, value, |place| self.channel.try_send_from(place, give_turn))
    }

    /// As [`send`](Self::send), waiting at longest for `timeout`. Zero makes one attempt; a timeout
    /// too long for the clock waits for as long as it takes.
    ///
    /// # Errors
    ///
    /// [`SendTimeoutError`] gives the value back, and says whether the time was over or all
    /// receivers are gone.
    ///
    /// # Panics
    ///
    /// As [`send`](Self::send).
    ///
    /// # Examples
    ///
    /// ```
    /// use gosched::chan::{self, SendTimeoutError};
    /// use std::time::Duration;
    ///
    /// let (tx, _rx) = chan::bounded(1);
    /// assert_eq!(tx.send_timeout(1, Duration::ZERO), Ok(()));
    /// assert_eq!(tx.send_timeout(2, Duration::from_millis(1)), Err(SendTimeoutError::Timeout(2)));
    /// ```
    pub fn send_timeout(&self, value: T, timeout: Duration) -> Result<(), SendTimeoutError<T>> {
        preempt_point_of(|| self.channel.capacity().is_some());
        let deadline = Instant::now().checked_add(timeout);
        in_place!(T, value, |place| self.channel.send_from(place, deadline, Parking::begin))
    }

    /// As [`send`](Self::send), waiting at longest until `deadline`. One that has passed makes one
    /// attempt.
    ///
    /// # Errors
    ///
    /// As [`send_timeout`](Self::send_timeout).
    ///
    /// # Panics
    ///
    /// As [`send`](Self::send).
    pub fn send_deadline(&self, value: T, deadline: Instant) -> Result<(), SendTimeoutError<T>> {
        preempt_point_of(|| self.channel.capacity().is_some());
        let deadline = Some(deadline);
        in_place!(T, value, |place| self.channel.send_from(place, deadline, Parking::begin))
    }

    /// As [`send`](Self::send), for an async task: a future that is ready when the value is sent.
    ///
    /// Its place among the senders that wait is that of its first poll. It may be dropped at any
    /// time: the value is then dropped with it, unless it was sent.
    ///
    /// # Examples
    ///
    /// ```
    /// use gosched::chan;
    /// use std::task::{Context, Poll, Waker};
    ///
    /// let (tx, rx) = chan::bounded(0);
    /// let mut send = Box::pin(tx.send_async(5));
    /// let mut context = Context::from_waker(Waker::noop());
    /// assert!(send.as_mut().poll(&mut context).is_pending());
    /// assert_eq!(rx.recv(), Ok(5));
    /// assert_eq!(send.as_mut().poll(&mut context), Poll::Ready(Ok(())));
    /// ```
    pub fn send_async(&self, value: T) -> SendFuture<'_, T> {
        SendFuture::new(&self.channel, value)
    }

    /// Whether `other` sends into the same channel.
    pub fn same_channel(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.channel, &other.channel)
    }

    /// How many values the buffer holds.
    pub fn len(&self) -> usize {
        self.channel.len()
    }

    /// Whether the buffer holds nothing; always so for a channel without one.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the buffer has no room; always so for a channel without one.
    pub fn is_full(&self) -> bool {
        self.capacity() == Some(self.len())
    }

    /// How many values the buffer can hold; `None` if it has no bound.
    pub fn capacity(&self) -> Option<usize> {
        self.channel.capacity()
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        // The `Arc` first: it is what aborts on too many clones, so the count beside it cannot
        // overflow.
        let channel = Arc::clone(&self.channel);
        channel.add_sender();
        Self { channel }
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        self.channel.remove_sender();
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sender { .. }")
    }
}
