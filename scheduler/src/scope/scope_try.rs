//! Scopes whose goroutines fail together.
//!
//! # Safety
//!
//! As in `scope`: the frame of [`scope_try_in`] is not left before the tally is zero, and a
//! goroutine is counted until nothing of it is left.
#![expect(unsafe_code, reason = "erases the lifetime of what goroutines borrow")]

use std::any::Any;
use std::fmt;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::thread;
use std::time::{Duration, Instant};

use gosched_runtime_sys::signal::fatal::FatalOnUnwind;

use super::sched_of_caller;
use super::together::{Failures, Member, Members};
use crate::gmp::body::{Entry, SharedBody};
use crate::gmp::g::{CancelScope, Cancelled};
use crate::gmp::sched::Sched;
use crate::go::spawn_in;
use crate::join::{Joint, filled_pair};
use crate::proc::cancel::shielded;
use crate::proc::park::Parking;
use crate::proc::yield_now::{give_turn, preempt_point};
use crate::wait::owed::Panics;

/// Where goroutines are made that may borrow, and of which one that fails ends all; see
/// [`scope_try`].
// `E: 'env`: where the error has a lifetime, the compiler would else ask of what is borrowed that
// it outlives that one, too.
pub struct TryScope<'scope, 'env: 'scope, E: 'env> {
    sched: Arc<Sched>,
    members: Arc<Members>,
    failures: Failures<E>,
    /// As in [`Scope`](super::Scope).
    scope: PhantomData<&'scope mut &'scope ()>,
    env: PhantomData<&'env mut &'env ()>,
}

// As `Scope`. The errors lie under a lock, and are moved in and out whole.
impl<E> std::panic::RefUnwindSafe for TryScope<'_, '_, E> {}

impl<E> fmt::Debug for TryScope<'_, '_, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TryScope")
            .field("running", &self.members.tally.left())
            .field("cancelled", &self.is_cancelled())
            .finish()
    }
}

/// As [`scope`](super::scope()), and the first error in time cancels the rest and is returned.
///
/// The closure and the goroutines of the scope run under a [`Token`](crate::cancel::Token) of its
/// own. Once one of them returns an error or panics, the waits of all others unwind, and what has
/// not begun does not begin. All have ended when this returns, so they may borrow.
///
/// A cancel of the caller cancels the goroutines, too, even while this waits for them.
///
/// # Errors
///
/// The error that was returned first, by the closure or by a goroutine. Later ones are dropped.
///
/// # Panics
///
/// With what the closure or, first of them, a goroutine panicked with: that comes before any error.
/// If a goroutine could not be started. Unwinds with [`Cancelled`] if the caller is cancelled. If
/// the calling thread is in no runtime; there, [`Handle::scope_try`](crate::Handle::scope_try)
/// serves, but no waits of the closure are ended.
///
/// ```
/// use gosched::{Mode, chan, run, scope_try};
///
/// fn sizes(texts: &[&str]) -> Result<Vec<usize>, String> {
///     scope_try(|s| {
///         let measure = |text: &&str| match text.len() {
///             0 => Err("an empty text".to_owned()),
///             size => Ok(size),
///         };
///         let parts: Vec<_> = texts.iter().map(|text| s.go(move || measure(text))).collect();
///         Ok(parts.into_iter().map(|part| part.join()).collect())
///     })
/// }
///
/// run(Mode::threads(), || {
///     assert_eq!(sizes(&["far", "and", "wide"]), Ok(vec![3, 3, 4]));
///     assert_eq!(sizes(&["far", ""]).unwrap_err(), "an empty text");
///
///     // What waits for ever is ended by the first error.
///     let (_tx, never) = chan::bounded::<()>(0);
///     let failed = scope_try(|s| {
///         s.go(|| Ok(never.recv()));
///         s.go(|| Err::<(), _>("no network"));
///         Ok(())
///     });
///     assert_eq!(failed, Err("no network"));
/// });
/// ```
#[doc(alias("errgroup", "nursery", "try_join", "JoinSet", "structured concurrency"))]
pub fn scope_try<'env, F, R, E>(f: F) -> Result<R, E>
where
    F: for<'scope> FnOnce(&'scope TryScope<'scope, 'env, E>) -> Result<R, E>,
    E: 'env,
{
    let sched = sched_of_caller().expect(
        "gosched::scope_try was called on a thread that is in no runtime; \
         use Handle::scope_try, or Runtime::run",
    );
    scope_try_in(sched, f)
}

