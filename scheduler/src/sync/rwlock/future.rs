//! Locking as a future.
//!
//! # Safety
//!
//! A future's node is pinned when it is polled, and leaves the lock when it is dropped.

#![expect(unsafe_code, reason = "polls with the node of a pinned future")]

use std::fmt;
use std::pin::Pin;
use std::sync::LockResult;
use std::task::{Context, Poll, ready};

use super::{RwLock, RwLockReadGuard, RwLockWriteGuard};
use crate::proc::target::Target;
use crate::proc::yield_now::poll_turn;
use crate::sync::raw::rwlock::Wants;
use crate::wait::polled::PolledNode;
use crate::wait::reserved::{Ask, Recheck};

impl<T: ?Sized> RwLock<T> {
    /// Locks for reading, for an async task: returns a future that is ready with the guard.
    ///
    /// It may be dropped at any time: if it was woken, the next future is.
    /// [Who comes next](Self#who-comes-next) says when it has its turn.
    ///
    /// ```
    /// use gosched::future::block_on;
    /// use gosched::sync::RwLock;
    ///
    /// let lock = RwLock::new(3);
    /// let sum = block_on(async {
    ///     *lock.read_async().await.unwrap() + *lock.read_async().await.unwrap()
    /// });
    /// assert_eq!(sum, 6);
    /// ```
    pub fn read_async(&self) -> ReadFuture<'_, T> {
        ReadFuture(Locking::new(self, Wants::Reading))
    }

    /// Locks for writing, for an async task: returns a future that is ready with the guard.
    ///
    /// It may be dropped at any time: if it was woken, the next future is. While it waits, readers
    /// come and go, until [it is its turn](Self#who-comes-next).
    pub fn write_async(&self) -> WriteFuture<'_, T> {
        WriteFuture(Locking::new(self, Wants::Writing))
    }
}

/// The future of [`RwLock::read_async`].
#[must_use = "a future does nothing unless it is polled"]
pub struct ReadFuture<'a, T: ?Sized>(Locking<'a, T>);

/// The future of [`RwLock::write_async`].
#[must_use = "a future does nothing unless it is polled"]
pub struct WriteFuture<'a, T: ?Sized>(Locking<'a, T>);

/// The common part of both.
struct Locking<'a, T: ?Sized> {
    lock: &'a RwLock<T>,
    wants: Wants,
    node: PolledNode<Ask<Wants>, Target>,
    recheck: Recheck,
}

impl<'a, T: ?Sized> Locking<'a, T> {
    fn new(lock: &'a RwLock<T>, wants: Wants) -> Self {
        Self { lock, wants, node: PolledNode::new(None), recheck: Recheck::new() }
    }

    /// Polls; ready with the lock once it is the caller's.
    ///
    /// # Safety
    ///
    /// `self` is pinned.
    unsafe fn poll(&self, cx: &Context<'_>) -> Poll<&'a RwLock<T>> {
        ready!(poll_turn(cx));
        // SAFETY: this function's contract; `drop` leaves.
        let found = unsafe { self.lock.raw.poll(&self.node, self.wants, cx.waker().clone()) };
        ready!(self.recheck.told(found, cx));
        Poll::Ready(self.lock)
    }
}

impl<T: ?Sized> Drop for Locking<'_, T> {
    fn drop(&mut self) {
        self.lock.raw.leave(&self.node);
    }
}

impl<'a, T: ?Sized> Future for ReadFuture<'a, T> {
    type Output = LockResult<RwLockReadGuard<'a, T>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // SAFETY: pinned with the future.
        unsafe { self.as_ref().get_ref().0.poll(cx) }.map(RwLock::reading)
    }
}

impl<'a, T: ?Sized> Future for WriteFuture<'a, T> {
    type Output = LockResult<RwLockWriteGuard<'a, T>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // SAFETY: pinned with the future.
        unsafe { self.as_ref().get_ref().0.poll(cx) }.map(RwLock::writing)
    }
}

impl<T: ?Sized> fmt::Debug for ReadFuture<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ReadFuture { .. }")
    }
}

impl<T: ?Sized> fmt::Debug for WriteFuture<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WriteFuture { .. }")
    }
}
