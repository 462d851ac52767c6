//! The process: how a message leaves it and how it ends, where nothing may be allocated; its
//! children; and what tells its threads apart.
//!
//! # Safety
//!
//! `write` gets a live buffer with its own length; `abort` and `_exit` have no precondition.
#![expect(unsafe_code, reason = "write(2), abort(3), _exit(2) and pthread_atfork(3)")]

use std::io;

/// Writes some of the bytes to standard error. Returns how many; none if it takes nothing.
/// Async-signal-safe.
pub(crate) fn write_some(bytes: &[u8]) -> Option<usize> {
    loop {
        // SAFETY: the buffer is alive and as long as said.
        let written =
            unsafe { libc::write(libc::STDERR_FILENO, bytes.as_ptr().cast(), bytes.len()) };
        match usize::try_from(written) {
            Ok(written) if written > 0 => return Some(written),
            Err(_) if io::Error::last_os_error().raw_os_error() == Some(libc::EINTR) => {}
            _ => return None,
        }
    }
}

/// Aborts the process. Async-signal-safe.
pub(crate) fn abort() -> ! {
    // SAFETY: has no precondition.
    unsafe { libc::abort() }
}

/// Ends the process with this exit code, without running anything of it.
pub(crate) fn end_process(code: i32) -> ! {
    // SAFETY: has no precondition.
    unsafe { libc::_exit(code) }
}

/// Has `hook` called in each forked child, for the life of the process. Fails if there is no memory
/// for it.
///
/// # Safety
///
/// `hook` is async-signal-safe, and its code stays loaded.
pub(crate) unsafe fn at_fork(hook: extern "C" fn()) -> io::Result<()> {
    // SAFETY: as the caller says.
    let result = unsafe { libc::pthread_atfork(None, None, Some(hook)) };
    if result == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(result)) }
}

/// Returns a number that no other live thread of the process has. Not zero. Allocates nothing, on
/// any thread.
#[cfg(debug_assertions)]
pub(crate) fn thread_mark() -> usize {
    super::errno_location().addr()
}
