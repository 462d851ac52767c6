//! In debug builds: how many of the scheduler's locks the calling thread holds.
//!
//! No user code runs under a lock of ours: no waker, no destructor of a value, no closure. Where
//! user code is about to run, the scheduler calls [`assert_none`]. A release build counts nothing.
//!
//! The counts lie in a small table, by thread. A thread-local would be the usual way; but locks are
//! below the thread's words, and are taken where a first look at a thread-local must not allocate.
//! The address of `errno` tells threads apart, and is there on every thread from its first
//! instruction. Entries are one thread's while its count is not zero. With a full table a lock is
//! not counted: the check is then weaker, and nothing else.
//!
//! In a forked child the parent's other threads are gone, and a new thread may get the place of one
//! of them, its `errno` included. So an entry is of one process, too, and what a child has from its
//! parent counts for nobody.

/// Counts a lock that the calling thread has taken.
#[inline(always)]
pub fn taken() {
    #[cfg(debug_assertions)]
    table::add();
}

/// Counts a lock that the calling thread has given back.
#[inline(always)]
pub fn released() {
    #[cfg(debug_assertions)]
    table::subtract();
}

/// Panics in a debug build if the calling thread holds a lock of the scheduler.
///
/// # Panics
///
/// As above.
#[inline(always)]
pub fn assert_none() {
    #[cfg(debug_assertions)]
    assert!(table::count() == 0, "user code would run under a lock of the scheduler");
}

#[cfg(debug_assertions)]
mod table {
    use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
    use std::sync::atomic::{AtomicU32, AtomicUsize};

    /// A thread, and how many locks it holds. Only that thread reads and writes the rest.
    struct Entry {
        thread: AtomicUsize,
        process: AtomicU32,
        count: AtomicUsize,
    }

    impl Entry {
        const fn free() -> Self {
            let [thread, count] = [AtomicUsize::new(0), AtomicUsize::new(0)];
            Self { thread, process: AtomicU32::new(0), count }
        }

        fn is_of(&self, thread: usize) -> bool {
            self.thread.load(Relaxed) == thread && self.process.load(Relaxed) == std::process::id()
        }

        fn take(&self, thread: usize) -> bool {
            // ORDERING[held.entry]: partner is the store in `subtract`: the count is what the
            // thread before has left, zero.
            let is_taken = self.thread.compare_exchange(0, thread, Acquire, Relaxed).is_ok();
            if is_taken {
                self.process.store(std::process::id(), Relaxed);
            }
            is_taken
        }
    }

    /// More threads than hold locks at once.
    const ENTRIES: usize = 64;

    static TABLE: [Entry; ENTRIES] = [const { Entry::free() }; ENTRIES];

    /// How many entries are in use. At most times none is: that is one look instead of 64.
    static IN_USE: AtomicUsize = AtomicUsize::new(0);

    fn this_thread() -> usize {
        crate::sys::thread_mark()
    }

    fn find() -> Option<&'static Entry> {
        if IN_USE.load(Relaxed) == 0 {
            return None;
        }
        let thread = this_thread();
        TABLE.iter().find(|entry| entry.is_of(thread))
    }

    pub(super) fn add() {
        let entry = find().or_else(|| {
            let thread = this_thread();
            TABLE
                .iter()
                .find(|entry| entry.take(thread))
                .inspect(|_| _ = IN_USE.fetch_add(1, Relaxed))
        });
        if let Some(entry) = entry {
            entry.count.store(entry.count.load(Relaxed) + 1, Relaxed);
        }
    }

    pub(super) fn subtract() {
        let Some(entry) = find() else { return };
        let left = entry.count.load(Relaxed).saturating_sub(1);
        entry.count.store(left, Relaxed);
        if left == 0 {
            IN_USE.fetch_sub(1, Relaxed);
            // ORDERING[held.entry]: partner is the exchange in `take`.
            entry.thread.store(0, Release);
        }
    }

    pub(super) fn count() -> usize {
        find().map_or(0, |entry| entry.count.load(Relaxed))
    }
}

#[cfg(all(test, debug_assertions))]
mod tests {
    use std::panic::catch_unwind;

    use super::assert_none;
    use crate::sync::lock::Lock;

    #[test]
    #[cfg_attr(not(any(unix, windows)), ignore = "no threads there")]
    fn user_code_under_a_lock_is_found() {
        let (one, two) = (Lock::new(1), Lock::new(2));
        assert_none();
        let outer = one.lock();
        let inner = two.lock();
        assert!(catch_unwind(assert_none).is_err());
        drop(inner);
        assert!(catch_unwind(assert_none).is_err());
        std::thread::scope(|scope| scope.spawn(assert_none).join()).expect("another thread's");
        drop(outer);
        assert_none();
    }
}
