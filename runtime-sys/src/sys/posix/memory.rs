//! Address space for stacks, as POSIX has it: reserved closed, opened piece by piece.
//!
//! # Safety
//!
//! Callers say what they own. A fresh mapping lies where nothing was.
#![expect(unsafe_code, reason = "mmap and its kin")]

use std::ffi::c_void;
use std::io;
use std::ptr::{NonNull, null_mut};

use super::{DISCARD, MAP_FLAGS};

/// Returns the size of a page. Async-signal-safe.
pub(crate) fn page_size() -> usize {
    // SAFETY: has no precondition.
    let size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    usize::try_from(size).unwrap_or(4096)
}

/// Maps so many bytes, closed: every access is a fault.
pub(crate) fn reserve(size: usize) -> io::Result<NonNull<c_void>> {
    // SAFETY: asks for fresh memory wherever there is room.
    let base = unsafe { libc::mmap(null_mut(), size, libc::PROT_NONE, MAP_FLAGS, -1, 0) };
    if base == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    NonNull::new(base).ok_or_else(|| io::Error::other("mmap returned null"))
}

/// Unmaps what [`reserve`] has mapped.
///
/// # Safety
///
/// All of it, once, and nobody uses it any more.
pub(crate) unsafe fn unreserve(base: NonNull<c_void>, size: usize) {
    // SAFETY: this function's contract.
    let result = unsafe { libc::munmap(base.as_ptr(), size) };
    debug_assert_eq!(result, 0, "munmap of an own mapping");
}

/// Undoes what `mlockall(MCL_FUTURE)` did to a fresh mapping. Locked, every page of every stack
/// would be memory, and the kernel would refuse guards and giving pages back.
pub(crate) fn munlock(base: *mut c_void, size: usize) {
    // Fails only for memory that is not mapped.
    // SAFETY: changes no contents.
    unsafe { libc::munlock(base, size) };
}

/// Gives the pages of the range back. The next access finds zeroes, or on some systems what was
/// there; guards stay.
///
/// # Safety
///
/// Nobody needs what is in the memory. The range is whole pages.
pub(crate) unsafe fn discard(base: *mut c_void, size: usize) {
    // Fails for locked memory, which then stays as it is: no harm but its size.
    // SAFETY: this function's contract.
    unsafe { libc::madvise(base, size, DISCARD) };
}
