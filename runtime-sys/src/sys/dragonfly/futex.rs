//! Waiting on an address: `umtx_sleep(2)` and `umtx_wakeup(2)`.
//!
//! # Safety
//!
//! A sleep reads the word. A wake finds the page behind the address, and fails if there is none; it
//! reads nothing there.
#![expect(unsafe_code, reason = "system calls")]

use std::ffi::c_int;
use std::sync::atomic::AtomicU32;
use std::time::{Duration, Instant};

/// The longest that one call sleeps: it refuses more, and takes zero for no limit.
const LONGEST: Duration = Duration::from_secs(1);

/// Sleeps while the word is `expected`. False if the timeout passed. May return true early.
pub(crate) fn futex_wait(word: &AtomicU32, expected: u32, timeout: Option<Duration>) -> bool {
    let until = timeout.and_then(|left| Instant::now().checked_add(left));
    // In microseconds, rounded up.
    let limit = timeout.map_or(0, |left| left.min(LONGEST).as_nanos().div_ceil(1000).max(1));
    // SAFETY: the word outlives the call, which does not write to it.
    let result =
        unsafe { libc::umtx_sleep(word.as_ptr().cast(), expected as c_int, limit as c_int) };
    // The manual says `ETIMEDOUT`, and the kernel passes `EWOULDBLOCK` on. So the clock is asked.
    result == 0 || until.is_none_or(|until| Instant::now() < until)
}

/// Wakes one thread that sleeps on this address; never touches the memory there.
pub(crate) fn futex_wake(address: *const u32) {
    // SAFETY: the address is a name. A stale one causes a spurious wake-up at worst.
    unsafe { libc::umtx_wakeup(address.cast(), 1) };
}

/// Wakes all threads that sleep on this address; never touches the memory there.
pub(crate) fn futex_wake_all(address: *const u32) {
    // Zero is all of them.
    // SAFETY: as in `futex_wake`.
    unsafe { libc::umtx_wakeup(address.cast(), 0) };
}
