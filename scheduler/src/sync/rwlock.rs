//! A reader-writer lock that may be held over a wait.
//!
//! # Safety
//!
//! The data is reached by holders of the raw lock: shared through a guard for reading, alone
//! through the guard for writing, or through `&mut`.

#![expect(unsafe_code, reason = "the lock says who may reach the data")]

mod future;
mod owned;
mod upgradable;
mod upgradable_owned;

use std::cell::UnsafeCell;
use std::fmt;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::ops::{Deref, DerefMut};
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::{LockResult, TryLockError, TryLockResult};
use std::time::{Duration, Instant};

pub use future::{ReadFuture, WriteFuture};
pub use owned::{ArcRwLockReadGuard, ArcRwLockWriteGuard};
pub use upgradable::{RwLockUpgradableReadGuard, UpgradableReadFuture, UpgradeFuture};
pub use upgradable_owned::ArcRwLockUpgradableReadGuard;

use super::mutex::told;
use super::poison::{Flag, PanickingBefore, would_block};
use crate::proc::park::Parking;
use crate::proc::target::Target;
use crate::proc::yield_now::preempt_point;
use crate::sync::raw::mutex::RawMutex;
use crate::sync::raw::rwlock::RawRwLock;
use gosched_runtime_sys::sync::primitive::const_fn;

/// Many readers or one writer: `std::sync::RwLock`, except that a waiter parks, and that the lock
/// may be held over a wait.
///
/// # Who comes next
///
/// Writers are preferred: a writer that waits keeps out readers that come later, so that reading
/// must not be nested, as in `std`. When a writer is through, the readers that wait at that moment
/// go before the next writer. So neither starve the other.
///
/// Futures come after goroutines and threads; but those that have waited for a millisecond take
/// turns with them. Then the lock is reserved for the future while holders leave, and until it is
/// polled, at longest for a millisecond. If that was not enough, the others come and go for two,
/// and keep back for two, and so on, up to a second. So a future that is kept and not polled slows
/// the others down and does not stop them.
///
/// # Poisoning
///
/// As in `std`: a writer that unwinds poisons the lock, also when it is cancelled. Readers do not.
///
/// Guards are bound to no thread: they may be sent, and be held over a wait.
///
/// ```
/// use gosched::sync::RwLock;
///
/// let lock = RwLock::new(vec![1]);
/// {
///     let (one, another) = (lock.read().unwrap(), lock.read().unwrap());
///     assert_eq!(*one, *another);
///     assert!(lock.try_write().is_err());
/// }
/// lock.write().unwrap().push(2);
/// assert_eq!(lock.into_inner().unwrap(), [1, 2]);
/// ```
pub struct RwLock<T: ?Sized> {
    raw: RawRwLock<Target>,
    /// Who has it reads, and may become the writer.
    upgrade: RawMutex<Target>,
    poison: Flag,
    data: UnsafeCell<T>,
}

/// Access to the data of a [`RwLock`], for reading. Dropping it ends the reading.
#[must_use = "the reading ends at once if the guard is not kept"]
pub struct RwLockReadGuard<'a, T: ?Sized> {
    raw: &'a RawRwLock<Target>,
    /// A pointer, because a reference to the lock would make the guard invariant in `T`.
    data: *const T,
    _data: PhantomData<&'a T>,
}

/// Access to the data of a [`RwLock`], for writing. Dropping it ends the writing.
#[must_use = "the writing ends at once if the guard is not kept"]
pub struct RwLockWriteGuard<'a, T: ?Sized> {
    lock: &'a RwLock<T>,
    entered: PanickingBefore,
    _data: PhantomData<&'a mut T>,
}

// SAFETY: the data goes from one writer to the next, and is shared by readers.
unsafe impl<T: ?Sized + Send + Sync> Sync for RwLock<T> {}
// SAFETY: with the lock goes the data.
unsafe impl<T: ?Sized + Send> Send for RwLock<T> {}
// SAFETY: a guard for reading gives `&T`, on each thread that has it or shares it.
unsafe impl<T: ?Sized + Sync> Send for RwLockReadGuard<'_, T> {}
// SAFETY: as above.
unsafe impl<T: ?Sized + Sync> Sync for RwLockReadGuard<'_, T> {}
// SAFETY: a shared guard gives `&T`.
unsafe impl<T: ?Sized + Sync> Sync for RwLockWriteGuard<'_, T> {}

