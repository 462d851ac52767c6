//! A channel that brings each value to each receiver.
//!
//! It holds a fixed number of values. Sending never waits: when the channel is full, the oldest
//! value makes room. A receiver that is too slow misses values, is told how many, and goes on with
//! the oldest one that is there. So a slow receiver holds nobody up, and knows what it lacks.
//!
//! A receiver has the values that are sent after it was made, by [`channel`] or by
//! [`Sender::subscribe`]. It gets clones of them, which several may make at the same time: so
//! values are `Sync`, and what is dear to clone is sent in an `Arc`. The last receiver that a value
//! is for gets the value itself, if the others have made their clones.
//!
//! Senders and receivers may be goroutines, callbacks, plain threads and futures.
//!
//! ```
//! use gosched::chan::broadcast::{self, RecvError};
//! use gosched::{Mode, go, run};
//!
//! run(Mode::threads(), || {
//!     let (tx, mut log) = broadcast::channel(8);
//!     let mut sum = tx.subscribe();
//!     let summing = go(move || {
//!         let mut total = 0;
//!         loop {
//!             match sum.recv() {
//!                 Ok(n) => total += n,
//!                 Err(RecvError::Lagged(n)) => panic!("missed {n}"),
//!                 Err(RecvError::Closed) => break total,
//!             }
//!         }
//!     });
//!     (1..=3).for_each(|n| assert_eq!(tx.send(n), Ok(2)));
//!     drop(tx);
//!     assert_eq!(summing.join().unwrap(), 6);
//!     assert_eq!(log.recv(), Ok(1));
//! });
//! ```
//!
//! # Safety
//!
//! A future's node is pinned when it is polled, and leaves the ring when it is dropped.

#![expect(unsafe_code, reason = "polls with the node of a pinned future")]

pub(crate) mod ring;
#[cfg(feature = "futures-core")]
mod stream;

use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

#[cfg(feature = "futures-core")]
pub use stream::{IntoStream, RecvStream};

use super::error::SendError;
use crate::proc::park::Parking;
use crate::proc::target::Target;
use crate::proc::yield_now::{give_turn, poll_turn, preempt_point};
use crate::wait::polled::PolledNode;
use ring::{Found, Next, Ring};

/// Makes a channel that holds up to `capacity` values for the receivers that have not had them.
///
/// # Panics
///
/// If `capacity` is zero, or more than can be allocated.
#[doc(alias("broadcast", "pubsub", "fan_out"))]
#[must_use]
pub fn channel<T>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    assert!(capacity > 0, "a broadcast without room holds nothing for anybody");
    let ring = Arc::new(Ring::new(capacity));
    (Sender { ring: Arc::clone(&ring) }, Receiver { ring, next: Next::first() })
}

/// The sending end of a broadcast. Clones send into the same one; when the last is dropped, the
/// receivers have what is there, and then the end.
pub struct Sender<T> {
    ring: Arc<Ring<T, Target>>,
}

/// A receiving end of a broadcast, which has each value once.
pub struct Receiver<T> {
    ring: Arc<Ring<T, Target>>,
    next: Next,
}

// A value is in the ring or it is not, whatever unwinds.
impl<T> std::panic::UnwindSafe for Sender<T> {}
impl<T> std::panic::RefUnwindSafe for Sender<T> {}
impl<T> std::panic::UnwindSafe for Receiver<T> {}
impl<T> std::panic::RefUnwindSafe for Receiver<T> {}

/// Why [`Receiver::recv`] has no value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecvError {
    /// The receiver was too slow: so many values were sent and are gone. The next receive has the
    /// oldest one that is there.
    Lagged(u64),
    /// All senders are gone and nothing is left to receive.
    Closed,
}

/// Why [`Receiver::try_recv`] has no value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TryRecvError {
    /// As [`RecvError::Lagged`].
    Lagged(u64),
    /// All senders are gone and nothing is left to receive.
    Closed,
    /// Nothing was sent that this has not had.
    Empty,
}

/// Why [`Receiver::recv_timeout`] or [`Receiver::recv_deadline`] has no value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecvTimeoutError {
    /// As [`RecvError::Lagged`].
    Lagged(u64),
    /// All senders are gone and nothing is left to receive.
    Closed,
    /// Nothing came in all that time.
    Timeout,
}

