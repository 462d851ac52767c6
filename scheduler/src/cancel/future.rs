//! Waiting for a token as a future, for tasks of any executor.
//!
//! # Safety
//!
//! A future's poll, which has it pinned, links its node into the list of the token that the future
//! borrows. The future's drop takes the node off at the latest.
#![expect(unsafe_code, reason = "links the node of a pinned future")]

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use crate::proc::target::Target;
use crate::proc::yield_now::poll_turn;
use crate::wait::polled::{PolledNode, leave_list, poll_in_list};
use crate::wait::token::{EndsWaits, Token, TokenInner};

/// The future of [`Token::wait_async`].
#[must_use = "a future does nothing unless it is polled"]
pub struct TokenFuture<'a> {
    token: &'a TokenInner<Target>,
    node: PolledNode<(), Target>,
}

// As its node.
impl std::panic::UnwindSafe for TokenFuture<'_> {}

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
    #[inline]
    pub fn wait_async(&self) -> TokenFuture<'_> {
        TokenFuture { token: self.shared(), node: PolledNode::new(None) }
    }
}

impl Future for TokenFuture<'_> {
    type Output = ();

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.as_ref().get_ref();
        ready!(poll_turn(cx));
        // SAFETY: the node is pinned with the future, whose `drop` calls `leave`.
        if unsafe { this.token.poll(&this.node, cx.waker().clone()) } {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }
}

impl Drop for TokenFuture<'_> {
    #[inline]
    fn drop(&mut self) {
        self.token.leave(&self.node);
    }
}

impl<K: EndsWaits> TokenInner<K> {
    /// True if the token is cancelled; else the node waits with `waker`, which is dropped without
    /// the lock, because its code is the user's.
    ///
    /// # Safety
    ///
    /// The node is pinned and waits for this token only. [`leave`](Self::leave) is called before
    /// the node's memory goes.
    pub(crate) unsafe fn poll(&self, node: &PolledNode<(), K>, waker: Waker) -> bool {
        // SAFETY: this function's contract. The list is under the lock.
        let cancelled = unsafe {
            poll_in_list(
                &self.state,
                |state| &mut state.polling,
                node,
                waker,
                |state| state.is_cancelled() || self.is_over(),
                |_| None,
            )
        };
        self.done.known(cancelled)
    }

    /// Takes the node of a future that is dropped off the list.
    pub(crate) fn leave(&self, node: &PolledNode<(), K>) {
        // SAFETY: the node waits in this list, if at all.
        unsafe { leave_list(&self.state, |state| &mut state.polling, node, |_, _| None) }
    }
}

impl fmt::Debug for TokenFuture<'_> {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenFuture { .. }")
    }
}
