//! Pages, in which memory is mapped.

pub(crate) use crate::sys::page_size;

/// Returns `size` rounded up to whole pages, or none if no such number exists.
pub(crate) fn round_to_pages(size: usize) -> Option<usize> {
    size.checked_next_multiple_of(page_size())
}
