//! Permits: a word with their number, and a queue.
//!
//! The lowest bit of the word, QUEUED, says that there is a waiter. Then permits are taken by way
//! of the queue's lock only, in the order of arrival, so that a waiter that wants many is not
//! passed over by others that want few. Without QUEUED, taking and releasing are one
//! compare-exchange each.
//!
//! A caller that releases permits, or leaves the queue so that another becomes its head, serves the
//! queue: it hands permits over as long as there are enough, and clears QUEUED when nobody is left.
//! Futures wait in a list of their own. They are woken, to try again, when permits are left and
//! nobody else waits. Each future that took its permits wakes the next one.
//!
//! # Safety
//!
//! Both lists lie under the queue's lock and live as long as the semaphore, which the waiters
//! borrow.

#![expect(unsafe_code, reason = "waits in its own queue")]

use gosched_runtime_sys::sync::lock::Mutex;
use gosched_runtime_sys::sync::primitive::{AtomicUsize, Ordering, const_fn, mutated};
use std::task::Waker;
use std::time::Instant;

use crate::wait::owed::wake_one;
use crate::wait::park::Park;
use crate::wait::parked::{Look, WaitIn, WaitedFor, wait_for};
use crate::wait::polled::{PolledNode, Standing, leave_list, poll_in_list};
use crate::wait::waiter::{Popped, Unpark, WaitList, Wakeup};

const QUEUED: usize = 1;
const ONE: usize = 2;

/// The most permits there may be.
pub(crate) const MAX: usize = usize::MAX >> 1;

#[derive(Debug)]
pub(crate) struct RawSemaphore<K: Unpark> {
    word: AtomicUsize,
    queue: Mutex<Queue<K>>,
}

/// The waiters. A waiter's slot says how many permits it wants. A waker empties it.
struct Queue<K> {
    parked: WaitList<usize, K>,
    polling: WaitList<usize, K>,
}

impl<K> std::fmt::Debug for Queue<K> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Queue { .. }")
    }
}

impl<K> Queue<K> {
    fn parked(&mut self) -> &mut WaitList<usize, K> {
        &mut self.parked
    }
}

/// The error of a wait whose deadline passed first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NotHad;

impl<K: Unpark> RawSemaphore<K> {
    const_fn! {
        pub(crate) fn new(permits: usize) -> Self {
            Self {
                word: AtomicUsize::new(permits * ONE),
                queue: Mutex::new(Queue { parked: WaitList::new(), polling: WaitList::new() }),
            }
        }
    }

    pub(crate) fn available(&self) -> usize {
        self.word.load(Ordering::Relaxed) / ONE
    }

    /// Takes `n` permits if there are as many, and no waiter that parks.
    #[inline]
    pub(crate) fn try_acquire(&self, n: usize) -> bool {
        let mut word = self.word.load(Ordering::Relaxed);
        while word & QUEUED == 0 {
            if word / ONE < n {
                return false;
            }
            // ORDERING[semaphore.permits]: partner are the releasing operations: what was done with
            // the permits before is visible.
            match self.word.compare_exchange(
                word,
                word - n * ONE,
                Ordering::Acquire,
                Ordering::Relaxed,
            ) {
                Ok(_) => return true,
                Err(other) => word = other,
            }
        }
        let queue = self.queue.lock();
        queue.parked.is_empty() && self.available() >= n && self.take_or_queue(n, true)
    }

    /// Takes `n` permits, waiting for them at longest until the deadline.
    pub(crate) fn acquire<P: Park<Target = K>>(
        &self,
        n: usize,
        deadline: Option<Instant>,
        begin: impl FnOnce() -> P,
    ) -> Result<(), NotHad> {
        if self.try_acquire(n) {
            return Ok(());
        }
        let look = |queue: &mut Queue<K>| {
            if self.take_or_queue(n, queue.parked.is_empty()) {
                Look::Done(())
            } else {
                Look::Wait(Some(n))
            }
        };
        let place = WaitIn::behind(Queue::parked);
        // SAFETY: the list lies under that lock, for as long as the semaphore, and is not replaced.
        match unsafe { wait_for(&self.queue, place, begin, deadline, look, || None) } {
            WaitedFor::AtOnce(()) | WaitedFor::Served(_) => Ok(()),
            WaitedFor::TimedOut => {
                self.release(0);
                Err(NotHad)
            }
            WaitedFor::Cancelled(parking) => {
                self.release(0);
                parking.raise()
            }
        }
    }

