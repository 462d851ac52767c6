//! A place for one thread to sleep, which a signal handler may wake: a Mach semaphore.
//!
//! POSIX semaphores without a name are not there (`sem_init` fails with `ENOSYS`). The calls here
//! are of mach/semaphore.h and mach/task.h. Each but the making is one trap of the kernel's.
//!
//! # Safety
//!
//! A semaphore is a name in the process's table, which exists until it is destroyed.
#![expect(unsafe_code, reason = "Mach calls")]

use std::ffi::{c_int, c_uint};
use std::time::{Duration, Instant};

/// `semaphore_t`, `task_t`: names in the process's table of ports.
type Port = c_uint;

/// `SYNC_POLICY_FIFO` of mach/sync_policy.h.
const FIRST_IN_FIRST_OUT: c_int = 0;

/// `mach_timespec_t` of mach/clock_types.h.
#[repr(C)]
struct MachTime {
    seconds: c_uint,
    nanoseconds: c_int,
}

/// The longest that one call sleeps, so that its seconds fit.
const LONGEST: Duration = Duration::from_secs(86_400);

unsafe extern "C" {
    static mach_task_self_: Port;
    fn semaphore_create(task: Port, semaphore: *mut Port, policy: c_int, value: c_int) -> c_int;
    fn semaphore_destroy(task: Port, semaphore: Port) -> c_int;
    fn semaphore_signal(semaphore: Port) -> c_int;
    fn semaphore_wait(semaphore: Port) -> c_int;
    fn semaphore_timedwait(semaphore: Port, time: MachTime) -> c_int;
}

/// A semaphore of count zero.
pub(crate) struct Semaphore(Port);

impl Semaphore {
    /// Calls `f` with a fresh semaphore. None, without a call, if the system has no more of them.
    pub(crate) fn with<R>(f: impl FnOnce(&Self) -> R) -> Option<R> {
        let mut fresh = 0;
        // SAFETY: what mach_init.h calls `mach_task_self()`, written before the program began.
        let task = unsafe { mach_task_self_ };
        // SAFETY: the place is writable.
        let made = unsafe { semaphore_create(task, &mut fresh, FIRST_IN_FIRST_OUT, 0) };
        if made != libc::KERN_SUCCESS {
            return None;
        }
        let result = f(&Self(fresh));
        // SAFETY: made above; nobody uses it any more.
        unsafe { semaphore_destroy(task, fresh) };
        Some(result)
    }

    /// Lets one sleep end, now or later. Async-signal-safe.
    pub(crate) fn post(&self) {
        // SAFETY: made, and not destroyed yet.
        unsafe { semaphore_signal(self.0) };
    }

    /// Sleeps until it was posted. False if the timeout passed first.
    pub(crate) fn wait(&self, timeout: Option<Duration>) -> bool {
        let Some(deadline) = timeout.and_then(|left| Instant::now().checked_add(left)) else {
            loop {
                // SAFETY: made, and not destroyed yet. A signal ends the call (`KERN_ABORTED`).
                if unsafe { semaphore_wait(self.0) } == libc::KERN_SUCCESS {
                    return true;
                }
            }
        };
        loop {
            let left = deadline.saturating_duration_since(Instant::now()).min(LONGEST);
            if left.is_zero() {
                return false;
            }
            let time = MachTime {
                seconds: left.as_secs() as c_uint,
                nanoseconds: left.subsec_nanos() as c_int,
            };
            // SAFETY: as above.
            if unsafe { semaphore_timedwait(self.0, time) } == libc::KERN_SUCCESS {
                return true;
            }
        }
    }
}
