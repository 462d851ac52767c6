//! Address space for stacks: reserved without memory, which makes every access a fault, and
//! committed piece by piece.
//!
//! What is committed counts against the system's limit at once, touched or not. A reservation
//! begins at a multiple of 64 KiB, so neighbours do not meet.
//!
//! # Safety
//!
//! Callers say what they own. A fresh reservation lies where nothing was.
#![expect(unsafe_code, reason = "VirtualAlloc and its kin")]

use std::ffi::c_void;
use std::io;
use std::mem::MaybeUninit;
use std::ptr::{NonNull, null};

use windows_sys::Win32::System::Memory::{
    MEM_COMMIT, MEM_RELEASE, MEM_RESERVE, MEM_RESET, PAGE_NOACCESS, PAGE_READWRITE, VirtualAlloc,
    VirtualFree,
};
use windows_sys::Win32::System::SystemInformation::GetSystemInfo;

/// Returns the size of a page.
pub(crate) fn page_size() -> usize {
    let mut info = MaybeUninit::uninit();
    // SAFETY: `info` is writable.
    unsafe { GetSystemInfo(info.as_mut_ptr()) };
    // SAFETY: the call fills it in, and cannot fail.
    unsafe { info.assume_init() }.dwPageSize as usize
}

/// Reserves so many bytes of addresses: every access is a fault.
pub(crate) fn reserve(size: usize) -> io::Result<NonNull<c_void>> {
    // SAFETY: asks for fresh addresses wherever there is room.
    let base = unsafe { VirtualAlloc(null(), size, MEM_RESERVE, PAGE_NOACCESS) };
    NonNull::new(base).ok_or_else(io::Error::last_os_error)
}

/// Makes reserved memory readable and writable. Where it was open it stays as it is.
///
/// # Safety
///
/// The caller owns the range, which is whole pages.
pub(crate) unsafe fn open(base: *mut c_void, size: usize) -> io::Result<()> {
    // SAFETY: this function's contract.
    let opened = unsafe { VirtualAlloc(base, size, MEM_COMMIT, PAGE_READWRITE) };
    if opened.is_null() { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Gives up what [`reserve`] has reserved.
///
/// # Safety
///
/// All of it, once, and nobody uses it any more.
pub(crate) unsafe fn unreserve(base: NonNull<c_void>, _size: usize) {
    // SAFETY: this function's contract. The size is that of the reservation.
    let released = unsafe { VirtualFree(base.as_ptr(), 0, MEM_RELEASE) };
    debug_assert_ne!(released, 0, "an own reservation");
}

/// There is no advice to give.
pub(crate) fn advise_stack(_base: *mut c_void, _size: usize) {}

/// Nothing locks memory that is not there yet.
pub(crate) fn munlock(_base: *mut c_void, _size: usize) {}

/// Lets the system take the pages of the range when it needs some. The next access finds what was
/// there, or zeroes.
///
/// Rejected: decommitting them. To commit them again may fail, and then a stack has a hole.
///
/// # Safety
///
/// Nobody needs what is in the memory. The range is whole pages.
pub(crate) unsafe fn discard(base: *mut c_void, size: usize) {
    // SAFETY: this function's contract. The protection is not looked at.
    unsafe { VirtualAlloc(base, size, MEM_RESET, PAGE_READWRITE) };
}
