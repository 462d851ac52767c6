//! The parts of goroutines that run under a token.
//!
//! # Safety
//!
//! A subject in a token's list is a region in a frame of `Token::run` and the goroutine that has
//! it. Both are there while it is listed: the frame takes it off the list, under the token's lock,
//! before it ends.
#![expect(
    unsafe_code,
    reason = "reaches regions in the frames of the goroutines that entered them"
)]

use std::cell::Cell;
use std::ptr::NonNull;

use crate::gmp::g::CancelScope;
use crate::proc::cancel::Region;
use crate::proc::claimed::Claimed;
use crate::proc::target::Target;
use crate::wait::waiter::{Unpark, Wakeup};

/// A goroutine that waits under a token.
pub(crate) trait EndsWaits: Unpark {
    /// Makes the goroutine look for a reason to end its wait. The caller has written that reason.
    /// Runs no user code.
    ///
    /// # Safety
    ///
    /// The goroutine has begun, and does not end during the call.
    #[must_use = "it never runs again unless it is woken"]
    unsafe fn end_wait(self) -> Self::Wake;
}

impl EndsWaits for Target {
    unsafe fn end_wait(self) -> Claimed {
        // SAFETY: this function's contract.
        unsafe { self.cancel() }
    }
}

/// A part of a goroutine that runs under a token.
pub(super) struct Subject<K> {
    pub(super) listed: NonNull<Listed>,
    pub(super) g: K,
}

// SAFETY: only the pointer is not `Send`. It is followed under the token's lock; see the file's
// head.
unsafe impl<K: Send> Send for Subject<K> {}

/// A region, and its index among the token's subjects.
pub(crate) struct Listed {
    pub(super) region: Region,
    /// The index, if the region is listed. Read and written under the token's lock.
    pub(super) at: Cell<Option<usize>>,
}

impl<K: EndsWaits> Subject<K> {
    /// Gives the region its reason, and ends the goroutine's wait.
    ///
    /// # Safety
    ///
    /// It was taken off the token's list just now, and the token's lock is held.
    pub(super) unsafe fn cancel(self) -> Wakeup<K> {
        // SAFETY: the region was listed, and the lock is held.
        let listed = unsafe { self.listed.as_ref() };
        listed.at.set(None);
        listed.region.cancel();
        // SAFETY: the goroutine cannot leave the region, let alone end, while the lock is held.
        Wakeup::Parked(unsafe { self.g.end_wait() })
    }
}

impl Listed {
    /// `limit`: when the region is left at the latest.
    pub(crate) fn new(scope: CancelScope, limit: u64) -> Self {
        Self { region: Region::new(scope, limit), at: Cell::new(None) }
    }
}
