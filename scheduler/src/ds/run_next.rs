//! A place for the node that runs next: its owner puts one in, and whoever comes first takes it.
//!
//! # What the outside needs
//!
//! A G that was just woken goes before those in its P's queue, and may still be taken by an M that
//! has nothing to do. No node is lost or handed out twice. Who takes a node sees what was written
//! before it was put in.
//!
//! # Why it holds
//!
//! There is one word, which is changed by swaps only. Each swap hands out what it found there, so
//! each node comes out once: to a taker, or to the owner who puts the next one in.
//!
//! Edge [run_next.put]: each swap that puts a node in releases, and each swap that may take one out
//! acquires.
//!
//! # What it does not do
//!
//! It wakes nobody. The owner is a publisher of free work; see `ds::idle`.
//!
//! # Rejected
//!
//! - A second deque of one node: its owner's pop has a full fence and an exchange.
//! - A field of the owner alone: what is in it would wait for the owner, which may be in user code.

use std::ptr::{self, NonNull};

use gosched_runtime_sys::sync::primitive::{AtomicPtr, Ordering, const_fn, mutated};

/// See the module.
pub(crate) struct RunNext<T>(AtomicPtr<T>);

impl<T> RunNext<T> {
    const_fn! {
        /// An empty place.
        pub(crate) fn new() -> Self {
            Self(AtomicPtr::new(ptr::null_mut()))
        }
    }

    /// Puts `node` in. Returns the one that was in before.
    #[inline]
    pub(crate) fn put(&self, node: NonNull<T>) -> Option<NonNull<T>> {
        // ORDERING[run_next.put]: partner is the swap in `take`, or here: it sees what was written
        // before the node was put in.
        let both =
            if mutated("run_next.put_relaxed") { Ordering::Relaxed } else { Ordering::AcqRel };
        if mutated("run_next.put_stores") {
            let before = self.0.load(Ordering::Acquire);
            self.0.store(node.as_ptr(), Ordering::Release);
            return NonNull::new(before);
        }
        NonNull::new(self.0.swap(node.as_ptr(), both))
    }

    /// Takes out what is in.
    #[inline]
    pub(crate) fn take(&self) -> Option<NonNull<T>> {
        if self.is_empty() {
            return None;
        }
        // ORDERING[run_next.put]: partner is the swap in `put`.
        let acquired =
            if mutated("run_next.take_relaxed") { Ordering::Relaxed } else { Ordering::Acquire };
        NonNull::new(self.0.swap(ptr::null_mut(), acquired))
    }

    /// True if nothing is in. A hint, except after the fence that a publisher and an M that stops
    /// have between them.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.0.load(Ordering::Relaxed).is_null()
    }
}
