//! Reading with the right to become the writer.
//!
//! The right is a mutex beside the lock: who has it takes the lock for reading after that, and
//! gives it back when it reads no more, or writes. It is waited for in the order of arrival, as the
//! lock is; who waits for the right has nothing of the lock.
//!
//! # Safety
//!
//! The data is reached as through a guard for reading. Nodes are pinned when they are polled, and
//! leave their lists when their futures are dropped.

#![expect(unsafe_code, reason = "the lock says who may reach the data")]

use std::cell::Cell;
use std::fmt;
use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::pin::Pin;
use std::sync::{LockResult, TryLockError, TryLockResult};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use super::{RwLock, RwLockReadGuard, RwLockWriteGuard};
use crate::proc::park::Parking;
use crate::proc::target::Target;
use crate::proc::yield_now::{poll_turn, preempt_point};
use crate::sync::mutex::told;
use crate::sync::poison::would_block;
use crate::sync::raw::mutex::{RawMutex, TimedOut};
use crate::sync::raw::rwlock::Wants;
use crate::wait::owed::wake_one;
use crate::wait::polled::PolledNode;
use crate::wait::reserved::{Ask, Recheck};

/// A reading that may become the writing, with no other writer in between. Others read beside it.
///
/// Of a lock there is one at a time. It ends when the guard is dropped.
#[must_use = "the reading ends at once if the guard is not kept"]
pub struct RwLockUpgradableReadGuard<'a, T: ?Sized> {
    lock: &'a RwLock<T>,
}

// As that for reading.
impl<T: ?Sized + RefUnwindSafe> UnwindSafe for RwLockUpgradableReadGuard<'_, T> {}
impl<T: ?Sized + RefUnwindSafe> RefUnwindSafe for RwLockUpgradableReadGuard<'_, T> {}

/// The right to become the writer, given back when it is dropped.
struct Right<'a>(&'a RawMutex<Target>);

impl Drop for Right<'_> {
    #[inline]
    fn drop(&mut self) {
        wake_one(self.0.unlock());
    }
}

impl<T: ?Sized> RwLock<T> {
    /// Waits for the lock, for a reading that may [become](RwLockUpgradableReadGuard::upgrade) the
    /// writing. Others may read meanwhile; another one of this kind waits, as a writer does.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read): the guard in a [`PoisonError`](std::sync::PoisonError) if the lock
    /// is poisoned.
    ///
    /// # Panics
    ///
    /// Unwinds with `Cancelled` if the calling goroutine is cancelled while it would have to wait.
    ///
    /// # Examples
    ///
    /// ```
    /// use gosched::sync::RwLock;
    /// use std::collections::HashMap;
    ///
    /// let cache = RwLock::new(HashMap::new());
    /// let reading = cache.upgradable_read().unwrap();
    /// if !reading.contains_key("answer") {
    ///     // Nobody has written in between.
    ///     reading.upgrade().insert("answer", 42);
    /// }
    /// assert_eq!(cache.read().unwrap()["answer"], 42);
    /// ```
    pub fn upgradable_read(&self) -> LockResult<RwLockUpgradableReadGuard<'_, T>> {
        preempt_point();
        // Without a deadline it is had in the end.
        let _locked = self.lock_upgradable(None);
        self.upgradable()
    }

    /// As [`upgradable_read`](Self::upgradable_read), if that need not wait. Where it fails, a
    /// goroutine whose slice is over gives its turn.
    ///
    /// # Errors
    ///
    /// As [`try_read`](Self::try_read).
    pub fn try_upgradable_read(&self) -> TryLockResult<RwLockUpgradableReadGuard<'_, T>> {
        if self.upgrade.try_lock() {
            let right = Right(&self.upgrade);
            if self.raw.try_read() {
                std::mem::forget(right);
                return Ok(self.upgradable()?);
            }
        }
        would_block()
    }

    /// As [`upgradable_read`](Self::upgradable_read), waiting at longest for `timeout`.
    ///
    /// # Errors
    ///
    /// As [`read_timeout`](Self::read_timeout).
    ///
    /// # Panics
    ///
    /// As [`upgradable_read`](Self::upgradable_read).
    pub fn upgradable_read_timeout(
        &self,
        timeout: Duration,
    ) -> TryLockResult<RwLockUpgradableReadGuard<'_, T>> {
        self.upgradable_read_until(Instant::now().checked_add(timeout))
    }

    /// As [`upgradable_read`](Self::upgradable_read), waiting at longest until `deadline`.
    ///
    /// # Errors
    ///
    /// As [`read_timeout`](Self::read_timeout).
    ///
    /// # Panics
    ///
    /// As [`upgradable_read`](Self::upgradable_read).
    pub fn upgradable_read_deadline(
        &self,
        deadline: Instant,
    ) -> TryLockResult<RwLockUpgradableReadGuard<'_, T>> {
        self.upgradable_read_until(Some(deadline))
    }

    fn upgradable_read_until(
        &self,
        deadline: Option<Instant>,
    ) -> TryLockResult<RwLockUpgradableReadGuard<'_, T>> {
        preempt_point();
        match self.lock_upgradable(deadline) {
            Ok(()) => Ok(self.upgradable()?),
            Err(TimedOut) => Err(TryLockError::WouldBlock),
        }
    }

    fn lock_upgradable(&self, deadline: Option<Instant>) -> Result<(), TimedOut> {
        self.upgrade.lock(deadline, Parking::begin)?;
        // Given back if the wait for the lock ends without it, also by unwinding.
        let right = Right(&self.upgrade);
        self.raw.read(deadline, Parking::begin)?;
        std::mem::forget(right);
        Ok(())
    }

    /// As [`upgradable_read`](Self::upgradable_read), for an async task: a future that may be
    /// dropped at any time, and has its turn as that of [`read_async`](Self::read_async). One that
    /// waits for readers to be let in and is not polled keeps others of its kind out.
    pub fn upgradable_read_async(&self) -> UpgradableReadFuture<'_, T> {
        UpgradableReadFuture {
            lock: self,
            has_right: Cell::new(false),
            right: PolledNode::new(None),
            reading: PolledNode::new(None),
            recheck: Recheck::new(),
        }
    }

    fn upgradable(&self) -> LockResult<RwLockUpgradableReadGuard<'_, T>> {
        told(self.poison.get(), RwLockUpgradableReadGuard::of(self))
    }
}

