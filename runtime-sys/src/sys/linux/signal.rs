//! What Linux knows about signals beyond POSIX.
//!
//! # Safety
//!
//! `getauxval` reads a table that the kernel wrote before the program began.
#![expect(unsafe_code, reason = "reads the auxiliary vector")]

/// The greatest signal number (the kernel's set has one bit for each, on every architecture but
/// MIPS).
pub(crate) const LAST_SIGNAL: libc::c_int = 64;

/// `SS_AUTODISARM`: a host that switches stacks inside its handlers sets it, and has to get it
/// back.
pub(crate) const SIGNAL_STACK_FLAGS: libc::c_int = 1 << 31;

/// The least signal stack that survives a delivery: what the processor state takes on this machine.
/// The constant `MINSIGSTKSZ` (2,048 on x86-64) dates from before AVX-512; the kernel accepts such
/// a stack and kills on delivery.
pub(crate) fn minimum_signal_stack() -> usize {
    // SAFETY: answers 0 for an entry that the kernel did not give.
    let measured = unsafe { libc::getauxval(libc::AT_MINSIGSTKSZ) };
    usize::try_from(measured).unwrap_or(0).max(libc::MINSIGSTKSZ)
}
