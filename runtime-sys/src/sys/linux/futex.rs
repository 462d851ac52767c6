//! The two futex calls.
//!
//! # Safety
//!
//! In a wait, the kernel reads the word behind the address under its own lock, and only there. A
//! wake uses the address as a name and is harmless whatever lies behind it.
#![expect(unsafe_code, reason = "system calls")]

use std::ptr::{null, null_mut};
use std::sync::atomic::AtomicU32;
use std::time::Duration;

/// Sleeps while the word is `expected`. False if the timeout passed. May return true early.
pub(crate) fn futex_wait(word: &AtomicU32, expected: u32, timeout: Option<Duration>) -> bool {
    let timeout = timeout.map(|left| libc::timespec {
        // Of its type only the width differs: with musl the libc crate calls it deprecated.
        tv_sec: left.as_secs().min(i32::MAX as u64) as _,
        tv_nsec: libc::c_long::from(left.subsec_nanos() as i32),
    });
    let timeout: *const libc::timespec = timeout.as_ref().map_or(null(), |t| t);
    let operation = libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG;
    // SAFETY: the word and the timeout outlive the call; the kernel writes to neither.
    let result = unsafe {
        libc::syscall(
            libc::SYS_futex,
            word.as_ptr(),
            operation,
            expected,
            timeout,
            null_mut::<u32>(),
            0,
        )
    };
    // SAFETY: the calling thread's own `errno`.
    result == 0 || unsafe { super::errno_location().read() } != libc::ETIMEDOUT
}

/// Wakes one thread that sleeps on this address; never touches the memory there.
pub(crate) fn futex_wake(address: *const u32) {
    let operation = libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG;
    // SAFETY: a private wake only hashes the address. A stale one causes a spurious wake-up at
    // worst.
    unsafe { libc::syscall(libc::SYS_futex, address, operation, 1) };
}

/// Wakes all threads that sleep on this address; never touches the memory there.
pub(crate) fn futex_wake_all(address: *const u32) {
    let operation = libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG;
    // SAFETY: as in `futex_wake`.
    unsafe { libc::syscall(libc::SYS_futex, address, operation, i32::MAX) };
}
