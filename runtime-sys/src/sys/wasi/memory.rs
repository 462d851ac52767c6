//! Memory for stacks: there is none. No page of a program can be closed, and its code runs on no
//! other stack than its thread's.
//!
//! # Safety
//!
//! Nothing happens here.
#![expect(unsafe_code, reason = "the contracts of those that do something")]

use std::ffi::c_void;
use std::io;
use std::ptr::NonNull;

/// Returns the unit in which memory grows.
pub(crate) fn page_size() -> usize {
    1 << 16
}

/// Fails.
pub(crate) fn reserve(_size: usize) -> io::Result<NonNull<c_void>> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Never called: nothing is reserved.
///
/// # Safety
///
/// None.
pub(crate) unsafe fn open(_base: *mut c_void, _size: usize) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Never called: nothing is reserved.
///
/// # Safety
///
/// None.
pub(crate) unsafe fn unreserve(_base: NonNull<c_void>, _size: usize) {}

/// There is no advice to give.
pub(crate) fn advise_stack(_base: *mut c_void, _size: usize) {}

/// Nothing is locked.
pub(crate) fn munlock(_base: *mut c_void, _size: usize) {}

/// Never called: nothing is reserved.
///
/// # Safety
///
/// None.
pub(crate) unsafe fn discard(_base: *mut c_void, _size: usize) {}
