//! The reading that may become the writing, by a guard that holds its lock.
//!
//! Its methods lend the lock to the guard that borrows, have that do the work, and take what has
//! become of it. If the work unwinds, or its future is dropped, the guard that borrows ends the
//! reading, and then the lock goes.
//!
//! # Safety
//!
//! As in `rwlock`: a guard stands for a reading.
#![expect(unsafe_code, reason = "the lock says who may reach the data")]

use std::fmt;
use std::marker::PhantomData;
use std::mem::{self, ManuallyDrop};
use std::ops::Deref;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::{Arc, LockResult, TryLockResult};
use std::time::{Duration, Instant};

use super::owned::{
    ArcRwLockReadGuard, ArcRwLockWriteGuard, own_read, own_write, owned, try_owned,
};
use super::upgradable::RwLockUpgradableReadGuard;
use super::{RwLock, RwLockWriteGuard};

/// As [`RwLockUpgradableReadGuard`], and it holds its lock itself: made by
/// [`RwLock::upgradable_read_arc`] and its kind.
#[must_use = "the reading ends at once if the guard is not kept"]
pub struct ArcRwLockUpgradableReadGuard<T: ?Sized> {
    lock: Arc<RwLock<T>>,
    /// It has the data, perhaps as the last one. The data is behind a pointer, so it may be moved.
    _data: PhantomData<Box<T>>,
}

// As the guards for reading.
impl<T: ?Sized + RefUnwindSafe> UnwindSafe for ArcRwLockUpgradableReadGuard<T> {}
impl<T: ?Sized + RefUnwindSafe> RefUnwindSafe for ArcRwLockUpgradableReadGuard<T> {}

impl<T: ?Sized> RwLock<T> {
    /// As [`upgradable_read`](Self::upgradable_read), and the guard may go wherever the lock's
    /// `Arc` may: into a goroutine, a struct, another thread.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    ///
    /// # Panics
    ///
    /// As [`read`](Self::read).
    ///
    /// ```
    /// use gosched::{Mode, go, run, sync::RwLock};
    /// use std::sync::Arc;
    ///
    /// run(Mode::threads(), || {
    ///     let table = Arc::new(RwLock::new(vec![1, 2]));
    ///     let reading = table.upgradable_read_arc().unwrap();
    ///     let adds = go(move || {
    ///         let sum = reading.iter().sum();
    ///         reading.upgrade().push(sum);
    ///     });
    ///     adds.join().unwrap();
    ///     assert_eq!(*table.read().unwrap(), [1, 2, 3]);
    /// });
    /// ```
    pub fn upgradable_read_arc(self: &Arc<Self>) -> LockResult<ArcRwLockUpgradableReadGuard<T>> {
        owned(self, self.upgradable_read(), own)
    }

    /// As [`try_upgradable_read`](Self::try_upgradable_read) and
    /// [`upgradable_read_arc`](Self::upgradable_read_arc).
    ///
    /// # Errors
    ///
    /// As [`try_read`](Self::try_read).
    pub fn try_upgradable_read_arc(
        self: &Arc<Self>,
    ) -> TryLockResult<ArcRwLockUpgradableReadGuard<T>> {
        try_owned(self, self.try_upgradable_read(), own)
    }

    /// As [`upgradable_read_timeout`](Self::upgradable_read_timeout) and
    /// [`upgradable_read_arc`](Self::upgradable_read_arc).
    ///
    /// # Errors
    ///
    /// As [`read_timeout`](Self::read_timeout).
    ///
    /// # Panics
    ///
    /// As [`read`](Self::read).
    pub fn upgradable_read_arc_timeout(
        self: &Arc<Self>,
        timeout: Duration,
    ) -> TryLockResult<ArcRwLockUpgradableReadGuard<T>> {
        try_owned(self, self.upgradable_read_timeout(timeout), own)
    }

    /// As [`upgradable_read_deadline`](Self::upgradable_read_deadline) and
    /// [`upgradable_read_arc`](Self::upgradable_read_arc).
    ///
    /// # Errors
    ///
    /// As [`read_timeout`](Self::read_timeout).
    ///
    /// # Panics
    ///
    /// As [`read`](Self::read).
    pub fn upgradable_read_arc_deadline(
        self: &Arc<Self>,
        deadline: Instant,
    ) -> TryLockResult<ArcRwLockUpgradableReadGuard<T>> {
        try_owned(self, self.upgradable_read_deadline(deadline), own)
    }

    /// As [`upgradable_read_async`](Self::upgradable_read_async) and
    /// [`upgradable_read_arc`](Self::upgradable_read_arc).
    pub fn upgradable_read_arc_async(
        self: &Arc<Self>,
    ) -> impl Future<Output = LockResult<ArcRwLockUpgradableReadGuard<T>>> + use<T> {
        let lock = self.clone();
        async move { owned(&lock, lock.upgradable_read_async().await, own) }
    }
}

