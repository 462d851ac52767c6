//! Stack bounds out of a thread's attributes.
//!
//! # Safety
//!
//! Out-parameters are read only if the call said that it filled them.
#![expect(unsafe_code, reason = "C library calls")]

use std::ffi::c_void;
use std::ptr::null_mut;

use crate::sys::StackBounds;

/// Reads the bounds out of a thread's attributes, and destroys these.
///
/// # Safety
///
/// They are initialised, and nobody uses them afterwards.
pub(crate) unsafe fn bounds_of(attributes: *mut libc::pthread_attr_t) -> Option<StackBounds> {
    let mut low: *mut c_void = null_mut();
    let (mut size, mut guard) = (0, 0);
    // SAFETY: initialised, as the caller says; the out-parameters are writable.
    let stack_result = unsafe { libc::pthread_attr_getstack(attributes, &mut low, &mut size) };
    // SAFETY: as above.
    let guard_result = unsafe { libc::pthread_attr_getguardsize(attributes, &mut guard) };
    // SAFETY: as the caller says.
    unsafe { libc::pthread_attr_destroy(attributes) };
    if stack_result != 0 || low.is_null() || size == 0 {
        return None;
    }
    let low = low.addr();
    Some(StackBounds {
        low,
        high: low.checked_add(size)?,
        guard: if guard_result == 0 { guard } else { 0 },
    })
}
