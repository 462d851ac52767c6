//! The table: a word on which the right to run (a P) lies while somebody works who might be
//! stopped, and from which others may take it.
//!
//! # What the outside needs
//!
//! The *own* thread (an M) takes the thing off when it enters the runtime and puts it back when it
//! leaves, on every `go` and every channel operation: that must cost one read-modify-write and one
//! store. *Outsiders* (sysmon) take it from an own thread that keeps it too long. Three promises:
//!
//! 1. **One owner.** What was put on the table is had by one: the table, the own thread, or one
//!    outsider.
//! 2. **BUSY is never taken.** While the own thread has the table in hand, no outsider gets
//!    anything, and what the thread itself enters a second time (an allocator hook under its own
//!    scheduler) gets nothing either, and is told so.
//! 3. **Whole hand-over.** Who gets the thing sees all that was done with it before. An own thread
//!    that finds it gone also sees what the outsider wrote before it took it: the books about the
//!    taking are made before the taking.
//!
//! # The word
//!
//! Three values: NONE (null; taken, or never there), BUSY, or the pointer of a box.
//!
//! ```text
//!   own thread:   enter: swap in BUSY, get what was there        leave: store NONE or a box (only over BUSY)
//!   outsider:     take: exchange the pointer that it judged for NONE
//! ```
//!
//! # Why it holds
//!
//! Only read-modify-writes take a pointer out, and each leaves something else in its place: promise
//! 1 for taking. Only the own thread puts in, by a plain store, and it may: that store replaces
//! BUSY, because from `acquire` on nobody else changes the word. (An outsider's exchange expects a
//! pointer, never BUSY: promise 2. A second `acquire` swaps BUSY for BUSY.)
//!
//! Edge [revocable.box]: `release` releases, `acquire` and `take` acquire. Edge [revocable.gone]:
//! `take` releases, an `acquire` that finds NONE acquires. A box put back by `release` after a
//! `take` comes from elsewhere, where its owner got it properly.
//!
//! *The judged pointer may have been away* (A-B-A): the own thread entered and left between the
//! look and the taking. The box is on the table all the same, so taking it is as good as before;
//! only the judgement "it makes no progress" is out of date by one operation. Should even the box
//! be another one at the same address, the word's own pointer is what is made a box again, never
//! the judged one. So a wrong judgement costs a hand-over, not soundness, and the word carries no
//! counter.
//!
//! # Rejected
//!
//! - A lock: its holder may be off its core while user code elsewhere waits; and an entry under the
//!   own scheduler would hang instead of being told.
//! - `acquire` by exchange of the own pointer for BUSY: the thread would have to know which box it
//!   left, and a failed try tells no more than the swap does.
//! - `release` by exchange, to notice outsiders: BUSY is already the promise that there are none.
//!
//! # Safety
//!
//! The word holds NONE, BUSY or a pointer from `Box::into_raw` that exists nowhere else: `release`
//! gives a box up to it, and what takes a pointer out leaves another value in by the same
//! operation. No function here trusts its caller: whoever calls what, each box comes out once (a
//! `release` out of turn leaks one).
#![expect(unsafe_code, reason = "a box travels through an atomic word")]

use std::fmt;
use std::ptr;

use gosched_runtime_sys::sync::primitive::{AtomicPtr, Ordering, const_fn, mutated};

/// The address that stands for BUSY; no box has it, see [`Revocable::new`].
const BUSY: usize = 1;

/// The table of one own thread.
pub(crate) struct Revocable<T: Send> {
    word: AtomicPtr<T>,
}

/// The own thread has the table in hand already, further up its stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reentered;

/// What an outsider saw on the table. Two that are equal do not mean that nothing happened between
/// them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Observed(usize);

impl Observed {
    /// Whether there was something to take.
    pub(crate) fn is_there(&self) -> bool {
        self.0 != 0 && self.0 != BUSY
    }
}

impl<T: Send> Revocable<T> {
    const_fn! {
        /// A table on which nothing lies.
        pub(crate) fn new() -> Self {
            const { assert!(align_of::<T>() > BUSY, "no box may look like BUSY") };
            Self { word: AtomicPtr::new(ptr::null_mut()) }
        }
    }

