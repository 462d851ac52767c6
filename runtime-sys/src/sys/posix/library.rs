//! The object file that this code lies in.
//!
//! # Safety
//!
//! `dladdr` reads the loader's tables and takes any address. The name in its answer is the loader's
//! and lives as long as the object file, which runs this. `dlopen` with `RTLD_NOLOAD` loads nothing
//! and runs no initialiser.
#![expect(unsafe_code, reason = "dladdr and dlopen")]

use std::ffi::c_void;
use std::mem::MaybeUninit;
use std::sync::Once;

use super::PIN_FLAGS;

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

/// Keeps the object file that this code lies in loaded until the process ends. Called before
/// something of ours is registered that the system calls later: `dlclose` would leave it pointing
/// into nothing.
///
/// A program cannot be unloaded; for one, and in a static program, this does nothing.
pub(crate) fn pin_this_library() {
    static PINNED: Once = Once::new();
    PINNED.call_once(|| {
        let Some(name) = this_file().map(|file| file.dli_fname).filter(|name| !name.is_null())
        else {
            return;
        };
        let flags = libc::RTLD_NOW | libc::RTLD_NOLOAD | PIN_FLAGS;
        // The reference that this takes stays.
        // SAFETY: the loader's own name for the file.
        let _handle = unsafe { libc::dlopen(name, flags) };
    });
}
