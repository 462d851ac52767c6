//! Permits: a word with their number, and a queue.
//!
//! The lowest bit of the word, QUEUED, says that there is a waiter. Then permits are taken by way
//! of the queue's lock only, in the order of arrival, so that a waiter that wants many is not
//! passed over by others that want few. Without QUEUED, taking and releasing are one
//! compare-exchange each.
//!
//! A caller that releases permits, or leaves the queue so that another becomes its head, serves the
//! queue: it hands permits over as long as there are enough, and clears QUEUED when nobody is left.
//! Futures wait in a list of their own. They are woken, to try again, when enough permits are left
//! and nobody else waits. Each future that took its permits wakes the next one.
//!
//! The permits are reserved for a future that has waited for too long
//! ([`reserved`](crate::wait::reserved)): others keep back while its permits come together, and
//! until it is polled. QUEUED is set as long, so everybody looks under the queue's lock.
//!
//! A semaphore that is closed keeps QUEUED for ever. So the fast way needs no look at that.
//!
//! # Safety
//!
//! Both lists lie under the queue's lock and live as long as the semaphore, which the waiters
//! borrow.

#![expect(unsafe_code, reason = "waits in its own queue")]

use gosched_runtime_sys::sync::lock::{Mutex, MutexGuard};
use gosched_runtime_sys::sync::primitive::{AtomicUsize, Ordering, const_fn, mutated};
use std::cell::Cell;
use std::task::Waker;
use std::time::Instant;

use crate::wait::owed::{Owed, wake_one};
use crate::wait::park::Park;
use crate::wait::parked::{Look, WaitIn, WaitedFor, is_over, wait_for};
use crate::wait::polled::{PolledNode, Standing};
use crate::wait::reserved::{Ask, Found, Futures, poll_reserved};
use crate::wait::waiter::{End, Unpark, WaitList, Wakeup};
use crate::wait::wake::wake_all;

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
    /// Each wants a number of permits.
    futures: Futures<usize, K>,
    /// Nobody is given permits any more. QUEUED stays set then.
    closed: bool,
}

impl<K> std::fmt::Debug for Queue<K> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Queue { .. }")
    }
}

impl<K: Unpark> Queue<K> {
    fn parked(&mut self) -> &mut WaitList<usize, K> {
        &mut self.parked
    }

    fn waiting_futures(&mut self) -> &mut WaitList<Ask<usize>, K> {
        self.futures.list()
    }

    /// True if the permits that there are may be taken by a caller that comes: nobody parks, and
    /// nothing is reserved.
    fn is_open(&mut self) -> bool {
        self.parked.is_empty() && self.futures.reserved(true).is_none()
    }
}

/// Why there are no permits for the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotHad {
    /// The deadline passed first, or nothing was to be waited for.
    NotEnough,
    Closed,
}

impl<K: Unpark> RawSemaphore<K> {
    const_fn! {
        pub(crate) fn new(permits: usize) -> Self {
            Self {
                word: AtomicUsize::new(permits * ONE),
                queue: Mutex::new(Queue {
                    parked: WaitList::new(),
                    futures: Futures::new(),
                    closed: false,
                }),
            }
        }
    }

    pub(crate) fn available(&self) -> usize {
        self.word.load(Ordering::Relaxed) / ONE
    }

    /// Takes `n` permits if there are as many, and no waiter that parks.
    #[inline]
    pub(crate) fn try_acquire(&self, n: usize) -> Result<(), NotHad> {
        let mut word = self.word.load(Ordering::Relaxed);
        while word & QUEUED == 0 {
            if word / ONE < n {
                return Err(NotHad::NotEnough);
            }
            // ORDERING[semaphore.permits]: partner are the releasing operations: what was done with
            // the permits before is visible.
            match self.word.compare_exchange(
                word,
                word - n * ONE,
                Ordering::Acquire,
                Ordering::Relaxed,
            ) {
                Ok(_) => return Ok(()),
                Err(other) => word = other,
            }
        }
        self.try_acquire_queued(n)
    }