impl<T> Sender<T> {
    /// Sends a value to all receivers that there are, and returns how many that is. Never waits:
    /// what is still there from so many sends ago as the channel has room for is dropped.
    ///
    /// # Errors
    ///
    /// [`SendError`] gives the value back if there is no receiver. There may be one later.
    ///
    /// ```
    /// use gosched::chan::{SendError, broadcast};
    ///
    /// let (tx, mut one) = broadcast::channel(1);
    /// let mut other = tx.subscribe();
    /// assert_eq!(tx.send("both"), Ok(2));
    /// assert_eq!((one.recv(), other.recv()), (Ok("both"), Ok("both")));
    /// drop((one, other));
    /// assert_eq!(tx.send("nobody"), Err(SendError("nobody")));
    /// ```
    pub fn send(&self, value: T) -> Result<usize, SendError<T>> {
        give_turn();
        self.ring.send(value).map_err(SendError)
    }

    /// Adds a receiver, which has what is sent from now on.
    #[must_use]
    pub fn subscribe(&self) -> Receiver<T> {
        let next = self.ring.add_receiver();
        Receiver { ring: Arc::clone(&self.ring), next }
    }

    /// How many receivers there are. Others may come and go meanwhile.
    #[must_use]
    pub fn receiver_count(&self) -> usize {
        self.ring.counts().1
    }

    /// Whether `other` sends into the same broadcast.
    #[must_use]
    pub fn same_channel(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.ring, &other.ring)
    }
}

impl<T> Receiver<T> {
    /// Adds a receiver, which has what is sent from now on, and nothing of what this one has yet to
    /// receive.
    #[must_use]
    pub fn resubscribe(&self) -> Self {
        let next = self.ring.add_receiver();
        Self { ring: Arc::clone(&self.ring), next }
    }

    /// How many values were sent that this has not had. If it is more than there is room for, the
    /// receiver has missed some.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.ring.len(&self.next)
    }

    /// Whether this has had all that was sent.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// True if all senders are gone. What was sent before can still be received. Never suspends.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.ring.counts().0 == 0
    }

    /// Whether `other` receives from the same broadcast.
    #[must_use]
    pub fn same_channel(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.ring, &other.ring)
    }
}

impl<T: Clone> Receiver<T> {
    /// Receives the next value, waiting until there is one.
    ///
    /// # Errors
    ///
    /// [`RecvError`] says whether values were missed, or none will come.
    ///
    /// # Panics
    ///
    /// Unwinds with `Cancelled` if the calling goroutine is cancelled while it would have to wait;
    /// no value is lost. As the value's `clone` does, and then this receiver has had it.
    ///
    /// ```
    /// use gosched::chan::broadcast::{self, RecvError};
    ///
    /// let (tx, mut rx) = broadcast::channel(2);
    /// (1..=5).for_each(|n| _ = tx.send(n));
    /// drop(tx);
    /// assert_eq!(rx.recv(), Err(RecvError::Lagged(3)));
    /// assert_eq!((rx.recv(), rx.recv()), (Ok(4), Ok(5)));
    /// assert_eq!(rx.recv(), Err(RecvError::Closed));
    /// ```
    pub fn recv(&mut self) -> Result<T, RecvError> {
        preempt_point();
        received_or_gone(self.ring.recv(&self.next, None, Parking::begin))
    }

    /// Receives the next value, if there is one. Where it fails, a goroutine whose slice is over
    /// gives its turn.
    ///
    /// # Errors
    ///
    /// [`TryRecvError`] says whether there is none, values were missed, or none will come.
    pub fn try_recv(&mut self) -> Result<T, TryRecvError> {
        let found = self.ring.try_recv(&self.next);
        if !matches!(found, Found::Value(_)) {
            give_turn();
        }
        match found {
            Found::Value(value) => Ok(own(value)),
            Found::Missed(n) => Err(TryRecvError::Lagged(n)),
            Found::Closed => Err(TryRecvError::Closed),
            Found::Nothing => Err(TryRecvError::Empty),
        }
    }

