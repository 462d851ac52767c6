//! Goroutines that are joined in the order in which they end.
//!
//! Each member has a place in the set, which keeps its handle. When nothing of the member is left
//! but its outcome, it puts the number of its place into the list of those that have ended, and
//! wakes who waits for one. The set is waited for by its owner alone (`&mut`), so one waiter and
//! one waker are enough.
//!
//! # Safety
//!
//! The list of waiters lies under the lock of [`Ended`], which nothing replaces and the waiter
//! holds. A new packet is filled with its closure.
#![expect(unsafe_code, reason = "waits in its list; fills new packets")]

use std::collections::VecDeque;
use std::error::Error;
use std::fmt;
use std::mem;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::{Duration, Instant};

use gosched_runtime_sys::sync::lock::Mutex;
use gosched_runtime_sys::sync::primitive::mutated;

use super::sched_of_caller;
use crate::gmp::body::{Entry, SharedBody};
use crate::gmp::sched::Sched;
use crate::gmp::wait_reason::WaitReason;
use crate::go::spawn_in;
use crate::join::{JoinError, JoinHandle, OnEnd, filled_pair};
use crate::proc::park::Parking;
use crate::proc::target::Target;
use crate::proc::yield_now::{give_turn, poll_turn, preempt_point};
use crate::wait::park::Park;
use crate::wait::parked::{Look, WaitIn, WaitedFor, wait_for};
use crate::wait::waiter::{Popped, Unpark, WaitList};

/// Goroutines that are joined in the order in which they end.
///
/// Dropping the set cancels what still runs, and does not wait for it. What waits is
/// [`join_next`](Self::join_next) and its kind.
///
/// ```
/// use gosched::{JoinSet, Mode, chan, run};
///
/// run(Mode::threads(), || {
///     let (tx, rx) = chan::bounded(1);
///     let mut set = JoinSet::new();
///     set.spawn(move || rx.recv().unwrap());
///     set.spawn(|| "first");
///     assert_eq!(set.join_next().unwrap().unwrap(), "first");
///     tx.send("second").unwrap();
///     assert_eq!(set.join_next().unwrap().unwrap(), "second");
///     assert!(set.join_next().is_none(), "it is empty");
/// });
/// ```
#[doc(alias("FuturesUnordered", "WaitGroup", "join_all", "TaskTracker"))]
pub struct JoinSet<T> {
    /// The runtime of its goroutines, if it was named.
    sched: Option<Arc<Sched>>,
    /// The members by place.
    members: Vec<Option<JoinHandle<T>>>,
    /// The places without a member.
    vacant: Vec<usize>,
    ended: Arc<Ended>,
    /// The places of members that have ended, the first to be joined in front. Has room for all.
    next: VecDeque<usize>,
}

/// The error of [`JoinSet::join_next_timeout`]: nothing has ended in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JoinSetTimeoutError;

/// The members of a set that have ended and were not looked at, and who waits for one.
pub(crate) struct Ended<K: Unpark = Target> {
    state: Mutex<State<K>>,
}

struct State<K: Unpark> {
    /// The places of the members, in the order of their ends. Has room for all.
    places: Vec<usize>,
    owner: WaitList<(), K>,
    waker: Option<Waker>,
}

impl<K: Unpark> Ended<K> {
    pub(crate) fn new() -> Self {
        let (places, owner) = (Vec::new(), WaitList::new());
        Self { state: Mutex::new(State { places, owner, waker: None }) }
    }

    /// Makes room for the ends of so many members. Nothing is allocated under the lock.
    pub(crate) fn reserve(&self, members: usize) {
        if self.state.lock().places.capacity() >= members {
            return;
        }
        let mut more = Vec::with_capacity(2 * members);
        let mut state = self.state.lock();
        more.append(&mut state.places);
        mem::swap(&mut state.places, &mut more);
        drop(state);
    }

