//! Which pages are in memory.
//!
//! # Safety
//!
//! `mincore` reads no memory but the kernel's, whatever the addresses, and writes one byte for each
//! page.
#![expect(unsafe_code, reason = "mincore")]

use super::page_size;

/// Fills in for each page from `base` on whether it is in memory: the lowest bit. False if the
/// system does not say.
pub(crate) fn resident(base: usize, pages: &mut [u8]) -> bool {
    let (at, size) = (std::ptr::without_provenance_mut(base), pages.len() * page_size());
    // SAFETY: only a query, whatever lies there; the vector has a byte for each page.
    unsafe { libc::mincore(at, size, pages.as_mut_ptr().cast()) == 0 }
}
