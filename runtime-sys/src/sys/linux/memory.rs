//! Linux's calls for stack memory, beyond POSIX.
//!
//! # Safety
//!
//! Advice about huge pages changes no contents.
#![expect(unsafe_code, reason = "a system call")]

use std::ffi::c_void;

/// Flags of `mmap` for a stack. With `NORESERVE`, the kernel's usual accounting does not count
/// address space as memory.
pub(crate) const MAP_FLAGS: libc::c_int =
    libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_STACK | libc::MAP_NORESERVE;

/// The advice that gives pages back at once.
pub(crate) const DISCARD: libc::c_int = libc::MADV_DONTNEED;

/// Keeps the kernel from making huge pages: one touched page of a stack would be two megabytes, for
/// each goroutine that ever ran.
pub(crate) fn advise_stack(base: *mut c_void, size: usize) {
    // A kernel built without huge pages answers EINVAL; then there is nothing to prevent.
    // SAFETY: this advice neither drops nor moves what lies in the range.
    unsafe { libc::madvise(base, size, libc::MADV_NOHUGEPAGE) };
}
