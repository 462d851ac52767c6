//! Mailboxes: from where nothing may wait, lock or allocate, into a goroutine.
//!
//! A channel's sender takes the channel's lock, and wakes the receiver itself. In a signal handler
//! that deadlocks, because the handler may have interrupted the holder. On a real-time thread it
//! waits for a thread that has no processor. A [`Mailbox`] has neither: its items lie in slots that
//! are there from the beginning (`queue.rs`), and a receiver that sleeps is woken by a thread of
//! ours (`bell.rs`, `keeper.rs`), which the poster wakes by one system call.
//!
//! # Safety
//!
//! A queue has one receiver: the value that was made with it, whose functions take it by `&mut`.
#![expect(unsafe_code, reason = "the one receiver of a queue")]

pub(crate) mod bell;
pub(crate) mod keeper;
pub(crate) mod queue;

use bell::Ringer;
use gosched_runtime_sys::errno;
use gosched_runtime_sys::sync::primitive::{AtomicBool, AtomicUsize, Ordering, fence};
use gosched_scheduler::embed::{Bound, Handle, Notify, give_turn, preempt_point};
use keeper::Keeper;
use queue::{MOST, Posted, Queue};
use std::sync::Arc;
use std::sync::mpsc::{RecvError, RecvTimeoutError, TryRecvError};
use std::time::{Duration, Instant};
use std::{fmt, io};

/// The end of a mailbox that signal handlers and real-time threads post by.
///
/// [`bounded`](Self::bounded) makes one with a receiver that may sleep, [`polled`](Self::polled)
/// one with a receiver that only asks. Clones post into the same mailbox.
///
/// ```
/// use gosched::callback::Mailbox;
/// use gosched::{Mode, run};
/// use std::sync::OnceLock;
///
/// static SIGNALS: OnceLock<Mailbox<i32>> = OnceLock::new();
///
/// extern "C" fn on_signal(signal: i32) {
///     if let Some(mailbox) = SIGNALS.get() {
///         let _one_of_many = mailbox.post(signal);
///     }
/// }
///
/// let (mailbox, mut received) = Mailbox::bounded(64)?;
/// SIGNALS.set(mailbox).unwrap();
/// on_signal(10); // As a handler that `sigaction` has installed.
/// run(Mode::threads(), move || assert_eq!(received.recv(), Ok(10)));
/// # Ok::<(), std::io::Error>(())
/// ```
#[doc(alias("mpsc", "ring buffer", "async-signal-safe", "real-time"))]
pub struct Mailbox<T>(Arc<Shared<T>>);

/// The receiving end of a [`Mailbox`]. Goroutines, threads and async code receive by it, one at a
/// time.
pub struct MailReceiver<T> {
    poller: MailPoller<T>,
    wake: Wake,
}

/// The receiving end of a [`Mailbox`] that nobody is woken for.
pub struct MailPoller<T>(Arc<Shared<T>>);

struct Shared<T> {
    queue: Queue<T>,
    /// How many [`Mailbox`]es there are.
    posters: AtomicUsize,
    /// The receiver was dropped.
    gone: AtomicBool,
    /// How the receiver is woken; none if it only polls.
    wake: Option<Wake>,
}

/// How a receiver is woken.
#[derive(Clone)]
struct Wake {
    keeper: &'static Keeper,
    ringer: Arc<Ringer<Notify>>,
}

// A panic leaves the lists as they are: no code of the user's runs in an operation.
impl<T> std::panic::UnwindSafe for Mailbox<T> {}
impl<T> std::panic::RefUnwindSafe for Mailbox<T> {}
impl<T> std::panic::UnwindSafe for MailReceiver<T> {}
impl<T> std::panic::RefUnwindSafe for MailReceiver<T> {}
impl<T> std::panic::UnwindSafe for MailPoller<T> {}
impl<T> std::panic::RefUnwindSafe for MailPoller<T> {}

impl<T: Send> Mailbox<T> {
    /// Makes a mailbox for `capacity` items, and its receiver. Allocates room for all of them.
    ///
    /// # Errors
    ///
    /// If there is no room for the thread that wakes receivers. The process has one, which is made
    /// with the first such mailbox.
    ///
    /// # Panics
    ///
    /// If `capacity` is 0 or more than 2^24 - 1.
    #[doc(alias = "channel")]
    pub fn bounded(capacity: usize) -> io::Result<(Self, MailReceiver<T>)> {
        let ringer = Ringer::new(Notify::new());
        let wake = Wake { keeper: Keeper::this()?, ringer };
        let (mailbox, poller) = Self::with(capacity, Some(wake.clone()));
        Ok((mailbox, MailReceiver { poller, wake }))
    }

