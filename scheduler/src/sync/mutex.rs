//! A mutex that may be held over a wait.
//!
//! # Safety
//!
//! The data is reached by the holder of the raw mutex: through a guard, of which there is one for
//! each time that the mutex was taken, or through `&mut`.

#![expect(unsafe_code, reason = "the lock says who may reach the data")]

mod owned;

use std::cell::UnsafeCell;
use std::fmt;
use std::marker::PhantomData;
use std::mem;
use std::ops::{Deref, DerefMut};
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::pin::Pin;
use std::sync::{LockResult, PoisonError, TryLockError, TryLockResult};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

pub use owned::ArcMutexGuard;

use super::poison::{Flag, PanickingBefore, would_block};
use crate::proc::park::Parking;
use crate::proc::target::Target;
use crate::proc::yield_now::{poll_turn, preempt_point};
use crate::sync::raw::mutex::{RawMutex, TimedOut};
use crate::wait::owed::wake_one;
use crate::wait::polled::PolledNode;
use crate::wait::reserved::{Ask, Recheck};
use crate::wait::waiter::Wakeup;
use gosched_runtime_sys::sync::primitive::const_fn;

/// Mutual exclusion between goroutines, threads and futures: `std::sync::Mutex`, except that a
/// waiter parks, and that the mutex may be held over a wait.
///
/// # Who comes next
///
/// Unlocking wakes the longest waiter, which then competes with all that come running. A waiter
/// that has waited for a millisecond is handed the lock without competition. Futures come after
/// goroutines and threads; but a future that has waited for a millisecond comes in the order of
/// arrival, too. The lock is reserved for it until it is polled, at longest for a millisecond; if
/// it was late, for twice as long the next time, up to 64 ms. So a future that is kept and not
/// polled stops nobody else.
///
/// # Poisoning
///
/// As in `std`: a holder that unwinds poisons the mutex, because the data may be half changed, and
/// locking then gives the guard inside an error. A goroutine that is cancelled while it holds the
/// guard unwinds, too.
///
/// # The guard
///
/// The guard is bound to no thread: it may be sent, be held while its goroutine waits, and be
/// dropped elsewhere. To lock a mutex that the caller holds already is a deadlock.
///
/// ```
/// use gosched::sync::Mutex;
///
/// static TOTAL: Mutex<u32> = Mutex::new(0);
///
/// let add = |n| std::thread::spawn(move || *TOTAL.lock().unwrap() += n);
/// let adders: Vec<_> = (1..=4).map(add).collect();
/// adders.into_iter().for_each(|adder| adder.join().unwrap());
/// assert_eq!(*TOTAL.lock().unwrap(), 10);
/// ```
pub struct Mutex<T: ?Sized> {
    raw: RawMutex<Target>,
    poison: Flag,
    data: UnsafeCell<T>,
}

/// Access to the data of a locked [`Mutex`]. Dropping it unlocks.
#[must_use = "the mutex is unlocked at once if the guard is not kept"]
pub struct MutexGuard<'a, T: ?Sized> {
    mutex: &'a Mutex<T>,
    entered: PanickingBefore,
    /// The guard gives `&mut T` to its owner, and `&T` to those that share it: it is `Send` and
    /// `Sync` as that is.
    _data: PhantomData<&'a mut T>,
}

// SAFETY: the data goes to one holder after the other.
unsafe impl<T: ?Sized + Send> Sync for Mutex<T> {}
// SAFETY: with the mutex goes the data.
unsafe impl<T: ?Sized + Send> Send for Mutex<T> {}
// SAFETY: a shared guard gives `&T`.
unsafe impl<T: ?Sized + Sync> Sync for MutexGuard<'_, T> {}

// The poison tells what a panic left half done.
impl<T: ?Sized> UnwindSafe for Mutex<T> {}
impl<T: ?Sized> RefUnwindSafe for Mutex<T> {}
impl<T: ?Sized> UnwindSafe for MutexGuard<'_, T> {}
impl<T: ?Sized> RefUnwindSafe for MutexGuard<'_, T> {}

impl<T> Mutex<T> {
    const_fn! {
        /// Returns an unlocked mutex that guards `data`.
        pub fn new(data: T) -> Self {
            Self { raw: RawMutex::new(), poison: Flag::new(), data: UnsafeCell::new(data) }
        }
    }

    /// Returns the data.
    ///
    /// # Errors
    ///
    /// If the mutex was poisoned; with the data.
    pub fn into_inner(self) -> LockResult<T> {
        let poisoned = self.poison.get();
        told(poisoned, self.data.into_inner())
    }
}