// The poison tells what a panic left half done.
impl<T: ?Sized> UnwindSafe for RwLock<T> {}
impl<T: ?Sized> RefUnwindSafe for RwLock<T> {}
impl<T: ?Sized> UnwindSafe for RwLockWriteGuard<'_, T> {}
impl<T: ?Sized> RefUnwindSafe for RwLockWriteGuard<'_, T> {}
// Readers poison nothing.
impl<T: ?Sized + RefUnwindSafe> UnwindSafe for RwLockReadGuard<'_, T> {}
impl<T: ?Sized + RefUnwindSafe> RefUnwindSafe for RwLockReadGuard<'_, T> {}

impl<T> RwLock<T> {
    const_fn! {
        /// Returns a free lock that guards `data`.
        pub fn new(data: T) -> Self {
            let (raw, upgrade) = (RawRwLock::new(), RawMutex::new());
            Self { raw, upgrade, poison: Flag::new(), data: UnsafeCell::new(data) }
        }
    }

    /// Returns the data.
    ///
    /// # Errors
    ///
    /// If the lock was poisoned; with the data.
    pub fn into_inner(self) -> LockResult<T> {
        let poisoned = self.poison.get();
        told(poisoned, self.data.into_inner())
    }
}

impl<T: ?Sized> RwLock<T> {
    /// Locks for reading, waiting until no writer has it or waits for it.
    ///
    /// # Errors
    ///
    /// If a writer panicked; with the guard.
    ///
    /// # Panics
    ///
    /// Unwinds with `Cancelled` if the calling goroutine is cancelled while it would have to wait.
    pub fn read(&self) -> LockResult<RwLockReadGuard<'_, T>> {
        preempt_point();
        // Without a deadline it is had in the end.
        let _locked = self.raw.read(None, Parking::begin);
        self.reading()
    }

    /// Locks for reading, if no writer has it or waits for it. If one does, a goroutine whose slice
    /// is over gives its turn.
    ///
    /// # Errors
    ///
    /// [`TryLockError::WouldBlock`] if a writer does, [`TryLockError::Poisoned`] if one panicked.
    pub fn try_read(&self) -> TryLockResult<RwLockReadGuard<'_, T>> {
        if self.raw.try_read() { Ok(self.reading()?) } else { would_block() }
    }

    /// Locks for reading, waiting at longest for `timeout`.
    ///
    /// # Errors
    ///
    /// [`TryLockError::WouldBlock`] if the time was over first, [`TryLockError::Poisoned`] if a
    /// writer panicked.
    ///
    /// # Panics
    ///
    /// As [`read`](Self::read).
    pub fn read_timeout(&self, timeout: Duration) -> TryLockResult<RwLockReadGuard<'_, T>> {
        self.read_until(Instant::now().checked_add(timeout))
    }

    /// Locks for reading, waiting at longest until `deadline`.
    ///
    /// # Errors
    ///
    /// As [`read_timeout`](Self::read_timeout).
    ///
    /// # Panics
    ///
    /// As [`read`](Self::read).
    pub fn read_deadline(&self, deadline: Instant) -> TryLockResult<RwLockReadGuard<'_, T>> {
        self.read_until(Some(deadline))
    }

    fn read_until(&self, deadline: Option<Instant>) -> TryLockResult<RwLockReadGuard<'_, T>> {
        preempt_point();
        let locked = self.raw.read(deadline, Parking::begin);
        if locked.is_ok() { Ok(self.reading()?) } else { Err(TryLockError::WouldBlock) }
    }

    /// Locks for writing, waiting until there is no other holder.
    ///
    /// # Errors
    ///
    /// If a writer panicked; with the guard.
    ///
    /// # Panics
    ///
    /// As [`read`](Self::read).
    pub fn write(&self) -> LockResult<RwLockWriteGuard<'_, T>> {
        preempt_point();
        // Without a deadline it is had in the end.
        let _locked = self.raw.write(None, Parking::begin);
        self.writing()
    }

    /// Locks for writing, if there is no holder. If there is one, a goroutine whose slice is over
    /// gives its turn.
    ///
    /// # Errors
    ///
    /// [`TryLockError::WouldBlock`] if there is one, [`TryLockError::Poisoned`] if a writer
    /// panicked.
    pub fn try_write(&self) -> TryLockResult<RwLockWriteGuard<'_, T>> {
        if self.raw.try_write() { Ok(self.writing()?) } else { would_block() }
    }

    /// Locks for writing, waiting at longest for `timeout`.
    ///
    /// # Errors
    ///
    /// As [`read_timeout`](Self::read_timeout).
    ///
    /// # Panics
    ///
    /// As [`read`](Self::read).
    pub fn write_timeout(&self, timeout: Duration) -> TryLockResult<RwLockWriteGuard<'_, T>> {
        self.write_until(Instant::now().checked_add(timeout))
    }

    /// Locks for writing, waiting at longest until `deadline`.
    ///
    /// # Errors
    ///
    /// As [`read_timeout`](Self::read_timeout).
    ///
    /// # Panics
    ///
    /// As [`read`](Self::read).
    pub fn write_deadline(&self, deadline: Instant) -> TryLockResult<RwLockWriteGuard<'_, T>> {
        self.write_until(Some(deadline))
    }

    fn write_until(&self, deadline: Option<Instant>) -> TryLockResult<RwLockWriteGuard<'_, T>> {
        preempt_point();
        let locked = self.raw.write(deadline, Parking::begin);
        if locked.is_ok() { Ok(self.writing()?) } else { Err(TryLockError::WouldBlock) }
    }

    fn reading(&self) -> LockResult<RwLockReadGuard<'_, T>> {
        told(self.poison.get(), self.read_guard())
    }

    /// The guard of a reading that the caller has.
    fn read_guard(&self) -> RwLockReadGuard<'_, T> {
        RwLockReadGuard { raw: &self.raw, data: self.data.get(), _data: PhantomData }
    }

    fn writing(&self) -> LockResult<RwLockWriteGuard<'_, T>> {
        let guard =
            RwLockWriteGuard { lock: self, entered: self.poison.enter(), _data: PhantomData };
        told(self.poison.get(), guard)
    }

    /// True if a writer panicked.
    pub fn is_poisoned(&self) -> bool {
        self.poison.get()
    }

    /// Ends the poisoning: the data is in order again.
    pub fn clear_poison(&self) {
        self.poison.clear();
    }

    /// Returns the data, without locking: nobody else has the lock.
    ///
    /// # Errors
    ///
    /// If the lock was poisoned; with the data.
    pub fn get_mut(&mut self) -> LockResult<&mut T> {
        let poisoned = self.poison.get();
        told(poisoned, self.data.get_mut())
    }
}

