//! The revocable slot: a word that holds the right to run (a P) while its thread runs user code,
//! and from which others may revoke it.
//!
//! # What the outside needs
//!
//! The *own* thread (an M) acquires the box when it enters the scheduler and releases it when it
//! leaves, on every `go` and every channel operation: that must cost one read-modify-write and one
//! store. *Outsiders* (sysmon) revoke the box from an own thread that keeps it too long. Three
//! promises:
//!
//! 1. **One owner.** A box that was put into the slot has one owner: the slot, the own thread, or
//!    one outsider.
//! 2. **BUSY is never revoked.** While the own thread is in the scheduler, no outsider gets
//!    anything. If the thread enters a second time (an allocator hook under its own scheduler), it
//!    gets nothing either, and is told so.
//! 3. **Whole hand-over.** The next owner of the box sees all that was done with it before. An own
//!    thread that finds the box gone also sees what the outsider wrote before the revocation. So an
//!    outsider writes its records of a revocation before it revokes.
//!
//! # The word
//!
//! Three values: NONE (null; revoked, or never there), BUSY, or the pointer of a box.
//!
//! ```text
//!   own thread:   acquire: swap in BUSY, get what was there
//!                 release: store NONE or a box (only over BUSY)
//!   outsider:     revoke: exchange the pointer that it observed for NONE
//! ```
//!
//! # Why it holds
//!
//! Only read-modify-writes take a pointer out, and each leaves another value in its place: promise
//! 1 for taking. Only the own thread puts a box in, by a plain store. It may, because that store
//! replaces BUSY, and from `acquire` on no other thread changes the word. (An outsider's exchange
//! expects a pointer, never BUSY: promise 2. A second `acquire` swaps BUSY for BUSY.)
//!
//! Edge [revocable.box]: `release` releases, `acquire` and `revoke` acquire. Edge [revocable.gone]:
//! `revoke` releases, an `acquire` that finds NONE acquires. A box that `release` puts in after a
//! `revoke` comes from elsewhere, where its owner got it properly.
//!
//! *The observed pointer may have been away* (A-B-A): the own thread entered and left between the
//! observation and the revocation. The box is in the slot all the same, so revoking it is as good
//! as before; only the judgement "it makes no progress" is out of date by one operation. It may
//! even be another box at the same address: the pointer that becomes a box again is the word's own,
//! never the observed one. So a wrong judgement costs a hand-over, not soundness, and the word
//! carries no counter.
//!
//! # Rejected
//!
//! - A lock: its holder may be off its core while user code elsewhere waits; and an entry from
//!   inside the own scheduler would hang instead of being told.
//! - `acquire` by compare-exchange of the own pointer for BUSY: the thread would have to know which
//!   box it left, and a failed attempt tells no more than the swap does.
//! - `release` by exchange, to notice outsiders: BUSY is already the promise that there are none.
//!
//! # Safety
//!
//! The word holds NONE, BUSY or a pointer from `Box::into_raw` that exists nowhere else: `release`
//! gives a box up to the word, and each operation that takes a pointer out leaves another value in.
//! No function here trusts its caller: in whatever order they are called, each box comes out once
//! (a `release` out of turn leaks one).
#![expect(unsafe_code, reason = "a box travels through an atomic word")]

use std::fmt;
use std::ptr;

use gosched_runtime_sys::sync::primitive::{AtomicPtr, Ordering, const_fn, mutated};

/// The address that stands for BUSY; no box has it, see [`Revocable::new`].
const BUSY: usize = 1;

/// The slot of one own thread.
pub(crate) struct Revocable<T: Send> {
    word: AtomicPtr<T>,
}

/// The own thread is in the scheduler already, further up its stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reentered;

/// What an outsider saw in the slot. Two equal observations do not mean that nothing happened
/// between them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Observed(usize);

impl Observed {
    /// True if there was a box to revoke.
    pub(crate) fn is_there(&self) -> bool {
        self.0 != 0 && self.0 != BUSY
    }
}

impl<T: Send> Revocable<T> {
    const_fn! {
        /// An empty slot.
        pub(crate) fn new() -> Self {
            const { assert!(align_of::<T>() > BUSY, "no box may look like BUSY") };
            Self { word: AtomicPtr::new(ptr::null_mut()) }
        }
    }

    /// Takes the box out, if there is one, and leaves BUSY; by the own thread.
    #[inline]
    pub(crate) fn acquire(&self) -> Result<Option<Box<T>>, Reentered> {
        // ORDERING[revocable.box]: partner is the store in `release`.
        // ORDERING[revocable.gone]: partner is the exchange in `revoke`: what the outsider wrote
        // before it revoked.
        let word = if mutated("revocable.acquire_peeks") {
            self.word.load(Ordering::Acquire)
        } else {
            self.word.swap(ptr::without_provenance_mut(BUSY), Ordering::Acquire)
        };
        if word.addr() == BUSY {
            return Err(Reentered);
        }
        // SAFETY: the swap took it out, and it is not BUSY.
        Ok(unsafe { boxed(word) })
    }

