//! The prefetch instruction of AArch64.
//!
//! # Safety
//!
//! A prefetch is a hint: a program cannot tell whether the processor followed it.
#![expect(unsafe_code, reason = "an instruction that the language has no function for")]

use std::arch::asm;

/// Has the processor fetch the line at `address`, if it can.
#[inline(always)]
pub(crate) fn prefetch(address: usize) {
    // SAFETY: no read or write that a program could notice, and no fault at any address.
    unsafe {
        asm!("prfm pldl1keep, [{0}]", in(reg) address, options(nostack, preserves_flags, readonly));
    };
}
