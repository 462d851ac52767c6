//! What Linux wants to hear about stack memory.
//!
//! # Safety
//!
//! Advice changes no contents: `MADV_NOHUGEPAGE` only says how page faults are answered.
#![expect(unsafe_code, reason = "system calls")]

use std::ffi::c_void;

/// Flags of `mmap` for a stack.
pub(crate) const MAP_FLAGS: libc::c_int =
    libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_STACK | libc::MAP_NORESERVE;

/// One touched page of a stack must not become a huge page: two megabytes for each goroutine that ever ran.
pub(crate) fn advise_stack(base: *mut c_void, size: usize) {
    // A kernel built without huge pages answers EINVAL, and has nothing to be told.
    // SAFETY: this advice neither drops nor moves what lies in the range.
    unsafe { libc::madvise(base, size, libc::MADV_NOHUGEPAGE) };
}