impl<'a, T: ?Sized> RwLockWriteGuard<'a, T> {
    /// Turns the writing into a reading: no other writer gets in between.
    pub fn downgrade(self) -> RwLockReadGuard<'a, T> {
        let guard = ManuallyDrop::new(self);
        guard.lock.poison.leave(guard.entered);
        guard.lock.raw.downgrade();
        guard.lock.read_guard()
    }
}

impl<T: ?Sized> Drop for RwLockReadGuard<'_, T> {
    fn drop(&mut self) {
        self.raw.unlock_read();
    }
}

impl<T: ?Sized> Drop for RwLockWriteGuard<'_, T> {
    fn drop(&mut self) {
        self.lock.poison.leave(self.entered);
        self.lock.raw.unlock_write();
    }
}

impl<T: ?Sized> Deref for RwLockReadGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: the guard stands for a reading: nobody writes, and the lock is borrowed for `'a`.
        unsafe { &*self.data }
    }
}

impl<T: ?Sized> Deref for RwLockWriteGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: the guard stands for the writing.
        unsafe { &*self.lock.data.get() }
    }
}

impl<T: ?Sized> DerefMut for RwLockWriteGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: the guard stands for the writing, and is borrowed for itself alone.
        unsafe { &mut *self.lock.data.get() }
    }
}

impl<T: Default> Default for RwLock<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T> From<T> for RwLock<T> {
    fn from(data: T) -> Self {
        Self::new(data)
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for RwLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("RwLock");
        match self.raw.try_read().then(|| self.reading()) {
            Some(Ok(guard)) => shown.field("data", &&*guard),
            Some(Err(poisoned)) => shown.field("data", &&**poisoned.get_ref()),
            None => shown.field("data", &format_args!("<locked>")),
        };
        shown.field("poisoned", &self.is_poisoned()).finish_non_exhaustive()
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for RwLockReadGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for RwLockWriteGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
