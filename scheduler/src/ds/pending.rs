//! One helper at a time is on its way to a queue.
//!
//! Whoever puts something into the queue sends a helper, unless one is on its way that has not
//! looked yet. A helper says that it has arrived *before* it looks ([`Pending::look`]).
//!
//! *Nothing is left that no helper comes for.* Suppose a publisher pushes, and finds a helper
//! pending. If that helper's look does not see what was pushed, its turn at the queue's lock came
//! first. By the lock, the publisher then sees what the helper did before: it has arrived.
//!
//! So the word needs no order of its own.

use gosched_runtime_sys::sync::primitive::{AtomicBool, Ordering::Relaxed, const_fn, mutated};

/// True while a helper is on its way.
#[derive(Debug)]
pub(crate) struct Pending(AtomicBool);

impl Pending {
    const_fn! {
        /// No helper is on its way.
        pub(crate) fn new() -> Self {
            Self(AtomicBool::new(false))
        }
    }

    /// True if no helper was on its way: from now on one is, and the caller sends it. Called after
    /// the push.
    #[must_use]
    pub(crate) fn begin(&self) -> bool {
        !self.0.load(Relaxed) && !self.0.swap(true, Relaxed)
    }

    /// True if a helper is on its way. The helper itself sees it: it was sent after this was set.
    #[inline]
    pub(crate) fn is_set(&self) -> bool {
        self.0.load(Relaxed)
    }

    /// Notes that no helper is on its way.
    pub(crate) fn clear(&self) {
        self.0.store(false, Relaxed);
    }

    /// Looks at the queue as the helper that was on its way. `look` takes the queue's lock.
    pub(crate) fn look<R>(&self, look: impl FnOnce() -> R) -> R {
        if mutated("pending.arrives_after_its_look") {
            let found = look();
            self.clear();
            return found;
        }
        self.clear();
        look()
    }
}
