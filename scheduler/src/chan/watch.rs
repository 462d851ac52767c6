//! A channel that holds the latest value: a setting, a state, a progress.
//!
//! A sender replaces the value or changes it in place, and never waits for receivers. A receiver
//! looks at the value where it lies, and waits for a change. It may miss values in between, and
//! never the last one: it learns that all senders are gone when it has seen what they left.
//!
//! Senders and receivers may be goroutines, callbacks, plain threads and futures. The value lies in
//! a [`RwLock`]: a look, [`Ref`], keeps senders waiting for as long as it
//! lasts. It should be short, and must not nest: a second one would wait for a sender that waits
//! for the first. A value that is looked at for long is [cloned](Receiver::cloned), or is an `Arc`.
//!
//! ```
//! use gosched::{Mode, chan::watch, go, run};
//!
//! run(Mode::threads(), || {
//!     let (level, mut seen) = watch::channel(0);
//!     let follows = go(move || {
//!         let mut highest = 0;
//!         while seen.changed().is_ok() {
//!             highest = highest.max(*seen.borrow_and_update());
//!         }
//!         highest
//!     });
//!     for new in 1..=5 {
//!         level.send(new).unwrap();
//!     }
//!     drop(level);
//!     assert_eq!(follows.join().unwrap(), 5);
//! });
//! ```

mod changed;
#[cfg(feature = "futures-core")]
mod stream;
pub(crate) mod versions;

use std::fmt;
use std::mem;
use std::ops::Deref;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

pub use changed::ChangedFuture;
#[cfg(feature = "futures-core")]
pub use stream::{ChangedStream, IntoStream};

use super::error::{RecvError, RecvTimeoutError, SendError};
use crate::proc::park::Parking;
use crate::proc::target::Target;
use crate::proc::yield_now::preempt_point;
use crate::sync::{RwLock, RwLockReadGuard};
use versions::{Found, Seen, Versions};

/// Makes a channel that holds `value`, which its receiver has seen.
#[doc(alias("watch", "signal", "state"))]
#[must_use]
pub fn channel<T>(value: T) -> (Sender<T>, Receiver<T>) {
    let (versions, seen) = Versions::new();
    let shared = Arc::new(Shared { value: RwLock::new(value), versions });
    (Sender { shared: Arc::clone(&shared) }, Receiver { shared, seen })
}

struct Shared<T> {
    value: RwLock<T>,
    versions: Versions<Target>,
}

impl<T> Shared<T> {
    fn borrow(&self) -> Ref<'_, T> {
        // A closure that panicked has told nobody of what it did.
        Ref(self.value.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn borrow_and_update(&self, seen: &Seen) -> Ref<'_, T> {
        let value = self.borrow();
        // Of this value: nobody writes meanwhile.
        let _later_or_not = self.versions.look(seen);
        value
    }
}

/// The sending end. Clones send into the same channel.
pub struct Sender<T> {
    shared: Arc<Shared<T>>,
}

/// A receiving end. A clone has seen what this one has.
pub struct Receiver<T> {
    shared: Arc<Shared<T>>,
    seen: Seen,
}

// The channel is whole, whatever unwinds: a closure that panics tells nobody, as it says.
impl<T> std::panic::UnwindSafe for Sender<T> {}
impl<T> std::panic::RefUnwindSafe for Sender<T> {}
impl<T> std::panic::UnwindSafe for Receiver<T> {}
impl<T> std::panic::RefUnwindSafe for Receiver<T> {}

/// A look at the value. Senders wait until it is dropped.
#[must_use = "the look is over at once if it is not kept"]
pub struct Ref<'a, T>(RwLockReadGuard<'a, T>);

impl<T> Sender<T> {
    /// Replaces the value, and tells the receivers. Waits only while somebody looks at the value or
    /// changes it.
    ///
    /// # Errors
    ///
    /// [`SendError`] gives the value back if there is no receiver; the old one stays. What is to
    /// be there for later receivers is left by [`send_replace`](Self::send_replace).
    ///
    /// # Panics
    ///
    /// Unwinds with `Cancelled`, and drops the value, if the calling goroutine is cancelled while
    /// it would have to wait.
    pub fn send(&self, value: T) -> Result<(), SendError<T>> {
        if self.is_closed() {
            return Err(SendError(value));
        }
        drop(self.send_replace(value));
        Ok(())
    }

    /// Replaces the value, also if there is no receiver, and returns the old one.
    ///
    /// # Panics
    ///
    /// As [`send`](Self::send).
    pub fn send_replace(&self, mut value: T) -> T {
        self.send_modify(|old| mem::swap(old, &mut value));
        value
    }