    /// As [`recv`](Self::recv), waiting at longest for `timeout`. Zero makes one attempt; a timeout
    /// too long for the clock waits for as long as it takes.
    ///
    /// # Errors
    ///
    /// [`RecvTimeoutError`] says whether the time was over, values were missed, or none will come.
    ///
    /// # Panics
    ///
    /// As [`recv`](Self::recv).
    pub fn recv_timeout(&mut self, timeout: Duration) -> Result<T, RecvTimeoutError> {
        self.recv_until(Instant::now().checked_add(timeout))
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
    pub fn recv_deadline(&mut self, deadline: Instant) -> Result<T, RecvTimeoutError> {
        self.recv_until(Some(deadline))
    }

    fn recv_until(&mut self, deadline: Option<Instant>) -> Result<T, RecvTimeoutError> {
        preempt_point();
        match self.ring.recv(&self.next, deadline, Parking::begin) {
            Found::Value(value) => Ok(own(value)),
            Found::Missed(n) => Err(RecvTimeoutError::Lagged(n)),
            Found::Closed => Err(RecvTimeoutError::Closed),
            Found::Nothing => Err(RecvTimeoutError::Timeout),
        }
    }

    /// As [`recv`](Self::recv), for an async task: a future that is ready with the next value. It
    /// may be dropped at any time: the value is still the next one.
    ///
    /// ```
    /// use gosched::{chan::broadcast, future::block_on};
    ///
    /// let (tx, mut rx) = broadcast::channel(1);
    /// let sender = std::thread::spawn(move || tx.send(5));
    /// assert_eq!(block_on(rx.recv_async()), Ok(5));
    /// sender.join().unwrap().unwrap();
    /// ```
    pub fn recv_async(&mut self) -> RecvFuture<'_, T> {
        RecvFuture { receiver: self, node: PolledNode::new(None) }
    }
}

/// The value of a receiver, which no lock is held for.
fn own<T: Clone>(value: Arc<T>) -> T {
    Arc::try_unwrap(value).unwrap_or_else(|shared| T::clone(&shared))
}

/// What a receive without a deadline has found.
fn received_or_gone<T: Clone>(found: Found<Arc<T>>) -> Result<T, RecvError> {
    match found {
        Found::Value(value) => Ok(own(value)),
        Found::Missed(n) => Err(RecvError::Lagged(n)),
        Found::Closed => Err(RecvError::Closed),
        Found::Nothing => unreachable!("it waits without a deadline"),
    }
}

/// The future of [`Receiver::recv_async`].
#[must_use = "a future does nothing unless it is polled"]
pub struct RecvFuture<'a, T> {
    receiver: &'a Receiver<T>,
    node: PolledNode<(), Target>,
}

// As its node.
impl<T> std::panic::UnwindSafe for RecvFuture<'_, T> {}

impl<T: Clone> Future for RecvFuture<'_, T> {
    type Output = Result<T, RecvError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.as_ref().get_ref();
        ready!(poll_turn(cx));
        let Receiver { ring, next } = this.receiver;
        // SAFETY: pinned; `drop` leaves.
        match unsafe { ring.poll(&this.node, next, cx.waker().clone()) } {
            Found::Nothing => Poll::Pending,
            found => Poll::Ready(received_or_gone(found)),
        }
    }
}

impl<T> Drop for RecvFuture<'_, T> {
    fn drop(&mut self) {
        self.receiver.ring.leave(&self.node);
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        self.ring.add_sender();
        Self { ring: Arc::clone(&self.ring) }
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        self.ring.remove_sender();
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        self.ring.remove_receiver(&self.next);
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

impl<T> fmt::Debug for RecvFuture<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RecvFuture { .. }")
    }
}

const CLOSED: &str = "receiving on an empty and closed broadcast";

#[inline]
fn missed(n: u64, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    write!(f, "the receiver was too slow and has missed {n} values")
}

impl fmt::Display for RecvError {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lagged(n) => missed(*n, f),
            Self::Closed => f.write_str(CLOSED),
        }
    }
}

impl fmt::Display for TryRecvError {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lagged(n) => missed(*n, f),
            Self::Closed => f.write_str(CLOSED),
            Self::Empty => f.write_str("receiving on an empty broadcast"),
        }
    }
}

impl fmt::Display for RecvTimeoutError {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lagged(n) => missed(*n, f),
            Self::Closed => f.write_str(CLOSED),
            Self::Timeout => f.write_str("timed out waiting to receive"),
        }
    }
}

impl Error for RecvError {}
impl Error for TryRecvError {}
impl Error for RecvTimeoutError {}