/// Does the same as [`scope_try`], with goroutines of `sched`, on any thread.
pub(crate) fn scope_try_in<'env, F, R, E>(sched: Arc<Sched>, f: F) -> Result<R, E>
where
    F: for<'scope> FnOnce(&'scope TryScope<'scope, 'env, E>) -> Result<R, E>,
    E: 'env,
{
    preempt_point();
    let scope = TryScope {
        sched,
        members: Members::new(),
        failures: Failures::new(),
        scope: PhantomData,
        env: PhantomData,
    };
    let members = &*scope.members;
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        let result = match members.token.run(|| f(&scope)) {
            Ok(Ok(result)) => Ok(result),
            Ok(Err(error)) => {
                scope.failures.fail(members, error);
                Err(None)
            }
            Err(cancelled) => Err(Some(cancelled)),
        };
        // A cancel ends this wait, and then cancels the children, below.
        members.tally.wait_by(None, Parking::begin);
        result
    }));
    if outcome.is_err() {
        let mut panics = Panics::none();
        panics.catch(|| members.cancel());
        panics.give_up();
    }
    // Children would go on with borrows that are over.
    let unwinds = FatalOnUnwind("gosched: the wait of a scope panicked\n");
    shielded(|| members.tally.wait(Parking::begin));
    unwinds.disarm();
    ended(&scope, outcome)
}

/// What became of a scope whose goroutines have ended. `outcome` is that of its closure; no error
/// in it stands for one that the scope has.
fn ended<R, E>(
    scope: &TryScope<'_, '_, E>,
    outcome: thread::Result<Result<R, Option<Cancelled>>>,
) -> Result<R, E> {
    let result = match outcome {
        Ok(result) => result,
        // A panic of a child comes before a cancel from outside.
        Err(payload) if payload.is::<Cancelled>() => {
            let _dropped = scope.failures.outcome(&scope.members);
            resume_unwind(payload)
        }
        Err(payload) => resume_unwind(payload),
    };
    scope.failures.outcome(&scope.members)?;
    match result {
        Ok(result) => Ok(result),
        Err(why) => {
            resume_unwind(Box::new(why.unwrap_or_else(|| scope.members.token.cancelled_here())))
        }
    }
}

impl<'scope, 'env, E: Send + 'env> TryScope<'scope, 'env, E> {
    /// Runs `f` as a new goroutine, which may borrow whatever outlives the scope. Waits only with a
    /// [limit](Self::set_limit). May be called by the scope's goroutines, too. If the scope has
    /// failed, `f` is dropped.
    ///
    /// # Panics
    ///
    /// As [`set_limit`](Self::set_limit) says.
    #[doc(alias = "spawn")]
    #[track_caller]
    pub fn go<F, T>(&'scope self, f: F) -> TryScopedJoinHandle<'scope, T>
    where
        F: FnOnce() -> Result<T, E> + Send + 'scope,
        T: Send + 'scope,
    {
        self.members.come();
        self.spawn(f)
    }

    /// As [`go`](Self::go), if fewer than the limit run. If not, a goroutine whose slice is over
    /// gives its turn.
    ///
    /// # Errors
    ///
    /// The closure, if not.
    #[track_caller]
    pub fn try_go<F, T>(&'scope self, f: F) -> Result<TryScopedJoinHandle<'scope, T>, F>
    where
        F: FnOnce() -> Result<T, E> + Send + 'scope,
        T: Send + 'scope,
    {
        if self.members.try_come() {
            return Ok(self.spawn(f));
        }
        give_turn();
        Err(f)
    }

    /// Makes a goroutine that was counted.
    #[track_caller]
    fn spawn<F, T>(&'scope self, f: F) -> TryScopedJoinHandle<'scope, T>
    where
        F: FnOnce() -> Result<T, E> + Send + 'scope,
        T: Send + 'scope,
    {
        let f = move || self.failures.run(&self.members, f);
        let [body, packet] = filled_pair!(f, Member(self.members.clone()));
        // SAFETY: the goroutine drops the body before the tally counts down, and the scope waits
        // for that: see the module's head.
        let body = unsafe { SharedBody::borrowing(body) };
        let id = spawn_in(&self.sched, Entry::Shared(body));
        TryScopedJoinHandle { joint: Joint::new(packet, id), members: &self.members }
    }
}

impl<E> TryScope<'_, '_, E> {
    /// Has at most `limit` goroutines of the scope run at once, from now on: [`go`](Self::go) waits
    /// until one ends. Those that wait are served in the order of arrival. A goroutine of the scope
    /// that waits there holds a place itself: if all do, all wait for ever.
    ///
    /// # Panics
    ///
    /// If `limit` is zero. Where `go` waits, it unwinds with [`Cancelled`] if the caller is
    /// cancelled, which the scope's failure does.
    ///
    /// ```
    /// use gosched::{Mode, run, scope_try};
    /// use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
    ///
    /// run(Mode::threads(), || {
    ///     let running = AtomicUsize::new(0);
    ///     scope_try(|s| {
    ///         s.set_limit(2);
    ///         for _ in 0..20 {
    ///             s.go(|| {
    ///                 let others = running.fetch_add(1, Relaxed);
    ///                 gosched::yield_now();
    ///                 running.fetch_sub(1, Relaxed);
    ///                 if others < 2 { Ok(()) } else { Err("too many") }
    ///             });
    ///         }
    ///         Ok(())
    ///     })
    ///     .unwrap();
    /// });
    /// ```
    #[doc(alias = "SetLimit")]
    #[track_caller]
    pub fn set_limit(&self, limit: usize) {
        self.members.set_limit(limit);
    }

    /// True if the scope has failed: what computes without a wait may ask, and end early.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.members.token.is_cancelled()
    }
}

/// As [`ScopedJoinHandle`](crate::ScopedJoinHandle), of a goroutine that was made in a
/// [`scope_try`]. It gives results only: who joins a goroutine that failed unwinds to the end of
/// the scope, which has the reason.
pub struct TryScopedJoinHandle<'scope, T> {
    joint: Joint<'scope, Option<T>>,
    members: &'scope Members,
}

