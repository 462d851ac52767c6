//! Waiting for a token as a future, for tasks of any executor.
//!
//! # Safety
//!
//! A future's node is linked by its poll, which has it pinned, into the list of the token that the
//! future borrows, and taken off by its drop at the latest.
#![expect(unsafe_code, reason = "links the node of a pinned future")]

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use super::{EndsWaits, Shared, Token};
use crate::proc::park::Target;
use crate::waiter::polled::{PolledNode, leave_list, poll_in_list};

/// The future of [`Token::wait_async`].
#[must_use = "a future does nothing unless it is polled"]
pub struct TokenFuture<'a> {
    token: &'a Shared<Target>,
    node: PolledNode<(), Target>,
}

impl Token {
    /// As [`wait`](Self::wait), for an async task: a future that is ready when this is cancelled.
    /// It may be dropped at any time.
    ///
    /// ```
    /// use gosched::cancel::Token;
    /// use gosched::future::block_on;
    ///
    /// let token = Token::new();
    /// let theirs = token.clone();
    /// let canceller = std::thread::spawn(move || theirs.cancel());
    /// block_on(token.wait_async());
    /// assert!(token.is_cancelled());
    /// canceller.join().unwrap();
    /// ```
    pub fn wait_async(&self) -> TokenFuture<'_> {
        TokenFuture { token: &self.shared, node: PolledNode::new(None) }
    }
}

impl Future for TokenFuture<'_> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.as_ref().get_ref();
        // SAFETY: pinned; `drop` leaves.
        if unsafe { this.token.poll(&this.node, cx.waker().clone()) } {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }
}

impl Drop for TokenFuture<'_> {
    fn drop(&mut self) {
        self.token.leave(&self.node);
    }
}

impl<K: EndsWaits> Shared<K> {
    /// For a future: whether the token is cancelled; if not, it waits with this waker, which is the
    /// user's and is dropped when the lock is free.
    ///
    /// # Safety
    ///
    /// The node is pinned, waits for this token only, and [`leave`](Self::leave) is called before
    /// its memory goes.
    pub(crate) unsafe fn poll(&self, node: &PolledNode<(), K>, waker: Waker) -> bool {
        // SAFETY: this function's contract; the list is under the lock.
        unsafe {
            poll_in_list(
                &self.state,
                |state| &mut state.polling,
                node,
                waker,
                |state| state.cancelled,
                |_| None,
            )
        }
    }

    /// A future goes.
    pub(crate) fn leave(&self, node: &PolledNode<(), K>) {
        // SAFETY: it waits in this list, if at all.
        unsafe { leave_list(&self.state, |state| &mut state.polling, node, |_, _| None) }
    }
}

impl fmt::Debug for TokenFuture<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenFuture { .. }")
    }
}
