//! Waiting on an address: `futex(2)`.
//!
//! # Safety
//!
//! In a wait, the kernel reads the word. A wake within the process takes the address as a name.
#![expect(unsafe_code, reason = "system calls")]

use std::ffi::c_int;
use std::io;
use std::ptr::{null, null_mut};
use std::sync::atomic::AtomicU32;
use std::time::Duration;

/// The longest that one call sleeps.
const LONGEST: Duration = Duration::from_secs(86_400);

/// Sleeps while the word is `expected`. False if the timeout passed. May return true early.
pub(crate) fn futex_wait(word: &AtomicU32, expected: u32, timeout: Option<Duration>) -> bool {
    let time = timeout.map(|left| libc::timespec {
        tv_sec: left.min(LONGEST).as_secs() as libc::time_t,
        tv_nsec: libc::c_long::from(left.min(LONGEST).subsec_nanos() as i32),
    });
    let time: *const libc::timespec = time.as_ref().map_or(null(), |time| time);
    let operation = libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG;
    // SAFETY: the word and the time outlive the call, which writes to neither.
    let result =
        unsafe { libc::futex(word.as_ptr(), operation, expected as c_int, time, null_mut()) };
    let timed_out =
        result != 0 && io::Error::last_os_error().raw_os_error() == Some(libc::ETIMEDOUT);
    !timed_out || timeout.is_some_and(|left| left > LONGEST)
}

/// Wakes one thread that sleeps on this address; never touches the memory there.
pub(crate) fn futex_wake(address: *const u32) {
    wake(address, 1);
}

/// Wakes all threads that sleep on this address; never touches the memory there.
pub(crate) fn futex_wake_all(address: *const u32) {
    wake(address, c_int::MAX);
}

fn wake(address: *const u32, count: c_int) {
    let operation = libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG;
    // SAFETY: the address is a name. A stale one causes a spurious wake-up at worst.
    unsafe { libc::futex(address.cast_mut(), operation, count, null(), null_mut()) };
}
