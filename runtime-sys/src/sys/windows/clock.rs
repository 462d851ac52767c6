//! The monotonic clock: the processor's counter, as std's `Instant` reads it.
//!
//! # Safety
//!
//! The calls write a number each, and do not fail on any system since Windows XP.
#![expect(unsafe_code, reason = "QueryPerformanceCounter")]

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use windows_sys::Win32::System::Performance::{QueryPerformanceCounter, QueryPerformanceFrequency};

const NS_PER_S: u64 = 1_000_000_000;

/// Returns nanoseconds on the clock that std's `Instant` runs by, rounded as std rounds.
pub(crate) fn monotonic_ns() -> u64 {
    let mut ticks = 0;
    // SAFETY: `ticks` is writable.
    unsafe { QueryPerformanceCounter(&mut ticks) };
    let (ticks, frequency) = (ticks as u64, frequency());
    // Whole seconds apart, for the product would overflow within hours.
    ticks / frequency * NS_PER_S + ticks % frequency * NS_PER_S / frequency
}

/// Returns the counter's ticks in a second, which never change while the system is up.
fn frequency() -> u64 {
    static KNOWN: AtomicU64 = AtomicU64::new(0);
    let known = KNOWN.load(Relaxed);
    if known != 0 {
        return known;
    }
    let mut frequency = 0;
    // SAFETY: `frequency` is writable.
    unsafe { QueryPerformanceFrequency(&mut frequency) };
    KNOWN.store(frequency as u64, Relaxed);
    frequency as u64
}
