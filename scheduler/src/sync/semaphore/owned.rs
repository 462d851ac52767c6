//! Permits that hold their semaphore.

use std::mem;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{AcquireError, Permit, Semaphore};

/// Permits of a [`Semaphore`] that this holds itself: by [`Semaphore::acquire_owned`]. They are
/// given back when this is dropped.
#[derive(Debug)]
#[must_use = "the permits are given back at once if this is not kept"]
pub struct OwnedPermit {
    semaphore: Arc<Semaphore>,
    n: usize,
}

impl Semaphore {
    /// As [`acquire`](Self::acquire), and the permit may go wherever the semaphore's `Arc` may:
    /// into a goroutine, a struct, another thread.
    ///
    /// # Errors
    ///
    /// As [`acquire`](Self::acquire).
    ///
    /// # Panics
    ///
    /// As [`acquire`](Self::acquire).
    ///
    /// ```
    /// use gosched::{Mode, go, run, sync::Semaphore};
    /// use std::sync::Arc;
    ///
    /// run(Mode::threads(), || {
    ///     let connections = Arc::new(Semaphore::new(2));
    ///     let served: Vec<_> = (0..10)
    ///         .map(|n| {
    ///             let permit = connections.acquire_owned().unwrap();
    ///             go(move || {
    ///                 let _until_the_end = permit;
    ///                 n
    ///             })
    ///         })
    ///         .collect();
    ///     assert_eq!(served.into_iter().map(|one| one.join().unwrap()).sum::<u32>(), 45);
    /// });
    /// ```
    #[inline]
    pub fn acquire_owned(self: &Arc<Self>) -> Result<OwnedPermit, AcquireError> {
        self.acquire().map(|permit| self.own(permit))
    }

    /// As [`acquire_many`](Self::acquire_many) and [`acquire_owned`](Self::acquire_owned).
    ///
    /// # Errors
    ///
    /// As [`acquire`](Self::acquire).
    ///
    /// # Panics
    ///
    /// As [`acquire_many`](Self::acquire_many).
    #[track_caller]
    #[inline]
    pub fn acquire_many_owned(self: &Arc<Self>, n: usize) -> Result<OwnedPermit, AcquireError> {
        self.acquire_many(n).map(|permit| self.own(permit))
    }

    /// As [`try_acquire`](Self::try_acquire) and [`acquire_owned`](Self::acquire_owned).
    ///
    /// # Errors
    ///
    /// As [`try_acquire`](Self::try_acquire).
    #[inline]
    pub fn try_acquire_owned(self: &Arc<Self>) -> Result<OwnedPermit, AcquireError> {
        self.try_acquire().map(|permit| self.own(permit))
    }

    /// As [`try_acquire_many`](Self::try_acquire_many) and [`acquire_owned`](Self::acquire_owned).
    ///
    /// # Errors
    ///
    /// As [`try_acquire`](Self::try_acquire).
    #[inline]
    pub fn try_acquire_many_owned(self: &Arc<Self>, n: usize) -> Result<OwnedPermit, AcquireError> {
        self.try_acquire_many(n).map(|permit| self.own(permit))
    }

    /// As [`acquire_timeout`](Self::acquire_timeout) and [`acquire_owned`](Self::acquire_owned).
    ///
    /// # Errors
    ///
    /// As [`acquire_timeout`](Self::acquire_timeout).
    ///
    /// # Panics
    ///
    /// As [`acquire`](Self::acquire).
    #[inline]
    pub fn acquire_owned_timeout(
        self: &Arc<Self>,
        timeout: Duration,
    ) -> Result<OwnedPermit, AcquireError> {
        self.acquire_timeout(timeout).map(|permit| self.own(permit))
    }

    /// As [`acquire_deadline`](Self::acquire_deadline) and [`acquire_owned`](Self::acquire_owned).
    ///
    /// # Errors
    ///
    /// As [`acquire_timeout`](Self::acquire_timeout).
    ///
    /// # Panics
    ///
    /// As [`acquire`](Self::acquire).
    #[inline]
    pub fn acquire_owned_deadline(
        self: &Arc<Self>,
        deadline: Instant,
    ) -> Result<OwnedPermit, AcquireError> {
        self.acquire_deadline(deadline).map(|permit| self.own(permit))
    }

    /// As [`acquire_async`](Self::acquire_async) and [`acquire_owned`](Self::acquire_owned).
    #[inline]
    pub fn acquire_owned_async(
        self: &Arc<Self>,
    ) -> impl Future<Output = Result<OwnedPermit, AcquireError>> + Send + 'static + use<> {
        let semaphore = self.clone();
        async move { semaphore.acquire_async().await.map(|permit| semaphore.own(permit)) }
    }

    /// As [`acquire_many_async`](Self::acquire_many_async) and
    /// [`acquire_owned`](Self::acquire_owned).
    ///
    /// # Panics
    ///
    /// As [`acquire_many_async`](Self::acquire_many_async), when it is polled.
    #[inline]
    pub fn acquire_many_owned_async(
        self: &Arc<Self>,
        n: usize,
    ) -> impl Future<Output = Result<OwnedPermit, AcquireError>> + Send + 'static + use<> {
        let semaphore = self.clone();
        async move { semaphore.acquire_many_async(n).await.map(|permit| semaphore.own(permit)) }
    }

    /// Has this hold its semaphore itself.
    #[inline]
    fn own(self: &Arc<Self>, permit: Permit<'_>) -> OwnedPermit {
        let n = permit.n;
        permit.forget();
        OwnedPermit { semaphore: self.clone(), n }
    }
}

impl OwnedPermit {
    /// Returns how many permits it stands for.
    #[inline]
    pub fn permits(&self) -> usize {
        self.n
    }

    /// Returns the semaphore.
    #[inline]
    pub fn semaphore(&self) -> &Arc<Semaphore> {
        &self.semaphore
    }

    /// Keeps the permits from coming back: the semaphore has fewer from now on.
    #[inline]
    pub fn forget(mut self) {
        self.n = 0;
    }

    /// As [`Permit::split`].
    #[inline]
    pub fn split(&mut self, n: usize) -> Option<Self> {
        self.n = self.n.checked_sub(n)?;
        Some(Self { semaphore: self.semaphore.clone(), n })
    }

    /// As [`Permit::merge`].
    ///
    /// # Panics
    ///
    /// If they are of different semaphores; each keeps its permits then.
    #[track_caller]
    #[inline]
    pub fn merge(&mut self, mut other: Self) {
        let are_of_one = Arc::ptr_eq(&self.semaphore, &other.semaphore);
        assert!(are_of_one, "they are of two semaphores");
        self.n += mem::take(&mut other.n);
    }
}

impl Drop for OwnedPermit {
    #[inline]
    fn drop(&mut self) {
        self.semaphore.raw.release(self.n);
    }
}