impl<'a, T: ?Sized> RwLockUpgradableReadGuard<'a, T> {
    /// The guard of a reading with the right, which nobody else answers for.
    pub(super) fn of(lock: &'a RwLock<T>) -> Self {
        Self { lock }
    }

    /// Makes the reading the writing, waiting until all others that read are through. New readers
    /// are kept out meanwhile. No writer comes in between: what was read still holds.
    ///
    /// Whoever took the guard was told whether the lock is poisoned, and is not told again.
    ///
    /// # Panics
    ///
    /// Unwinds with `Cancelled` if the calling goroutine is cancelled while it would have to wait;
    /// the reading ends then.
    pub fn upgrade(self) -> RwLockWriteGuard<'a, T> {
        preempt_point();
        let _locked = self.lock.raw.upgrade(None, Parking::begin);
        self.upgraded()
    }

    /// As [`upgrade`](Self::upgrade), if nobody else reads.
    ///
    /// # Errors
    ///
    /// The guard, if somebody does; then a goroutine whose slice is over gives its turn.
    pub fn try_upgrade(self) -> Result<RwLockWriteGuard<'a, T>, Self> {
        if self.lock.raw.try_upgrade() {
            Ok(self.upgraded())
        } else {
            preempt_point();
            Err(self)
        }
    }

    /// As [`upgrade`](Self::upgrade), waiting at longest for `timeout`.
    ///
    /// # Errors
    ///
    /// The guard, if the time was over first.
    ///
    /// # Panics
    ///
    /// As [`upgrade`](Self::upgrade).
    pub fn upgrade_timeout(self, timeout: Duration) -> Result<RwLockWriteGuard<'a, T>, Self> {
        self.upgrade_until(Instant::now().checked_add(timeout))
    }

    /// As [`upgrade`](Self::upgrade), waiting at longest until `deadline`.
    ///
    /// # Errors
    ///
    /// The guard, if the time was over first.
    ///
    /// # Panics
    ///
    /// As [`upgrade`](Self::upgrade).
    pub fn upgrade_deadline(self, deadline: Instant) -> Result<RwLockWriteGuard<'a, T>, Self> {
        self.upgrade_until(Some(deadline))
    }

    fn upgrade_until(self, deadline: Option<Instant>) -> Result<RwLockWriteGuard<'a, T>, Self> {
        preempt_point();
        match self.lock.raw.upgrade(deadline, Parking::begin) {
            Ok(()) => Ok(self.upgraded()),
            Err(TimedOut) => Err(self),
        }
    }

    /// As [`upgrade`](Self::upgrade), for an async task. If the future is dropped before it is
    /// ready, the reading ends. While it waits, polled or not, new readers are kept out.
    ///
    /// ```
    /// use gosched::{future::block_on, sync::RwLock};
    ///
    /// let lock = RwLock::new(1);
    /// block_on(async {
    ///     let reading = lock.upgradable_read_async().await.unwrap();
    ///     let next = *reading + 1;
    ///     *reading.upgrade_async().await = next;
    /// });
    /// assert_eq!(*lock.read().unwrap(), 2);
    /// ```
    pub fn upgrade_async(self) -> UpgradeFuture<'a, T> {
        let guard = ManuallyDrop::new(self);
        UpgradeFuture { lock: Cell::new(Some(guard.lock)), node: PolledNode::new(None) }
    }

    /// Gives up the right to become the writer, and reads on. Never blocks.
    pub fn downgrade(self) -> RwLockReadGuard<'a, T> {
        let lock = ManuallyDrop::new(self).lock;
        drop(Right(&lock.upgrade));
        lock.read_guard()
    }

    /// The guard of the writing that the reading has become.
    fn upgraded(self) -> RwLockWriteGuard<'a, T> {
        upgraded(ManuallyDrop::new(self).lock)
    }
}