    /// Under the queue's lock: takes `n` permits if it is the caller's turn and there are as many,
    /// or else sets QUEUED.
    fn take_or_queue(&self, n: usize, my_turn: bool) -> bool {
        let mut word = self.word.load(Ordering::Relaxed);
        loop {
            let enough = my_turn && word / ONE >= n;
            let next = if enough { word - n * ONE } else { word | QUEUED };
            // ORDERING[semaphore.permits]: as in `try_acquire`.
            match self.word.compare_exchange(word, next, Ordering::Acquire, Ordering::Relaxed) {
                Ok(_) => return enough,
                Err(other) => word = other,
            }
        }
    }

    /// Gives `n` permits back, and serves and wakes the waiters.
    ///
    /// # Panics
    ///
    /// If there are more than [`MAX`] then.
    pub(crate) fn release(&self, n: usize) {
        let mut word = self.word.load(Ordering::Relaxed);
        assert!(n <= MAX - word / ONE, "more permits than can be counted");
        while word & QUEUED == 0 {
            // ORDERING[semaphore.permits]: partner are the acquiring operations.
            match self.word.compare_exchange(
                word,
                word + n * ONE,
                Ordering::Release,
                Ordering::Relaxed,
            ) {
                Ok(_) => return,
                Err(other) => word = other,
            }
        }
        self.serve(n);
    }

    /// Adds `n` permits under the queue's lock, and hands over what there is.
    #[cold]
    fn serve(&self, n: usize) {
        // While QUEUED is set, the word is changed under this lock only; so what was read of it
        // stays.
        let mut queue = self.queue.lock();
        // ORDERING[semaphore.permits]: partner are the acquiring operations.
        self.word.fetch_add(n * ONE, Ordering::Release);
        loop {
            let wanted = queue.parked.peek().filter(|wanted| self.available() >= *wanted);
            let wakeup = wanted.and_then(|wanted| {
                let (_handed_over, wakeup) = queue.parked.pop()?.take();
                self.word.fetch_sub(wanted * ONE, Ordering::Relaxed);
                Some(wakeup)
            });
            let Some(wakeup) = wakeup else { break };
            drop(queue);
            wakeup.now();
            if mutated("semaphore.serve_once") {
                return;
            }
            queue = self.queue.lock();
        }
        let next = self.pass_to_futures(&mut queue);
        drop(queue);
        wake_one(next);
    }

    /// Under the queue's lock, when the permits are enough for no waiter that parks: returns a
    /// future to wake.
    fn pass_to_futures(&self, queue: &mut Queue<K>) -> Option<Wakeup<K>> {
        if !queue.parked.is_empty() {
            return None;
        }
        let next =
            if self.available() > 0 { queue.polling.pop().map(Popped::finish) } else { None };
        if queue.polling.is_empty() {
            // ORDERING[semaphore.permits]: partner are the acquiring operations: the permits were
            // released before the fast way to them is open again.
            self.word.fetch_and(!QUEUED, Ordering::Release);
        }
        next
    }

    /// For a future: takes `n` permits, or waits with this waker.
    ///
    /// # Safety
    ///
    /// The node is pinned, waits for this semaphore only, and [`leave`](Self::leave) is called
    /// before its memory goes.
    pub(crate) unsafe fn poll(&self, node: &PolledNode<usize, K>, n: usize, waker: Waker) -> bool {
        let look = |queue: &mut Queue<K>| self.take_or_queue(n, queue.parked.is_empty());
        // SAFETY: this function's contract; the list is under the lock.
        unsafe {
            poll_in_list(
                &self.queue,
                |queue| &mut queue.polling,
                node,
                waker,
                look,
                |queue| self.pass_to_futures(queue),
            )
        }
    }

    /// A future goes.
    pub(crate) fn leave(&self, node: &PolledNode<usize, K>) {
        let next = |queue: &mut Queue<K>, standing| {
            let pass_on = standing != Standing::Idle && !mutated("semaphore.keeps_wake_up");
            if pass_on { self.pass_to_futures(queue) } else { None }
        };
        // SAFETY: it waits in this list, if at all.
        unsafe { leave_list(&self.queue, |queue| &mut queue.polling, node, next) }
    }
}
