//! Goroutines that fail together, and whose maker goes on.
//!
//! # Safety
//!
//! A new packet is filled with its closure.
#![expect(unsafe_code, reason = "fills new packets")]

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use super::sched_of_caller;
use super::together::{Failures, Member, Members};
use crate::gmp::body::{Entry, SharedBody};
use crate::gmp::sched::Sched;
use crate::go::spawn_in;
use crate::join::filled_pair;
use crate::proc::park::Parking;
use crate::proc::yield_now::{give_turn, poll_turn, preempt_point};

/// Goroutines of which the first error cancels the rest: Go's `errgroup`.
///
/// They run under a [`Token`](crate::cancel::Token) of their own. Once one of them returns an error
/// or panics, the waits of all others unwind, and what has not begun does not begin.
/// [`wait`](Self::wait) returns that error. Dropping the group cancels what still runs and does not
/// wait for it.
///
/// Goroutines that borrow have [`scope_try`](crate::scope_try()).
///
/// ```
/// use gosched::{Group, Mode, chan, run};
///
/// run(Mode::threads(), || {
///     let group = Group::new();
///     let (tx, lines) = chan::bounded(1);
///     group.go(move || tx.send("one").map_err(|_| "nobody reads"));
///     group.go(move || match lines.iter().count() {
///         1 => Err("too few lines"),
///         _ => Ok(()),
///     });
///     let (_tx, never) = chan::bounded::<()>(0);
///     group.go(move || {
///         let _what_never_comes = never.recv();
///         Ok(())
///     });
///     assert_eq!(group.wait(), Err("too few lines"));
/// });
/// ```
#[doc(alias("errgroup", "TaskTracker", "WaitGroup", "JoinSet"))]
pub struct Group<E> {
    /// The runtime of its goroutines, if it was named.
    sched: Option<Arc<Sched>>,
    members: Arc<Members>,
    failures: Arc<Failures<E>>,
}

// The errors lie under a lock, and are moved in and out whole.
impl<E> std::panic::UnwindSafe for Group<E> {}
impl<E> std::panic::RefUnwindSafe for Group<E> {}

impl<E> fmt::Debug for Group<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Group")
            .field("running", &self.len())
            .field("cancelled", &self.is_cancelled())
            .finish()
    }
}

impl<E> Default for Group<E> {
    fn default() -> Self {
        Self::new()
    }
}

impl<E> Group<E> {
    /// A group without goroutines. They will be of the runtime that [`go`](Self::go) is called in.
    #[must_use]
    pub fn new() -> Self {
        Self::of(None)
    }

    pub(crate) fn of(sched: Option<Arc<Sched>>) -> Self {
        Self { sched, members: Members::new(), failures: Arc::new(Failures::new()) }
    }

    /// Has at most `limit` goroutines of the group run at once, from now on: [`go`](Self::go) waits
    /// until one ends. Those that wait are served in the order of arrival. A goroutine of the group
    /// that waits there holds a place itself: if all do, all wait for ever.
    ///
    /// # Panics
    ///
    /// If `limit` is zero.
    ///
    /// ```
    /// use gosched::{Group, Mode, run, time};
    /// use std::time::Duration;
    ///
    /// run(Mode::threads(), || {
    ///     let group: Group<String> = Group::new();
    ///     group.set_limit(4);
    ///     (0..20).for_each(|_| group.go(|| Ok(time::sleep(Duration::from_millis(1)))));
    ///     assert!(group.len() <= 4);
    ///     group.wait().unwrap();
    /// });
    /// ```
    #[doc(alias = "SetLimit")]
    #[track_caller]
    pub fn set_limit(&self, limit: usize) {
        self.members.set_limit(limit);
    }

    /// How many of its goroutines have not ended.
    #[must_use]
    pub fn len(&self) -> usize {
        self.members.tally.left()
    }

    /// True if all of its goroutines have ended.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Cancels its goroutines, those that are made later included. Never blocks. That is no error:
    /// [`wait`](Self::wait) waits until they have ended, and returns one if a goroutine has
    /// returned one.
    pub fn cancel(&self) {
        self.members.cancel();
    }

