//! Memory that is about to be needed, fetched ahead.
//!
//! A goroutine that slept is in no cache. Its record, the head of its stack and the frames below
//! miss the caches and the translation buffer, and each miss waits for the one before. A thread
//! that makes several goroutines runnable at a time fetches the memory of all of them together.

/// Bytes that a processor fetches at a time.
pub const LINE: usize = 64;

/// Has the processor fetch the line at `address` into its nearest cache, if it can. Any address is
/// allowed.
#[inline(always)]
pub fn line(address: usize) {
    crate::sys::prefetch(address);
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
