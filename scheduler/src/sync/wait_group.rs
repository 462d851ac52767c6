//! Waiting for a number of others.
//!
//! The count is an atomic, and only the last one down takes the queue's lock. No wake-up is lost: a waiter looks at the
//! count under that lock before it waits; so the last one, which takes the lock after it brought the count to zero, finds
//! the waiter, or the waiter finds zero.
//!
//! # Safety
//!
//! The one list lies under the queue's lock, as long as the group, which who waits borrows.

#![expect(unsafe_code, reason = "waits in its own queue")]

use gosched_runtime_sys::primitive::{AtomicUsize, Mutex, Ordering};
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::go::go;
use crate::join::JoinHandle;
use crate::proc::park::{Parking, Target, give_turn};
use crate::waiter::{Parks, Passed, Place, Step, WaitList, let_all_go, line_up};

struct Shared {
    count: AtomicUsize,
    queue: Mutex<WaitList<(), Target>>,
}

/// A count of those who are not done, and a way to wait until it is zero: Go's `sync.WaitGroup`. Clones count together.
///
/// [`add`](Self::add) counts up, before who is counted begins; [`done`](Self::done) counts down. [`go`](Self::go) does both for a
/// goroutine, and does not forget the second when it panics; [`scope`](crate::scope) is the better choice where what
/// goroutines return is wanted.
///
/// ```
/// use gosched_scheduler::sync::WaitGroup;
///
/// let group = WaitGroup::new();
/// for _ in 0..3 {
///     group.add(1);
///     let group = group.clone();
///     std::thread::spawn(move || group.done());
/// }
/// group.wait();
/// ```
#[derive(Clone)]
pub struct WaitGroup(Arc<Shared>);

/// The group was not done in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WaitGroupTimeoutError;

/// Counts down, also when what was counted unwinds.
struct Member(WaitGroup);

impl Drop for Member {
    fn drop(&mut self) {
        self.0.done();
    }
}

impl WaitGroup {
    /// A group that counts nobody.
    pub fn new() -> Self {
        Self(Arc::new(Shared { count: AtomicUsize::new(0), queue: Mutex::new(WaitList::new()) }))
    }

    /// Counts `n` more.
    pub fn add(&self, n: usize) {
        // Relaxed: who is counted learns of the group from the caller, later.
        self.0.count.fetch_add(n, Ordering::Relaxed);
    }

    /// Counts one down; the last one lets go who waits.
    ///
    /// # Panics
    ///
    /// If it was called more often than was added.
    pub fn done(&self) {
        let fewer = |count: usize| count.checked_sub(1);
        // ORDERING[wait_group.done]: partner are the loads in `wait_until` and itself: what was done before is visible to
        // who finds zero.
        let before = self.0.count.fetch_update(Ordering::AcqRel, Ordering::Relaxed, fewer);
        if before.expect("a wait group was done more often than it was added to") == 1 {
            let_all_go(&self.0.queue, self.0.queue.lock(), |list| list);
        }
    }

    /// Makes a goroutine that is counted until it has ended.
    ///
    /// # Panics
    ///
    /// As [`go`](crate::go()).
    pub fn go<T: Send + 'static>(&self, f: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
        self.add(1);
        let member = Member(self.clone());
        go(move || {
            let _member = member;
            f()
        })
    }

    /// How many are counted.
    pub fn count(&self) -> usize {
        self.0.count.load(Ordering::Relaxed)
    }

    /// Waits until the count is zero.
    ///
    /// # Panics
    ///
    /// Unwinds with `Cancelled` if the calling goroutine is cancelled while it would have to wait.
    pub fn wait(&self) {
        // Without a deadline it is zero in the end.
        let _done = self.wait_until(None);
    }

    /// Waits until the count is zero, at longest for `timeout`.
    ///
    /// # Errors
    ///
    /// If the time was over first.
    ///
    /// # Panics
    ///
    /// As [`wait`](Self::wait).
    pub fn wait_timeout(&self, timeout: Duration) -> Result<(), WaitGroupTimeoutError> {
        self.wait_until(Instant::now().checked_add(timeout))
    }

    /// Waits until the count is zero, at longest until `deadline`.
    ///
    /// # Errors
    ///
    /// If the time was over first.
    ///
    /// # Panics
    ///
    /// As [`wait`](Self::wait).
    pub fn wait_deadline(&self, deadline: Instant) -> Result<(), WaitGroupTimeoutError> {
        self.wait_until(Some(deadline))
    }

    fn wait_until(&self, deadline: Option<Instant>) -> Result<(), WaitGroupTimeoutError> {
        give_turn();
        // ORDERING[wait_group.done]: partner is the subtraction in `done`.
        let zero = || self.0.count.load(Ordering::Acquire) == 0;
        if zero() {
            return Ok(());
        }
        let look = |_: &mut WaitList<(), Target>| if zero() { Step::Done(()) } else { Step::Wait(None) };
        let place = Place::behind(|list| list);
        // SAFETY: the list is what lies under that lock, and is not replaced.
        match unsafe { line_up(&self.0.queue, place, Parking::begin, deadline, look, || None) } {
            Passed::AtOnce(()) | Passed::Served(_) => Ok(()),
            Passed::TimedOut => Err(WaitGroupTimeoutError),
            Passed::Cancelled(parking) => Parks::raise(&parking),
        }
    }
}

impl Default for WaitGroup {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for WaitGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WaitGroup").field("count", &self.count()).finish()
    }
}

impl fmt::Display for WaitGroupTimeoutError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("timed out waiting for a wait group")
    }
}

impl std::error::Error for WaitGroupTimeoutError {}
