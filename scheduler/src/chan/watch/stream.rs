//! A receiver of a watched value as a stream: the feature `futures-core`.
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

use super::Receiver;
use super::versions::Found;
use crate::proc::target::Target;
use crate::proc::yield_now::poll_turn;
use crate::wait::polled::PolledNode;

impl<T: Clone> Receiver<T> {
    /// Clones of the value as it changes, for async code: first of the present value, if this
    /// has not seen it, then of the latest one whenever that was sent or changed since the last
    /// poll. Ends when all senders are gone and the last value was seen.
    ///
    /// Of the feature `futures-core`. To look at the value, a poll waits while a sender changes it,
    /// as [`borrow`](Self::borrow) does.
    ///
    /// ```
    /// use futures_lite::StreamExt;
    /// use gosched::{chan::watch, future::block_on};
    ///
    /// let (tx, mut rx) = watch::channel(0);
    /// rx.mark_changed();
    /// let got = block_on(async {
    ///     let mut stream = rx.stream();
    ///     let first = stream.next().await;
    ///     (1..=3).for_each(|n| _ = tx.send(n));
    ///     drop(tx);
    ///     (first, stream.next().await, stream.next().await)
    /// });
    /// assert_eq!(got, (Some(0), Some(3), None));
    /// ```
    pub fn stream(&mut self) -> ChangedStream<'_, T> {
        ChangedStream(Streaming::new(self))
    }

    /// As [`stream`](Self::stream), with the receiver in it.
    pub fn into_stream(self) -> IntoStream<T> {
        IntoStream(Streaming::new(self))
    }
}

/// The stream of [`Receiver::stream`].
#[must_use = "a stream does nothing unless it is polled"]
pub struct ChangedStream<'a, T>(Streaming<&'a Receiver<T>, T>);

/// The stream of [`Receiver::into_stream`].
#[must_use = "a stream does nothing unless it is polled"]
pub struct IntoStream<T>(Streaming<Receiver<T>, T>);

// As their nodes.
impl<T> std::panic::UnwindSafe for ChangedStream<'_, T> {}
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
        Borrow::<Receiver<T>>::borrow(&self.receiver).shared.versions.leave(&self.node);
    }
}

impl<R: Borrow<Receiver<T>>, T: Clone> Streaming<R, T> {
    /// Of a receiver that is this stream's alone.
    fn new(receiver: R) -> Self {
        let _values = std::marker::PhantomData;
        let waiting = Waiting { node: PolledNode::new(None), receiver, _values };
        Self { waiting: Box::pin(waiting), ended: false }
    }

    fn poll_next(&mut self, cx: &Context<'_>) -> Poll<Option<T>> {
        ready!(poll_turn(cx));
        let Receiver { shared, seen } = Borrow::<Receiver<T>>::borrow(&self.waiting.receiver);
        // SAFETY: pinned; `drop` leaves.
        let found = unsafe { shared.versions.poll(&self.waiting.node, seen, cx.waker().clone()) };
        self.ended = matches!(found, Found::Closed);
        match found {
            Found::Nothing => Poll::Pending,
            Found::Closed => Poll::Ready(None),
            Found::Later => {
                // A look that is cancelled has seen nothing.
                seen.forget();
                Poll::Ready(Some(shared.borrow_and_update(seen).clone()))
            }
        }
    }
}

impl<T: Clone> Stream for ChangedStream<'_, T> {
    type Item = T;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_next(cx)
    }
}

impl<T: Clone> Stream for IntoStream<T> {
    type Item = T;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_next(cx)
    }
}

impl<T: Clone> FusedStream for ChangedStream<'_, T> {
    fn is_terminated(&self) -> bool {
        self.0.ended
    }
}

impl<T: Clone> FusedStream for IntoStream<T> {
    fn is_terminated(&self) -> bool {
        self.0.ended
    }
}

impl<T> fmt::Debug for ChangedStream<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ChangedStream { .. }")
    }
}

impl<T> fmt::Debug for IntoStream<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IntoStream { .. }")
    }
}
