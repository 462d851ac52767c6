//! Waiting for a count to be zero: a word and a queue.
//!
//! The count is an atomic. Counting down takes the queue's lock only to bring the count to zero. So
//! zero is a moment in the queue's life. Each waiter that is in the queue then has waited for this
//! zero and is woken, also if the count goes up again before it has run. A waiter that comes later
//! waits for the next zero.
//!
//! No wake-up is lost: a waiter looks at the count under the lock before it enters the queue. A
//! future that was woken is ready, whatever was counted since.
//!
//! # Safety
//!
//! Both lists lie under the queue's lock and live as long as the group, which the waiters borrow.

#![expect(unsafe_code, reason = "waits in its own queue")]

use gosched_runtime_sys::sync::lock::Mutex;
use gosched_runtime_sys::sync::primitive::{AtomicUsize, Ordering, mutated};
use std::task::Waker;
use std::time::Instant;

use crate::sync::raw::mutex::TimedOut;
use crate::wait::park::Park;
use crate::wait::parked::{Look, WaitIn, WaitedFor, wait_for};
use crate::wait::polled::{PolledNode, Standing, leave_list, poll_in_list};
use crate::wait::waiter::{Unpark, WaitList};
use crate::wait::wake::wake_up_to;

#[derive(Debug)]
pub(crate) struct RawWaitGroup<K: Unpark> {
    count: AtomicUsize,
    queue: Mutex<Queue<K>>,
}

/// The waiters.
struct Queue<K> {
    parked: WaitList<(), K>,
    polling: WaitList<(), K>,
}

impl<K> std::fmt::Debug for Queue<K> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Queue { .. }")
    }
}

/// The error of a count that goes down more often than up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooOften;

impl<K: Unpark> RawWaitGroup<K> {
    pub(crate) fn new() -> Self {
        let queue = Queue { parked: WaitList::new(), polling: WaitList::new() };
        Self { count: AtomicUsize::new(0), queue: Mutex::new(queue) }
    }

    pub(crate) fn add(&self, n: usize) {
        // Relaxed: the counted party learns of the group from the caller, later.
        self.count.fetch_add(n, Ordering::Relaxed);
    }

    pub(crate) fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// Counts one down; the last one wakes the waiters.
    pub(crate) fn done(&self) -> Result<(), TooOften> {
        match self.count_down(2) {
            Ok(_) => Ok(()),
            Err(_at_most_one) => self.last_done(),
        }
    }

    /// Counts one down if at least `least` are counted. Returns how many were.
    fn count_down(&self, least: usize) -> Result<usize, usize> {
        let fewer = |count: usize| (count >= least).then(|| count - 1);
        // ORDERING[wait_group.done]: partner are the load in `is_done` and this itself: what was
        // done before is visible to a caller that finds zero.
        self.count.fetch_update(Ordering::AcqRel, Ordering::Relaxed, fewer)
    }

    #[cold]
    fn last_done(&self) -> Result<(), TooOften> {
        let early = mutated("wait_group.zero_unlocked").then(|| self.count_down(1));
        let queue = self.queue.lock();
        let before = early.unwrap_or_else(|| self.count_down(1));
        if before == Ok(1) {
            let (parked, polling) = (queue.parked.mark(), queue.polling.mark());
            let woken = wake_up_to(&self.queue, queue, |queue| &mut queue.parked, parked);
            let queue = self.queue.lock();
            woken.and(wake_up_to(&self.queue, queue, |queue| &mut queue.polling, polling)).go_on();
        }
        before.map(drop).map_err(|_zero| TooOften)
    }

    /// True if the count is zero; then what was done before is visible.
    pub(crate) fn is_done(&self) -> bool {
        // ORDERING[wait_group.done]: partner is the subtraction in `count_down`.
        self.count.load(Ordering::Acquire) == 0
    }

    /// Waits until the count is zero, at longest until the deadline.
    pub(crate) fn wait<P: Park<Target = K>>(
        &self,
        deadline: Option<Instant>,
        begin: impl FnOnce() -> P,
    ) -> Result<(), TimedOut> {
        if self.is_done() {
            return Ok(());
        }
        let look =
            |_: &mut Queue<K>| if self.is_done() { Look::Done(()) } else { Look::Wait(None) };
        let place = WaitIn::behind(|queue: &mut Queue<K>| &mut queue.parked);
        // SAFETY: the list lies under that lock, for as long as the group, and is not replaced.
        match unsafe { wait_for(&self.queue, place, begin, deadline, look, || None) } {
            WaitedFor::AtOnce(()) | WaitedFor::Served(_) => Ok(()),
            WaitedFor::TimedOut => Err(TimedOut),
            WaitedFor::Cancelled(parking) => parking.raise(),
        }
    }

    /// For a future: true if the count was zero since it began to wait, or is now. If not, it waits
    /// with this waker.
    ///
    /// # Safety
    ///
    /// The node is pinned, waits for this group only, and [`leave`](Self::leave) is called before
    /// its memory goes.
    pub(crate) unsafe fn poll(&self, node: &PolledNode<(), K>, waker: Waker) -> bool {
        let look = |_: &mut Queue<K>| node.standing() == Standing::Woken || self.is_done();
        // SAFETY: this function's contract; the list is under the lock.
        unsafe {
            poll_in_list(&self.queue, |queue| &mut queue.polling, node, waker, look, |_| None)
        }
    }

    /// A future goes.
    pub(crate) fn leave(&self, node: &PolledNode<(), K>) {
        // SAFETY: it waits in this list, if at all.
        unsafe { leave_list(&self.queue, |queue| &mut queue.polling, node, |_, _| None) }
    }
}
