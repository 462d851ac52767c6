//! Opening reserved memory: a change of its protection.
//!
//! # Safety
//!
//! Opening takes nothing from the users of a part of the range.
#![expect(unsafe_code, reason = "mprotect")]

use std::ffi::c_void;
use std::io;

/// Makes reserved memory readable and writable. Where it was open it stays as it is.
///
/// # Safety
///
/// The caller owns the range, which is whole pages.
pub(crate) unsafe fn open(base: *mut c_void, size: usize) -> io::Result<()> {
    // SAFETY: this function's contract.
    let result = unsafe { libc::mprotect(base, size, libc::PROT_READ | libc::PROT_WRITE) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
