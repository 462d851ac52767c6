//! The calling thread's last error, which is to Windows what `errno` is to POSIX: std reads it.
//!
//! A callback from C code leaves it as it found it. The C library's own `errno` is left alone:
//! there may be several C libraries in a process, and Rust code calls few functions of them.
//!
//! # Safety
//!
//! The calls concern the calling thread.
#![expect(unsafe_code, reason = "GetLastError and SetLastError")]

use std::ffi::c_int;

use windows_sys::Win32::Foundation::{GetLastError, SetLastError};

/// Reads the last error.
#[inline(never)]
pub fn get() -> c_int {
    // SAFETY: has no precondition.
    unsafe { GetLastError() as c_int }
}

/// Writes the last error.
#[inline(never)]
pub fn set(value: c_int) {
    // SAFETY: has no precondition.
    unsafe { SetLastError(value as u32) };
}

#[cfg(test)]
mod tests {
    #[test]
    fn is_the_one_that_the_standard_library_reads() {
        super::set(1234);
        assert_eq!(std::io::Error::last_os_error().raw_os_error(), Some(1234));
        assert_eq!(super::get(), 1234);
    }

    #[test]
    fn belongs_to_the_thread() {
        use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
        // No call of the system's in between: each leaves an error of its own.
        let turn = AtomicU32::new(0);
        let wait_for = |number| while turn.load(Relaxed) != number {};
        std::thread::scope(|scope| {
            scope.spawn(|| {
                super::set(5);
                turn.store(1, Relaxed);
                wait_for(2);
                assert_eq!(super::get(), 5);
            });
            wait_for(1);
            super::set(1234);
            turn.store(2, Relaxed);
            assert_eq!(super::get(), 1234);
        });
    }
}
