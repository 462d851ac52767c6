//! The object file that this code lies in.
//!
//! # Safety
//!
//! `dladdr` reads the loader's tables and takes any address. The name in its answer is the loader's
//! and lives as long as the object file.
#![expect(unsafe_code, reason = "dladdr")]

use std::ffi::c_void;
use std::mem::MaybeUninit;

/// Returns what the loader knows of the object file around an address.
fn file_around(address: *const c_void) -> Option<libc::Dl_info> {
    let mut info = MaybeUninit::<libc::Dl_info>::zeroed();
    // SAFETY: `info` is writable.
    let found = unsafe { libc::dladdr(address, info.as_mut_ptr()) };
    // SAFETY: pointers, null where the call wrote none.
    let info = unsafe { info.assume_init() };
    (found != 0).then_some(info)
}

/// Returns what the loader knows of the object file that this code lies in.
fn this_file() -> Option<libc::Dl_info> {
    file_around(this_file as *const c_void)
}

/// True if a function's address lies in the object file of this code. Takes the loader's lock.
pub(crate) fn in_this_library(function: usize) -> bool {
    let theirs = file_around(std::ptr::without_provenance(function));
    let (Some(this), Some(theirs)) = (this_file(), theirs) else { return false };
    this.dli_fbase == theirs.dli_fbase
}
