//! A number of permits.
//!
//! # Safety
//!
//! A future's node is pinned when it is polled, and leaves the semaphore when it is dropped.

#![expect(unsafe_code, reason = "polls with the node of a pinned future")]

mod owned;

use gosched_runtime_sys::sync::primitive::const_fn;
use std::error::Error;
use std::fmt;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

pub use owned::OwnedPermit;

use crate::proc::park::Parking;
use crate::proc::target::Target;
use crate::proc::yield_now::{give_turn, poll_turn, preempt_point};
use crate::sync::raw::semaphore::{self as raw, NotHad, RawSemaphore};
use crate::wait::polled::PolledNode;
use crate::wait::reserved::{Ask, Recheck};

/// A number of permits, which callers take and give back.
///
/// Waiters are served in the order of arrival, whatever number they want. Futures come after
/// goroutines and threads; but those that have waited for a millisecond take turns with them. Then
/// the permits are reserved for the future while they come together, and until it is polled, at
/// longest for a millisecond. If that was not enough, the others take permits for two, and keep
/// back for two, and so on, up to a second. So a future that is kept and not polled, or wants more
/// than ever come, slows the others down and does not stop them.
///
/// ```
/// use gosched::sync::Semaphore;
///
/// let connections = Semaphore::new(2);
/// let first = connections.acquire().unwrap();
/// let second = connections.acquire().unwrap();
/// assert!(connections.try_acquire().is_err());
/// drop(first);
/// assert_eq!(connections.available_permits(), 1);
/// drop(second);
/// ```
///
/// # Closing
///
/// [`close`](Self::close) has everybody who waits leave with an error, and so does whoever comes
/// later. Where nobody closes, `acquire().unwrap()` is right, as with a mutex that nobody poisons.
#[doc(alias("Weighted", "rate limit"))]
#[derive(Debug)]
pub struct Semaphore {
    raw: RawSemaphore<Target>,
}

// It holds a number and who waits, and nothing of the user's.
impl std::panic::UnwindSafe for Semaphore {}
impl std::panic::RefUnwindSafe for Semaphore {}

/// Permits of a [`Semaphore`], given back when this is dropped.
#[derive(Debug)]
#[must_use = "the permits are given back at once if this is not kept"]
pub struct Permit<'a> {
    semaphore: &'a Semaphore,
    n: usize,
}

/// Why there are no permits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AcquireError {
    /// There were not enough, at a try or until the time was over.
    NoPermits,
    /// The semaphore is [closed](Semaphore::close).
    Closed,
}

impl From<NotHad> for AcquireError {
    fn from(why: NotHad) -> Self {
        match why {
            NotHad::NotEnough => Self::NoPermits,
            NotHad::Closed => Self::Closed,
        }
    }
}

impl Semaphore {
    /// The most permits a semaphore may have.
    pub const MAX_PERMITS: usize = raw::MAX;

    const_fn! {
        /// Returns a semaphore with so many permits.
        ///
        /// # Panics
        ///
        /// If `permits` is more than [`MAX_PERMITS`](Self::MAX_PERMITS).
        #[inline]
        pub fn new(permits: usize) -> Self {
            assert!(permits <= raw::MAX, "more permits than can be counted");
            Self { raw: RawSemaphore::new(permits) }
        }
    }

