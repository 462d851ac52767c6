//! A place for one thread to sleep, which a signal handler may wake: a POSIX semaphore.
//!
//! # Safety
//!
//! A semaphore stays at its address from `sem_init` to `sem_destroy`. It is lent out for the time
//! of one closure, and whoever posts it is done before the closure ends.
#![expect(unsafe_code, reason = "sem_t")]

use std::cell::UnsafeCell;
use std::io;
use std::mem::MaybeUninit;
use std::time::{Duration, Instant};

/// The longest that one call sleeps. POSIX has this call by the wall clock only: when that is set
/// back, a sleeper looks at the monotonic clock again after so long.
const LONGEST: Duration = Duration::from_secs(60);

/// A semaphore of count zero.
pub(crate) struct Semaphore(UnsafeCell<libc::sem_t>);

// SAFETY: it is there to be used by several threads.
unsafe impl Sync for Semaphore {}

impl Semaphore {
    /// Calls `f` with a fresh semaphore. None, without a call, if the system has no more of them.
    pub(crate) fn with<R>(f: impl FnOnce(&Self) -> R) -> Option<R> {
        let zeroes = MaybeUninit::<libc::sem_t>::zeroed();
        // SAFETY: numbers and pointers, which the call below writes anew.
        let fresh = Self(UnsafeCell::new(unsafe { zeroes.assume_init() }));
        // SAFETY: a live place, which stays where it is until the end of this function.
        if unsafe { libc::sem_init(fresh.0.get(), 0, 0) } != 0 {
            return None;
        }
        let result = f(&fresh);
        // SAFETY: nobody uses it any more.
        unsafe { libc::sem_destroy(fresh.0.get()) };
        Some(result)
    }

    /// Lets one sleep end, now or later. Async-signal-safe.
    pub(crate) fn post(&self) {
        // SAFETY: initialised, and not destroyed yet.
        unsafe { libc::sem_post(self.0.get()) };
    }

    /// Sleeps until it was posted. False if the timeout passed first.
    pub(crate) fn wait(&self, timeout: Option<Duration>) -> bool {
        let Some(deadline) = timeout.and_then(|left| Instant::now().checked_add(left)) else {
            loop {
                // SAFETY: initialised, and not destroyed yet.
                if unsafe { libc::sem_wait(self.0.get()) } == 0 {
                    return true;
                }
            }
        };
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            let until = wall_clock_in(left.min(LONGEST));
            // SAFETY: as above; the time is live.
            let result = unsafe { libc::sem_timedwait(self.0.get(), &until) };
            if result == 0 {
                return true;
            }
            let error = io::Error::last_os_error().raw_os_error();
            debug_assert!([Some(libc::ETIMEDOUT), Some(libc::EINTR)].contains(&error), "{error:?}");
        }
    }
}

/// Returns the wall clock's reading after so long.
fn wall_clock_in(left: Duration) -> libc::timespec {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: writable.
    unsafe { libc::clock_gettime(libc::CLOCK_REALTIME, &mut now) };
    let ns = now.tv_nsec as u64 + u64::from(left.subsec_nanos());
    libc::timespec {
        tv_sec: now.tv_sec + (left.as_secs() + ns / 1_000_000_000) as libc::time_t,
        tv_nsec: (ns % 1_000_000_000) as libc::c_long,
    }
}