    #[cold]
    #[inline(never)]
    fn try_acquire_queued(&self, n: usize) -> Result<(), NotHad> {
        let mut queue = self.queue.lock();
        if queue.closed {
            return Err(NotHad::Closed);
        }
        let taken = queue.is_open() && self.available() >= n && self.take_or_queue(n, true);
        if taken { Ok(()) } else { Err(NotHad::NotEnough) }
    }

    /// Takes `n` permits, waiting for them at longest until the deadline.
    pub(crate) fn acquire<P: Park<Target = K>>(
        &self,
        n: usize,
        deadline: Option<Instant>,
        begin: impl Fn() -> P,
    ) -> Result<(), NotHad> {
        match self.try_acquire(n) {
            Err(NotHad::NotEnough) => {}
            outcome => return outcome,
        }
        let (mut end, watches) = (End::Back, Cell::new(false));
        loop {
            let place = WaitIn { end, ..WaitIn::behind(Queue::parked) };
            let look = |queue: &mut Queue<K>| {
                if queue.closed && !mutated("semaphore.closed_unseen") {
                    return Look::Done(Err(NotHad::Closed));
                }
                // A waiter that looks again is the first.
                let my_turn = match end {
                    End::Back => queue.is_open(),
                    End::Front => queue.futures.reserved(false).is_none(),
                };
                if self.take_or_queue(n, my_turn) {
                    return Look::Done(Ok(()));
                }
                Look::wait(n, queue.futures.watch(&watches))
            };
            // If a reservation has lapsed, it is another waiter's turn, perhaps.
            let serve = || {
                let looked = watches.get() && !mutated("semaphore.watcher_just_waits");
                if looked { self.hand_on(self.queue.lock()) } else { None }
            };
            // SAFETY: the list lies under that lock, for as long as the semaphore, and is not
            // replaced. Waking waiters that park does not unwind.
            match unsafe { wait_for(&self.queue, place, &begin, deadline, look, serve) } {
                WaitedFor::Served(None) => return Ok(()),
                WaitedFor::AtOnce(Err(why)) => {
                    self.give_up(watches.get());
                    return Err(why);
                }
                WaitedFor::AtOnce(Ok(())) => {
                    if end == End::Front {
                        // A reservation has lapsed: there may be permits for others.
                        self.release(0);
                    }
                    return Ok(());
                }
                WaitedFor::Served(Some(_)) => end = End::Front,
                WaitedFor::TimedOut if watches.get() && !is_over(deadline) => end = End::Front,
                WaitedFor::TimedOut => {
                    self.give_up(watches.get());
                    return Err(NotHad::NotEnough);
                }
                WaitedFor::Cancelled(parking) => {
                    self.give_up(watches.get());
                    parking.raise()
                }
            }
        }
    }

