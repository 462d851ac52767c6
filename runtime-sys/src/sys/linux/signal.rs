//! Linux's part of signals, beyond POSIX.
//!
//! # Safety
//!
//! `getauxval` reads a table that the kernel wrote before the program began. The interrupted
//! registers are the kernel's record, alive while the handler runs.
#![expect(unsafe_code, reason = "reads the auxiliary vector and a handler's context")]

use std::ffi::c_void;

/// The greatest signal number. The kernel's set has one bit for each, on every architecture but
/// MIPS.
pub(crate) const LAST_SIGNAL: libc::c_int = 64;

/// `SS_AUTODISARM`: a host that switches stacks inside its handlers sets it, and has to get it
/// back.
pub(crate) const SIGNAL_STACK_FLAGS: libc::c_int = 1 << 31;

/// The signals that do nothing by default, and are no order to go on.
pub(crate) const IGNORED_BY_DEFAULT: &[libc::c_int] =
    &[libc::SIGCHLD, libc::SIGURG, libc::SIGWINCH];

/// Whether a new thread begins with the signal stack of the thread that made it. Here it has none,
/// or with bionic one of its own.
pub(crate) const THREADS_INHERIT_SIGNAL_STACKS: bool = cfg!(gosched_shared_signal_stacks);

/// True if the kernel raised a signal with this `si_code` itself, and no program sent it.
pub(crate) fn raised_by_kernel(code: libc::c_int) -> bool {
    code > 0
}

/// Returns the size of the smallest signal stack that survives a delivery, which depends on this
/// machine's processor state.
///
/// The constant `MINSIGSTKSZ` (2,048 on x86-64) dates from before AVX-512. The kernel accepts such
/// a stack and kills the process on delivery.
pub(crate) fn minimum_signal_stack() -> usize {
    // SAFETY: answers 0 for an entry that the kernel did not give.
    let measured = unsafe { libc::getauxval(libc::AT_MINSIGSTKSZ) };
    usize::try_from(measured).unwrap_or(0).max(libc::MINSIGSTKSZ)
}

/// Returns the stack pointer that a signal interrupted; none where the record's form is not known.
/// Async-signal-safe.
///
/// # Safety
///
/// `context` is what the kernel gave the handler that is running.
pub(crate) unsafe fn interrupted_stack_pointer(context: *const c_void) -> Option<usize> {
    let context = context.cast::<libc::ucontext_t>();
    #[cfg(target_arch = "x86_64")]
    let pointer = {
        // SAFETY: as the caller says.
        let registers = unsafe { &(*context).uc_mcontext.gregs };
        Some(registers[libc::REG_RSP as usize] as usize)
    };
    #[cfg(target_arch = "aarch64")]
    let pointer = {
        // SAFETY: as the caller says.
        let registers = unsafe { &(*context).uc_mcontext };
        Some(registers.sp as usize)
    };
    #[cfg(target_arch = "riscv64")]
    let pointer = {
        // SAFETY: as the caller says.
        let registers = unsafe { &(*context).uc_mcontext.__gregs };
        // Register x2, of the calling convention.
        const STACK_POINTER: usize = 2;
        Some(registers[STACK_POINTER] as usize)
    };
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "riscv64")))]
    let pointer = {
        let _not_known = context;
        None
    };
    pointer
}
