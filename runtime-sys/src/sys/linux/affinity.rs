//! The calling thread's affinity.
//!
//! # Safety
//!
//! The set is all zeroes before the call.
#![expect(unsafe_code, reason = "a system call, and a C macro")]

use std::mem::{MaybeUninit, size_of};

/// Returns how many CPUs the calling thread may run on; none if there are more than the C library's
/// set holds.
pub(crate) fn affinity_count() -> Option<usize> {
    let mut set = MaybeUninit::<libc::cpu_set_t>::zeroed();
    // SAFETY: the size is the set's; 0 is the calling thread.
    let result =
        unsafe { libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), set.as_mut_ptr()) };
    // SAFETY: all zeroes is a set without CPUs, whatever the call wrote on top of it.
    let set = unsafe { set.assume_init() };
    // SAFETY: `set` is a live set.
    let count = unsafe { libc::CPU_COUNT(&set) };
    if result == 0 { usize::try_from(count).ok() } else { None }
}