impl<T: ?Sized> Mutex<T> {
    /// Locks, waiting until there is no other holder.
    ///
    /// # Errors
    ///
    /// If a holder panicked; with the guard.
    ///
    /// # Panics
    ///
    /// Unwinds with `Cancelled` if the calling goroutine is cancelled while it would have to wait.
    pub fn lock(&self) -> LockResult<MutexGuard<'_, T>> {
        preempt_point();
        // Without a deadline it is had in the end.
        let _locked = self.raw.lock(None, Parking::begin);
        self.guard()
    }

    /// Locks, if there is no holder. If there is one, a goroutine whose slice is over gives its
    /// turn.
    ///
    /// # Errors
    ///
    /// [`TryLockError::WouldBlock`] if there is one, [`TryLockError::Poisoned`] if a holder
    /// panicked.
    pub fn try_lock(&self) -> TryLockResult<MutexGuard<'_, T>> {
        if self.raw.try_lock() { Ok(self.guard()?) } else { would_block() }
    }

    /// Locks, waiting at longest for `timeout`.
    ///
    /// # Errors
    ///
    /// [`TryLockError::WouldBlock`] if the time was over first, [`TryLockError::Poisoned`] if a
    /// holder panicked.
    ///
    /// # Panics
    ///
    /// As [`lock`](Self::lock).
    pub fn lock_timeout(&self, timeout: Duration) -> TryLockResult<MutexGuard<'_, T>> {
        self.lock_until(Instant::now().checked_add(timeout))
    }

    /// Locks, waiting at longest until `deadline`.
    ///
    /// # Errors
    ///
    /// As [`lock_timeout`](Self::lock_timeout).
    ///
    /// # Panics
    ///
    /// As [`lock`](Self::lock).
    pub fn lock_deadline(&self, deadline: Instant) -> TryLockResult<MutexGuard<'_, T>> {
        self.lock_until(Some(deadline))
    }

    fn lock_until(&self, deadline: Option<Instant>) -> TryLockResult<MutexGuard<'_, T>> {
        preempt_point();
        match self.raw.lock(deadline, Parking::begin) {
            Ok(()) => Ok(self.guard()?),
            Err(TimedOut) => Err(TryLockError::WouldBlock),
        }
    }

    /// Locks, for an async task: returns a future that is ready with the guard.
    ///
    /// It may be dropped at any time: if it was woken, the next future is.
    /// [Who comes next](Self#who-comes-next) says when it has its turn.
    pub fn lock_async(&self) -> LockFuture<'_, T> {
        LockFuture { mutex: self, node: PolledNode::new(None), recheck: Recheck::new() }
    }

    /// Returns the guard. The mutex is the caller's.
    fn guard(&self) -> LockResult<MutexGuard<'_, T>> {
        let guard = MutexGuard { mutex: self, entered: self.poison.enter(), _data: PhantomData };
        told(self.poison.get(), guard)
    }

    /// True if a holder panicked.
    pub fn is_poisoned(&self) -> bool {
        self.poison.get()
    }

    /// Ends the poisoning: the data is in order again.
    pub fn clear_poison(&self) {
        self.poison.clear();
    }

    /// Returns the data, without locking: nobody else has the mutex.
    ///
    /// # Errors
    ///
    /// If the mutex was poisoned; with the data.
    pub fn get_mut(&mut self) -> LockResult<&mut T> {
        let poisoned = self.poison.get();
        told(poisoned, self.data.get_mut())
    }
}

/// Returns `result` as `std` does: inside an error if it was poisoned.
pub(super) fn told<R>(poisoned: bool, result: R) -> LockResult<R> {
    if poisoned { Err(PoisonError::new(result)) } else { Ok(result) }
}

impl<'a, T: ?Sized> MutexGuard<'a, T> {
    /// Returns the mutex.
    pub(super) fn mutex(&self) -> &'a Mutex<T> {
        self.mutex
    }

    /// Unlocks. Returns the waiter that must be woken for it.
    pub(super) fn unlock(self) -> Option<Wakeup<Target>> {
        let guard = mem::ManuallyDrop::new(self);
        guard.mutex.poison.leave(guard.entered);
        guard.mutex.raw.unlock()
    }
}

impl<T: ?Sized> Drop for MutexGuard<'_, T> {
    fn drop(&mut self) {
        self.mutex.poison.leave(self.entered);
        wake_one(self.mutex.raw.unlock());
    }
}

impl<T: ?Sized> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: the guard stands for the lock.
        unsafe { &*self.mutex.data.get() }
    }
}

impl<T: ?Sized> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: the guard stands for the lock, and is borrowed for itself alone.
        unsafe { &mut *self.mutex.data.get() }
    }
}

/// The future of [`Mutex::lock_async`].
#[must_use = "a future does nothing unless it is polled"]
pub struct LockFuture<'a, T: ?Sized> {
    mutex: &'a Mutex<T>,
    node: PolledNode<Ask<()>, Target>,
    recheck: Recheck,
}

impl<'a, T: ?Sized> Future for LockFuture<'a, T> {
    type Output = LockResult<MutexGuard<'a, T>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.as_ref().get_ref();
        ready!(poll_turn(cx));
        // SAFETY: pinned; `drop` leaves.
        let found = unsafe { this.mutex.raw.poll(&this.node, cx.waker()) };
        ready!(this.recheck.told(found, cx));
        Poll::Ready(this.mutex.guard())
    }
}

impl<T: ?Sized> Drop for LockFuture<'_, T> {
    fn drop(&mut self) {
        self.mutex.raw.leave(&self.node);
    }
}

impl<T: Default> Default for Mutex<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T> From<T> for Mutex<T> {
    fn from(data: T) -> Self {
        Self::new(data)
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for Mutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Mutex");
        match self.raw.try_lock().then(|| self.guard()) {
            Some(Ok(guard)) => shown.field("data", &&*guard),
            Some(Err(poisoned)) => shown.field("data", &&**poisoned.get_ref()),
            None => shown.field("data", &format_args!("<locked>")),
        };
        shown.field("poisoned", &self.is_poisoned()).finish_non_exhaustive()
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for MutexGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: ?Sized + fmt::Display> fmt::Display for MutexGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: ?Sized> fmt::Debug for LockFuture<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LockFuture { .. }")
    }
}
