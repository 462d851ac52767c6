//! The receiving end, and the iterators over it.

use gosched_runtime_sys::sync::primitive::Arc;
use std::fmt;
use std::iter::FusedIterator;
use std::time::{Duration, Instant};

use super::ChannelRef;
use super::error::{RecvError, RecvTimeoutError, TryRecvError};
use super::future::{OfChannel, RecvFuture};
use super::raw::Channel;
use crate::proc::park::Parking;
use crate::proc::target::Target;
use crate::proc::yield_now::{give_turn, preempt_point};

/// The receiving end of a channel. Clones receive from the same channel, each value goes to one of
/// them; when the last is dropped, the channel is disconnected: senders get their values back, what
/// is in the buffer is dropped.
#[doc(alias("mpsc", "mpmc", "UnboundedReceiver", "<-chan"))]
pub struct Receiver<T> {
    pub(super) channel: ChannelRef<T>,
}

// A value is in the channel or it is not, whatever unwinds.
impl<T> std::panic::UnwindSafe for Receiver<T> {}
impl<T> std::panic::RefUnwindSafe for Receiver<T> {}

impl<T> Receiver<T> {
    /// The one receiver that a new channel counts.
    pub(super) fn of(channel: ChannelRef<T>) -> Self {
        Self { channel }
    }

    /// Takes the oldest value, waiting until there is one.
    ///
    /// Receivers that wait are served in the order of their arrival. A goroutine that waits parks
    /// and leaves its processor to others; a thread that is none sleeps. Receiving what is there
    /// never waits.
    ///
    /// # Errors
    ///
    /// [`RecvError`] if nothing is left and all senders are gone, or go while this waits, or if the
    /// channel is [closed](Self::close).
    ///
    /// # Panics
    ///
    /// Unwinds with `Cancelled` if the calling goroutine is cancelled while it would have to wait.
    /// No value is lost: one that was already handed over is returned, and the cancel is raised by
    /// the next wait.
    ///
    /// # Examples
    ///
    /// ```
    /// use gosched::chan::{self, RecvError};
    ///
    /// let (tx, rx) = chan::bounded(1);
    /// let sender = std::thread::spawn(move || tx.send("hello"));
    /// sender.join().expect("no panic").expect("the receiver is there");
    /// assert_eq!(rx.recv(), Ok("hello"));
    /// assert_eq!(rx.recv(), Err(RecvError));
    /// ```
    #[cfg_attr(not(debug_assertions), inline(always))]
    pub fn recv(&self) -> Result<T, RecvError> {
        self.channel.recv()
    }

    /// Takes the oldest value if there is one: in the buffer, or with a sender that waits.
    ///
    /// The answer is exact for the moment of the call. Where it fails, a goroutine whose slice is
    /// over gives its turn, so that who sends gets one.
    ///
    /// # Errors
    ///
    /// [`TryRecvError`] says whether nothing was there, or nothing will come any more.
    ///
    /// # Examples
    ///
    /// ```
    /// use gosched::chan::{self, TryRecvError};
    ///
    /// let (tx, rx) = chan::bounded(1);
    /// assert_eq!(rx.try_recv(), Err(TryRecvError::Empty));
    /// tx.send(5).expect("the receiver is there");
    /// drop(tx);
    /// assert_eq!(rx.try_recv(), Ok(5));
    /// assert_eq!(rx.try_recv(), Err(TryRecvError::Disconnected));
    /// ```
    pub fn try_recv(&self) -> Result<T, TryRecvError> {
        self.channel.try_recv(give_turn)
    }

    /// As [`recv`](Self::recv), waiting at longest for `timeout`. Zero makes one attempt; a timeout
    /// too long for the clock waits for as long as it takes.
    ///
    /// # Errors
    ///
    /// [`RecvTimeoutError`] says whether the time was over, or nothing will come any more.
    ///
    /// # Panics
    ///
    /// As [`recv`](Self::recv).
    ///
    /// # Examples
    ///
    /// ```
    /// use gosched::chan::{self, RecvTimeoutError};
    /// use std::time::Duration;
    ///
    /// let (tx, rx) = chan::bounded::<u32>(0);
    /// assert_eq!(rx.recv_timeout(Duration::from_millis(1)), Err(RecvTimeoutError::Timeout));
    /// drop(tx);
    /// assert_eq!(rx.recv_timeout(Duration::from_millis(1)), Err(RecvTimeoutError::Disconnected));
    /// ```
    pub fn recv_timeout(&self, timeout: Duration) -> Result<T, RecvTimeoutError> {
        preempt_point();
        self.channel.recv_until(Instant::now().checked_add(timeout), Parking::begin)
    }

    /// As [`recv`](Self::recv), waiting at longest until `deadline`. One that has passed makes one
    /// attempt.
    ///
    /// # Errors
    ///
    /// As [`recv_timeout`](Self::recv_timeout).
    ///
    /// # Panics
    ///
    /// As [`recv`](Self::recv).
    pub fn recv_deadline(&self, deadline: Instant) -> Result<T, RecvTimeoutError> {
        preempt_point();
        self.channel.recv_until(Some(deadline), Parking::begin)
    }

