//! Apple's part of signals, beyond POSIX.
//!
//! # Safety
//!
//! The interrupted registers are the kernel's record, alive while the handler runs.
#![expect(unsafe_code, reason = "reads a handler's context")]

use std::ffi::{c_int, c_void};

/// The greatest signal number: `NSIG` of sys/signal.h is 32.
pub(crate) const LAST_SIGNAL: c_int = 31;

/// There are no such flags.
pub(crate) const SIGNAL_STACK_FLAGS: c_int = 0;

/// The signals that do nothing by default, and are no order to go on: `SA_IGNORE` in
/// bsd/sys/signalvar.h of xnu.
pub(crate) const IGNORED_BY_DEFAULT: &[c_int] =
    &[libc::SIGCHLD, libc::SIGURG, libc::SIGWINCH, libc::SIGIO, libc::SIGINFO];

/// A new thread begins without a signal stack.
pub(crate) const THREADS_INHERIT_SIGNAL_STACKS: bool = false;

/// Returns the size of the smallest signal stack that survives a delivery. The constant has room
/// for every processor's state. `sigaltstack` refuses a smaller stack, also with `SS_DISABLE`.
pub(crate) fn minimum_signal_stack() -> usize {
    libc::MINSIGSTKSZ
}

/// Returns the stack pointer that a signal interrupted; none where the record's form is not known.
/// Async-signal-safe.
///
/// # Safety
///
/// `context` is what the kernel gave the handler that is running.
pub(crate) unsafe fn interrupted_stack_pointer(context: *const c_void) -> Option<usize> {
    let context = context.cast::<libc::ucontext_t>();
    // SAFETY: as the caller says.
    let machine = unsafe { (*context).uc_mcontext };
    #[cfg(target_arch = "x86_64")]
    // SAFETY: as above.
    let pointer = Some(unsafe { (*machine).__ss.__rsp } as usize);
    #[cfg(target_arch = "aarch64")]
    // SAFETY: as above.
    let pointer = Some(unsafe { (*machine).__ss.__sp } as usize);
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    let pointer = {
        let _not_known = machine;
        None
    };
    pointer
}
