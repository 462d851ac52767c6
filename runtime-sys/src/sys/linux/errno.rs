//! Where `errno` is, in glibc and musl.
//!
//! # Safety
//!
//! The call has no precondition.
#![expect(unsafe_code, reason = "a C library call")]

/// Returns the address of the calling thread's `errno`.
pub(crate) fn errno_location() -> *mut libc::c_int {
    // SAFETY: has no precondition.
    unsafe { libc::__errno_location() }
}
