//! Waiting on an address.
//!
//! # Safety
//!
//! The word is alive while a thread waits on it. A wake takes the address as a name.
#![expect(unsafe_code, reason = "WaitOnAddress and its kin")]

use std::sync::atomic::AtomicU32;
use std::time::Duration;

use windows_sys::Win32::System::Threading::{
    INFINITE, WaitOnAddress, WakeByAddressAll, WakeByAddressSingle,
};

use super::monotonic_ns;

/// Sleeps while `*word == expected`. False if the timeout has passed; may return early.
///
/// The timeout is in milliseconds and is counted in the system's ticks: the sleep may end before
/// its time, or 15 ms after it. So the clock says whether the time has passed.
pub(crate) fn futex_wait(word: &AtomicU32, expected: u32, timeout: Option<Duration>) -> bool {
    let until = timeout.map(|timeout| {
        let ns = u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX);
        monotonic_ns().saturating_add(ns)
    });
    let milliseconds = timeout.map_or(INFINITE, |timeout| {
        u32::try_from(timeout.as_nanos().div_ceil(1_000_000)).map_or(INFINITE - 1, |ms| ms)
    });
    let (address, compared) = (word.as_ptr().cast(), (&raw const expected).cast());
    // SAFETY: both are four bytes long and alive.
    let woken = unsafe { WaitOnAddress(address, compared, size_of::<u32>(), milliseconds) };
    woken != 0 || until.is_none_or(|until| monotonic_ns() < until)
}

/// Wakes one sleeper on that address. The memory there may be gone.
pub(crate) fn futex_wake(address: *const u32) {
    // SAFETY: the address is a name.
    unsafe { WakeByAddressSingle(address.cast()) };
}

/// Wakes all sleepers on that address, likewise.
pub(crate) fn futex_wake_all(address: *const u32) {
    // SAFETY: the address is a name.
    unsafe { WakeByAddressAll(address.cast()) };
}