    /// A member has ended.
    #[inline]
    pub(crate) fn push(&self, place: usize) {
        let mut state = self.state.lock();
        let wakes = !mutated("join_set.ends_unheard");
        state.places.push(place);
        let wake = if wakes { state.owner.pop().map(Popped::finish) } else { None };
        let waker = if wakes { state.waker.take() } else { None };
        drop(state);
        if let Some(wake) = wake {
            wake.now();
        }
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Moves what has ended to `next`, which has room. True if that is not empty then.
    pub(crate) fn take(&self, next: &mut VecDeque<usize>) -> bool {
        next.extend(self.state.lock().places.drain(..));
        !next.is_empty()
    }

    /// The same, once there is something. False if the deadline has passed first.
    pub(crate) fn wait<P: Park<Target = K>>(
        &self,
        deadline: Option<Instant>,
        next: &mut VecDeque<usize>,
        begin: impl Fn() -> P,
    ) -> bool {
        loop {
            let look = |state: &mut State<K>| {
                next.extend(state.places.drain(..));
                if next.is_empty() { Look::Wait(None) } else { Look::Done(()) }
            };
            let place = WaitIn {
                why: WaitReason::Join,
                ..WaitIn::behind(|state: &mut State<K>| &mut state.owner)
            };
            // SAFETY: see the file's head. The closure does nothing.
            match unsafe { wait_for(&self.state, place, &begin, deadline, look, || None) } {
                WaitedFor::AtOnce(()) => return true,
                WaitedFor::Served(_) => {}
                WaitedFor::TimedOut => return false,
                WaitedFor::Cancelled(parking) => parking.raise(),
            }
        }
    }

    /// The same for a task, whose waker is kept if there is nothing.
    pub(crate) fn poll(&self, next: &mut VecDeque<usize>, waker: Waker) -> bool {
        // A waker's code is the user's: the old one is dropped when the lock is free.
        let mut waker = Some(waker);
        let mut state = self.state.lock();
        next.extend(state.places.drain(..));
        if next.is_empty() {
            mem::swap(&mut state.waker, &mut waker);
        }
        drop(state);
        drop(waker);
        !next.is_empty()
    }
}

/// What a goroutine has of the set that it is a member of.
#[derive(Clone)]
struct Member {
    ended: Arc<Ended>,
    place: usize,
}

impl OnEnd for Member {
    const TELLS: bool = true;

    #[inline]
    fn released(self) {
        self.ended.push(self.place);
    }
}

impl<T> JoinSet<T> {
    /// A set without goroutines. They will be of the runtime that [`spawn`](Self::spawn) is called
    /// in.
    #[must_use]
    pub fn new() -> Self {
        Self::of(None)
    }

    pub(crate) fn of(sched: Option<Arc<Sched>>) -> Self {
        let (members, vacant, next) = (Vec::new(), Vec::new(), VecDeque::new());
        Self { sched, members, vacant, ended: Arc::new(Ended::new()), next }
    }

    /// How many goroutines are in it: that have not ended, or were not joined.
    #[must_use]
    pub fn len(&self) -> usize {
        self.members.len() - self.vacant.len()
    }

    /// True if no goroutine is in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Cancels all goroutines in it, as [`JoinHandle::cancel`] does. Never blocks. They stay in the
    /// set until they are joined.
    #[doc(alias = "cancel")]
    pub fn abort_all(&self) {
        for member in self.members.iter().flatten() {
            let _asked_in_time = member.cancel();
        }
    }

    /// Waits until a goroutine has ended, if there is one, and takes it out of the set: the one
    /// that ended first. `None` if the set is empty. A goroutine that calls this parks; any other
    /// thread blocks.
    ///
    /// # Errors
    ///
    /// The inner error is [`JoinError`], if the goroutine panicked, was cancelled or could not be
    /// started.
    ///
    /// # Panics
    ///
    /// Unwinds with [`Cancelled`](crate::Cancelled) if the calling goroutine is cancelled while it
    /// waits. No outcome is lost then.
    pub fn join_next(&mut self) -> Option<Result<T, JoinError>> {
        self.join_until(None).expect("without a deadline it waits for as long as it takes")
    }

    /// As [`join_next`](Self::join_next), if a goroutine has ended. `None` also if none has; then a
    /// goroutine whose slice is over gives its turn.
    pub fn try_join_next(&mut self) -> Option<Result<T, JoinError>> {
        if self.next.is_empty() && !self.ended.take(&mut self.next) {
            give_turn();
            return None;
        }
        self.first()
    }

    /// As [`join_next`](Self::join_next), for at most `timeout`. Zero makes one attempt; a timeout
    /// that the clock cannot reach is none.
    ///
    /// # Errors
    ///
    /// [`JoinSetTimeoutError`] if none has ended by then.
    ///
    /// # Panics
    ///
    /// As [`join_next`](Self::join_next).
    ///
    /// ```
    /// use gosched::{JoinSet, Mode, run, time};
    /// use std::time::Duration;
    ///
    /// run(Mode::threads(), || {
    ///     let mut set = JoinSet::new();
    ///     set.spawn(|| time::sleep(Duration::MAX));
    ///     assert!(set.join_next_timeout(Duration::from_millis(1)).is_err());
    ///     set.abort_all();
    ///     assert!(set.join_next().unwrap().unwrap_err().is_cancelled());
    /// });
    /// ```
    pub fn join_next_timeout(
        &mut self,
        timeout: Duration,
    ) -> Result<Option<Result<T, JoinError>>, JoinSetTimeoutError> {
        self.join_until(Instant::now().checked_add(timeout))
    }

    /// As [`join_next`](Self::join_next), until `deadline` at the latest. One that has passed makes
    /// one attempt.
    ///
    /// # Errors
    ///
    /// As [`join_next_timeout`](Self::join_next_timeout).
    ///
    /// # Panics
    ///
    /// As [`join_next`](Self::join_next).
    pub fn join_next_deadline(
        &mut self,
        deadline: Instant,
    ) -> Result<Option<Result<T, JoinError>>, JoinSetTimeoutError> {
        self.join_until(Some(deadline))
    }

