//! Guards that are marks in the page table.
//!
//! # Safety
//!
//! Guards take contents away, from a range of which the caller says that nobody uses it.
#![expect(unsafe_code, reason = "system calls")]

use std::ffi::c_void;
use std::io;

/// Linux 6.13. Not in the libc crate.
const MADV_GUARD_INSTALL: libc::c_int = 102;
const MADV_GUARD_REMOVE: libc::c_int = 103;

/// Names the calling process, in place of a descriptor. Linux 6.15.
const PIDFD_SELF: libc::c_int = -10_000;

/// A piece of memory, for a call on several of them.
pub(crate) type Piece = libc::iovec;

/// Describes a piece of memory.
pub(crate) fn piece(base: *mut c_void, size: usize) -> Piece {
    Piece { iov_base: base, iov_len: size }
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

/// As [`install_guard`], for several ranges at once. False if not all of them are guarded; where
/// the call is unknown or forbidden, none is.
///
/// # Safety
///
/// As for [`install_guard`], for each range.
pub(crate) unsafe fn install_guards(ranges: &[Piece]) -> bool {
    // SAFETY: this function's contract.
    unsafe { advise_all(ranges, MADV_GUARD_INSTALL) }
}

/// Gives the pages of several ranges back at once. False if not all of them went; where the call is
/// unknown or forbidden, none did.
///
/// Other processors are told once (Linux 6.16), and not for each range. Two threads that do this at
/// the same time for one range each tell them each time, also where there is nothing to give back.
///
/// # Safety
///
/// Nobody needs what is in them. They are whole pages.
pub(crate) unsafe fn discard_all(ranges: &[Piece]) -> bool {
    // SAFETY: this function's contract.
    unsafe { advise_all(ranges, libc::MADV_DONTNEED) }
}

/// Brings the pages of several ranges into memory before they are touched, with one entry into the
/// kernel instead of one for each. If it fails, nothing is lost.
pub(crate) fn populate(ranges: &[Piece]) {
    // SAFETY: this advice changes no contents.
    unsafe { advise_all(ranges, libc::MADV_POPULATE_WRITE) };
}

/// # Safety
///
/// The advice may be given for each of the ranges.
unsafe fn advise_all(ranges: &[Piece], advice: libc::c_int) -> bool {
    let (first, count, no_flags) = (ranges.as_ptr(), ranges.len(), 0_usize);
    // SAFETY: this function's contract; the kernel reads the ranges and changes none.
    let advised = unsafe {
        libc::syscall(libc::SYS_process_madvise, PIDFD_SELF, first, count, advice, no_flags)
    };
    usize::try_from(advised) == Ok(ranges.iter().map(|range| range.iov_len).sum())
}
