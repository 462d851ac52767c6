//! Mutexes that C locks in one call and unlocks in another.
//!
//! The guard of the lock lies in the handle meanwhile, under a lock of a few instructions. It is
//! bound to no goroutine and no thread.
//!
//! # Safety
//!
//! Handles are what the header says.
#![expect(unsafe_code, reason = "exported names; handles of C")]

use std::sync::{Arc, LockResult, PoisonError, TryLockError, TryLockResult};

use gosched::sync::{self, ArcMutexGuard};

use crate::code::{Code, GOSCHED_NOT_HELD, GOSCHED_TIMED_OUT, GOSCHED_WOULD_BLOCK};
use crate::failure::Failure;
use crate::guard::{give, give_back, guarded, hold, nanoseconds, place, share};

/// Mutual exclusion between goroutines and threads of any kind. It may be held over a wait.
#[derive(Debug)]
pub struct Mutex {
    lock: Arc<sync::Mutex<()>>,
    /// While it is locked.
    guard: std::sync::Mutex<Option<ArcMutexGuard<()>>>,
}

impl Mutex {
    /// Keeps the guard until C unlocks.
    fn keep(&self, guard: ArcMutexGuard<()>) {
        *whole(self.guard.lock()) = Some(guard);
    }

    fn keep_if(&self, guard: TryLockResult<ArcMutexGuard<()>>, late: Code) -> Result<(), Failure> {
        match guard {
            Ok(guard) => self.keep(guard),
            Err(TryLockError::Poisoned(poisoned)) => self.keep(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => return Err(Failure::plain(late)),
        }
        Ok(())
    }

    fn unlock(&self) -> Result<(), Failure> {
        let guard = whole(self.guard.lock()).take();
        // Outside of the inner lock: it wakes a waiter.
        guard.map(drop).ok_or_else(|| Failure::plain(GOSCHED_NOT_HELD))
    }
}

/// Returns a guard, poisoned or not: it guards nothing that could be half changed.
fn whole<G>(guard: LockResult<G>) -> G {
    guard.unwrap_or_else(PoisonError::into_inner)
}

/// Makes a mutex, unlocked, and leaves it in *mutex.
///
/// Threads: any. Waits: no. Handlers: no. States: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gosched_mutex_new(mutex: *mut *mut Mutex) -> Code {
    guarded(|| {
        // SAFETY: the header's contract.
        let out = unsafe { place(mutex) }?;
        let lock = Arc::new(sync::Mutex::new(()));
        out.write(give(Mutex { lock, guard: std::sync::Mutex::new(None) })?);
        Ok(())
    })
}

/// Locks, and waits until nobody else holds the mutex. To lock a mutex that the caller holds
/// already is a deadlock.
///
/// GOSCHED_CANCELLED: it is not locked.
///
/// Threads: any. Waits: yes. Handlers: no. States: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gosched_mutex_lock(mutex: *mut Mutex) -> Code {
    guarded(|| {
        // SAFETY: the header's contract.
        let mutex = unsafe { hold(mutex) }?;
        mutex.keep(whole(sync::Mutex::lock_arc(&mutex.lock)));
        Ok(())
    })
}

/// As gosched_mutex_lock, without a wait: GOSCHED_WOULD_BLOCK.
///
/// Threads: any. Waits: no. Handlers: no. States: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gosched_mutex_try_lock(mutex: *mut Mutex) -> Code {
    guarded(|| {
        // SAFETY: the header's contract.
        let mutex = unsafe { hold(mutex) }?;
        mutex.keep_if(sync::Mutex::try_lock_arc(&mutex.lock), GOSCHED_WOULD_BLOCK)
    })
}

/// As gosched_mutex_lock, for timeout_ns nanoseconds at most: GOSCHED_TIMED_OUT.
///
/// Threads: any. Waits: yes. Handlers: no. States: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gosched_mutex_lock_timeout(mutex: *mut Mutex, timeout_ns: u64) -> Code {
    guarded(|| {
        // SAFETY: the header's contract.
        let mutex = unsafe { hold(mutex) }?;
        let timeout = nanoseconds(timeout_ns);
        mutex.keep_if(sync::Mutex::lock_arc_timeout(&mutex.lock, timeout), GOSCHED_TIMED_OUT)
    })
}

/// Unlocks; by whoever holds the mutex, on whatever thread. GOSCHED_NOT_HELD if it is not locked.
///
/// Threads: any. Waits: no. Handlers: no. States: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gosched_mutex_unlock(mutex: *mut Mutex) -> Code {
    // SAFETY: the header's contract.
    guarded(|| unsafe { hold(mutex) }?.unlock())
}

/// Adds a reference to the mutex and returns it. Each reference is freed once. NULL stays NULL.
///
/// Threads: any. Waits: no. Handlers: no. States: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gosched_mutex_share(mutex: *mut Mutex) -> *mut Mutex {
    // SAFETY: the header's contract.
    unsafe { share(mutex) }
}

/// Gives a reference back. NULL is ignored.
///
/// Threads: any. Waits: no. Handlers: no. States: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gosched_mutex_free(mutex: *mut Mutex) {
    guarded(|| {
        // SAFETY: the header's contract.
        unsafe { give_back(mutex) }
    });
}