    /// Changes the value where it lies, and tells the receivers.
    ///
    /// If `f` panics, the receivers are told nothing, and find what `f` left when they look.
    ///
    /// # Panics
    ///
    /// As `f`; and as [`send`](Self::send).
    pub fn send_modify(&self, f: impl FnOnce(&mut T)) {
        self.send_if_modified(|value| {
            f(value);
            true
        });
    }

    /// As [`send_modify`](Self::send_modify); tells the receivers if `f` says that it changed
    /// something. Returns what `f` says.
    ///
    /// # Panics
    ///
    /// As [`send_modify`](Self::send_modify).
    ///
    /// ```
    /// use gosched::chan::watch;
    ///
    /// let (tx, rx) = watch::channel(vec![1]);
    /// assert!(!tx.send_if_modified(|list| list.contains(&2)));
    /// assert_eq!(rx.has_changed(), Ok(false));
    /// tx.send_modify(|list| list.push(2));
    /// assert_eq!((rx.has_changed(), rx.cloned()), (Ok(true), vec![1, 2]));
    /// ```
    pub fn send_if_modified(&self, f: impl FnOnce(&mut T) -> bool) -> bool {
        let Shared { value, versions } = &*self.shared;
        let mut value = value.write().unwrap_or_else(PoisonError::into_inner);
        if !f(&mut value) {
            return false;
        }
        let published = versions.publish();
        drop(value);
        versions.tell(published).go_on();
        true
    }

    /// Looks at the value. As [`Receiver::borrow`].
    ///
    /// # Panics
    ///
    /// As [`Receiver::borrow`].
    pub fn borrow(&self) -> Ref<'_, T> {
        self.shared.borrow()
    }

    /// Adds a receiver, which has seen the present value.
    #[must_use]
    pub fn subscribe(&self) -> Receiver<T> {
        let seen = self.shared.versions.add_receiver();
        Receiver { shared: Arc::clone(&self.shared), seen }
    }

    /// How many receivers there are. Others may come and go meanwhile.
    #[must_use]
    pub fn receiver_count(&self) -> usize {
        self.shared.versions.counts().1
    }

    /// True if there is no receiver. There may be one later. Never suspends.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.receiver_count() == 0
    }

    /// Whether `other` sends into the same channel.
    #[must_use]
    pub fn same_channel(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }
}

