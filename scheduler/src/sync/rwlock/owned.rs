//! Guards that hold their lock.
//!
//! # Safety
//!
//! As in `rwlock`: a guard stands for a reading or for the writing.
#![expect(unsafe_code, reason = "the lock says who may reach the data")]

use std::fmt;
use std::marker::PhantomData;
use std::mem::{self, ManuallyDrop};
use std::ops::{Deref, DerefMut};
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::{Arc, LockResult, PoisonError, TryLockError, TryLockResult};
use std::time::{Duration, Instant};

use super::{RwLock, RwLockReadGuard, RwLockWriteGuard};
use crate::sync::poison::PanickingBefore;

/// As [`RwLockReadGuard`], and it holds its lock itself: made by [`RwLock::read_arc`] and its kind.
#[must_use = "the reading ends at once if the guard is not kept"]
pub struct ArcRwLockReadGuard<T: ?Sized> {
    lock: Arc<RwLock<T>>,
    /// It has the data, perhaps as the last one. The data is behind a pointer, so it may be moved.
    _data: PhantomData<Box<T>>,
}

/// As [`RwLockWriteGuard`], and it holds its lock itself: made by [`RwLock::write_arc`] and its
/// kind.
#[must_use = "the writing ends at once if the guard is not kept"]
pub struct ArcRwLockWriteGuard<T: ?Sized> {
    lock: Arc<RwLock<T>>,
    entered: PanickingBefore,
    _data: PhantomData<Box<T>>,
}

// As the guards that borrow.
impl<T: ?Sized> UnwindSafe for ArcRwLockWriteGuard<T> {}
impl<T: ?Sized> RefUnwindSafe for ArcRwLockWriteGuard<T> {}
impl<T: ?Sized + RefUnwindSafe> UnwindSafe for ArcRwLockReadGuard<T> {}
impl<T: ?Sized + RefUnwindSafe> RefUnwindSafe for ArcRwLockReadGuard<T> {}

impl<T: ?Sized> RwLock<T> {
    /// As [`read`](Self::read), and the guard may go wherever the lock's `Arc` may: into a
    /// goroutine, a struct, another thread.
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
    ///     let guard = table.read_arc().unwrap();
    ///     let sums = go(move || guard.iter().sum::<u32>());
    ///     assert_eq!(sums.join().unwrap(), 3);
    ///     table.write_arc().unwrap().push(3);
    /// });
    /// ```
    #[doc(alias = "read_owned")]
    pub fn read_arc(self: &Arc<Self>) -> LockResult<ArcRwLockReadGuard<T>> {
        owned(self, self.read(), own_read)
    }

    /// As [`try_read`](Self::try_read) and [`read_arc`](Self::read_arc).
    ///
    /// # Errors
    ///
    /// As [`try_read`](Self::try_read).
    #[doc(alias = "try_read_owned")]
    pub fn try_read_arc(self: &Arc<Self>) -> TryLockResult<ArcRwLockReadGuard<T>> {
        try_owned(self, self.try_read(), own_read)
    }

    /// As [`read_timeout`](Self::read_timeout) and [`read_arc`](Self::read_arc).
    ///
    /// # Errors
    ///
    /// As [`read_timeout`](Self::read_timeout).
    ///
    /// # Panics
    ///
    /// As [`read`](Self::read).
    pub fn read_arc_timeout(
        self: &Arc<Self>,
        timeout: Duration,
    ) -> TryLockResult<ArcRwLockReadGuard<T>> {
        try_owned(self, self.read_timeout(timeout), own_read)
    }

    /// As [`read_deadline`](Self::read_deadline) and [`read_arc`](Self::read_arc).
    ///
    /// # Errors
    ///
    /// As [`read_timeout`](Self::read_timeout).
    ///
    /// # Panics
    ///
    /// As [`read`](Self::read).
    pub fn read_arc_deadline(
        self: &Arc<Self>,
        deadline: Instant,
    ) -> TryLockResult<ArcRwLockReadGuard<T>> {
        try_owned(self, self.read_deadline(deadline), own_read)
    }

    /// As [`read_async`](Self::read_async) and [`read_arc`](Self::read_arc).
    #[doc(alias = "read_owned")]
    pub fn read_arc_async(
        self: &Arc<Self>,
    ) -> impl Future<Output = LockResult<ArcRwLockReadGuard<T>>> + use<T> {
        let lock = self.clone();
        async move { owned(&lock, lock.read_async().await, own_read) }
    }

    /// As [`write`](Self::write) and [`read_arc`](Self::read_arc).
    ///
    /// # Errors
    ///
    /// As [`write`](Self::write).
    ///
    /// # Panics
    ///
    /// As [`read`](Self::read).
    #[doc(alias = "write_owned")]
    pub fn write_arc(self: &Arc<Self>) -> LockResult<ArcRwLockWriteGuard<T>> {
        owned(self, self.write(), own_write)
    }

    /// As [`try_write`](Self::try_write) and [`write_arc`](Self::write_arc).
    ///
    /// # Errors
    ///
    /// As [`try_write`](Self::try_write).
    #[doc(alias = "try_write_owned")]
    pub fn try_write_arc(self: &Arc<Self>) -> TryLockResult<ArcRwLockWriteGuard<T>> {
        try_owned(self, self.try_write(), own_write)
    }

