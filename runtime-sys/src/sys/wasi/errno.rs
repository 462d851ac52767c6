//! The calling thread's `errno`, on WASI: std reads it, and it is left alone.
//!
//! A callback leaves it as it found it elsewhere. Here it is a thread-local variable of the C
//! library's, without a function that leads to it: only unstable code can name it.

use std::ffi::c_int;

/// Reads `errno`.
#[inline(never)]
pub fn get() -> c_int {
    std::io::Error::last_os_error().raw_os_error().unwrap_or_default()
}

/// Leaves `errno` alone.
pub fn set(_value: c_int) {}

#[cfg(test)]
mod tests {
    #[test]
    fn is_the_one_that_a_failed_call_leaves() {
        let error = std::fs::metadata("/nowhere").expect_err("there are no files");
        assert!(error.raw_os_error().is_some());
        assert_eq!(error.raw_os_error(), Some(super::get()));
    }
}
