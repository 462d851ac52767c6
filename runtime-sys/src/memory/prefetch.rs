//! Memory that is about to be needed, fetched ahead.
//!
//! A goroutine that slept is in no cache. Its record, the head of its stack and the frames below
//! miss the caches and the translation buffer, and each miss waits for the one before. A thread
//! that makes several goroutines runnable at a time fetches the memory of all of them together.
//!
//! # Safety
//!
//! A prefetch is a hint: a program cannot tell whether the processor followed it.
#![expect(unsafe_code, reason = "an instruction that the language has no function for")]

/// Bytes that a processor fetches at a time.
pub const LINE: usize = 64;

/// Has the processor fetch the line at `address` into its nearest cache, if it can. Any address is
/// allowed.
#[inline(always)]
pub fn line(address: usize) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: no read or write that a program could notice, and no fault at any address.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(std::ptr::without_provenance(address)) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _nothing_is_fetched = address;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_address_will_do() {
        let value = 7;
        for address in [0, 1, usize::MAX, std::ptr::from_ref(&value).addr()] {
            line(address);
        }
        assert_eq!(value, 7);
    }
}
