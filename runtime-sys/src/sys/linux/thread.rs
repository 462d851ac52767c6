//! Linux's and its C libraries' calls about the calling thread.
//!
//! # Safety
//!
//! Every call here concerns only the calling thread.
#![expect(unsafe_code, reason = "system and C library calls")]

use std::mem::MaybeUninit;

use super::bounds::bounds_of;
use crate::sys::StackBounds;

/// Returns the kernel's number of the calling thread.
pub(crate) fn thread_id() -> i32 {
    // By number: glibc has a function for it only since 2.30.
    // SAFETY: has no precondition.
    let id = unsafe { libc::syscall(libc::SYS_gettid) };
    id as i32
}

/// Asks the C library where the calling thread's stack lies. On the main thread glibc reads
/// `/proc/self/maps` (36 us), so the answer is worth keeping.
pub(crate) fn query_stack_bounds() -> Option<StackBounds> {
    let mut attributes = MaybeUninit::<libc::pthread_attr_t>::uninit();
    // SAFETY: has no precondition.
    let me = unsafe { libc::pthread_self() };
    // SAFETY: the calling thread is alive, and the attributes are writable.
    let result = unsafe { libc::pthread_getattr_np(me, attributes.as_mut_ptr()) };
    if result != 0 {
        return None;
    }
    // SAFETY: filled in above, and not used again.
    unsafe { bounds_of(attributes.as_mut_ptr()) }
}
