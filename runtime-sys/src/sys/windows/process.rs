//! The process: how a message leaves it and how it ends, where nothing may be allocated; its
//! children, of which none is forked; and what tells its threads apart.
//!
//! # Safety
//!
//! The handles are the process's own. `WriteFile` gets a live buffer with its own length.
#![expect(unsafe_code, reason = "WriteFile, TerminateProcess")]

use std::io;
use std::ptr::null_mut;

use windows_sys::Win32::Storage::FileSystem::WriteFile;
use windows_sys::Win32::System::Console::{GetStdHandle, STD_ERROR_HANDLE};
use windows_sys::Win32::System::Threading::{GetCurrentProcess, TerminateProcess};

/// Writes some of the bytes to standard error. Returns how many; none if it takes nothing.
pub(crate) fn write_some(bytes: &[u8]) -> Option<usize> {
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    let mut written = 0;
    // SAFETY: has no precondition.
    let to = unsafe { GetStdHandle(STD_ERROR_HANDLE) };
    // SAFETY: the buffer is alive and as long as said; a handle that is none is refused.
    let done = unsafe { WriteFile(to, bytes.as_ptr(), length, &mut written, null_mut()) };
    (done != 0 && written > 0).then_some(written as usize)
}

/// Aborts the process, with the exit code of a failed assertion in the system.
pub(crate) fn abort() -> ! {
    std::process::abort()
}

/// Ends the process with this exit code, without running anything of it.
pub(crate) fn end_process(code: i32) -> ! {
    // SAFETY: has no precondition.
    let this = unsafe { GetCurrentProcess() };
    // Rejected: the C library's `_exit`, which runs the destructors of thread-locals.
    // SAFETY: the process's own handle.
    unsafe { TerminateProcess(this, code as u32) };
    // Not reached: a process may always end itself.
    std::process::abort()
}

/// Does nothing: no child is forked.
///
/// # Safety
///
/// None.
pub(crate) unsafe fn at_fork(_hook: extern "C" fn()) -> io::Result<()> {
    Ok(())
}

/// Returns a number that no other live thread of the process has. Not zero.
#[cfg(debug_assertions)]
pub(crate) fn thread_mark() -> usize {
    super::thread_id() as u32 as usize
}
