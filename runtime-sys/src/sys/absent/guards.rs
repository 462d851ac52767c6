//! Guards without a mapping of their own: a system that has none. Each guard is closed memory.
//!
//! # Safety
//!
//! Nothing happens here.
#![expect(unsafe_code, reason = "the contracts of those that do something")]

use std::ffi::c_void;
use std::io;

/// A piece of memory, as `struct iovec` has it.
#[derive(Clone, Copy)]
pub(crate) struct Piece {
    pub(crate) iov_base: *mut c_void,
    pub(crate) iov_len: usize,
}

/// Describes a piece of memory.
pub(crate) fn piece(base: *mut c_void, size: usize) -> Piece {
    Piece { iov_base: base, iov_len: size }
}

/// Fails.
///
/// # Safety
///
/// None.
pub(crate) unsafe fn install_guard(_base: *mut c_void, _size: usize) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// False: none is guarded.
///
/// # Safety
///
/// None.
pub(crate) unsafe fn install_guards(_pieces: &[Piece]) -> bool {
    false
}

/// False: there are none.
///
/// # Safety
///
/// None.
pub(crate) unsafe fn remove_guards(_base: *mut c_void, _size: usize) -> bool {
    false
}

/// Brings nothing into memory.
pub(crate) fn populate(_pieces: &[Piece]) {}

/// False: none was given back.
///
/// # Safety
///
/// None.
pub(crate) unsafe fn discard_all(_pieces: &[Piece]) -> bool {
    false
}
