//! A channel for one value: a reply, a result, a signal that comes once.
//!
//! It is a channel with room for one value, and with ends that fit: sending uses the [`Sender`] up,
//! and never waits. Either end may be with a goroutine, in a callback or on a plain thread, and the
//! receiver may be awaited. An end that is dropped is gone for the other: a receive fails, and a
//! send gives its value back.
//!
//! ```
//! use gosched::{Mode, chan, chan::oneshot, go, run};
//!
//! run(Mode::threads(), || {
//!     let (jobs, taken) = chan::bounded::<(u64, oneshot::Sender<u64>)>(1);
//!     let worker = go(move || {
//!         for (number, reply) in taken {
//!             // Who asked may be gone.
//!             let _not_wanted = reply.send(number * number);
//!         }
//!     });
//!     let (reply, answer) = oneshot::channel();
//!     jobs.send((7, reply)).unwrap();
//!     assert_eq!(answer.recv(), Ok(49));
//!     drop(jobs);
//!     worker.join().unwrap();
//! });
//! ```
//!
//! # Safety
//!
//! The future's part is pinned with the future.

#![expect(unsafe_code, reason = "polls what is pinned with its future")]

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use super::error::{RecvError, RecvTimeoutError, SendError, TryRecvError};
use super::future::{Recv, RecvFuture as BorrowedFuture};
use super::receiver;
use super::sender;

/// Makes a channel for one value.
#[doc(alias("oneshot", "promise", "reply"))]
#[must_use]
pub fn channel<T>() -> (Sender<T>, Receiver<T>) {
    let (sender, receiver) = super::bounded(1);
    (Sender { sender }, Receiver { receiver })
}

/// The end that sends the one value.
#[doc(alias("Promise", "Resolver"))]
pub struct Sender<T> {
    sender: sender::Sender<T>,
}

/// The end that receives the one value. It may be awaited.
#[doc(alias("Future", "Promise"))]
pub struct Receiver<T> {
    receiver: receiver::Receiver<T>,
}

impl<T> Sender<T> {
    /// Sends the value. Never waits.
    ///
    /// A value that was sent is received, or is dropped with the receiver.
    ///
    /// # Errors
    ///
    /// [`SendError`] gives the value back if the receiver is gone or [closed](Receiver::close).
    ///
    /// ```
    /// use gosched::chan::{SendError, oneshot};
    ///
    /// let (tx, rx) = oneshot::channel();
    /// drop(rx);
    /// assert!(tx.is_closed());
    /// assert_eq!(tx.send("nobody hears"), Err(SendError("nobody hears")));
    /// ```
    pub fn send(self, value: T) -> Result<(), SendError<T>> {
        // There is room: nothing was sent before.
        self.sender.try_send(value).map_err(|error| SendError(error.into_inner()))
    }

    /// True if the receiver is gone or [closed](Receiver::close): nobody wants the value. Never
    /// suspends.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }
}

impl<T> Receiver<T> {
    /// Receives the value, waiting until it is sent.
    ///
    /// # Errors
    ///
    /// [`RecvError`] if the sender is gone without having sent, or goes while this waits, or if the
    /// channel is [closed](Self::close) and nothing was sent before.
    ///
    /// # Panics
    ///
    /// Unwinds with `Cancelled` if the calling goroutine is cancelled while it would have to wait.
    pub fn recv(self) -> Result<T, RecvError> {
        self.receiver.recv()
    }

    /// Receives the value if it was sent. Where it fails, a goroutine whose slice is over gives its
    /// turn.
    ///
    /// # Errors
    ///
    /// [`TryRecvError`] says whether it was not sent yet, or will not come: the sender is gone, or
    /// the value was received already.
    ///
    /// ```
    /// use gosched::chan::{TryRecvError, oneshot};
    ///
    /// let (tx, rx) = oneshot::channel();
    /// assert_eq!(rx.try_recv(), Err(TryRecvError::Empty));
    /// tx.send(5).unwrap();
    /// assert_eq!(rx.try_recv(), Ok(5));
    /// assert_eq!(rx.try_recv(), Err(TryRecvError::Disconnected));
    /// ```
    pub fn try_recv(&self) -> Result<T, TryRecvError> {
        self.receiver.try_recv()
    }

    /// As [`recv`](Self::recv), waiting at longest for `timeout`. Zero makes one attempt; a timeout
    /// too long for the clock waits for as long as it takes.
    ///
    /// # Errors
    ///
    /// [`RecvTimeoutError`] says whether the time was over, or the value will not come.
    ///
    /// # Panics
    ///
    /// As [`recv`](Self::recv).
    pub fn recv_timeout(&self, timeout: Duration) -> Result<T, RecvTimeoutError> {
        self.receiver.recv_timeout(timeout)
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
        self.receiver.recv_deadline(deadline)
    }

    /// As [`recv`](Self::recv), for an async task that keeps the receiver: a future that may be
    /// dropped at any time, without losing the value. Where the receiver is not needed any more,
    /// it is awaited itself.
    ///
    /// ```
    /// use gosched::{chan::oneshot, future::block_on, time};
    /// use std::time::Duration;
    ///
    /// block_on(async {
    ///     let (tx, rx) = oneshot::channel();
    ///     let limited = time::timeout_async(Duration::from_millis(1), rx.recv_async());
    ///     assert!(limited.await.is_err());
    ///     tx.send(5).unwrap();
    ///     assert_eq!(rx.await, Ok(5));
    /// });
    /// ```
    pub fn recv_async(&self) -> BorrowedFuture<'_, T> {
        self.receiver.recv_async()
    }

    /// Closes the channel: a send that comes later gives its value back. One that was sent before
    /// can still be received. Never blocks.
    pub fn close(&self) {
        let _it_was_open = self.receiver.close();
    }

    /// The channel itself, for a [`select!`](crate::select!). As long as there is a clone of it,
    /// the sender takes the receiver for being there.
    ///
    /// ```
    /// use gosched::{chan::oneshot, select};
    ///
    /// let (_numbers, number) = oneshot::channel::<u32>();
    /// let (words, word) = oneshot::channel::<&str>();
    /// words.send("hello").unwrap();
    /// select! {
    ///     recv(number.channel()) -> number => unreachable!("{number:?}"),
    ///     recv(word.channel()) -> word => assert_eq!(word, Ok("hello")),
    /// }
    /// ```
    #[must_use]
    pub fn channel(&self) -> &receiver::Receiver<T> {
        &self.receiver
    }
}

impl<T> IntoFuture for Receiver<T> {
    type Output = Result<T, RecvError>;
    type IntoFuture = RecvFuture<T>;

    fn into_future(self) -> RecvFuture<T> {
        RecvFuture(Recv::new(self.receiver))
    }
}

/// The future of a [`Receiver`] that is awaited. When it is dropped, the receiver is gone.
#[must_use = "a future does nothing unless it is polled"]
pub struct RecvFuture<T>(Recv<receiver::Receiver<T>>);

// As its node.
impl<T> std::panic::UnwindSafe for RecvFuture<T> {}

impl<T> Future for RecvFuture<T> {
    type Output = Result<T, RecvError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // SAFETY: pinned with `self`.
        unsafe { self.as_ref().get_ref().0.poll(cx) }
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sender { .. }")
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Receiver { .. }")
    }
}

impl<T> fmt::Debug for RecvFuture<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RecvFuture { .. }")
    }
}
