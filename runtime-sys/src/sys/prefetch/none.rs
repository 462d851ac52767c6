//! Prefetching on a processor whose instruction for it is not known here.

/// Fetches nothing.
#[inline(always)]
pub(crate) fn prefetch(_address: usize) {}
