//! Waiting for a later version as a future.
//!
//! # Safety
//!
//! A future's node is pinned when it is polled, and leaves the list when it is dropped.

#![expect(unsafe_code, reason = "polls with the node of a pinned future")]

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use super::versions::{Found, Seen, Versions};
use crate::chan::error::RecvError;
use crate::proc::target::Target;
use crate::proc::yield_now::poll_turn;
use crate::wait::polled::PolledNode;

/// The future of [`Receiver::changed_async`](super::Receiver::changed_async).
#[must_use = "a future does nothing unless it is polled"]
pub struct ChangedFuture<'a> {
    versions: &'a Versions<Target>,
    seen: &'a Seen,
    node: PolledNode<(), Target>,
}

// As its node.
impl std::panic::UnwindSafe for ChangedFuture<'_> {}

impl<'a> ChangedFuture<'a> {
    /// Of a receiver that has `seen` for itself until this is dropped.
    #[inline]
    pub(super) fn new(versions: &'a Versions<Target>, seen: &'a Seen) -> Self {
        Self { versions, seen, node: PolledNode::new(None) }
    }
}

impl Future for ChangedFuture<'_> {
    type Output = Result<(), RecvError>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.as_ref().get_ref();
        ready!(poll_turn(cx));
        // SAFETY: pinned; `drop` leaves.
        match unsafe { this.versions.poll(&this.node, this.seen, cx.waker().clone()) } {
            Found::Later => Poll::Ready(Ok(())),
            Found::Closed => Poll::Ready(Err(RecvError)),
            Found::Nothing => Poll::Pending,
        }
    }
}

impl Drop for ChangedFuture<'_> {
    #[inline]
    fn drop(&mut self) {
        self.versions.leave(&self.node);
    }
}

impl fmt::Debug for ChangedFuture<'_> {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ChangedFuture { .. }")
    }
}
