//! Waiting until a condition on a mutex's data holds.

use gosched_runtime_sys::sync::primitive::const_fn;
use std::fmt;
use std::mem;
use std::sync::{LockResult, PoisonError};
use std::time::{Duration, Instant};

use super::mutex::MutexGuard;
use crate::proc::no_wait;
use crate::proc::park::Parking;
use crate::proc::target::Target;
use crate::sync::raw::condvar::{Ended, RawCondvar};

/// A condition variable: `std::sync::Condvar`, for [`Mutex`](super::Mutex). Waiters park, and are
/// notified in the order of arrival.
///
/// There are no spurious wake-ups. But the condition may have changed between the notification and
/// the moment when the waiter has the mutex again: wait in a loop, or with
/// [`wait_while`](Self::wait_while).
///
/// A notification is not lost with a goroutine that is cancelled, or panics, before it has the
/// mutex again: the notification goes to the next waiter.
///
/// ```
/// use gosched::sync::{Condvar, Mutex};
///
/// static READY: (Mutex<bool>, Condvar) = (Mutex::new(false), Condvar::new());
///
/// let notifier = std::thread::spawn(|| {
///     *READY.0.lock().unwrap() = true;
///     READY.1.notify_one();
/// });
/// let ready = READY.1.wait_while(READY.0.lock().unwrap(), |ready| !*ready).unwrap();
/// assert!(*ready);
/// notifier.join().unwrap();
/// ```
#[doc(alias = "Cond")]
pub struct Condvar(RawCondvar<Target>);

// It holds who waits, and nothing of the user's.
impl std::panic::UnwindSafe for Condvar {}
impl std::panic::RefUnwindSafe for Condvar {}

/// The result of a wait with a time limit: whether the limit ended it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WaitTimeoutResult(bool);

impl WaitTimeoutResult {
    /// True if the time was over first.
    #[inline]
    pub fn timed_out(&self) -> bool {
        self.0
    }
}

/// Passes a notification on if its receiver unwinds before it could act on it.
struct PassOn<'a>(&'a Condvar);

impl Drop for PassOn<'_> {
    #[inline]
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

impl Condvar {
    const_fn! {
        /// Returns a condition variable without waiters.
        #[inline]
        pub fn new() -> Self {
            Self(RawCondvar::new())
        }
    }

    /// Unlocks, waits to be notified, and locks again.
    ///
    /// # Errors
    ///
    /// If the mutex is poisoned; with the guard.
    ///
    /// # Panics
    ///
    /// Unwinds with `Cancelled` if the calling goroutine is cancelled while it waits. The mutex is
    /// unlocked then.
    pub fn wait<'a, T: ?Sized>(&self, guard: MutexGuard<'a, T>) -> LockResult<MutexGuard<'a, T>> {
        match self.wait_until(guard, None) {
            Ok((guard, _)) => Ok(guard),
            Err(error) => Err(PoisonError::new(error.into_inner().0)),
        }
    }

    /// Waits as long as the condition holds.
    ///
    /// # Errors
    ///
    /// As [`wait`](Self::wait).
    ///
    /// # Panics
    ///
    /// As [`wait`](Self::wait).
    pub fn wait_while<'a, T: ?Sized>(
        &self,
        mut guard: MutexGuard<'a, T>,
        mut condition: impl FnMut(&mut T) -> bool,
    ) -> LockResult<MutexGuard<'a, T>> {
        while condition(&mut guard) {
            guard = self.wait(guard)?;
        }
        Ok(guard)
    }

    /// As [`wait`](Self::wait), at longest for `timeout`; locking again may take longer.
    ///
    /// # Errors
    ///
    /// As [`wait`](Self::wait).
    ///
    /// # Panics
    ///
    /// As [`wait`](Self::wait).
    pub fn wait_timeout<'a, T: ?Sized>(
        &self,
        guard: MutexGuard<'a, T>,
        timeout: Duration,
    ) -> LockResult<(MutexGuard<'a, T>, WaitTimeoutResult)> {
        self.wait_until(guard, Instant::now().checked_add(timeout))
    }

    /// As [`wait_timeout`](Self::wait_timeout), until a point in time.
    ///
    /// # Errors
    ///
    /// As [`wait`](Self::wait).
    ///
    /// # Panics
    ///
    /// As [`wait`](Self::wait).
    pub fn wait_deadline<'a, T: ?Sized>(
        &self,
        guard: MutexGuard<'a, T>,
        deadline: Instant,
    ) -> LockResult<(MutexGuard<'a, T>, WaitTimeoutResult)> {
        self.wait_until(guard, Some(deadline))
    }

    /// Waits as long as the condition holds, at longest for `timeout`. If the result says timed
    /// out, the condition still holds.
    ///
    /// # Errors
    ///
    /// As [`wait`](Self::wait).
    ///
    /// # Panics
    ///
    /// As [`wait`](Self::wait).
    pub fn wait_timeout_while<'a, T: ?Sized>(
        &self,
        mut guard: MutexGuard<'a, T>,
        timeout: Duration,
        mut condition: impl FnMut(&mut T) -> bool,
    ) -> LockResult<(MutexGuard<'a, T>, WaitTimeoutResult)> {
        let deadline = Instant::now().checked_add(timeout);
        let mut over = false;
        while condition(&mut guard) {
            if over {
                return Ok((guard, WaitTimeoutResult(true)));
            }
            let result = self.wait_until(guard, deadline)?;
            (guard, over) = (result.0, result.1.timed_out());
        }
        Ok((guard, WaitTimeoutResult(false)))
    }

    fn wait_until<'a, T: ?Sized>(
        &self,
        guard: MutexGuard<'a, T>,
        deadline: Option<Instant>,
    ) -> LockResult<(MutexGuard<'a, T>, WaitTimeoutResult)> {
        no_wait::check();
        let mutex = guard.mutex();
        let timed_out = self.0.wait(|| guard.unlock(), deadline, Parking::begin) == Ended::TimedOut;
        let pass_on = if timed_out { None } else { Some(PassOn(self)) };
        let locked = mutex.lock();
        mem::forget(pass_on);
        match locked {
            Ok(guard) => Ok((guard, WaitTimeoutResult(timed_out))),
            Err(error) => Err(PoisonError::new((error.into_inner(), WaitTimeoutResult(timed_out)))),
        }
    }

    /// Notifies the longest waiter, if there is one.
    #[inline]
    pub fn notify_one(&self) {
        self.0.notify_one();
    }

    /// Notifies all that wait now.
    #[inline]
    pub fn notify_all(&self) {
        self.0.notify_all();
    }
}

impl Default for Condvar {
    #[inline]
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Condvar {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Condvar { .. }")
    }
}