/// The right is no longer needed: a writer keeps out whoever has it next.
fn upgraded<T: ?Sized>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    drop(Right(&lock.upgrade));
    lock.writing().unwrap_or_else(std::sync::PoisonError::into_inner)
}

impl<T: ?Sized> Drop for RwLockUpgradableReadGuard<'_, T> {
    fn drop(&mut self) {
        let _right = Right(&self.lock.upgrade);
        self.lock.raw.unlock_read();
    }
}

impl<T: ?Sized> Deref for RwLockUpgradableReadGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: the guard stands for a reading: nobody writes, and the lock is borrowed for `'a`.
        unsafe { &*self.lock.data.get() }
    }
}

/// The future of [`RwLock::upgradable_read_async`].
#[must_use = "a future does nothing unless it is polled"]
pub struct UpgradableReadFuture<'a, T: ?Sized> {
    lock: &'a RwLock<T>,
    has_right: Cell<bool>,
    right: PolledNode<Ask<()>, Target>,
    reading: PolledNode<Ask<Wants>, Target>,
    recheck: Recheck,
}

// As its nodes.
impl<T: ?Sized> UnwindSafe for UpgradableReadFuture<'_, T> {}

impl<'a, T: ?Sized> Future for UpgradableReadFuture<'a, T> {
    type Output = LockResult<RwLockUpgradableReadGuard<'a, T>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.as_ref().get_ref();
        ready!(poll_turn(cx));
        if !this.has_right.get() {
            // SAFETY: pinned; `drop` leaves.
            let found = unsafe { this.lock.upgrade.poll(&this.right, cx.waker()) };
            ready!(this.recheck.told(found, cx));
            this.has_right.set(true);
        }
        let waker = cx.waker().clone();
        // SAFETY: as above.
        let found = unsafe { this.lock.raw.poll(&this.reading, Wants::Reading, waker) };
        ready!(this.recheck.told(found, cx));
        // With the guard.
        this.has_right.set(false);
        Poll::Ready(this.lock.upgradable())
    }
}

impl<T: ?Sized> Drop for UpgradableReadFuture<'_, T> {
    fn drop(&mut self) {
        let _right = self.has_right.get().then(|| Right(&self.lock.upgrade));
        self.lock.raw.leave(&self.reading);
        self.lock.upgrade.leave(&self.right);
    }
}

/// The future of [`RwLockUpgradableReadGuard::upgrade_async`].
#[must_use = "a future does nothing unless it is polled; its reading ends when it is dropped"]
pub struct UpgradeFuture<'a, T: ?Sized> {
    /// None when it is ready.
    lock: Cell<Option<&'a RwLock<T>>>,
    node: PolledNode<(), Target>,
}

// As its node.
impl<T: ?Sized> UnwindSafe for UpgradeFuture<'_, T> {}

impl<'a, T: ?Sized> Future for UpgradeFuture<'a, T> {
    type Output = RwLockWriteGuard<'a, T>;

    /// # Panics
    ///
    /// If it is polled after it was ready.
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        ready!(poll_turn(cx));
        let this = self.as_ref().get_ref();
        let lock = this.lock.get().expect("an upgrade that has ended is not polled again");
        // SAFETY: pinned; `drop` leaves.
        if !unsafe { lock.raw.poll_upgrade(&this.node, cx.waker().clone()) } {
            return Poll::Pending;
        }
        this.lock.set(None);
        Poll::Ready(upgraded(lock))
    }
}

impl<T: ?Sized> Drop for UpgradeFuture<'_, T> {
    fn drop(&mut self) {
        let Some(lock) = self.lock.get() else { return };
        let _right = Right(&lock.upgrade);
        if lock.raw.leave_upgrade(&self.node) {
            lock.raw.unlock_write();
        } else {
            lock.raw.unlock_read();
        }
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for RwLockUpgradableReadGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: ?Sized> fmt::Debug for UpgradableReadFuture<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UpgradableReadFuture { .. }")
    }
}

impl<T: ?Sized> fmt::Debug for UpgradeFuture<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UpgradeFuture { .. }")
    }
}