    /// Takes a permit, waiting until there is one.
    ///
    /// # Errors
    ///
    /// [`AcquireError::Closed`] if the semaphore is closed, or is while this waits.
    ///
    /// # Panics
    ///
    /// Unwinds with `Cancelled` if the calling goroutine is cancelled while it would have to wait.
    #[inline]
    pub fn acquire(&self) -> Result<Permit<'_>, AcquireError> {
        self.acquire_many(1)
    }

    /// Takes `n` permits, waiting until there are as many.
    ///
    /// More permits than there are at the moment may come, by [`add_permits`](Self::add_permits) or
    /// from those that have some. If they never come, this waits for ever, and so does every waiter
    /// behind it: waiters are served in order. In a goroutine a
    /// [`timeout`](crate::time::timeout) ends such a wait, and lets the others through.
    ///
    /// # Errors
    ///
    /// As [`acquire`](Self::acquire).
    ///
    /// # Panics
    ///
    /// If `n` is more than [`MAX_PERMITS`](Self::MAX_PERMITS). And as [`acquire`](Self::acquire).
    #[track_caller]
    #[inline]
    pub fn acquire_many(&self, n: usize) -> Result<Permit<'_>, AcquireError> {
        can_be_had(n);
        self.acquire_until(n, None)
    }

    /// Takes a permit if there is one and nobody waits. If not, a goroutine whose slice is over
    /// gives its turn.
    ///
    /// # Errors
    ///
    /// If not, or if the semaphore is closed.
    #[inline]
    pub fn try_acquire(&self) -> Result<Permit<'_>, AcquireError> {
        self.try_acquire_many(1)
    }

    /// Takes `n` permits if there are as many and nobody waits. As
    /// [`try_acquire`](Self::try_acquire).
    ///
    /// # Errors
    ///
    /// As [`try_acquire`](Self::try_acquire).
    #[inline]
    pub fn try_acquire_many(&self, n: usize) -> Result<Permit<'_>, AcquireError> {
        let had = self.raw.try_acquire(n);
        had.inspect_err(|_| give_turn())?;
        Ok(Permit { semaphore: self, n })
    }

    /// Takes a permit, waiting for it at longest for `timeout`.
    ///
    /// # Errors
    ///
    /// If the time was over first, or the semaphore is closed.
    ///
    /// # Panics
    ///
    /// As [`acquire`](Self::acquire).
    #[inline]
    pub fn acquire_timeout(&self, timeout: Duration) -> Result<Permit<'_>, AcquireError> {
        self.acquire_until(1, Instant::now().checked_add(timeout))
    }

    /// Takes a permit, waiting for it at longest until `deadline`.
    ///
    /// # Errors
    ///
    /// As [`acquire_timeout`](Self::acquire_timeout).
    ///
    /// # Panics
    ///
    /// As [`acquire`](Self::acquire).
    #[inline]
    pub fn acquire_deadline(&self, deadline: Instant) -> Result<Permit<'_>, AcquireError> {
        self.acquire_until(1, Some(deadline))
    }

    #[inline]
    fn acquire_until(
        &self,
        n: usize,
        deadline: Option<Instant>,
    ) -> Result<Permit<'_>, AcquireError> {
        preempt_point();
        self.raw.acquire(n, deadline, Parking::begin)?;
        Ok(Permit { semaphore: self, n })
    }

    /// Takes a permit, for an async task: returns a future that is ready with it, or with
    /// [`AcquireError::Closed`]. It may be dropped at any time.
    #[inline]
    pub fn acquire_async(&self) -> AcquireFuture<'_> {
        self.acquire_many_async(1)
    }

    /// As [`acquire_async`](Self::acquire_async), for `n` permits. The futures behind it wait until
    /// it has them.
    ///
    /// # Panics
    ///
    /// If `n` is more than [`MAX_PERMITS`](Self::MAX_PERMITS).
    #[track_caller]
    #[inline]
    pub fn acquire_many_async(&self, n: usize) -> AcquireFuture<'_> {
        can_be_had(n);
        AcquireFuture { semaphore: self, n, node: PolledNode::new(None), recheck: Recheck::new() }
    }

    /// Closes: who waits leaves with [`AcquireError::Closed`], and so does who comes. Permits that
    /// were given stay valid. Never blocks. Closing again does nothing.
    ///
    /// ```
    /// use gosched::sync::{AcquireError, Semaphore};
    /// use gosched::{Mode, go, run};
    /// use std::sync::Arc;
    ///
    /// run(Mode::threads(), || {
    ///     let semaphore = Arc::new(Semaphore::new(0));
    ///     let theirs = semaphore.clone();
    ///     let waits = go(move || theirs.acquire().map(drop));
    ///     semaphore.close();
    ///     assert_eq!(waits.join().unwrap(), Err(AcquireError::Closed));
    /// });
    /// ```
    #[inline]
    pub fn close(&self) {
        self.raw.close();
    }

    /// True if it is [closed](Self::close).
    #[inline]
    pub fn is_closed(&self) -> bool {
        self.raw.is_closed()
    }

    /// Adds `n` permits.
    ///
    /// # Panics
    ///
    /// If there are more than [`MAX_PERMITS`](Self::MAX_PERMITS) then.
    #[inline]
    pub fn add_permits(&self, n: usize) {
        self.raw.release(n);
    }

    /// Takes up to `n` free permits away: the semaphore has fewer from now on. Returns how many it
    /// took; none while somebody waits, who comes first. Never waits.
    ///
    /// ```
    /// use gosched::sync::Semaphore;
    ///
    /// let semaphore = Semaphore::new(3);
    /// let given = semaphore.acquire().unwrap();
    /// assert_eq!(semaphore.forget_permits(10), 2);
    /// drop(given);
    /// assert_eq!(semaphore.available_permits(), 1);
    /// ```
    #[inline]
    pub fn forget_permits(&self, n: usize) -> usize {
        loop {
            let wanted = self.raw.available().min(n);
            if wanted == 0 || self.raw.try_acquire(wanted).is_ok() {
                return wanted;
            }
            // Another one was faster, or what is there is for those that wait.
            if self.raw.available() >= wanted {
                return 0;
            }
        }
    }

    /// Returns how many permits are free.
    #[inline]
    pub fn available_permits(&self) -> usize {
        self.raw.available()
    }
}

