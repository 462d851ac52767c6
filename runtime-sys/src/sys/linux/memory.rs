//! Linux's calls for stack memory.
//!
//! # Safety
//!
//! Callers say what they own. Advice about huge pages and locks changes no contents. Guards and
//! `MADV_DONTNEED` take contents away, from a range of which the caller says that nobody uses it.
#![expect(unsafe_code, reason = "system calls")]

use std::ffi::c_void;
use std::io;

/// Flags of `mmap` for a stack. With `NORESERVE`, the kernel's usual accounting does not count
/// address space as memory.
pub(crate) const MAP_FLAGS: libc::c_int =
    libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_STACK | libc::MAP_NORESERVE;

/// Linux 6.13. Not in the libc crate.
const MADV_GUARD_INSTALL: libc::c_int = 102;
const MADV_GUARD_REMOVE: libc::c_int = 103;

/// Names the calling process, in place of a descriptor. Linux 6.15.
const PIDFD_SELF: libc::c_int = -10_000;

/// Keeps the kernel from making huge pages: one touched page of a stack would be two megabytes, for
/// each goroutine that ever ran.
pub(crate) fn advise_stack(base: *mut c_void, size: usize) {
    // A kernel built without huge pages answers EINVAL; then there is nothing to prevent.
    // SAFETY: this advice neither drops nor moves what lies in the range.
    unsafe { libc::madvise(base, size, libc::MADV_NOHUGEPAGE) };
}

/// Undoes what `mlockall(MCL_FUTURE)` did to a fresh mapping. Locked, every page of every stack
/// would be memory, and the kernel would refuse guards and giving pages back.
pub(crate) fn munlock(base: *mut c_void, size: usize) {
    // Fails only for memory that is not mapped.
    // SAFETY: changes no contents.
    unsafe { libc::munlock(base, size) };
}

/// Makes every access to the range a fault, without a mapping of its own. Kernels that cannot do
/// that answer `EINVAL`.
///
/// # Safety
///
/// Nobody uses the memory. The range is whole pages.
pub(crate) unsafe fn install_guard(base: *mut c_void, size: usize) -> io::Result<()> {
    // SAFETY: this function's contract.
    let result = unsafe { libc::madvise(base, size, MADV_GUARD_INSTALL) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Makes the guards in the range memory again. False if the kernel has no such guards.
///
/// # Safety
///
/// Nobody relies on a guard there. The range is whole pages.
pub(crate) unsafe fn remove_guards(base: *mut c_void, size: usize) -> bool {
    // SAFETY: this function's contract.
    unsafe { libc::madvise(base, size, MADV_GUARD_REMOVE) == 0 }
}

/// Gives the pages of the range back. The next access finds zeroes, and guards stay.
///
/// # Safety
///
/// Nobody needs what is in the memory. The range is whole pages.
pub(crate) unsafe fn discard(base: *mut c_void, size: usize) {
    // Fails for locked memory, which then stays as it is: no harm but its size.
    // SAFETY: this function's contract.
    unsafe { libc::madvise(base, size, libc::MADV_DONTNEED) };
}

/// As [`install_guard`], for several ranges at once. False if not all of them are guarded; where
/// the call is unknown or forbidden, none is.
///
/// # Safety
///
/// As for [`install_guard`], for each range.
pub(crate) unsafe fn install_guards(ranges: &[libc::iovec]) -> bool {
    // SAFETY: this function's contract.
    unsafe { advise_all(ranges, MADV_GUARD_INSTALL) }
}

/// Brings the pages of several ranges into memory before they are touched, with one entry into the
/// kernel instead of one for each. If it fails, nothing is lost.
pub(crate) fn populate(ranges: &[libc::iovec]) {
    // SAFETY: this advice changes no contents.
    unsafe { advise_all(ranges, libc::MADV_POPULATE_WRITE) };
}

/// # Safety
///
/// The advice may be given for each of the ranges.
unsafe fn advise_all(ranges: &[libc::iovec], advice: libc::c_int) -> bool {
    let (first, count, no_flags) = (ranges.as_ptr(), ranges.len(), 0_usize);
    // SAFETY: this function's contract; the kernel reads the ranges and changes none.
    let advised = unsafe {
        libc::syscall(libc::SYS_process_madvise, PIDFD_SELF, first, count, advice, no_flags)
    };
    usize::try_from(advised) == Ok(ranges.iter().map(|range| range.iov_len).sum())
}