impl<T> Receiver<T> {
    /// Looks at the value. Waits only while a sender changes it. Whether it was seen before stays
    /// as it is.
    ///
    /// # Panics
    ///
    /// Unwinds with `Cancelled` if the calling goroutine is cancelled while it would have to wait.
    pub fn borrow(&self) -> Ref<'_, T> {
        self.shared.borrow()
    }

    /// Looks at the value, which this has seen then.
    ///
    /// # Panics
    ///
    /// As [`borrow`](Self::borrow).
    pub fn borrow_and_update(&mut self) -> Ref<'_, T> {
        self.shared.borrow_and_update(&self.seen)
    }

    /// Returns a clone of the value. Whether it was seen before stays as it is.
    ///
    /// # Panics
    ///
    /// As [`borrow`](Self::borrow), and as the value's `clone`.
    #[must_use]
    pub fn cloned(&self) -> T
    where
        T: Clone,
    {
        self.borrow().clone()
    }

    /// True if the value was sent or changed since this has seen one. Never suspends.
    ///
    /// # Errors
    ///
    /// [`RecvError`] if this has seen the last value: all senders are gone.
    pub fn has_changed(&self) -> Result<bool, RecvError> {
        match self.shared.versions.peek(&self.seen) {
            Found::Later => Ok(true),
            Found::Nothing => Ok(false),
            Found::Closed => Err(RecvError),
        }
    }

    /// Waits until the value is not the one that this has seen last, and has seen it then. Ready at
    /// once if it was sent or changed since.
    ///
    /// # Errors
    ///
    /// [`RecvError`] if this has seen the last value: all senders are gone.
    ///
    /// # Panics
    ///
    /// Unwinds with `Cancelled` if the calling goroutine is cancelled while it would have to wait.
    pub fn changed(&mut self) -> Result<(), RecvError> {
        self.changed_until(None).map_err(|_| RecvError)
    }

    /// As [`changed`](Self::changed), waiting at longest for `timeout`. Zero makes one look; a
    /// timeout too long for the clock waits for as long as it takes.
    ///
    /// # Errors
    ///
    /// [`RecvTimeoutError`] says whether the time was over, or all senders are gone.
    ///
    /// # Panics
    ///
    /// As [`changed`](Self::changed).
    pub fn changed_timeout(&mut self, timeout: Duration) -> Result<(), RecvTimeoutError> {
        self.changed_until(Instant::now().checked_add(timeout))
    }

    /// As [`changed`](Self::changed), waiting at longest until `deadline`. One that has passed
    /// makes one look.
    ///
    /// # Errors
    ///
    /// As [`changed_timeout`](Self::changed_timeout).
    ///
    /// # Panics
    ///
    /// As [`changed`](Self::changed).
    pub fn changed_deadline(&mut self, deadline: Instant) -> Result<(), RecvTimeoutError> {
        self.changed_until(Some(deadline))
    }

    fn changed_until(&self, deadline: Option<Instant>) -> Result<(), RecvTimeoutError> {
        preempt_point();
        match self.shared.versions.wait(&self.seen, deadline, Parking::begin) {
            Found::Later => Ok(()),
            Found::Closed => Err(RecvTimeoutError::Disconnected),
            Found::Nothing => Err(RecvTimeoutError::Timeout),
        }
    }

    /// As [`changed`](Self::changed), for an async task: a future that may be dropped at any time.
    ///
    /// ```
    /// use gosched::{chan::watch, future::block_on};
    ///
    /// let (tx, mut rx) = watch::channel("before");
    /// let sender = std::thread::spawn(move || tx.send("after"));
    /// block_on(async {
    ///     rx.changed_async().await.unwrap();
    ///     assert_eq!(*rx.borrow(), "after");
    ///     assert!(rx.changed_async().await.is_err(), "the sender is gone");
    /// });
    /// sender.join().unwrap().unwrap();
    /// ```
    pub fn changed_async(&mut self) -> ChangedFuture<'_> {
        ChangedFuture::new(&self.shared.versions, &self.seen)
    }

    /// Waits until `f` says yes of the value, and returns the look at it. It has seen all values
    /// that `f` was asked of, the present one first.
    ///
    /// `f` is asked while senders wait: it should be short, and must not send. The time of a
    /// goroutine is limited with [`time::timeout`](crate::time::timeout()).
    ///
    /// # Errors
    ///
    /// [`RecvError`] if `f` says no of the last value: all senders are gone.
    ///
    /// # Panics
    ///
    /// As [`changed`](Self::changed), and as `f`.
    ///
    /// ```
    /// use gosched::chan::watch;
    ///
    /// let (tx, mut rx) = watch::channel(0);
    /// let counts = std::thread::spawn(move || (1..=9).for_each(|n| tx.send(n).unwrap()));
    /// assert!(*rx.wait_for(|n| *n >= 5).unwrap() >= 5);
    /// assert!(rx.wait_for(|n| *n > 9).is_err());
    /// counts.join().unwrap();
    /// ```
    pub fn wait_for(&mut self, mut f: impl FnMut(&T) -> bool) -> Result<Ref<'_, T>, RecvError> {
        loop {
            let value = self.shared.borrow_and_update(&self.seen);
            if f(&value) {
                return Ok(value);
            }
            drop(value);
            self.changed_until(None).map_err(|_| RecvError)?;
        }
    }

    /// As [`wait_for`](Self::wait_for), for an async task: a future that may be dropped at any
    /// time. What it is ready with keeps senders waiting.
    ///
    /// # Errors
    ///
    /// As [`wait_for`](Self::wait_for).
    ///
    /// # Panics
    ///
    /// As `f`.
    pub async fn wait_for_async(
        &mut self,
        mut f: impl FnMut(&T) -> bool,
    ) -> Result<Ref<'_, T>, RecvError> {
        let Shared { versions, .. } = &*self.shared;
        loop {
            // Not held while it waits.
            {
                let value = self.shared.borrow_and_update(&self.seen);
                if f(&value) {
                    return Ok(value);
                }
            }
            ChangedFuture::new(versions, &self.seen).await?;
        }
    }

    /// The present value counts as one that this has not seen.
    pub fn mark_changed(&mut self) {
        self.seen.forget();
    }

    /// The present value counts as one that this has seen.
    pub fn mark_unchanged(&mut self) {
        let _later_or_not = self.shared.versions.look(&self.seen);
    }

    /// True if all senders are gone. Never suspends.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.shared.versions.counts().0 == 0
    }

    /// Whether `other` receives from the same channel.
    #[must_use]
    pub fn same_channel(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }
}

impl<T> Deref for Ref<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        self.shared.versions.add_sender();
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<T> Clone for Receiver<T> {
    fn clone(&self) -> Self {
        let seen = self.shared.versions.add_receiver_as(&self.seen);
        Self { shared: Arc::clone(&self.shared), seen }
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        self.shared.versions.remove_sender();
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        self.shared.versions.remove_receiver();
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sender { .. }")
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Receiver { .. }")
    }
}

impl<T: fmt::Debug> fmt::Debug for Ref<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Ref").field(&**self).finish()
    }
}
