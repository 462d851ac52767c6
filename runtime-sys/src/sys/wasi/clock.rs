//! The monotonic clock.
//!
//! # Safety
//!
//! `clock_gettime` writes to a live `timespec`.
#![expect(unsafe_code, reason = "clock_gettime")]

/// Returns nanoseconds on the clock that std's `Instant` runs by.
pub(crate) fn monotonic_ns() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is writable. The call fails only for clocks that do not exist.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}
