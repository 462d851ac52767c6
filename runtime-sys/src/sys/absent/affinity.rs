//! Affinity: a system whose count of processors has it, or that has none.

/// None: a quota is not told from it.
pub(crate) fn affinity_count() -> Option<usize> {
    None
}
