//! A receiver of a broadcast as a stream: the feature `futures-core`.
//!
//! # Safety
//!
//! A node is in a pinned box, and leaves its list when that is dropped.

#![expect(unsafe_code, reason = "polls with a node in a pinned box")]

use std::borrow::Borrow;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_core::stream::{FusedStream, Stream};

use super::ring::Found;
use super::{Receiver, RecvError, received_or_gone};
use crate::proc::target::Target;
use crate::proc::yield_now::poll_turn;
use crate::wait::polled::PolledNode;

impl<T: Clone> Receiver<T> {
    /// Values as they come, for async code; [`RecvError::Lagged`] where this has missed some.
    /// Ends when all senders are gone and the last value was received.
    ///
    /// Of the feature `futures-core`.
    ///
    /// ```
    /// use futures_lite::StreamExt;
    /// use gosched::chan::broadcast::{self, RecvError};
    /// use gosched::future::block_on;
    ///
    /// let (tx, mut rx) = broadcast::channel(2);
    /// (1..=3).for_each(|n| _ = tx.send(n));
    /// drop(tx);
    /// let got: Vec<_> = block_on(rx.stream().collect());
    /// assert_eq!(got, [Err(RecvError::Lagged(1)), Ok(2), Ok(3)]);
    /// ```
    pub fn stream(&mut self) -> RecvStream<'_, T> {
        RecvStream(Streaming::new(self))
    }

    /// As [`stream`](Self::stream), with the receiver in it.
    pub fn into_stream(self) -> IntoStream<T> {
        IntoStream(Streaming::new(self))
    }
}

/// The stream of [`Receiver::stream`].
#[must_use = "a stream does nothing unless it is polled"]
pub struct RecvStream<'a, T>(Streaming<&'a Receiver<T>, T>);

/// The stream of [`Receiver::into_stream`].
#[must_use = "a stream does nothing unless it is polled"]
pub struct IntoStream<T>(Streaming<Receiver<T>, T>);

// As their nodes.
impl<T> std::panic::UnwindSafe for RecvStream<'_, T> {}
impl<T> std::panic::UnwindSafe for IntoStream<T> {}

struct Streaming<R: Borrow<Receiver<T>>, T> {
    waiting: Pin<Box<Waiting<R, T>>>,
    ended: bool,
}

struct Waiting<R: Borrow<Receiver<T>>, T> {
    node: PolledNode<(), Target>,
    receiver: R,
    _values: std::marker::PhantomData<fn() -> T>,
}

impl<R: Borrow<Receiver<T>>, T> Drop for Waiting<R, T> {
    fn drop(&mut self) {
        self.receiver.borrow().ring.leave(&self.node);
    }
}

impl<R: Borrow<Receiver<T>>, T: Clone> Streaming<R, T> {
    /// Of a receiver that is this stream's alone.
    fn new(receiver: R) -> Self {
        let _values = std::marker::PhantomData;
        let waiting = Waiting { node: PolledNode::new(None), receiver, _values };
        Self { waiting: Box::pin(waiting), ended: false }
    }

    fn poll_next(&mut self, cx: &Context<'_>) -> Poll<Option<Result<T, RecvError>>> {
        ready!(poll_turn(cx));
        let Receiver { ring, next } = self.waiting.receiver.borrow();
        // SAFETY: pinned; `drop` leaves.
        let found = unsafe { ring.poll(&self.waiting.node, next, cx.waker().clone()) };
        self.ended = matches!(found, Found::Closed);
        match found {
            Found::Nothing => Poll::Pending,
            Found::Closed => Poll::Ready(None),
            found => Poll::Ready(Some(received_or_gone(found))),
        }
    }
}

impl<T: Clone> Stream for RecvStream<'_, T> {
    type Item = Result<T, RecvError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_next(cx)
    }
}

impl<T: Clone> Stream for IntoStream<T> {
    type Item = Result<T, RecvError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_next(cx)
    }
}

impl<T: Clone> FusedStream for RecvStream<'_, T> {
    fn is_terminated(&self) -> bool {
        self.0.ended
    }
}

impl<T: Clone> FusedStream for IntoStream<T> {
    fn is_terminated(&self) -> bool {
        self.0.ended
    }
}

impl<T> fmt::Debug for RecvStream<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RecvStream { .. }")
    }
}

impl<T> fmt::Debug for IntoStream<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IntoStream { .. }")
    }
}