    /// Puts a box back, or leaves the slot empty; by the own thread, after `acquire`.
    #[inline]
    pub(crate) fn release(&self, owned: Option<Box<T>>) {
        debug_assert!(
            self.word.load(Ordering::Relaxed).addr() == BUSY || mutated("revocable.acquire_peeks"),
            "only after `acquire`"
        );
        let word = owned.map_or(ptr::null_mut(), Box::into_raw);
        // ORDERING[revocable.box]: partner are the swap in `acquire` and the exchange in `revoke`:
        // the next owner of the box sees all that was done with it.
        let published = if mutated("revocable.release_relaxed") {
            Ordering::Relaxed
        } else {
            Ordering::Release
        };
        self.word.store(word, published);
    }

    /// Returns what is in the slot, for an outsider that may want to revoke it later.
    pub(crate) fn observe(&self) -> Observed {
        Observed(self.word.load(Ordering::Relaxed).addr())
    }

    /// Takes the observed box out, if it is still (or again) in the slot; by an outsider.
    #[must_use]
    pub(crate) fn revoke(&self, observed: &Observed) -> Option<Box<T>> {
        if !observed.is_there() {
            return None;
        }
        let expected = ptr::without_provenance_mut(observed.0);
        // ORDERING[revocable.box]: partner is the store in `release`.
        // ORDERING[revocable.gone]: partner is the swap in `acquire`, which finds NONE.
        let order = if mutated("revocable.revoke_unannounced") {
            Ordering::Acquire
        } else {
            Ordering::AcqRel
        };
        let revoked =
            self.word.compare_exchange(expected, ptr::null_mut(), order, Ordering::Relaxed).ok()?;
        // SAFETY: the exchange took it out, and it equals what was observed to be neither NONE nor
        // BUSY.
        unsafe { boxed(revoked) }
    }
}

/// Returns the box that a word from the slot stands for.
///
/// # Safety
///
/// The word is not BUSY, and was taken out of the slot by an operation that left another value in
/// it.
#[inline]
unsafe fn boxed<T>(word: *mut T) -> Option<Box<T>> {
    // SAFETY: a pointer in the slot comes from `Box::into_raw`, and by contract nobody else has it.
    (!word.is_null()).then(|| unsafe { Box::from_raw(word) })
}

impl<T: Send> Drop for Revocable<T> {
    fn drop(&mut self) {
        drop(self.acquire());
    }
}

impl<T: Send> fmt::Debug for Revocable<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Revocable").field("has_box", &self.observe().is_there()).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{Reentered, Revocable};

    #[test]
    fn what_is_put_back_is_found_again() {
        let slot = Revocable::new();
        assert_eq!(slot.acquire(), Ok(None));
        slot.release(Some(Box::new(7_u32)));
        assert_eq!(slot.acquire(), Ok(Some(Box::new(7))));
        slot.release(None);
        assert_eq!(slot.acquire(), Ok(None));
    }

    #[test]
    fn entering_twice_is_told_and_disturbs_nothing() {
        let slot = Revocable::<u32>::new();
        let owned = slot.acquire();
        assert_eq!(slot.acquire(), Err(Reentered));
        assert_eq!(slot.acquire(), Err(Reentered));
        assert!(!slot.observe().is_there());
        assert_eq!(slot.revoke(&slot.observe()), None, "BUSY is not revoked");
        assert_eq!(owned, Ok(None));
        slot.release(Some(Box::new(1)));
        assert_eq!(slot.acquire(), Ok(Some(Box::new(1))));
    }

    #[test]
    fn an_outsider_revokes_only_what_it_observed() {
        let slot = Revocable::new();
        let before = slot.observe();
        assert!(!before.is_there());
        assert_eq!(slot.acquire(), Ok(None));
        slot.release(Some(Box::new(1_u32)));
        assert_eq!(slot.revoke(&before), None, "what came later was not observed");
        let observed = slot.observe();
        assert_eq!(slot.revoke(&observed), Some(Box::new(1)));
        assert_eq!(slot.revoke(&observed), None, "it is gone");
        assert_eq!(slot.acquire(), Ok(None));
    }

    #[test]
    fn a_slot_drops_what_is_in_it() {
        let slot = Revocable::new();
        let thing = Arc::new(());
        assert!(slot.acquire().is_ok());
        slot.release(Some(Box::new(Arc::clone(&thing))));
        drop(slot);
        assert_eq!(Arc::strong_count(&thing), 1);
    }
}