    /// As [`write_timeout`](Self::write_timeout) and [`write_arc`](Self::write_arc).
    ///
    /// # Errors
    ///
    /// As [`read_timeout`](Self::read_timeout).
    ///
    /// # Panics
    ///
    /// As [`read`](Self::read).
    pub fn write_arc_timeout(
        self: &Arc<Self>,
        timeout: Duration,
    ) -> TryLockResult<ArcRwLockWriteGuard<T>> {
        try_owned(self, self.write_timeout(timeout), own_write)
    }

    /// As [`write_deadline`](Self::write_deadline) and [`write_arc`](Self::write_arc).
    ///
    /// # Errors
    ///
    /// As [`read_timeout`](Self::read_timeout).
    ///
    /// # Panics
    ///
    /// As [`read`](Self::read).
    pub fn write_arc_deadline(
        self: &Arc<Self>,
        deadline: Instant,
    ) -> TryLockResult<ArcRwLockWriteGuard<T>> {
        try_owned(self, self.write_deadline(deadline), own_write)
    }

    /// As [`write_async`](Self::write_async) and [`write_arc`](Self::write_arc).
    #[doc(alias = "write_owned")]
    pub fn write_arc_async(
        self: &Arc<Self>,
    ) -> impl Future<Output = LockResult<ArcRwLockWriteGuard<T>>> + use<T> {
        let lock = self.clone();
        async move { owned(&lock, lock.write_async().await, own_write) }
    }
}

/// Has the guard hold its lock, which `lock` is.
pub(super) fn own_read<T: ?Sized>(
    lock: &Arc<RwLock<T>>,
    guard: RwLockReadGuard<'_, T>,
) -> ArcRwLockReadGuard<T> {
    mem::forget(guard);
    ArcRwLockReadGuard { lock: lock.clone(), _data: PhantomData }
}

/// Has the guard hold its lock, which `lock` is.
pub(super) fn own_write<T: ?Sized>(
    lock: &Arc<RwLock<T>>,
    guard: RwLockWriteGuard<'_, T>,
) -> ArcRwLockWriteGuard<T> {
    let entered = guard.entered;
    mem::forget(guard);
    ArcRwLockWriteGuard { lock: lock.clone(), entered, _data: PhantomData }
}

pub(super) fn owned<T: ?Sized, G, O>(
    lock: &Arc<RwLock<T>>,
    locked: LockResult<G>,
    own: fn(&Arc<RwLock<T>>, G) -> O,
) -> LockResult<O> {
    match locked {
        Ok(guard) => Ok(own(lock, guard)),
        Err(poisoned) => Err(PoisonError::new(own(lock, poisoned.into_inner()))),
    }
}

pub(super) fn try_owned<T: ?Sized, G, O>(
    lock: &Arc<RwLock<T>>,
    locked: TryLockResult<G>,
    own: fn(&Arc<RwLock<T>>, G) -> O,
) -> TryLockResult<O> {
    match locked {
        Ok(guard) => Ok(own(lock, guard)),
        Err(TryLockError::Poisoned(poisoned)) => {
            Err(PoisonError::new(own(lock, poisoned.into_inner())).into())
        }
        Err(TryLockError::WouldBlock) => Err(TryLockError::WouldBlock),
    }
}

impl<T: ?Sized> ArcRwLockReadGuard<T> {
    /// Returns the lock. An associated function, so that it hides nothing of the data's.
    pub fn rwlock(guard: &Self) -> &Arc<RwLock<T>> {
        &guard.lock
    }
}

impl<T: ?Sized> ArcRwLockWriteGuard<T> {
    /// Returns the lock. An associated function, so that it hides nothing of the data's.
    pub fn rwlock(guard: &Self) -> &Arc<RwLock<T>> {
        &guard.lock
    }

    /// Turns the writing into a reading: no other writer gets in between.
    pub fn downgrade(self) -> ArcRwLockReadGuard<T> {
        let guard = ManuallyDrop::new(self);
        guard.lock.poison.leave(guard.entered);
        guard.lock.raw.downgrade();
        // SAFETY: read once, of a guard that is not dropped.
        let lock = unsafe { std::ptr::read(&raw const guard.lock) };
        ArcRwLockReadGuard { lock, _data: PhantomData }
    }
}

impl<T: ?Sized> Drop for ArcRwLockReadGuard<T> {
    fn drop(&mut self) {
        self.lock.raw.unlock_read();
    }
}

impl<T: ?Sized> Drop for ArcRwLockWriteGuard<T> {
    fn drop(&mut self) {
        self.lock.poison.leave(self.entered);
        self.lock.raw.unlock_write();
    }
}

impl<T: ?Sized> Deref for ArcRwLockReadGuard<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: the guard stands for a reading: nobody writes.
        unsafe { &*self.lock.data.get() }
    }
}

impl<T: ?Sized> Deref for ArcRwLockWriteGuard<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: the guard stands for the writing.
        unsafe { &*self.lock.data.get() }
    }
}

impl<T: ?Sized> DerefMut for ArcRwLockWriteGuard<T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: the guard stands for the writing, and is borrowed for itself alone.
        unsafe { &mut *self.lock.data.get() }
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for ArcRwLockReadGuard<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for ArcRwLockWriteGuard<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