    /// Makes a mailbox for `capacity` items whose receiver never sleeps: [`post`](Self::post) makes
    /// no system call at all. Allocates room for all items.
    ///
    /// # Panics
    ///
    /// As [`bounded`](Self::bounded).
    ///
    /// ```
    /// use gosched::callback::Mailbox;
    ///
    /// let (mailbox, mut samples) = Mailbox::polled(2);
    /// assert_eq!([0.5, 0.25, 0.1].map(|level| mailbox.post(level)), [Ok(()), Ok(()), Err(0.1)]);
    /// assert_eq!(samples.try_recv(), Ok(0.5));
    /// ```
    #[must_use]
    pub fn polled(capacity: usize) -> (Self, MailPoller<T>) {
        Self::with(capacity, None)
    }

    fn with(capacity: usize, wake: Option<Wake>) -> (Self, MailPoller<T>) {
        assert!((1..=MOST).contains(&capacity), "a mailbox for {capacity} items");
        let shared = Arc::new(Shared {
            queue: Queue::new(capacity),
            posters: AtomicUsize::new(1),
            gone: AtomicBool::new(false),
            wake,
        });
        (Self(shared.clone()), MailPoller(shared))
    }

    /// Posts an item, or gives it back: if the mailbox is full, if its receiver was dropped, and in
    /// a forked child if the receiver may sleep.
    ///
    /// Lock-free: a post begins again only when another post or a receive has ended meanwhile. It
    /// takes no lock, waits for nobody and allocates nothing. So it is async-signal-safe, also in a
    /// handler that has interrupted a post on the same thread, and real-time threads may call it.
    /// `errno` stays as it is.
    ///
    /// It makes one system call if the receiver sleeps, or is about to: `futex`, to wake the thread
    /// that wakes receivers. Posts that come before the receiver sleeps again make none. Where one
    /// is too much, use [`polled`](Self::polled).
    ///
    /// Items are received in the order in which posts have ended. A thread that is stopped in the
    /// middle of a post keeps one place from others, and nothing else; but if it was to wake the
    /// receiver, the receiver sleeps until it goes on.
    ///
    /// # Errors
    ///
    /// The item. Dropping it is up to the caller, also in a handler.
    #[inline]
    pub fn post(&self, item: T) -> Result<(), T> {
        let shared = &*self.0;
        if shared.gone.load(Ordering::Relaxed) || shared.forked() {
            return Err(item);
        }
        if shared.queue.post(item)? == Posted::Awaited {
            shared.ring();
        }
        Ok(())
    }
}

impl<T> Mailbox<T> {
    /// Returns how many items fit.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.0.queue.capacity()
    }

    /// True if the receiver was dropped: nothing is posted any more. May be called in a handler.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.0.gone.load(Ordering::Relaxed) || self.0.forked()
    }
}

impl<T> Shared<T> {
    /// True in a forked child, where nobody hears the bell.
    #[inline]
    fn forked(&self) -> bool {
        self.wake.as_ref().is_some_and(|wake| wake.keeper.forked())
    }

    #[cold]
    fn ring(&self) {
        if let Some(Wake { keeper, ringer }) = &self.wake {
            let errno = errno::get();
            keeper.bell.ring(ringer);
            errno::set(errno);
        }
    }
}

impl<T> MailPoller<T> {
    /// Receives the oldest item, if there is one. If not, a goroutine whose slice is over gives its
    /// turn.
    ///
    /// On a thread that is no goroutine it takes no lock and makes no system call. It frees nothing
    /// but what the item owns.
    ///
    /// # Errors
    ///
    /// [`Empty`](TryRecvError::Empty), or [`Disconnected`](TryRecvError::Disconnected) if all
    /// [`Mailbox`]es are gone as well.
    #[inline]
    pub fn try_recv(&mut self) -> Result<T, TryRecvError> {
        let taken = self.take();
        if matches!(taken, Ok(None)) {
            give_turn();
        }
        match taken {
            Ok(Some(item)) => Ok(item),
            Ok(None) => Err(TryRecvError::Empty),
            Err(RecvError) => Err(TryRecvError::Disconnected),
        }
    }

    /// Takes the oldest item. None if there is none yet, an error if none will come.
    #[inline]
    fn take(&mut self) -> Result<Option<T>, RecvError> {
        let shared = &*self.0;
        // SAFETY: `&mut` of the one receiver.
        if let Some(item) = unsafe { shared.queue.receive() } {
            return Ok(Some(item));
        }
        // ORDERING[mailbox.posters]: partner is the subtraction in the drop of a `Mailbox`: what it
        // has posted before is visible.
        if shared.posters.load(Ordering::Acquire) == 0 || shared.forked() {
            // SAFETY: as above.
            return unsafe { shared.queue.receive() }.map(Some).ok_or(RecvError);
        }
        Ok(None)
    }
}

impl<T> MailReceiver<T> {
    /// Receives the oldest item, and waits for it: a goroutine parks, a plain thread sleeps. A
    /// runtime in which all goroutines wait is not deadlocked if one of them waits here.
    ///
    /// # Errors
    ///
    /// All [`Mailbox`]es are gone, and all items. In a forked child: nothing was left.
    ///
    /// # Panics
    ///
    /// Unwinds with `Cancelled` if the calling goroutine is cancelled while it waits; it has taken
    /// no item then.
    pub fn recv(&mut self) -> Result<T, RecvError> {
        // Without a deadline it is no timeout.
        self.recv_until(None).map_err(|_| RecvError)
    }