    /// A waiter goes; the next one becomes the first, or watches in its place.
    fn give_up(&self, watches: bool) {
        if watches {
            self.queue.lock().futures.unwatch();
        }
        self.release(0);
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

    /// Closes: whoever waits leaves without permits, and nobody is given any from now on.
    pub(crate) fn close(&self) {
        let mut queue = self.queue.lock();
        queue.closed = true;
        queue.futures.end();
        self.word.fetch_or(QUEUED, Ordering::Relaxed);
        if mutated("semaphore.closes_quietly") {
            return;
        }
        let woken = wake_all(&self.queue, queue, Queue::parked);
        woken.and(wake_all(&self.queue, self.queue.lock(), Queue::waiting_futures)).go_on();
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.queue.lock().closed
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
        let queue = self.queue.lock();
        // ORDERING[semaphore.permits]: partner are the acquiring operations.
        self.word.fetch_add(n * ONE, Ordering::Release);
        let next = self.hand_on(queue);
        wake_one(next);
    }

    /// Hands over what permits there are. Returns a future to wake.
    ///
    /// Of a semaphore that is closed, those who still wait are being woken by the closer.
    fn hand_on<'a>(&'a self, mut queue: MutexGuard<'a, Queue<K>>) -> Option<Wakeup<K>> {
        while !queue.closed {
            let nobody_parks = queue.parked.is_empty();
            if queue.futures.reserved(nobody_parks).is_some() {
                break;
            }
            let wanted = queue.parked.peek().filter(|wanted| self.available() >= *wanted);
            let wakeup = wanted.and_then(|wanted| {
                let (_handed_over, wakeup) = queue.parked.pop()?.take();
                self.word.fetch_sub(wanted * ONE, Ordering::Relaxed);
                Some(wakeup)
            });
            let Some(wakeup) = wakeup else { break };
            queue.futures.parked_was_served();
            drop(queue);
            wakeup.now();
            if mutated("semaphore.serve_once") {
                return None;
            }
            queue = self.queue.lock();
        }
        let Queue { parked, futures, .. } = &mut *queue;
        let watcher = futures.watcher(parked);
        let next = self.pass_to_futures(&mut queue);
        drop(queue);
        watcher.into_iter().for_each(Wakeup::now);
        next
    }

    /// Under the queue's lock, when the permits are enough for no waiter that parks, or reserved:
    /// returns a future to wake.
    fn pass_to_futures(&self, queue: &mut Queue<K>) -> Option<Wakeup<K>> {
        if !queue.parked.is_empty() && !queue.futures.is_reserved() {
            return None;
        }
        let next = match queue.futures.first() {
            Some(wanted) if self.available() >= wanted => queue.futures.wake(),
            _ => None,
        };
        if queue.parked.is_empty() && queue.futures.is_idle() && !queue.closed {
            // ORDERING[semaphore.permits]: partner are the acquiring operations: the permits were
            // released before the fast way to them is open again.
            self.word.fetch_and(!QUEUED, Ordering::Release);
        }
        next
    }

    /// For a future: takes `n` permits, or waits with this waker. An error if it is closed.
    ///
    /// # Safety
    ///
    /// The node is pinned, waits for this semaphore only, and [`leave`](Self::leave) is called
    /// before its memory goes.
    pub(crate) unsafe fn poll(
        &self,
        node: &PolledNode<Ask<usize>, K>,
        n: usize,
        waker: Waker,
    ) -> Result<Found, NotHad> {
        let mut closed = false;
        let look = |queue: &mut Queue<K>| {
            if queue.closed {
                // It leaves, as one that has its permits does.
                closed = true;
                return Found::Taken;
            }
            let nobody_parks = queue.parked.is_empty();
            let reserved = queue.futures.reserved(nobody_parks);
            let has_turn = match reserved {
                Some(_) => queue.futures.is_for(node),
                None => nobody_parks,
            };
            if self.take_or_queue(n, has_turn) { Found::Taken } else { Found::Wait(reserved) }
        };
        // SAFETY: this function's contract; the list is under the lock.
        let found = unsafe {
            poll_reserved(
                &self.queue,
                |queue| &mut queue.futures,
                node,
                (n, waker),
                look,
                |queue| self.hand_on(queue),
            )
        };
        if closed { Err(NotHad::Closed) } else { Ok(found) }
    }

    /// A future goes.
    pub(crate) fn leave(&self, node: &PolledNode<Ask<usize>, K>) {
        let mut owed = Owed::nothing();
        let mut queue = self.queue.lock();
        // SAFETY: it waits in this list, if at all.
        let (standing, _, waker) = unsafe { queue.futures.leave(node) };
        owed.drop_waker(waker);
        if standing != Standing::Idle && !mutated("semaphore.keeps_wake_up") {
            owed.wake(self.hand_on(queue));
        } else {
            drop(queue);
        }
        owed.pay();
    }
}
