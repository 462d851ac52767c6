//! Parking by hand: what others build their own waits of.

use std::cell::Cell;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::notify::Notify;

/// Parks its owner until its [`Unparker`] is used: for waits that are not in here.
///
/// It has room for one token. [`unpark`](Unparker::unpark) puts the token in if it is not there,
/// and [`park`](Self::park) waits until it is there and takes it: so an `unpark` that comes first
/// is not lost, and several are one. What was written before an `unpark` is seen after the `park`
/// that took its token. A goroutine that parks leaves its processor to others; a thread that is
/// none sleeps.
///
/// As `crossbeam`'s and, with the thread named by its handle, `std`'s. There is one owner: a
/// `Parker` can be sent, and not shared. For several that wait there is a [`Notify`].
///
/// ```
/// use gosched::sync::Parker;
/// use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
///
/// let (parker, ready) = (Parker::new(), AtomicBool::new(false));
/// let unparker = parker.unparker().clone();
/// std::thread::scope(|scope| {
///     scope.spawn(|| {
///         ready.store(true, Relaxed);
///         unparker.unpark();
///     });
///     parker.park();
///     assert!(ready.load(Relaxed));
/// });
/// ```
#[doc(alias("park", "unpark", "LockSupport", "gopark", "goready"))]
pub struct Parker {
    unparker: Unparker,
    /// One waits.
    _not_shared: PhantomData<Cell<()>>,
}

/// What wakes a [`Parker`]. Clones wake the same one.
#[derive(Clone)]
pub struct Unparker(Arc<Notify>);

// A token is there or it is not, whatever unwinds.
impl std::panic::UnwindSafe for Parker {}
impl std::panic::RefUnwindSafe for Parker {}

impl Parker {
    /// Returns one without a token.
    #[must_use]
    #[inline]
    pub fn new() -> Self {
        Self { unparker: Unparker(Arc::new(Notify::new())), _not_shared: PhantomData }
    }

    /// Waits until the token is there, and takes it.
    ///
    /// # Panics
    ///
    /// Unwinds with `Cancelled` if the calling goroutine is cancelled while it would have to wait;
    /// it has taken no token then.
    #[inline]
    pub fn park(&self) {
        self.unparker.0.wait();
    }

    /// As [`park`](Self::park), at longest for `timeout`. True if it took the token. Zero makes one
    /// attempt.
    ///
    /// # Panics
    ///
    /// As [`park`](Self::park).
    #[inline]
    pub fn park_timeout(&self, timeout: Duration) -> bool {
        self.unparker.0.wait_timeout(timeout).is_ok()
    }

    /// As [`park`](Self::park), at longest until `deadline`. True if it took the token.
    ///
    /// # Panics
    ///
    /// As [`park`](Self::park).
    #[inline]
    pub fn park_deadline(&self, deadline: Instant) -> bool {
        self.unparker.0.wait_deadline(deadline).is_ok()
    }

    /// As [`park`](Self::park), for an async task: a future that may be dropped at any time. A
    /// token that it was woken for is there again then.
    pub async fn park_async(&mut self) {
        self.unparker.0.notified().await;
    }

    /// Returns what wakes this. Clone it for others.
    #[inline]
    pub fn unparker(&self) -> &Unparker {
        &self.unparker
    }
}

impl Unparker {
    /// Puts the token in, if it is not there, and wakes the parker's owner if that is parked. Never
    /// blocks.
    #[inline]
    pub fn unpark(&self) {
        self.0.notify_one();
    }
}

impl Default for Parker {
    #[inline]
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Parker {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Parker { .. }")
    }
}

impl fmt::Debug for Unparker {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Unparker { .. }")
    }
}