    /// As [`try_recv`](MailPoller::try_recv) of a [`MailPoller`].
    ///
    /// # Errors
    ///
    /// As there.
    #[inline]
    pub fn try_recv(&mut self) -> Result<T, TryRecvError> {
        self.poller.try_recv()
    }

    /// As [`recv`](Self::recv), at longest for `timeout`.
    ///
    /// # Errors
    ///
    /// As [`recv`](Self::recv), or if the time was over first.
    ///
    /// # Panics
    ///
    /// As [`recv`](Self::recv).
    pub fn recv_timeout(&mut self, timeout: Duration) -> Result<T, RecvTimeoutError> {
        self.recv_until(Instant::now().checked_add(timeout))
    }

    /// As [`recv`](Self::recv), until `deadline` at the latest.
    ///
    /// # Errors
    ///
    /// As [`recv_timeout`](Self::recv_timeout).
    ///
    /// # Panics
    ///
    /// As [`recv`](Self::recv).
    pub fn recv_deadline(&mut self, deadline: Instant) -> Result<T, RecvTimeoutError> {
        self.recv_until(Some(deadline))
    }

    fn recv_until(&mut self, deadline: Option<Instant>) -> Result<T, RecvTimeoutError> {
        preempt_point();
        let Self { poller, wake } = self;
        let mut outside = None;
        loop {
            match poller.take() {
                Ok(Some(item)) => return Ok(item),
                Ok(None) => {}
                Err(RecvError) => return Err(RecvTimeoutError::Disconnected),
            }
            // SAFETY: `&mut` of the one receiver, which has found nothing.
            if !unsafe { poller.0.queue.await_post() } {
                continue;
            }
            // A thread that is none of the runtime's wakes this goroutine, as through a bridge.
            outside = outside.or_else(|| Handle::try_current().map(Bound::new));
            match deadline {
                None => wake.ringer.receiver.wait(),
                Some(deadline) if wake.ringer.receiver.wait_deadline(deadline).is_err() => {
                    let last = poller.take().map_err(|RecvError| RecvTimeoutError::Disconnected);
                    return last?.ok_or(RecvTimeoutError::Timeout);
                }
                Some(_) => {}
            }
        }
    }

    /// As [`recv`](Self::recv), for an async task. The future may be dropped at any time: it takes
    /// an item only when it is ready.
    ///
    /// The task's waker is called by the thread that wakes all receivers, so it should be short.
    ///
    /// ```
    /// use gosched::callback::Mailbox;
    /// use gosched::future::block_on;
    ///
    /// let (mailbox, mut received) = Mailbox::bounded(4)?;
    /// std::thread::spawn(move || mailbox.post('a'));
    /// assert_eq!(block_on(received.recv_async()), Ok('a'));
    /// assert!(block_on(received.recv_async()).is_err(), "the mailbox is gone");
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`recv`](Self::recv).
    pub async fn recv_async(&mut self) -> Result<T, RecvError> {
        loop {
            if let Some(item) = self.poller.take()? {
                return Ok(item);
            }
            // SAFETY: `&mut` of the one receiver, which has found nothing.
            if unsafe { self.poller.0.queue.await_post() } {
                self.wake.ringer.receiver.notified().await;
            }
        }
    }

    /// Returns how many items fit.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.poller.capacity()
    }
}

impl<T> MailPoller<T> {
    /// Returns how many items fit.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.0.queue.capacity()
    }
}

impl<T> Drop for MailPoller<T> {
    fn drop(&mut self) {
        self.0.gone.store(true, Ordering::Relaxed);
        // What a post that has begun before leaves there is dropped with the last `Mailbox`.
        // SAFETY: `&mut` of the one receiver.
        while let Some(item) = unsafe { self.0.queue.receive() } {
            drop(item);
        }
    }
}

impl<T> Clone for Mailbox<T> {
    fn clone(&self) -> Self {
        self.0.posters.fetch_add(1, Ordering::Relaxed);
        Self(self.0.clone())
    }
}

impl<T> Drop for Mailbox<T> {
    fn drop(&mut self) {
        // ORDERING[mailbox.posters]: partner is the load in `take`.
        if self.0.posters.fetch_sub(1, Ordering::Release) > 1 {
            return;
        }
        // ORDERING[mailbox.posters]: partners are the subtractions of the others, whose posts come
        // before the wake-up.
        fence(Ordering::Acquire);
        if let Some(wake) = self.0.wake.as_ref().filter(|wake| !wake.keeper.forked()) {
            wake.ringer.receiver.notify_one();
        }
    }
}

impl<T> fmt::Debug for Mailbox<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mailbox").field("capacity", &self.capacity()).finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for MailReceiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MailReceiver").field("capacity", &self.capacity()).finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for MailPoller<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MailPoller").field("capacity", &self.capacity()).finish_non_exhaustive()
    }
}
