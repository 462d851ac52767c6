//! A piece of memory with a guard below it.
//!
//! # Safety
//!
//! The range belongs to the [`Mapping`] from `reserve` to `unreserve`. Nothing here reads or writes
//! through it.
#![expect(unsafe_code, reason = "maps memory")]

use crate::memory::mapping::{page_size, round_to_pages};
use crate::sys;
use std::ffi::c_void;
use std::io;
use std::ops::Range;
use std::ptr::NonNull;

/// An owned range of pages: usable memory, and below it a guard at which every access is a fault.
#[derive(Debug)]
pub(crate) struct Mapping {
    base: NonNull<c_void>,
    guard: usize,
    size: usize,
}

// SAFETY: a range of addresses belongs to no thread.
unsafe impl Send for Mapping {}
// SAFETY: nothing in it changes through a shared reference.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps at least `size` usable bytes, in whole pages, with one page of guard below.
    pub(crate) fn with_guard(size: usize) -> io::Result<Self> {
        let too_large = || io::Error::new(io::ErrorKind::InvalidInput, "stack size too large");
        let guard = page_size();
        let size = round_to_pages(size).ok_or_else(too_large)?;
        let total = size.checked_add(guard).ok_or_else(too_large)?;
        let mapping = Self { base: sys::reserve(total)?, guard, size };
        // Opened from PROT_NONE, not closed from read-write: the kernel then never accounts for
        // memory that nobody may use.
        // SAFETY: inside the range that was mapped just now; nobody else knows of it.
        unsafe { sys::open(mapping.usable(), size)? };
        sys::advise_stack(mapping.usable(), size);
        Ok(mapping)
    }

    /// Returns where the usable memory begins.
    pub(crate) fn usable(&self) -> *mut c_void {
        self.base.as_ptr().wrapping_byte_add(self.guard)
    }

    /// Returns how many bytes are usable.
    pub(crate) fn size(&self) -> usize {
        self.size
    }

    /// Returns the addresses of the guard.
    pub(crate) fn guard(&self) -> Range<usize> {
        self.base.addr().get()..self.usable().addr()
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: mapped by `with_guard`, unmapped once; the owner sees to it that nothing runs on
        // it any more.
        unsafe { sys::unreserve(self.base, self.guard + self.size) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Child, permissions_at};

    #[test]
    fn dropped_it_is_gone_from_end_to_end() {
        // In a child process: in this one, another test's mapping could take the address at once.
        Child::run("memory::guarded::tests::dropped_it_is_gone_from_end_to_end", || {
            let mapping = Mapping::with_guard(1).expect("mapping");
            assert_eq!((mapping.size(), mapping.guard().len()), (page_size(), page_size()));
            let ends = [mapping.guard().start, mapping.guard().end + mapping.size() - 1];
            assert_eq!(ends.map(permissions_at), ["---p", "rw-p"]);
            drop(mapping);
            assert_eq!(ends.map(permissions_at), ["", ""]);
        })
        .assert_success();
    }
}
