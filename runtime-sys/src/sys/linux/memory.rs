//! What Linux wants to hear about stack memory.
//!
//! # Safety
//!
//! Callers say what they own. Advice about huge pages and locks changes no contents; guards and
//! `MADV_DONTNEED` take contents away, from a range that the caller says nobody uses.
#![expect(unsafe_code, reason = "system calls")]

use std::ffi::c_void;
use std::io;

/// Flags of `mmap` for a stack. `NORESERVE`: under the kernel's usual accounting, address space is
/// not counted as memory.
pub(crate) const MAP_FLAGS: libc::c_int =
    libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_STACK | libc::MAP_NORESERVE;

/// Linux 6.13. Not in the libc crate.
const MADV_GUARD_INSTALL: libc::c_int = 102;

/// Linux 6.15: the calling process, in place of a descriptor.
const PIDFD_SELF: libc::c_int = -10_000;

/// One touched page of a stack must not become a huge page: two megabytes for each goroutine that
/// ever ran.
pub(crate) fn advise_stack(base: *mut c_void, size: usize) {
    // A kernel built without huge pages answers EINVAL, and has nothing to be told.
    // SAFETY: this advice neither drops nor moves what lies in the range.
    unsafe { libc::madvise(base, size, libc::MADV_NOHUGEPAGE) };
}

/// Undoes what `mlockall(MCL_FUTURE)` did to a fresh mapping: locked, every page of every stack
/// would be memory, and guards and giving pages back are refused.
pub(crate) fn munlock(base: *mut c_void, size: usize) {
    // Fails only for memory that is not mapped.
    // SAFETY: changes no contents.
    unsafe { libc::munlock(base, size) };
}

/// Makes every access to the range a fault, without a mapping of its own. `EINVAL` from kernels
/// that cannot.
///
/// # Safety
///
/// Nobody uses the memory; whole pages.
pub(crate) unsafe fn install_guard(base: *mut c_void, size: usize) -> io::Result<()> {
    // SAFETY: this function's contract.
    let result = unsafe { libc::madvise(base, size, MADV_GUARD_INSTALL) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Gives the pages of the range back; the next access finds zeroes, and guards stay.
///
/// # Safety
///
/// Nobody needs what is in the memory; whole pages.
pub(crate) unsafe fn discard(base: *mut c_void, size: usize) {
    // Fails for memory that is locked, which then stays as it is: no harm but its size.
    // SAFETY: this function's contract.
    unsafe { libc::madvise(base, size, libc::MADV_DONTNEED) };
}

/// As [`install_guard`] for several ranges at a time. False: not for all of them, and where this is
/// not known or not allowed for none.
///
/// # Safety
///
/// As there, for each of them.
pub(crate) unsafe fn install_guards(ranges: &[libc::iovec]) -> bool {
    // SAFETY: this function's contract.
    unsafe { advise_all(ranges, MADV_GUARD_INSTALL) }
}

/// Has the pages of several ranges there before they are touched: that is one entry into the
/// kernel, and not one for each. Nothing is lost if it does not come to it.
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
