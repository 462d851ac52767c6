//! Whether an M's thread is locked, and whether a newcomer may still come to it.
//!
//! A goroutine that is locked to its thread shares the thread with those that had settled there
//! before, and with nobody who comes later. The M starts none itself while a lock is held. What is
//! left are newcomers that other threads send to its inbox (`proc::colocate`).
//!
//! # The handshake
//!
//! ```text
//! a sender of a newcomer            the goroutine that locks, on the M's thread
//!   under the door:                   1 under the door: count the lock
//!     locked? then refuse             2 take from the inbox and the queue what has not begun
//!     else push into the inbox
//! ```
//!
//! The door orders the two. A sender that came first has pushed, and step 2 finds it; one that came
//! second sees the lock. So nothing that has not begun is left behind a lock, where it would wait
//! for as long as the goroutine waits in place.
//!
//! # Rejected
//!
//! A look at the count without a lock: a sender that read the count before the lock may push after
//! step 2. The goroutine that waits in place would have to be woken for it.

use gosched_runtime_sys::sync::lock::Mutex;
use gosched_runtime_sys::sync::primitive::{AtomicBool, AtomicUsize, Ordering::Relaxed, mutated};

/// The locks of the goroutines of one M.
#[derive(Debug)]
pub(crate) struct ThreadLocks {
    /// Held while a newcomer is sent, and while the first lock begins.
    door: Mutex<()>,
    /// How many goroutines with this home are locked. Written by the M's thread, under the door.
    count: AtomicUsize,
    /// The M's thread is a lent one.
    lent: AtomicBool,
}

impl ThreadLocks {
    pub(crate) fn new() -> Self {
        Self { door: Mutex::new(()), count: AtomicUsize::new(0), lent: AtomicBool::new(false) }
    }

    /// Prepares the record for the next thread.
    pub(crate) fn reset(&self) {
        self.count.store(0, Relaxed);
        self.lent.store(false, Relaxed);
    }

    /// Notes that the M's thread lends itself.
    pub(crate) fn set_lent(&self) {
        self.lent.store(true, Relaxed);
    }

    /// True if the M's thread is a lent one.
    pub(crate) fn is_lent(&self) -> bool {
        self.lent.load(Relaxed)
    }

    /// True if a goroutine is locked to the M's thread. A hint for other threads.
    #[inline]
    pub(crate) fn is_locked(&self) -> bool {
        self.count.load(Relaxed) > 0
    }

    /// Counts a goroutine that is locked from here on. True if it is the first: the caller then
    /// takes away what has not begun here.
    pub(crate) fn lock(&self) -> bool {
        let _door = self.door.lock();
        let before = self.count.load(Relaxed);
        self.count.store(before + 1, Relaxed);
        before == 0
    }

    /// Counts a goroutine that is locked no more. True if it was the last.
    pub(crate) fn unlock(&self) -> bool {
        let _door = self.door.lock();
        let left = self.count.load(Relaxed) - 1;
        self.count.store(left, Relaxed);
        left == 0
    }

    /// Calls `push` with a newcomer, unless the thread is locked. Gives it back if it is.
    pub(crate) fn admit<T>(&self, newcomer: T, push: impl FnOnce(T)) -> Result<(), T> {
        let mut door = Some(self.door.lock());
        if self.is_locked() {
            return Err(newcomer);
        }
        if mutated("thread_locks.door_left_open") {
            door = None;
        }
        push(newcomer);
        drop(door);
        Ok(())
    }
}
