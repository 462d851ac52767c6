//! The prefetch instruction of x86-64.
//!
//! # Safety
//!
//! A prefetch is a hint: a program cannot tell whether the processor followed it.
#![expect(unsafe_code, reason = "an instruction that the language has no function for")]

use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};

/// Has the processor fetch the line at `address`, if it can.
#[inline(always)]
pub(crate) fn prefetch(address: usize) {
    // SAFETY: no read or write that a program could notice, and no fault at any address.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(std::ptr::without_provenance(address)) };
}
