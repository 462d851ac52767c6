//! The size of a signal stack, where the system does not tell what its processor needs.

/// Room for the state of any processor of today: with AVX-512 it takes 3 KiB, with AMX 11. The
/// systems' own constants are older.
const ANY_PROCESSOR: usize = 16 << 10;

/// Returns the size of the smallest signal stack that survives a delivery.
pub(crate) fn minimum_signal_stack() -> usize {
    ANY_PROCESSOR
}
