//! Room for the handler of an overflow: a system whose handlers run on a stack of their own.
//!
//! # Safety
//!
//! Nothing happens here.
#![expect(unsafe_code, reason = "the contract of one that does something")]

use std::ffi::c_void;
use std::io;

/// None is taken from a stack's guard.
pub(crate) const HANDLER_ROOM: usize = 0;

/// Does nothing.
pub(crate) fn make_own_handler_room() {}

/// Does nothing.
///
/// # Safety
///
/// None.
#[inline(always)]
pub(crate) unsafe fn make_handler_room(_limit: *mut c_void) -> io::Result<()> {
    Ok(())
}
