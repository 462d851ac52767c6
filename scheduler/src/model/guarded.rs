//! A lock and what it guards, for models of locks.
//!
//! # Safety
//!
//! The counter is under the tested lock; loom reports it if it is not.

#![expect(unsafe_code, reason = "counts in a cell that loom watches")]

use gosched_runtime_sys::sync::primitive::UnsafeCell;
// Not loom's: its `Arc` aborts when it is dropped by a model that failed.
use std::sync::Arc;

/// What a lock guards here; loom finds two threads in it.
pub(super) struct Guarded<L> {
    pub(super) lock: L,
    count: UnsafeCell<u32>,
}

// SAFETY: only the cell is not `Sync`; loom checks every access to it.
unsafe impl<L: Sync> Sync for Guarded<L> {}
// SAFETY: as above.
unsafe impl<L: Send> Send for Guarded<L> {}

impl<L> Guarded<L> {
    pub(super) fn new(lock: L) -> Self {
        Self { lock, count: UnsafeCell::new(0) }
    }

    pub(super) fn shared(lock: L) -> Arc<Self> {
        Arc::new(Self::new(lock))
    }

    pub(super) fn add(&self) {
        // SAFETY: loom reports another thread in the cell.
        self.count.with_mut(|count| unsafe { *count += 1 });
    }

    pub(super) fn count(&self) -> u32 {
        // SAFETY: loom reports another thread in the cell.
        self.count.with(|count| unsafe { *count })
    }
}
