//! Scopes: goroutines that borrow.
//!
//! [`scope`] returns or unwinds only after all goroutines spawned in it have ended. So they may
//! borrow from the frames outside of it.
//!
//! # Invariants
//!
//! - The tally counts a child from before it can run until its closure has been dropped, on the
//!   child's own stack, and so has its outcome, unless a handle has that. A handle cannot be used
//!   once its scope is over. So an outcome in a forgotten handle is never touched again.
//! - The scope's frame is not left before the tally is zero. A panic of the scope's closure is
//!   caught first and resumed afterwards. A wait while the panic unwinds would block the whole
//!   thread, and with it the children that settled there.
//! - No cancel ends the wait for the children.
//!
//! # Safety
//!
//! A child's closure and outcome may hold borrows that end with the scope. Their lifetimes are
//! erased to `'static` for the goroutine that runs them. By the invariants nothing of them is left
//! when the scope returns.
#![expect(unsafe_code, reason = "erases the lifetime of what goroutines borrow")]

mod group;
pub(crate) mod join_set;
mod scope_try;
mod tally;
mod together;

use std::fmt;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::thread;
use std::time::{Duration, Instant};

use gosched_runtime_sys::signal::fatal::FatalOnUnwind;

use crate::gmp::body::{Entry, SharedBody};
use crate::gmp::current;
use crate::gmp::sched::Sched;
use crate::go::spawn_in;
use crate::join::{JoinError, Joint, filled_pair};
use crate::proc::cancel::shielded;
use crate::proc::park::Parking;
use crate::proc::yield_now::preempt_point;

pub use group::{Group, GroupFuture};
pub use join_set::{JoinNext, JoinSet, JoinSetTimeoutError};
pub(crate) use scope_try::scope_try_in;
pub use scope_try::{TryScope, TryScopedJoinHandle, scope_try};
pub(crate) use tally::Tally;

/// Where goroutines are made that may borrow; see [`scope`].
#[doc(alias("errgroup", "nursery", "JoinSet"))]
pub struct Scope<'scope, 'env: 'scope> {
    sched: Arc<Sched>,
    tally: Arc<Tally>,
    /// Makes `'scope` invariant: a borrow for `'scope` is for exactly that lifetime.
    scope: PhantomData<&'scope mut &'scope ()>,
    env: PhantomData<&'env mut &'env ()>,
}

// What makes `'scope` invariant is not `UnwindSafe`, in `std` either.
impl std::panic::RefUnwindSafe for Scope<'_, '_> {}

impl fmt::Debug for Scope<'_, '_> {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scope").field("running", &self.tally.left()).finish()
    }
}

/// Calls `f` with a scope in which it can make goroutines that borrow, and returns what `f`
/// returned once all of them have ended. They run in the runtime that the caller is in.
///
/// It waits for them also when `f` panics, and when the calling goroutine is cancelled: that cancel
/// stays pending. A child is not cancelled with its parent; a [`Token`](crate::cancel::Token) that
/// the children run under does that, and [`scope_try()`] cancels all when one fails. Nor is it
/// cancelled by a [`timeout`](crate::time::timeout) around the scope: the wait for the children has
/// no limit, and the timeout may return late with `Ok`.
///
/// # Panics
///
/// With what `f` panicked with. If a child panicked whose handle was not joined (being cancelled
/// does not count). If the calling thread is in no
/// runtime; there, [`Handle::scope`](crate::Handle::scope) serves.
///
/// ```
/// use gosched::{Mode, run, scope};
///
/// let words = vec!["far", "and", "wide"];
/// let mut longest = 0;
/// let letters: usize = run(Mode::threads(), || {
///     scope(|s| {
///         s.go(|| longest = words.iter().map(|word| word.len()).max().unwrap());
///         let parts: Vec<_> = words.iter().map(|word| s.go(move || word.len())).collect();
///         parts.into_iter().map(|part| part.join().unwrap()).sum()
///     })
/// });
/// assert_eq!((letters, longest), (10, 4));
/// ```
#[doc(alias("errgroup", "nursery", "JoinSet", "TaskTracker", "structured concurrency"))]
pub fn scope<'env, F, T>(f: F) -> T
where
    F: for<'scope> FnOnce(&'scope Scope<'scope, 'env>) -> T,
{
    let sched = sched_of_caller().expect(
        "gosched::scope was called on a thread that is in no runtime; \
         use Handle::scope, or Runtime::run",
    );
    scope_in(sched, f)
}

/// Returns the runtime that the caller is in.
#[inline]
fn sched_of_caller() -> Option<Arc<Sched>> {
    current::with(|cx| Some(cx.filter(|cx| cx.g().is_some())?.sched().arc()))
}

