//! Guards that hold their mutex.
//!
//! # Safety
//!
//! As in `mutex`: the guard stands for the lock.
#![expect(unsafe_code, reason = "the lock says who may reach the data")]

use std::fmt;
use std::marker::PhantomData;
use std::mem;
use std::ops::{Deref, DerefMut};
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::{Arc, LockResult, PoisonError, TryLockError, TryLockResult};
use std::time::{Duration, Instant};

use super::{Mutex, MutexGuard};
use crate::sync::poison::PanickingBefore;
use crate::wait::owed::wake_one;

/// As [`MutexGuard`], and it holds its mutex itself: made by [`Mutex::lock_arc`] and its kind.
#[must_use = "the mutex is unlocked at once if the guard is not kept"]
pub struct ArcMutexGuard<T: ?Sized> {
    mutex: Arc<Mutex<T>>,
    entered: PanickingBefore,
    /// It gives `&T` to those that share it, so it is `Sync` only if that is. The data is behind a
    /// pointer, so the guard may be moved.
    _data: PhantomData<Box<T>>,
}

// As `MutexGuard`.
impl<T: ?Sized> UnwindSafe for ArcMutexGuard<T> {}
impl<T: ?Sized> RefUnwindSafe for ArcMutexGuard<T> {}

impl<T: ?Sized> Mutex<T> {
    /// As [`lock`](Self::lock), and the guard may go wherever the mutex's `Arc` may: into a
    /// goroutine, a struct, another thread.
    ///
    /// # Errors
    ///
    /// As [`lock`](Self::lock).
    ///
    /// # Panics
    ///
    /// As [`lock`](Self::lock).
    ///
    /// ```
    /// use gosched::{Mode, go, run, sync::Mutex};
    /// use std::sync::Arc;
    ///
    /// run(Mode::threads(), || {
    ///     let log = Arc::new(Mutex::new(Vec::new()));
    ///     let mut guard = log.lock_arc().unwrap();
    ///     let writes = go(move || guard.push("locked by another goroutine"));
    ///     writes.join().unwrap();
    ///     assert_eq!(log.lock().unwrap().len(), 1);
    /// });
    /// ```
    #[doc(alias = "lock_owned")]
    pub fn lock_arc(self: &Arc<Self>) -> LockResult<ArcMutexGuard<T>> {
        owned(self, self.lock())
    }

    /// As [`try_lock`](Self::try_lock) and [`lock_arc`](Self::lock_arc).
    ///
    /// # Errors
    ///
    /// As [`try_lock`](Self::try_lock).
    #[doc(alias = "try_lock_owned")]
    pub fn try_lock_arc(self: &Arc<Self>) -> TryLockResult<ArcMutexGuard<T>> {
        try_owned(self, self.try_lock())
    }

    /// As [`lock_timeout`](Self::lock_timeout) and [`lock_arc`](Self::lock_arc).
    ///
    /// # Errors
    ///
    /// As [`lock_timeout`](Self::lock_timeout).
    ///
    /// # Panics
    ///
    /// As [`lock`](Self::lock).
    pub fn lock_arc_timeout(
        self: &Arc<Self>,
        timeout: Duration,
    ) -> TryLockResult<ArcMutexGuard<T>> {
        try_owned(self, self.lock_timeout(timeout))
    }

    /// As [`lock_deadline`](Self::lock_deadline) and [`lock_arc`](Self::lock_arc).
    ///
    /// # Errors
    ///
    /// As [`lock_timeout`](Self::lock_timeout).
    ///
    /// # Panics
    ///
    /// As [`lock`](Self::lock).
    pub fn lock_arc_deadline(
        self: &Arc<Self>,
        deadline: Instant,
    ) -> TryLockResult<ArcMutexGuard<T>> {
        try_owned(self, self.lock_deadline(deadline))
    }

    /// As [`lock_async`](Self::lock_async) and [`lock_arc`](Self::lock_arc).
    #[doc(alias = "lock_owned")]
    pub fn lock_arc_async(
        self: &Arc<Self>,
    ) -> impl Future<Output = LockResult<ArcMutexGuard<T>>> + use<T> {
        let mutex = self.clone();
        async move { owned(&mutex, mutex.lock_async().await) }
    }
}

/// Has the guard hold its mutex, which `mutex` is.
fn own<T: ?Sized>(mutex: &Arc<Mutex<T>>, guard: MutexGuard<'_, T>) -> ArcMutexGuard<T> {
    let entered = guard.entered;
    mem::forget(guard);
    ArcMutexGuard { mutex: mutex.clone(), entered, _data: PhantomData }
}

fn owned<T: ?Sized>(
    mutex: &Arc<Mutex<T>>,
    locked: LockResult<MutexGuard<'_, T>>,
) -> LockResult<ArcMutexGuard<T>> {
    match locked {
        Ok(guard) => Ok(own(mutex, guard)),
        Err(poisoned) => Err(PoisonError::new(own(mutex, poisoned.into_inner()))),
    }
}

fn try_owned<T: ?Sized>(
    mutex: &Arc<Mutex<T>>,
    locked: TryLockResult<MutexGuard<'_, T>>,
) -> TryLockResult<ArcMutexGuard<T>> {
    match locked {
        Ok(guard) => Ok(own(mutex, guard)),
        Err(TryLockError::Poisoned(poisoned)) => {
            Err(PoisonError::new(own(mutex, poisoned.into_inner())).into())
        }
        Err(TryLockError::WouldBlock) => Err(TryLockError::WouldBlock),
    }
}

impl<T: ?Sized> ArcMutexGuard<T> {
    /// Returns the mutex. An associated function, so that it hides nothing of the data's.
    pub fn mutex(guard: &Self) -> &Arc<Mutex<T>> {
        &guard.mutex
    }
}

impl<T: ?Sized> Drop for ArcMutexGuard<T> {
    fn drop(&mut self) {
        self.mutex.poison.leave(self.entered);
        wake_one(self.mutex.raw.unlock());
    }
}

impl<T: ?Sized> Deref for ArcMutexGuard<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: the guard stands for the lock.
        unsafe { &*self.mutex.data.get() }
    }
}

impl<T: ?Sized> DerefMut for ArcMutexGuard<T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: the guard stands for the lock, and is borrowed for itself alone.
        unsafe { &mut *self.mutex.data.get() }
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for ArcMutexGuard<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: ?Sized + fmt::Display> fmt::Display for ArcMutexGuard<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
