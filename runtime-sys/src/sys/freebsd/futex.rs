//! Waiting on an address: `_umtx_op(2)`.
//!
//! # Safety
//!
//! In a wait, the kernel reads the word. A wake within the process finds the kernel's queue by the
//! address space and the address, and is harmless whatever lies there.
#![expect(unsafe_code, reason = "system calls")]

use std::ffi::{c_int, c_ulong, c_void};
use std::io;
use std::mem::size_of;
use std::ptr::{null_mut, without_provenance_mut};
use std::sync::atomic::AtomicU32;
use std::time::Duration;

/// The longest that one call sleeps.
const LONGEST: Duration = Duration::from_secs(86_400);

/// Sleeps while the word is `expected`. False if the timeout passed. May return true early.
pub(crate) fn futex_wait(word: &AtomicU32, expected: u32, timeout: Option<Duration>) -> bool {
    // Relative, because the flag for a point in time is not set.
    let mut time = timeout.map(|left| libc::_umtx_time {
        _timeout: libc::timespec {
            tv_sec: left.min(LONGEST).as_secs() as libc::time_t,
            tv_nsec: libc::c_long::from(left.min(LONGEST).subsec_nanos() as i32),
        },
        _flags: 0,
        _clockid: libc::CLOCK_MONOTONIC as u32,
    });
    let (size, time) = match &mut time {
        Some(time) => (size_of::<libc::_umtx_time>(), (&raw mut *time).cast::<c_void>()),
        None => (0, null_mut()),
    };
    // SAFETY: the word and the time outlive the call, which writes to neither.
    let result = unsafe {
        libc::_umtx_op(
            word.as_ptr().cast(),
            libc::UMTX_OP_WAIT_UINT_PRIVATE,
            c_ulong::from(expected),
            without_provenance_mut(size),
            time,
        )
    };
    let timed_out =
        result < 0 && io::Error::last_os_error().raw_os_error() == Some(libc::ETIMEDOUT);
    !timed_out || timeout.is_some_and(|left| left > LONGEST)
}

/// Wakes one thread that sleeps on this address; never touches the memory there.
pub(crate) fn futex_wake(address: *const u32) {
    wake(address, 1);
}

/// Wakes all threads that sleep on this address; never touches the memory there.
pub(crate) fn futex_wake_all(address: *const u32) {
    wake(address, c_int::MAX as c_ulong);
}

fn wake(address: *const u32, count: c_ulong) {
    let (operation, address) = (libc::UMTX_OP_WAKE_PRIVATE, address.cast_mut().cast());
    // SAFETY: the address is a name. A stale one causes a spurious wake-up at worst.
    unsafe { libc::_umtx_op(address, operation, count, null_mut(), null_mut()) };
}