/// Does the same as [`scope`], with goroutines of `sched`, on any thread.
pub(crate) fn scope_in<'env, F, T>(sched: Arc<Sched>, f: F) -> T
where
    F: for<'scope> FnOnce(&'scope Scope<'scope, 'env>) -> T,
{
    preempt_point();
    let scope =
        Scope { sched, tally: Arc::new(Tally::new()), scope: PhantomData, env: PhantomData };
    let outcome = catch_unwind(AssertUnwindSafe(|| f(&scope)));
    // Children would go on with borrows that are over.
    let unwinds = FatalOnUnwind("gosched: the wait of a scope panicked\n");
    shielded(|| scope.tally.wait(Parking::begin));
    unwinds.disarm();
    match outcome {
        Err(payload) => resume_unwind(payload),
        Ok(_) if scope.tally.has_unjoined_panics() => {
            panic!("a goroutine of the scope panicked")
        }
        Ok(result) => result,
    }
}

impl<'scope> Scope<'scope, '_> {
    /// Runs `f` as a new goroutine, which may borrow whatever outlives the scope. Never blocks. May
    /// be called by the scope's goroutines, too.
    #[doc(alias = "spawn")]
    #[track_caller]
    pub fn go<F, T>(&'scope self, f: F) -> ScopedJoinHandle<'scope, T>
    where
        F: FnOnce() -> T + Send + 'scope,
        T: Send + 'scope,
    {
        let [body, packet] = filled_pair!(f, self.tally.clone());
        // SAFETY: the goroutine drops the body before the tally counts down, and the scope waits
        // for that: see the module's head.
        let body = unsafe { SharedBody::borrowing(body) };
        self.tally.up();
        let id = spawn_in(&self.sched, Entry::Shared(body));
        ScopedJoinHandle(Joint::new(packet, id))
    }
}

/// As [`JoinHandle`](crate::JoinHandle), of a goroutine that was made in a [`scope`]. Dropping it
/// detaches the goroutine from it, not from the scope.
pub struct ScopedJoinHandle<'scope, T>(Joint<'scope, T>);

// As `JoinHandle`.
impl<T> std::panic::UnwindSafe for ScopedJoinHandle<'_, T> {}
impl<T> std::panic::RefUnwindSafe for ScopedJoinHandle<'_, T> {}

impl<T> fmt::Debug for ScopedJoinHandle<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<T> ScopedJoinHandle<'_, T> {
    /// As [`JoinHandle::join`](crate::JoinHandle::join).
    ///
    /// # Errors
    ///
    /// The payload that the goroutine unwound with; the scope then does not panic for it.
    ///
    /// # Panics
    ///
    /// Unwinds with [`Cancelled`](crate::Cancelled) if the calling goroutine is cancelled while it
    /// waits.
    pub fn join(self) -> thread::Result<T> {
        self.0.join()
    }

    /// As [`JoinHandle::wait`](crate::JoinHandle::wait).
    ///
    /// # Errors
    ///
    /// [`JoinError`]; the scope then does not panic for it.
    ///
    /// # Panics
    ///
    /// As [`join`](Self::join).
    pub fn wait(self) -> Result<T, JoinError> {
        self.join().map_err(JoinError::from)
    }

    /// As [`JoinHandle::join_timeout`](crate::JoinHandle::join_timeout).
    ///
    /// # Errors
    ///
    /// The handle, if the goroutine has not ended by then.
    ///
    /// # Panics
    ///
    /// As [`join`](Self::join).
    pub fn join_timeout(self, timeout: Duration) -> Result<thread::Result<T>, Self> {
        match self.0.join_timeout(timeout) {
            Ok(outcome) => Ok(outcome),
            Err(handle) => Err(Self(handle)),
        }
    }

    /// As [`JoinHandle::join_deadline`](crate::JoinHandle::join_deadline).
    ///
    /// # Errors
    ///
    /// The handle, if the goroutine has not ended by then.
    ///
    /// # Panics
    ///
    /// As [`join`](Self::join).
    pub fn join_deadline(self, deadline: Instant) -> Result<thread::Result<T>, Self> {
        match self.0.join_deadline(deadline) {
            Ok(outcome) => Ok(outcome),
            Err(handle) => Err(Self(handle)),
        }
    }

    /// As [`JoinHandle::try_join`](crate::JoinHandle::try_join).
    ///
    /// # Errors
    ///
    /// The handle, if the goroutine has not ended.
    pub fn try_join(self) -> Result<thread::Result<T>, Self> {
        match self.0.try_join() {
            Ok(outcome) => Ok(outcome),
            Err(handle) => Err(Self(handle)),
        }
    }

    /// True if the goroutine has ended, so that `join` would not wait. Never suspends: a loop that
    /// asks until then calls [`yield_now`](crate::yield_now), or
    /// [`try_join`](Self::try_join), which gives turns.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.0.is_finished()
    }

    /// The goroutine's number.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.0.id()
    }

    /// As [`JoinHandle::cancel`](crate::JoinHandle::cancel).
    pub fn cancel(&self) -> bool {
        self.0.cancel()
    }
}

impl<T> Future for ScopedJoinHandle<'_, T> {
    type Output = thread::Result<T>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.poll(cx)
    }
}
