//! Linux's part of signals, beyond POSIX.
//!
//! # Safety
//!
//! `getauxval` reads a table that the kernel wrote before the program began.
#![expect(unsafe_code, reason = "reads the auxiliary vector")]

/// The greatest signal number. The kernel's set has one bit for each, on every architecture but
/// MIPS.
pub(crate) const LAST_SIGNAL: libc::c_int = 64;

/// `SS_AUTODISARM`: a host that switches stacks inside its handlers sets it, and has to get it
/// back.
pub(crate) const SIGNAL_STACK_FLAGS: libc::c_int = 1 << 31;

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
