//! Opening reserved memory: it is mapped anew, as a stack.
//!
//! # Safety
//!
//! What is mapped anew was closed, so nothing was in it.
#![expect(unsafe_code, reason = "mmap at an address")]

use std::ffi::c_void;
use std::io;

/// Makes reserved memory readable and writable. Where it was open its contents are gone.
///
/// # Safety
///
/// The caller owns the range, which is whole pages, and nobody needs what is in it.
pub(crate) unsafe fn open(base: *mut c_void, size: usize) -> io::Result<()> {
    // The kernel takes no other flag beside these.
    let flags = libc::MAP_PRIVATE | libc::MAP_ANON | libc::MAP_STACK | libc::MAP_FIXED;
    let open = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: this function's contract.
    let at = unsafe { libc::mmap(base, size, open, flags, -1, 0) };
    if at == libc::MAP_FAILED { Err(io::Error::last_os_error()) } else { Ok(()) }
}
