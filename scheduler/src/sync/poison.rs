//! Poisoning, as in `std`: a lock whose holder panicked tells each later holder. And the other
//! error that a lock gives.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{TryLockError, TryLockResult};
use std::thread;

use crate::proc::yield_now::give_turn;

/// The result of a try of a lock that is held. Gives a turn: the holder may share the thread.
pub(super) fn would_block<G>() -> TryLockResult<G> {
    give_turn();
    Err(TryLockError::WouldBlock)
}

/// The flag of a lock, set once a holder unwound. The lock itself orders it.
#[derive(Debug)]
pub(super) struct Flag(AtomicBool);

/// Whether the thread was panicking when the lock was taken. If so, the panic leaves no work of
/// this holder half done.
#[derive(Clone, Copy, Debug)]
pub(super) struct PanickingBefore {
    panicking: bool,
}

impl Flag {
    #[inline]
    pub(super) const fn new() -> Self {
        Self(AtomicBool::new(false))
    }

    /// Begins a holder's time.
    #[inline]
    pub(super) fn enter(&self) -> PanickingBefore {
        PanickingBefore { panicking: thread::panicking() }
    }

    /// Ends a holder's time; sets the flag if the holder unwinds.
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

    #[inline]
    pub(super) fn clear(&self) {
        self.0.store(false, Relaxed);
    }
}