    /// As [`recv`](Self::recv), for an async task: a future that is ready with a value, or when
    /// nothing will come.
    ///
    /// Nothing is handed into it: it is woken when there is a value, and takes it when it is
    /// polled, if nobody was faster; goroutines and threads that wait come first. If it has waited
    /// for a millisecond, receivers that come later keep back, so that it has the next value. They
    /// do so until it is polled, at longest for a millisecond, and for twice as long the next time
    /// if that was not enough; when it was woken, for 64 ms at most.
    ///
    /// So it may be dropped at any time: nothing is lost, and if it was woken, the next one is. One
    /// that is kept and not polled, or is forgotten ([`std::mem::forget`]) after it was woken,
    /// keeps that wake-up from other futures, and a value from nobody for longer than that.
    ///
    /// # Examples
    ///
    /// ```
    /// use gosched::chan;
    /// use std::task::{Context, Poll, Waker};
    ///
    /// let (tx, rx) = chan::bounded(1);
    /// let mut recv = Box::pin(rx.recv_async());
    /// let mut context = Context::from_waker(Waker::noop());
    /// assert!(recv.as_mut().poll(&mut context).is_pending());
    /// tx.send(5).expect("there is room");
    /// assert_eq!(recv.as_mut().poll(&mut context), Poll::Ready(Ok(5)));
    /// ```
    pub fn recv_async(&self) -> RecvFuture<'_, T> {
        RecvFuture::new(&self.channel)
    }

    /// Whether `other` receives from the same channel.
    pub fn same_channel(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.channel, &other.channel)
    }

    /// Values as they come; waits like [`recv`](Self::recv), ends when the channel is disconnected
    /// and empty.
    ///
    /// # Panics
    ///
    /// Its `next` unwinds like [`recv`](Self::recv) when the calling goroutine is cancelled.
    pub fn iter(&self) -> Iter<'_, T> {
        Iter { receiver: self }
    }

    /// The values that are there; ends, without waiting, at the first look that finds none.
    ///
    /// # Examples
    ///
    /// ```
    /// let (tx, rx) = gosched::chan::unbounded();
    /// tx.send(1).expect("the receiver is there");
    /// tx.send(2).expect("the receiver is there");
    /// assert_eq!(rx.try_iter().collect::<Vec<_>>(), [1, 2]);
    /// ```
    pub fn try_iter(&self) -> TryIter<'_, T> {
        TryIter { receiver: self }
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

impl<T> Receiver<T> {
    /// Sets the channel's clock, see [`clock`](super::clock). True: a value would have come, or was
    /// there; now it does not.
    pub(crate) fn set_clock(&self, next: Option<Instant>, period: Option<Duration>) -> bool {
        self.channel.set_clock(next, period)
    }
}

// For a future that has a receiver of its own.
impl<T> OfChannel for Receiver<T> {
    type Value = T;
    type Target = Target;

    fn channel(&self) -> &Channel<T, Target> {
        &self.channel
    }
}

impl<T> Clone for Receiver<T> {
    fn clone(&self) -> Self {
        // The `Arc` first: it is what aborts on too many clones, so the count beside it cannot
        // overflow.
        let channel = Arc::clone(&self.channel);
        channel.add_receiver();
        Self { channel }
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        self.channel.remove_receiver();
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Receiver { .. }")
    }
}

/// The iterator of [`Receiver::iter`].
pub struct Iter<'a, T> {
    receiver: &'a Receiver<T>,
}

/// The iterator of [`Receiver::try_iter`].
pub struct TryIter<'a, T> {
    receiver: &'a Receiver<T>,
}

/// The iterator that a [`Receiver`] turns into; it waits like [`Receiver::iter`].
pub struct IntoIter<T> {
    receiver: Receiver<T>,
}

impl<T> Iterator for Iter<'_, T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        self.receiver.recv().ok()
    }
}

impl<T> Iterator for TryIter<'_, T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        self.receiver.try_recv().ok()
    }
}

impl<T> Iterator for IntoIter<T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        self.receiver.recv().ok()
    }
}

// A disconnected channel stays so: once `None`, always `None`.
impl<T> FusedIterator for Iter<'_, T> {}
impl<T> FusedIterator for IntoIter<T> {}

impl<'a, T> IntoIterator for &'a Receiver<T> {
    type Item = T;
    type IntoIter = Iter<'a, T>;

    fn into_iter(self) -> Iter<'a, T> {
        self.iter()
    }
}

impl<T> IntoIterator for Receiver<T> {
    type Item = T;
    type IntoIter = IntoIter<T>;

    fn into_iter(self) -> IntoIter<T> {
        IntoIter { receiver: self }
    }
}

impl<T> fmt::Debug for Iter<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Iter { .. }")
    }
}

impl<T> fmt::Debug for TryIter<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TryIter { .. }")
    }
}

impl<T> fmt::Debug for IntoIter<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IntoIter { .. }")
    }
}
