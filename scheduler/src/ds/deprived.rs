//! How many owners go on without what was taken from them, and have not noticed it.
//!
//! A taker counts the owner, and marks it, *before* it takes. An owner that finds its thing gone,
//! or gets another one, takes itself off the count. So does a taker that comes too late: then
//! either the owner or the taker finds the mark, and the exchange lets one of them have it.
//!
//! The count is a bound on how much is taken, and orders nothing. That an owner which finds its
//! thing gone finds its mark as well is the word's doing from which the thing was taken
//! (`ds::revocable`, edge [revocable.gone]).

use gosched_runtime_sys::sync::primitive::{
    AtomicBool, AtomicUsize, Ordering::Relaxed, const_fn, mutated,
};

/// The number of owners that are marked.
pub(crate) struct Deprived(AtomicUsize);

/// The mark of one owner.
pub(crate) struct Mark(AtomicBool);

impl Mark {
    const_fn! {
        /// Nothing was taken.
        pub(crate) fn new() -> Self {
            Self(AtomicBool::new(false))
        }
    }

    /// Takes the mark away. True if it was there.
    fn take(&self) -> bool {
        if mutated("deprived.takes_by_a_store") {
            let was = self.0.load(Relaxed);
            self.0.store(false, Relaxed);
            return was;
        }
        self.0.load(Relaxed) && self.0.swap(false, Relaxed)
    }
}

impl Deprived {
    const_fn! {
        /// Nobody was deprived.
        pub(crate) fn new() -> Self {
            Self(AtomicUsize::new(0))
        }
    }

    /// Counts and marks an owner, before something is taken from it. False if it is marked already,
    /// or if `admits` says no to the number of those that are.
    pub(crate) fn count(&self, mark: &Mark, admits: impl FnOnce(usize) -> bool) -> bool {
        let counted = self.0.fetch_add(1, Relaxed);
        if admits(counted) && !mark.0.swap(true, Relaxed) {
            return true;
        }
        self.0.fetch_sub(1, Relaxed);
        false
    }

    /// Takes an owner off the count, when it has found its thing gone, or was not deprived of it
    /// after all. True if it was counted.
    pub(crate) fn noticed(&self, mark: &Mark) -> bool {
        let was_counted = mark.take();
        if was_counted {
            self.0.fetch_sub(1, Relaxed);
        }
        was_counted
    }

    /// Returns how many are counted.
    #[cfg(test)]
    pub(crate) fn number(&self) -> usize {
        self.0.load(Relaxed)
    }
}
