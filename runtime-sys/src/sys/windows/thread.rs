//! The calling thread's number and stack.
//!
//! # Safety
//!
//! The calls concern the calling thread.
#![expect(unsafe_code, reason = "calls of the system")]

use windows_sys::Win32::System::Threading::{GetCurrentThreadId, GetCurrentThreadStackLimits};

use crate::sys::{StackBounds, page_size};

/// Returns the system's number of the calling thread.
pub(crate) fn thread_id() -> i32 {
    // SAFETY: has no precondition.
    unsafe { GetCurrentThreadId() as i32 }
}

/// Asks the system where the calling thread's stack lies. The lowest page of a stack is never
/// committed, so it is the guard.
pub(crate) fn query_stack_bounds() -> Option<StackBounds> {
    let (mut low, mut high) = (0, 0);
    // SAFETY: both are writable.
    unsafe { GetCurrentThreadStackLimits(&mut low, &mut high) };
    let guard = page_size();
    (low != 0 && low + guard < high).then_some(StackBounds { low: low + guard, high, guard })
}