    /// Takes what lies on the table, and the table with it; by the own thread.
    #[inline]
    pub(crate) fn acquire(&self) -> Result<Option<Box<T>>, Reentered> {
        // ORDERING[revocable.box]: partner is the store in `release`.
        // ORDERING[revocable.gone]: partner is the exchange in `take`: what the outsider noted
        // before it took.
        let word = if mutated("revocable.enter_peeks") {
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

    /// Puts something back, or nothing, and lets go of the table; by the own thread that entered.
    #[inline]
    pub(crate) fn release(&self, owned: Option<Box<T>>) {
        debug_assert!(
            self.word.load(Ordering::Relaxed).addr() == BUSY || mutated("revocable.enter_peeks"),
            "only who entered leaves"
        );
        let word = owned.map_or(ptr::null_mut(), Box::into_raw);
        // ORDERING[revocable.box]: partner are the swap in `acquire` and the exchange in `take`:
        // who gets the box next sees all that was done with it.
        let published =
            if mutated("revocable.leave_relaxed") { Ordering::Relaxed } else { Ordering::Release };
        self.word.store(word, published);
    }

    /// What lies on the table, for an outsider that may want to take it later.
    pub(crate) fn observe(&self) -> Observed {
        Observed(self.word.load(Ordering::Relaxed).addr())
    }

    /// Takes what was judged, if it still (or again) lies there; by an outsider.
    #[must_use]
    pub(crate) fn revoke(&self, observed: &Observed) -> Option<Box<T>> {
        if !observed.is_there() {
            return None;
        }
        let expected = ptr::without_provenance_mut(observed.0);
        // ORDERING[revocable.box]: partner is the store in `release`.
        // ORDERING[revocable.gone]: partner is the swap in `acquire`, which finds NONE.
        let order = if mutated("revocable.take_unannounced") {
            Ordering::Acquire
        } else {
            Ordering::AcqRel
        };
        let taken =
            self.word.compare_exchange(expected, ptr::null_mut(), order, Ordering::Relaxed).ok()?;
        // SAFETY: the exchange took it out, and it equals what was judged to be neither NONE nor
        // BUSY.
        unsafe { boxed(taken) }
    }
}

/// The box that a word taken from the table stands for.
///
/// # Safety
///
/// The word is not BUSY, and was taken out of the table by an operation that left something else in
/// it.
#[inline]
unsafe fn boxed<T>(word: *mut T) -> Option<Box<T>> {
    // SAFETY: a pointer in the table comes from `Box::into_raw`, and by contract nobody else has
    // it.
    (!word.is_null()).then(|| unsafe { Box::from_raw(word) })
}

impl<T: Send> Drop for Revocable<T> {
    fn drop(&mut self) {
        drop(self.acquire());
    }
}

impl<T: Send> fmt::Debug for Revocable<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Table").field("on_table", &self.observe().is_there()).finish()
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
        assert_eq!(slot.revoke(&slot.observe()), None, "BUSY is not taken");
        assert_eq!(owned, Ok(None));
        slot.release(Some(Box::new(1)));
        assert_eq!(slot.acquire(), Ok(Some(Box::new(1))));
    }

    #[test]
    fn an_outsider_takes_only_what_it_judged() {
        let slot = Revocable::new();
        let before = slot.observe();
        assert!(!before.is_there());
        assert_eq!(slot.acquire(), Ok(None));
        slot.release(Some(Box::new(1_u32)));
        assert_eq!(slot.revoke(&before), None, "what came later was not judged");
        let observed = slot.observe();
        assert_eq!(slot.revoke(&observed), Some(Box::new(1)));
        assert_eq!(slot.revoke(&observed), None, "it is gone");
        assert_eq!(slot.acquire(), Ok(None));
    }

    #[test]
    fn a_table_drops_what_lies_on_it() {
        let slot = Revocable::new();
        let thing = Arc::new(());
        assert!(slot.acquire().is_ok());
        slot.release(Some(Box::new(Arc::clone(&thing))));
        drop(slot);
        assert_eq!(Arc::strong_count(&thing), 1);
    }
}