/// Has the guard hold its lock, which `lock` is.
fn own<T: ?Sized>(
    lock: &Arc<RwLock<T>>,
    guard: RwLockUpgradableReadGuard<'_, T>,
) -> ArcRwLockUpgradableReadGuard<T> {
    mem::forget(guard);
    ArcRwLockUpgradableReadGuard { lock: lock.clone(), _data: PhantomData }
}

impl<T: ?Sized> ArcRwLockUpgradableReadGuard<T> {
    /// Returns the lock. An associated function, so that it hides nothing of the data's.
    pub fn rwlock(guard: &Self) -> &Arc<RwLock<T>> {
        &guard.lock
    }

    /// As [`RwLockUpgradableReadGuard::upgrade`].
    ///
    /// # Panics
    ///
    /// Unwinds with `Cancelled` if the calling goroutine is cancelled while it would have to wait;
    /// the reading ends then.
    pub fn upgrade(self) -> ArcRwLockWriteGuard<T> {
        let lock = self.into_lock();
        own_write(&lock, RwLockUpgradableReadGuard::of(&lock).upgrade())
    }

    /// As [`RwLockUpgradableReadGuard::try_upgrade`].
    ///
    /// # Errors
    ///
    /// The guard, if somebody else reads.
    pub fn try_upgrade(self) -> Result<ArcRwLockWriteGuard<T>, Self> {
        let lock = self.into_lock();
        has_become(&lock, RwLockUpgradableReadGuard::of(&lock).try_upgrade())
    }

    /// As [`RwLockUpgradableReadGuard::upgrade_timeout`].
    ///
    /// # Errors
    ///
    /// The guard, if the time was over first.
    ///
    /// # Panics
    ///
    /// As [`upgrade`](Self::upgrade).
    pub fn upgrade_timeout(self, timeout: Duration) -> Result<ArcRwLockWriteGuard<T>, Self> {
        let lock = self.into_lock();
        has_become(&lock, RwLockUpgradableReadGuard::of(&lock).upgrade_timeout(timeout))
    }

    /// As [`RwLockUpgradableReadGuard::upgrade_deadline`].
    ///
    /// # Errors
    ///
    /// The guard, if the time was over first.
    ///
    /// # Panics
    ///
    /// As [`upgrade`](Self::upgrade).
    pub fn upgrade_deadline(self, deadline: Instant) -> Result<ArcRwLockWriteGuard<T>, Self> {
        let lock = self.into_lock();
        has_become(&lock, RwLockUpgradableReadGuard::of(&lock).upgrade_deadline(deadline))
    }

    /// As [`RwLockUpgradableReadGuard::upgrade_async`]: if the future is dropped before it is
    /// ready, the reading ends.
    pub async fn upgrade_async(self) -> ArcRwLockWriteGuard<T> {
        let lock = self.into_lock();
        let writing = RwLockUpgradableReadGuard::of(&lock).upgrade_async().await;
        own_write(&lock, writing)
    }

    /// As [`RwLockUpgradableReadGuard::downgrade`]: gives up the right to become the writer.
    pub fn downgrade(self) -> ArcRwLockReadGuard<T> {
        let lock = self.into_lock();
        own_read(&lock, RwLockUpgradableReadGuard::of(&lock).downgrade())
    }

    /// The lock, with a reading that the caller answers for.
    fn into_lock(self) -> Arc<RwLock<T>> {
        let guard = ManuallyDrop::new(self);
        // SAFETY: read once, of a guard that is not dropped.
        unsafe { std::ptr::read(&raw const guard.lock) }
    }
}

/// Has what an upgrade has led to hold its lock, which `lock` is.
fn has_become<T: ?Sized>(
    lock: &Arc<RwLock<T>>,
    upgraded: Result<RwLockWriteGuard<'_, T>, RwLockUpgradableReadGuard<'_, T>>,
) -> Result<ArcRwLockWriteGuard<T>, ArcRwLockUpgradableReadGuard<T>> {
    match upgraded {
        Ok(writing) => Ok(own_write(lock, writing)),
        Err(reading) => Err(own(lock, reading)),
    }
}

impl<T: ?Sized> Drop for ArcRwLockUpgradableReadGuard<T> {
    fn drop(&mut self) {
        drop(RwLockUpgradableReadGuard::of(&self.lock));
    }
}

impl<T: ?Sized> Deref for ArcRwLockUpgradableReadGuard<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: the guard stands for a reading: nobody writes.
        unsafe { &*self.lock.data.get() }
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for ArcRwLockUpgradableReadGuard<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
