//! The calling thread's `errno`.
//!
//! A signal handler, and a callback from C code, leave it as they found it.
//!
//! # Safety
//!
//! The location belongs to the calling thread and lives as long as the thread does. It is read and
//! written at once, never kept.
#![expect(unsafe_code, reason = "errno is a C lvalue")]

use std::ffi::c_int;

/// Reads `errno`. Async-signal-safe.
#[inline(never)]
pub fn get() -> c_int {
    let location = crate::sys::errno_location();
    // SAFETY: the calling thread's own errno.
    unsafe { location.read() }
}

/// Writes `errno`. Async-signal-safe.
#[inline(never)]
pub fn set(value: c_int) {
    let location = crate::sys::errno_location();
    // SAFETY: the calling thread's own errno.
    unsafe { location.write(value) };
}

#[cfg(test)]
mod tests {
    #[test]
    fn is_the_one_that_the_standard_library_reads() {
        super::set(libc::ENOTTY);
        assert_eq!(std::io::Error::last_os_error().raw_os_error(), Some(libc::ENOTTY));
        assert_eq!(super::get(), libc::ENOTTY);
    }

    #[test]
    fn belongs_to_the_thread() {
        super::set(libc::ENOTTY);
        std::thread::spawn(|| super::set(libc::EPERM)).join().expect("thread");
        assert_eq!(super::get(), libc::ENOTTY);
    }
}