    /// True if a goroutine has failed, or the group was cancelled.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.members.token.is_cancelled()
    }

    /// Waits until all goroutines have ended. A goroutine that calls this parks; any other thread
    /// blocks.
    ///
    /// # Errors
    ///
    /// The error that was returned first. Later ones are dropped.
    ///
    /// # Panics
    ///
    /// With what the first goroutine to panic panicked with: that comes before any error. If a
    /// goroutine could not be started. Unwinds with [`Cancelled`](crate::Cancelled) if the calling
    /// goroutine is cancelled while it waits; the group is cancelled then, too.
    pub fn wait(self) -> Result<(), E> {
        preempt_point();
        self.members.tally.wait_by(None, Parking::begin);
        self.failures.outcome(&self.members)
    }

    /// As [`wait`](Self::wait), if all goroutines have ended. If not, a goroutine whose slice is
    /// over gives its turn.
    ///
    /// # Errors
    ///
    /// The group, if one has not ended.
    ///
    /// # Panics
    ///
    /// With what the first goroutine to panic panicked with.
    pub fn try_wait(self) -> Result<Result<(), E>, Self> {
        if self.is_empty() {
            return Ok(self.failures.outcome(&self.members));
        }
        give_turn();
        Err(self)
    }

    /// As [`wait`](Self::wait), for at most `timeout`. A timeout that the clock cannot reach is
    /// none.
    ///
    /// # Errors
    ///
    /// The group, if one has not ended by then.
    ///
    /// # Panics
    ///
    /// As [`wait`](Self::wait).
    pub fn wait_timeout(self, timeout: Duration) -> Result<Result<(), E>, Self> {
        self.wait_until(Instant::now().checked_add(timeout))
    }

    /// As [`wait`](Self::wait), until `deadline` at the latest.
    ///
    /// # Errors
    ///
    /// The group, if one has not ended by then.
    ///
    /// # Panics
    ///
    /// As [`wait`](Self::wait).
    pub fn wait_deadline(self, deadline: Instant) -> Result<Result<(), E>, Self> {
        self.wait_until(Some(deadline))
    }

    fn wait_until(self, deadline: Option<Instant>) -> Result<Result<(), E>, Self> {
        preempt_point();
        if self.members.tally.wait_by(deadline, Parking::begin) {
            Ok(self.failures.outcome(&self.members))
        } else {
            Err(self)
        }
    }

    /// As [`wait`](Self::wait), for an async task: a future that is ready when all goroutines have
    /// ended. Dropping it drops the group.
    ///
    /// ```
    /// use gosched::{Group, Mode, future::block_on, run};
    ///
    /// run(Mode::threads(), || {
    ///     let group = Group::new();
    ///     group.go(|| Err(5));
    ///     assert_eq!(block_on(group.wait_async()), Err(5));
    /// });
    /// ```
    pub fn wait_async(self) -> GroupFuture<E> {
        GroupFuture(self)
    }
}

impl<E: Send + 'static> Group<E> {
    /// Runs `f` as a new goroutine. Waits only with a [limit](Self::set_limit). If the group has
    /// failed, `f` is dropped.
    ///
    /// # Panics
    ///
    /// If the calling thread is in no runtime; there, [`Handle::group`](crate::Handle::group)
    /// makes a group. Where it waits, it unwinds with [`Cancelled`](crate::Cancelled) if the
    /// calling goroutine is cancelled; `f` is dropped then.
    #[doc(alias = "spawn")]
    #[track_caller]
    pub fn go<F>(&self, f: F)
    where
        F: FnOnce() -> Result<(), E> + Send + 'static,
    {
        let sched = self.sched();
        self.members.come();
        self.spawn(&sched, f);
    }

    /// As [`go`](Self::go), if fewer than the limit run. If not, a goroutine whose slice is over
    /// gives its turn.
    ///
    /// # Errors
    ///
    /// The closure, if not.
    ///
    /// # Panics
    ///
    /// If the calling thread is in no runtime.
    #[doc(alias = "TryGo")]
    #[track_caller]
    pub fn try_go<F>(&self, f: F) -> Result<(), F>
    where
        F: FnOnce() -> Result<(), E> + Send + 'static,
    {
        let sched = self.sched();
        if !self.members.try_come() {
            give_turn();
            return Err(f);
        }
        self.spawn(&sched, f);
        Ok(())
    }

    #[track_caller]
    fn sched(&self) -> Arc<Sched> {
        self.sched.clone().or_else(sched_of_caller).expect(
            "gosched::Group::go was called on a thread that is in no runtime; \
             make the group with Handle::group",
        )
    }

    /// Makes a goroutine that was counted.
    #[track_caller]
    fn spawn<F>(&self, sched: &Sched, f: F)
    where
        F: FnOnce() -> Result<(), E> + Send + 'static,
    {
        let (members, failures) = (self.members.clone(), self.failures.clone());
        let f = move || failures.run(&members, f).unwrap_or_default();
        let [body, _detached] = filled_pair!(f, Member(self.members.clone()));
        let _id = spawn_in(sched, Entry::Shared(SharedBody::new(body)));
    }
}

impl<E> Drop for Group<E> {
    fn drop(&mut self) {
        self.cancel();
    }
}

/// The future of [`Group::wait_async`].
#[must_use = "a future does nothing unless it is polled"]
pub struct GroupFuture<E>(Group<E>);

impl<E> fmt::Debug for GroupFuture<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("GroupFuture { .. }")
    }
}

impl<E> Future for GroupFuture<E> {
    type Output = Result<(), E>;

    /// # Panics
    ///
    /// As [`Group::wait`], but for a cancel.
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        ready!(poll_turn(cx));
        let Group { members, failures, .. } = &self.0;
        if members.tally.poll(cx.waker().clone()) {
            Poll::Ready(failures.outcome(members))
        } else {
            Poll::Pending
        }
    }
}
