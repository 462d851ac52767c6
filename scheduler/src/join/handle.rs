//! The handle of a goroutine: its [`Packet`](super::Packet) without the closure's type.
//!
//! # Safety
//!
//! A packet is known by its traits.
#![expect(unsafe_code, reason = "makes a pointer to a packet one to a trait of its")]

use std::pin::Pin;
use std::task::{Context, Poll};
use std::{fmt, thread};

use super::Joinable;
use crate::ds::shared::{Counted, Shared};
use crate::proc::beside::Host;

/// A goroutine as its handles know it.
pub(crate) struct Joint<'a, T> {
    pub(super) packet: Shared<dyn Joinable<T> + 'a>,
    id: u64,
}

impl<T> fmt::Debug for Joint<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinHandle")
            .field("id", &self.id)
            .field("finished", &self.is_finished())
            .finish()
    }
}

impl<'a, T> Joint<'a, T> {
    pub(crate) fn new<J: Joinable<T> + 'a>(packet: Shared<J>, id: u64) -> Self {
        // SAFETY: the pointer is made wide, and the trait is its value's; what is a `Joinable` is
        // `Send` and `Sync`.
        let packet =
            unsafe { packet.known_as(|packet| packet as *mut Counted<dyn Joinable<T> + 'a>) };
        Self { packet, id }
    }

    pub(crate) fn join(mut self) -> thread::Result<T> {
        // Mostly somebody joins what has ended and let go: then there is nobody to lock out.
        if let Some(outcome) = self.packet.alone().and_then(Joinable::outcome) {
            return outcome;
        }
        self.packet.join(None).expect("there is no deadline")
    }

    pub(crate) fn try_join(self) -> Result<thread::Result<T>, Self> {
        self.packet.try_join().ok_or(self)
    }

    pub(crate) fn is_finished(&self) -> bool {
        self.packet.is_finished()
    }

    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    pub(crate) fn cancel(&self) -> bool {
        self.packet.cancel()
    }

    pub(crate) fn poll(&self, cx: &mut Context<'_>) -> Poll<thread::Result<T>> {
        self.packet.poll(cx.waker())
    }
}

/// The right to wait for a goroutine and to have what it returned. Dropping it detaches the
/// goroutine.
///
/// It is also a future, for any executor: the same outcome as [`join`](Self::join)'s. Dropping it
/// before it is ready loses nothing but the outcome. The waker is called by the goroutine that
/// ends; one that panics there ends the process, and so does the drop of an outcome that nobody
/// joins.
pub struct JoinHandle<T>(pub(super) Joint<'static, T>);

impl<T> fmt::Debug for JoinHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<T> JoinHandle<T> {
    pub(crate) fn new<J: Joinable<T> + 'static>(packet: Shared<J>, id: u64) -> Self {
        Self(Joint::new(packet, id))
    }

    /// The goroutine, for those who are to settle beside it.
    pub(crate) fn host(&self) -> Shared<dyn Host> {
        // SAFETY: the pointer's other half is exchanged for that of a trait below, which is `Send`
        // and `Sync` as well.
        unsafe { self.0.packet.clone().known_as(|packet| packet as *mut Counted<dyn Host>) }
    }

    /// Waits until the goroutine has ended; what it returned, or the payload of its panic. A
    /// goroutine that calls this parks; any other thread blocks.
    ///
    /// # Errors
    ///
    /// The payload the goroutine unwound with, as in `std::thread`; [`Cancelled`](crate::Cancelled)
    /// if it was cancelled or its runtime shut down first, [`NotStarted`](crate::NotStarted) if
    /// there was no memory for its stack or no thread for it.
    ///
    /// # Panics
    ///
    /// Unwinds with [`Cancelled`](crate::Cancelled) if the calling goroutine is cancelled while it
    /// waits.
    pub fn join(self) -> thread::Result<T> {
        self.0.join()
    }

    /// As [`join`](Self::join), if the goroutine has ended. Never blocks.
    ///
    /// # Errors
    ///
    /// The handle, if it has not.
    pub fn try_join(self) -> Result<thread::Result<T>, Self> {
        self.0.try_join().map_err(Self)
    }

    /// True if the goroutine has ended, so that `join` would not wait. Never blocks.
    ///
    /// One exception: where the outcome was taken by polling the handle, `join` waits for ever.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.0.is_finished()
    }

    /// The goroutine's number: what [`current_id`](crate::current_id) gives in it. Unique in the
    /// process.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.0.id()
    }

    /// Asks the goroutine to end. Never blocks.
    ///
    /// If it waits, it is woken, and the call that it waits in unwinds with
    /// [`Cancelled`](crate::Cancelled); if it runs, the next call that would wait does. If it has
    /// not begun, it never does, and its closure is dropped. What was handed to it at the same
    /// moment it gets first: nothing is lost. A payload that it catches leaves the cancel pending,
    /// so that its next wait unwinds as well; [`shield`](crate::cancel::shield) keeps the cancel
    /// off for a while.
    ///
    /// Returns whether the goroutine was asked in time. It notices at its next wait, if there is
    /// one, and may return a result before. False if it has ended; false also with `panic =
    /// "abort"` once it has begun, because nothing is unwound then.
    pub fn cancel(&self) -> bool {
        self.0.cancel()
    }
}

impl<T> Future for JoinHandle<T> {
    type Output = thread::Result<T>;

    /// # Panics
    ///
    /// Does not; polled again after it was ready, it stays pending.
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.poll(cx)
    }
}
