//! Poisoning, as in `std`: a lock whose holder panicked says so to everybody after.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;

/// Set once a holder unwound. What it tells is ordered by the lock itself.
#[derive(Debug)]
pub(super) struct Flag(AtomicBool);

/// Whether the thread was panicking when the lock was taken: then it is not the holder's work that
/// is left half done.
#[derive(Clone, Copy, Debug)]
pub(super) struct PanickingBefore {
    panicking: bool,
}

impl Flag {
    pub(super) const fn new() -> Self {
        Self(AtomicBool::new(false))
    }

    /// Notes that the lock was taken.
    #[inline]
    pub(super) fn enter(&self) -> PanickingBefore {
        PanickingBefore { panicking: thread::panicking() }
    }

    /// Notes that it is given back.
    #[inline]
    pub(super) fn leave(&self, entered: PanickingBefore) {
        if !entered.panicking && thread::panicking() {
            self.0.store(true, Relaxed);
        }
    }

    #[inline]
    pub(super) fn get(&self) -> bool {
        self.0.load(Relaxed)
    }

    pub(super) fn clear(&self) {
        self.0.store(false, Relaxed);
    }
}
