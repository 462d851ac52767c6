//! A receiver as a stream: the feature `futures-core`.
//!
//! A stream is the future that receives, polled again after each value. It lies in a box, so that
//! it may be moved between two polls: nobody who iterates has to pin it.
//!
//! # Safety
//!
//! The future is in a pinned box.

#![expect(unsafe_code, reason = "polls what is in a pinned box")]

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_core::stream::{FusedStream, Stream};

use super::future::{OfChannel, Recv};
use super::raw::Channel;
use super::receiver::Receiver;
use crate::proc::target::Target;

impl<T> Receiver<T> {
    /// Values as they come, for async code; ends when the channel is disconnected and empty. As
    /// [`iter`](Self::iter), with the place and the turns of [`recv_async`](Self::recv_async).
    ///
    /// Of the feature `futures-core`. A stream that has been polled stands among those who wait
    /// until it has a value, or is dropped. While it is kept and not polled, a wake-up that it had
    /// wakes no other future.
    ///
    /// ```
    /// use futures_lite::StreamExt;
    /// use gosched::{chan, future::block_on};
    ///
    /// let (tx, rx) = chan::bounded(1);
    /// let sender = std::thread::spawn(move || (1..=3).for_each(|n| tx.send(n).unwrap()));
    /// assert_eq!(block_on(rx.stream().collect::<Vec<_>>()), [1, 2, 3]);
    /// sender.join().unwrap();
    /// ```
    pub fn stream(&self) -> RecvStream<'_, T> {
        RecvStream(Streaming::new(&*self.channel))
    }

    /// As [`stream`](Self::stream), with the receiver in it.
    pub fn into_stream(self) -> IntoStream<T> {
        IntoStream(Streaming::new(self))
    }
}

/// The stream of [`Receiver::stream`].
#[must_use = "a stream does nothing unless it is polled"]
pub struct RecvStream<'a, T>(Streaming<&'a Channel<T, Target>>);

/// The stream of [`Receiver::into_stream`].
#[must_use = "a stream does nothing unless it is polled"]
pub struct IntoStream<T>(Streaming<Receiver<T>>);

// As their nodes.
impl<T> std::panic::UnwindSafe for RecvStream<'_, T> {}
impl<T> std::panic::UnwindSafe for IntoStream<T> {}

struct Streaming<C: OfChannel> {
    recv: Pin<Box<Recv<C>>>,
    ended: bool,
}

impl<C: OfChannel> Streaming<C> {
    fn new(channel: C) -> Self {
        Self { recv: Box::pin(Recv::new(channel)), ended: false }
    }

    fn poll_next(&mut self, cx: &Context<'_>) -> Poll<Option<C::Value>> {
        // SAFETY: pinned.
        let received = ready!(unsafe { self.recv.poll(cx) });
        self.ended = received.is_err();
        Poll::Ready(received.ok())
    }
}

impl<T> Stream for RecvStream<'_, T> {
    type Item = T;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        self.0.poll_next(cx)
    }
}

impl<T> Stream for IntoStream<T> {
    type Item = T;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        self.0.poll_next(cx)
    }
}

impl<T> FusedStream for RecvStream<'_, T> {
    fn is_terminated(&self) -> bool {
        self.0.ended
    }
}

impl<T> FusedStream for IntoStream<T> {
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
