//! The process: how a message leaves it and how it ends, where nothing may be allocated; its
//! children, of which there are none; and what tells its threads apart.
//!
//! # Safety
//!
//! `write` gets a live buffer with its own length; `_exit` has no precondition.
#![expect(unsafe_code, reason = "write and _exit")]

use std::io;

/// Writes some of the bytes to standard error. Returns how many; none if it takes nothing.
pub(crate) fn write_some(bytes: &[u8]) -> Option<usize> {
    // SAFETY: the buffer is alive and as long as said.
    let written = unsafe { libc::write(libc::STDERR_FILENO, bytes.as_ptr().cast(), bytes.len()) };
    usize::try_from(written).ok().filter(|written| *written > 0)
}

/// Aborts the process.
pub(crate) fn abort() -> ! {
    std::process::abort()
}

/// Ends the process with this exit code, without running anything of it.
pub(crate) fn end_process(code: i32) -> ! {
    // SAFETY: has no precondition.
    unsafe { libc::_exit(code) }
}

/// Does nothing: no child is forked.
///
/// # Safety
///
/// None.
pub(crate) unsafe fn at_fork(_hook: extern "C" fn()) -> io::Result<()> {
    Ok(())
}

#[cfg(debug_assertions)]
pub(crate) use super::os::thread_mark;
