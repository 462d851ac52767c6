//! Whether the calling thread can be cancelled.
//!
//! # Safety
//!
//! The call concerns the calling thread.
#![expect(unsafe_code, reason = "a C library call")]

use std::ffi::c_int;

unsafe extern "C" {
    // Of pthread.h. Not in the libc crate.
    fn pthread_setcancelstate(state: c_int, old: *mut c_int) -> c_int;
}

/// Sets the calling thread's cancel state, and returns the state before.
pub(crate) fn set_cancel_state(state: c_int) -> c_int {
    let mut before = 0;
    // SAFETY: `before` is writable; a state that does not exist is refused and changes nothing.
    unsafe { pthread_setcancelstate(state, &mut before) };
    before
}
