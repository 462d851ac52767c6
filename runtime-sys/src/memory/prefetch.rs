//! Memory that is about to be needed, fetched ahead.
//!
//! A goroutine that slept lies in nobody's cache: its record, the head of its stack and the frames
//! below are misses of the caches and of the translation buffer, each of which waits for the one
//! before. Whoever makes several runnable at a time has those of all of them fetched together.
//!
//! # Safety
//!
//! To fetch is a hint: a program cannot tell whether it was taken.
#![expect(unsafe_code, reason = "an instruction that the language has no function for")]

/// Bytes that a processor fetches at a time.
pub const LINE: usize = 64;

/// Has the processor fetch the line at an address, any address, into its nearest cache, if it can.
#[inline(always)]
pub fn line(address: usize) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: nothing is read or written that a program could tell, and it faults nowhere.
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