// As `JoinHandle`.
impl<T> std::panic::UnwindSafe for TryScopedJoinHandle<'_, T> {}
impl<T> std::panic::RefUnwindSafe for TryScopedJoinHandle<'_, T> {}

impl<T> fmt::Debug for TryScopedJoinHandle<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.joint.fmt(f)
    }
}

impl<T> TryScopedJoinHandle<'_, T> {
    /// Waits until the goroutine has ended, and returns its result.
    ///
    /// # Panics
    ///
    /// Unwinds with [`Cancelled`] if the goroutine failed, up to the scope, which returns the error
    /// or panics; also if the calling goroutine is cancelled while it waits. With `panic = "abort"`
    /// to join a goroutine that failed ends the process.
    pub fn join(self) -> T {
        let outcome = self.joint.join();
        self.members.result(outcome)
    }

    /// As [`join`](Self::join), if the goroutine has ended. If not, a goroutine whose slice is over
    /// gives its turn.
    ///
    /// # Errors
    ///
    /// The handle, if it has not.
    ///
    /// # Panics
    ///
    /// As [`join`](Self::join).
    pub fn try_join(self) -> Result<T, Self> {
        let members = self.members;
        match self.joint.try_join() {
            Ok(outcome) => Ok(members.result(outcome)),
            Err(joint) => Err(Self { joint, members }),
        }
    }

    /// As [`join`](Self::join), for at most `timeout`. A timeout that the clock cannot reach is
    /// none.
    ///
    /// # Errors
    ///
    /// The handle, if the goroutine has not ended by then.
    ///
    /// # Panics
    ///
    /// As [`join`](Self::join).
    pub fn join_timeout(self, timeout: Duration) -> Result<T, Self> {
        let members = self.members;
        match self.joint.join_timeout(timeout) {
            Ok(outcome) => Ok(members.result(outcome)),
            Err(joint) => Err(Self { joint, members }),
        }
    }

    /// As [`join`](Self::join), until `deadline` at the latest.
    ///
    /// # Errors
    ///
    /// The handle, if the goroutine has not ended by then.
    ///
    /// # Panics
    ///
    /// As [`join`](Self::join).
    pub fn join_deadline(self, deadline: Instant) -> Result<T, Self> {
        let members = self.members;
        match self.joint.join_deadline(deadline) {
            Ok(outcome) => Ok(members.result(outcome)),
            Err(joint) => Err(Self { joint, members }),
        }
    }

    /// True if the goroutine has ended, so that `join` would not wait. Never suspends: a loop that
    /// asks until then calls [`yield_now`](crate::yield_now), or [`try_join`](Self::try_join),
    /// which gives turns.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.joint.is_finished()
    }

    /// The goroutine's number.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.joint.id()
    }
}

impl<T> Future for TryScopedJoinHandle<'_, T> {
    type Output = T;

    /// # Panics
    ///
    /// As [`join`](TryScopedJoinHandle::join).
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        self.joint.poll(cx).map(|outcome| self.members.result(outcome))
    }
}

impl Members {
    /// Returns the result of a goroutine, or unwinds.
    fn result<T>(&self, outcome: thread::Result<Option<T>>) -> T {
        let why: Box<dyn Any + Send> = match outcome {
            Ok(Some(value)) => return value,
            Err(payload) if is_from_outside(&*payload) => payload,
            Ok(None) | Err(_) => Box::new(self.token.cancelled_here()),
        };
        resume_unwind(why)
    }
}

/// True if the goroutine was ended with its runtime, and not by its scope.
#[inline]
fn is_from_outside(payload: &(dyn Any + Send)) -> bool {
    payload
        .downcast_ref::<Cancelled>()
        .is_some_and(|cancelled| !matches!(cancelled.scope, CancelScope::Token(_)))
}