    fn join_until(
        &mut self,
        deadline: Option<Instant>,
    ) -> Result<Option<Result<T, JoinError>>, JoinSetTimeoutError> {
        preempt_point();
        let Self { ended, next, .. } = self;
        let has_one = self.members.len() == self.vacant.len()
            || !next.is_empty()
            || ended.wait(deadline, next, Parking::begin);
        if has_one { Ok(self.first()) } else { Err(JoinSetTimeoutError) }
    }

    /// As [`join_next`](Self::join_next), for an async task: a future that may be dropped at any
    /// time. No outcome is lost then.
    ///
    /// ```
    /// use gosched::{JoinSet, Mode, future::block_on, run};
    ///
    /// run(Mode::threads(), || {
    ///     let mut set = JoinSet::new();
    ///     (1..=3).for_each(|n| _ = set.spawn(move || n * n));
    ///     let sum = block_on(async move {
    ///         let mut sum = 0;
    ///         while let Some(square) = set.join_next_async().await {
    ///             sum += square.unwrap();
    ///         }
    ///         sum
    ///     });
    ///     assert_eq!(sum, 14);
    /// });
    /// ```
    pub fn join_next_async(&mut self) -> JoinNext<'_, T> {
        JoinNext(self)
    }

    /// What [`join_next_async`](Self::join_next_async) polls, for a stream of one's own. Of several
    /// wakers that it is polled with, the last one is called.
    pub fn poll_join_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<T, JoinError>>> {
        ready!(poll_turn(cx));
        let waits = !self.is_empty() && self.next.is_empty();
        if waits && !self.ended.poll(&mut self.next, cx.waker().clone()) {
            return Poll::Pending;
        }
        Poll::Ready(self.first())
    }

    /// Takes the first member that has ended out of the set.
    fn first(&mut self) -> Option<Result<T, JoinError>> {
        let place = self.next.pop_front()?;
        let member = self.members[place].take().expect("a member ends once");
        self.vacant.push(place);
        Some(member.take_ended().map_err(JoinError::from))
    }
}

impl<T: Send + 'static> JoinSet<T> {
    /// Runs `f` as a new goroutine, a member of the set. Never blocks. Returns the goroutine's
    /// number.
    ///
    /// # Panics
    ///
    /// If the calling thread is in no runtime; there, [`Handle::join_set`](crate::Handle::join_set)
    /// makes a set.
    #[doc(alias = "go")]
    #[track_caller]
    pub fn spawn<F>(&mut self, f: F) -> u64
    where
        F: FnOnce() -> T + Send + 'static,
    {
        let sched = self.sched.clone().or_else(sched_of_caller).expect(
            "gosched::JoinSet::spawn was called on a thread that is in no runtime; \
             make the set with Handle::join_set",
        );
        let place = self.vacant.pop().unwrap_or_else(|| {
            self.members.push(None);
            self.members.len() - 1
        });
        self.ended.reserve(self.members.len());
        self.next.reserve(self.members.len() - self.next.len());
        let [body, packet] = filled_pair!(f, Member { ended: self.ended.clone(), place });
        let id = spawn_in(&sched, Entry::Shared(SharedBody::new(body)));
        self.members[place] = Some(JoinHandle::new(packet, id));
        id
    }
}

/// Of the feature `futures-core`: the outcomes in the order in which the goroutines end. None while
/// the set is empty; goroutines that are made after that make it go on.
#[cfg(feature = "futures-core")]
impl<T> futures_core::Stream for JoinSet<T> {
    type Item = Result<T, JoinError>;

    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Self::Item>> {
        self.poll_join_next(cx)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.len(), Some(self.len()))
    }
}

impl<T> Drop for JoinSet<T> {
    fn drop(&mut self) {
        self.abort_all();
    }
}

impl<T> Default for JoinSet<T> {
    fn default() -> Self {
        Self::new()
    }
}

// Outcomes are reached when their goroutines have ended, and are taken whole.
impl<T> std::panic::UnwindSafe for JoinSet<T> {}
impl<T> std::panic::RefUnwindSafe for JoinSet<T> {}

impl<T> fmt::Debug for JoinSet<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinSet").field("len", &self.len()).finish_non_exhaustive()
    }
}

impl fmt::Display for JoinSetTimeoutError {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no goroutine of the set has ended in time")
    }
}

impl Error for JoinSetTimeoutError {}

/// The future of [`JoinSet::join_next_async`].
#[must_use = "a future does nothing unless it is polled"]
pub struct JoinNext<'a, T>(&'a mut JoinSet<T>);

impl<T> fmt::Debug for JoinNext<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JoinNext { .. }")
    }
}

impl<T> Future for JoinNext<'_, T> {
    type Output = Option<Result<T, JoinError>>;

    fn poll(mut self: std::pin::Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.poll_join_next(cx)
    }
}
