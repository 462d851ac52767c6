//! Room for the handler of an overflow: an exception is handled on the stack that it comes from.
//!
//! ```text
//!   | guard: reserved          | hard page | handler's room    | soft page | the stack ..
//!                              ^ deallocation_stack                        ^ limit
//! ```
//!
//! The soft page and the room are memory, taken from the guard. The first access to the soft page
//! is an overflow: the system makes it an ordinary page, sees that there is no room to grow beyond
//! what the thread's block (TEB) says is for the handler, and raises `STATUS_STACK_OVERFLOW`, whose
//! handlers run below. Without the room it would end the process without a word.
//!
//! Rejected: stacks that the system lets grow. Each would move the soft page at every first use of
//! a page, with two system calls, and a stack that was given back would have to be closed again.
//!
//! # Safety
//!
//! Callers say what they own.
#![expect(unsafe_code, reason = "calls of the system")]

use std::ffi::c_void;
use std::io;

use windows_sys::Win32::System::Memory::{
    MEM_COMMIT, PAGE_GUARD, PAGE_READWRITE, VirtualAlloc, VirtualProtect,
};
use windows_sys::Win32::System::Threading::SetThreadStackGuarantee;

use super::page_size;

/// How much of a stack's guard is the handler's, the soft page included. The processor's state goes
/// there (11 KiB with AMX), and then the handler's frames.
pub(crate) const HANDLER_ROOM: usize = 24 << 10;

/// Makes the room on the calling thread's own stack, which grows: the system keeps it free below.
/// std does the same, for the main thread alone.
pub(crate) fn make_own_handler_room() {
    let mut room = HANDLER_ROOM as u32;
    // Fails on a stack that is smaller than that, and then an overflow is not told.
    // SAFETY: concerns the calling thread; `room` is writable.
    unsafe { SetThreadStackGuarantee(&mut room) };
}

/// Makes the room below a stack.
///
/// # Safety
///
/// So many bytes below `limit`, which is a stack's lowest address, are the caller's, and closed.
pub(crate) unsafe fn make_handler_room(limit: *mut c_void) -> io::Result<()> {
    let low = limit.wrapping_byte_sub(HANDLER_ROOM);
    // SAFETY: this function's contract.
    let opened = unsafe { VirtualAlloc(low, HANDLER_ROOM, MEM_COMMIT, PAGE_READWRITE) };
    if opened.is_null() {
        return Err(io::Error::last_os_error());
    }
    let (page, mut before) = (page_size(), 0);
    let soft = limit.wrapping_byte_sub(page);
    // SAFETY: as above.
    let done = unsafe { VirtualProtect(soft, page, PAGE_READWRITE | PAGE_GUARD, &mut before) };
    if done == 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