/// Asserts that there may be `n` permits one day.
#[track_caller]
#[inline]
fn can_be_had(n: usize) {
    assert!(n <= raw::MAX, "more permits are wanted than there can be");
}

impl Permit<'_> {
    /// Returns how many permits it stands for.
    #[inline]
    pub fn permits(&self) -> usize {
        self.n
    }

    /// Keeps the permits from coming back: the semaphore has fewer from now on.
    #[inline]
    pub fn forget(self) {
        mem::forget(self);
    }

    /// Takes `n` of the permits out, to be given back by themselves; `None` if it stands for fewer.
    ///
    /// ```
    /// use gosched::sync::Semaphore;
    ///
    /// let memory = Semaphore::new(10);
    /// let mut all = memory.acquire_many(8).unwrap();
    /// let part = all.split(3).unwrap();
    /// drop(all);
    /// assert_eq!((part.permits(), memory.available_permits()), (3, 7));
    /// ```
    #[inline]
    pub fn split(&mut self, n: usize) -> Option<Self> {
        self.n = self.n.checked_sub(n)?;
        Some(Self { semaphore: self.semaphore, n })
    }

    /// Has this stand for the permits of `other`, too.
    ///
    /// # Panics
    ///
    /// If they are of different semaphores; each keeps its permits then.
    #[track_caller]
    #[inline]
    pub fn merge(&mut self, other: Self) {
        assert!(std::ptr::eq(self.semaphore, other.semaphore), "they are of two semaphores");
        self.n += other.n;
        other.forget();
    }
}

impl Drop for Permit<'_> {
    #[inline]
    fn drop(&mut self) {
        self.semaphore.raw.release(self.n);
    }
}

/// The future of [`Semaphore::acquire_async`].
#[must_use = "a future does nothing unless it is polled"]
pub struct AcquireFuture<'a> {
    semaphore: &'a Semaphore,
    n: usize,
    node: PolledNode<Ask<usize>, Target>,
    recheck: Recheck,
}

impl<'a> Future for AcquireFuture<'a> {
    type Output = Result<Permit<'a>, AcquireError>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.as_ref().get_ref();
        ready!(poll_turn(cx));
        // SAFETY: pinned; `drop` leaves.
        let found = unsafe { this.semaphore.raw.poll(&this.node, this.n, cx.waker().clone()) };
        ready!(this.recheck.told(found?, cx));
        Poll::Ready(Ok(Permit { semaphore: this.semaphore, n: this.n }))
    }
}

impl Drop for AcquireFuture<'_> {
    #[inline]
    fn drop(&mut self) {
        self.semaphore.raw.leave(&self.node);
    }
}

impl fmt::Debug for AcquireFuture<'_> {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AcquireFuture { .. }")
    }
}

impl fmt::Display for AcquireError {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoPermits => "not enough permits",
            Self::Closed => "the semaphore is closed",
        })
    }
}

impl Error for AcquireError {}
