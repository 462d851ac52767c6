//! The table of signal handlers of the process, byte by byte.
//!
//! # Safety
//!
//! The kernel writes each entry to a local of its size; it gets back what it gave.
#![expect(unsafe_code, reason = "system calls")]

use std::ffi::c_int;
use std::ptr;

/// An entry as the kernel has it: handler, flags, restorer, mask, in 8 bytes each.
pub type Entry = [u64; 4];

/// The entries of all signals.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table(Vec<Entry>);

/// Of glibc's own two signals; it installs the handlers with its first thread.
const LIBC: [c_int; 2] = [32, 33];

/// Returns the entry of a signal.
#[must_use]
pub fn entry(signal: c_int) -> Entry {
    let mut entry = [0; 4];
    let none: *const Entry = ptr::null();
    // SAFETY: reads an entry into 32 bytes.
    unsafe { libc::syscall(libc::SYS_rt_sigaction, signal, none, &raw mut entry, 8) };
    entry
}

/// Puts an entry back, which [`entry`] has returned. The C library's `sigaction` would add a flag.
pub fn restore(signal: c_int, entry: &Entry) {
    let none: *mut Entry = ptr::null_mut();
    // SAFETY: an entry that was there before.
    unsafe { libc::syscall(libc::SYS_rt_sigaction, signal, ptr::from_ref(entry), none, 8) };
}

impl Table {
    /// Returns the table as it is.
    #[must_use]
    pub fn now() -> Self {
        Self((1..=64).map(entry).collect())
    }

    /// Returns this table with the entries of `other` for `signals`.
    #[must_use]
    pub fn with(mut self, other: &Self, signals: &[c_int]) -> Self {
        for signal in signals {
            let place = *signal as usize - 1;
            self.0[place] = other.0[place];
        }
        self
    }

    /// Returns where `later` differs, but for the signals in `except`.
    #[must_use]
    pub fn differences(&self, later: &Self, except: &[c_int]) -> Vec<String> {
        (1..)
            .zip(self.0.iter().zip(&later.0))
            .filter(|(signal, (a, b))| a != b && !LIBC.contains(signal) && !except.contains(signal))
            .map(|(signal, (a, b))| format!("signal {signal}: {a:x?} became {b:x?}"))
            .collect()
    }
}
