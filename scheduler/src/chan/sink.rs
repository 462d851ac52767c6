//! A sender as a sink: the feature `futures-sink`.
//!
//! A sink has one value in its hands: that which it was given last and has not sent. It begins to
//! wait with the value when it is polled, as every future does, and is ready for the next value
//! when that one is sent.
//!
//! # Safety
//!
//! What sends is in a pinned box.

#![expect(unsafe_code, reason = "polls what is in a pinned box")]

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_sink::Sink;

use super::error::SendError;
use super::future::{OfChannel, Sending};
use super::raw::Channel;
use super::sender::Sender;
use crate::proc::target::Target;
use crate::proc::yield_now::poll_turn;

impl<T> Sender<T> {
    /// Returns a sink that sends into the channel, for async code. A value waits for room when
    /// the sink is polled for the next one, or flushed; a sink that is dropped drops a value that
    /// it has not sent. Closing it flushes it.
    ///
    /// Of the feature `futures-sink`.
    ///
    /// ```
    /// use futures_sink::Sink;
    /// use gosched::{chan, future::block_on};
    /// use std::future::poll_fn;
    /// use std::pin::Pin;
    ///
    /// let (tx, rx) = chan::bounded(0);
    /// let receiver = std::thread::spawn(move || rx.iter().collect::<Vec<u32>>());
    /// let mut sink = tx.into_sink();
    /// block_on(async {
    ///     for n in 1..=3 {
    ///         poll_fn(|cx| Pin::new(&mut sink).poll_ready(cx)).await.unwrap();
    ///         Pin::new(&mut sink).start_send(n).unwrap();
    ///     }
    ///     poll_fn(|cx| Pin::new(&mut sink).poll_close(cx)).await.unwrap();
    /// });
    /// assert_eq!(receiver.join().unwrap(), [1, 2, 3]);
    /// ```
    pub fn sink(&self) -> SendSink<'_, T> {
        SendSink(Box::pin(Sending::nothing(&*self.channel)))
    }

    /// As [`sink`](Self::sink), with the sender in it. Closing the sink drops the sender.
    pub fn into_sink(self) -> IntoSink<T> {
        IntoSink(Some(Box::pin(Sending::nothing(self))))
    }
}

/// The sink of [`Sender::sink`].
#[must_use = "a sink does nothing unless it is polled"]
pub struct SendSink<'a, T>(Pin<Box<Sending<&'a Channel<T, Target>>>>);

/// The sink of [`Sender::into_sink`]. Closed, it refuses all values.
#[must_use = "a sink does nothing unless it is polled"]
pub struct IntoSink<T>(Option<Pin<Box<Sending<Sender<T>>>>>);

// As their nodes, in which the value lies.
impl<T: std::panic::UnwindSafe> std::panic::UnwindSafe for SendSink<'_, T> {}
impl<T: std::panic::UnwindSafe> std::panic::UnwindSafe for IntoSink<T> {}

/// Sends what the sink has.
fn flush<C: OfChannel>(
    sending: &Pin<Box<Sending<C>>>,
    cx: &Context<'_>,
) -> Poll<Result<(), SendError<C::Value>>> {
    if sending.has_ended() {
        return Poll::Ready(Ok(()));
    }
    ready!(poll_turn(cx));
    // SAFETY: pinned.
    unsafe { sending.poll(cx.waker().clone()) }
}

impl<T> Sink<T> for SendSink<'_, T> {
    type Error = SendError<T>;

    fn poll_ready(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), SendError<T>>> {
        flush(&self.0, cx)
    }

    /// # Panics
    ///
    /// If the sink was not ready.
    fn start_send(self: Pin<&mut Self>, value: T) -> Result<(), SendError<T>> {
        self.0.start(value);
        Ok(())
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), SendError<T>>> {
        flush(&self.0, cx)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), SendError<T>>> {
        flush(&self.0, cx)
    }
}

impl<T> Sink<T> for IntoSink<T> {
    type Error = SendError<T>;

    fn poll_ready(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), SendError<T>>> {
        self.0.as_ref().map_or(Poll::Ready(Ok(())), |sending| flush(sending, cx))
    }

    /// # Panics
    ///
    /// If the sink was not ready.
    fn start_send(self: Pin<&mut Self>, value: T) -> Result<(), SendError<T>> {
        let Some(sending) = &self.0 else { return Err(SendError(value)) };
        sending.start(value);
        Ok(())
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), SendError<T>>> {
        self.poll_ready(cx)
    }

    fn poll_close(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), SendError<T>>> {
        let flushed = ready!(self.as_mut().poll_ready(cx));
        // The receivers hear of it, whether the last value was sent or came back.
        self.0 = None;
        Poll::Ready(flushed)
    }
}

// For a sink that has a sender of its own.
impl<T> OfChannel for Sender<T> {
    type Value = T;
    type Target = Target;

    fn channel(&self) -> &Channel<T, Target> {
        &self.channel
    }
}

impl<T> fmt::Debug for SendSink<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SendSink { .. }")
    }
}

impl<T> fmt::Debug for IntoSink<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IntoSink { .. }")
    }
}
