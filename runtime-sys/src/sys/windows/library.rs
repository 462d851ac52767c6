//! The object file that this code lies in.
//!
//! # Safety
//!
//! The address is one of this code's, so its file is loaded.
#![expect(unsafe_code, reason = "GetModuleHandleExW")]

use std::ptr::null_mut;

use windows_sys::Win32::System::LibraryLoader::{
    GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS, GET_MODULE_HANDLE_EX_FLAG_PIN, GetModuleHandleExW,
};

/// Keeps the object file that this code lies in loaded until the process ends. Called before
/// something of ours is registered that the system calls later.
pub(crate) fn pin_this_library() {
    let flags = GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS | GET_MODULE_HANDLE_EX_FLAG_PIN;
    let mut module = null_mut();
    let address: *const () = pin_this_library as *const ();
    // SAFETY: an address in this file, in place of a name; `module` is writable.
    unsafe { GetModuleHandleExW(flags, address.cast(), &mut module) };
}
