//! Fences on every thread of the process.
//!
//! # Safety
//!
//! An unknown command is refused.
#![expect(unsafe_code, reason = "a system call")]

use std::ffi::c_int;

// Of linux/membarrier.h; the libc crate has them for some targets only.
const MEMBARRIER_CMD_PRIVATE_EXPEDITED: c_int = 1 << 3;
const MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED: c_int = 1 << 4;

fn membarrier(command: c_int) -> bool {
    // SAFETY: registers the process, or runs a fence on its threads; an unknown command is refused.
    unsafe { libc::syscall(libc::SYS_membarrier, command, 0, 0) == 0 }
}

/// True if [`fence_every_thread`] works in this process. Called before it. Linux 4.14.
pub(crate) fn register_for_fences() -> bool {
    membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED)
}

/// Returns after every other thread of the process has passed a full memory fence. False if the
/// system refused.
pub(crate) fn fence_every_thread() -> bool {
    membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED)
}
