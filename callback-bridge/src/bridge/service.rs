//! Requests of C's threads, and the goroutines that serve them.
//!
//! A request travels in a channel, and the reply comes back in the request's slot
//! (`bridge/slot.rs`), which the caller uses again for the next one. So a call allocates nothing,
//! once there are as many slots as calls at the same time.

use super::slot::{Owed, Ticket, Vacant, Wakes};
use gosched_runtime_sys::sync::primitive::StaticMutex;
use gosched_scheduler::embed::Notify;
use gosched_scheduler::embed::chan::{self, Receiver, Sender};
use std::fmt;
use std::sync::Arc;
use std::sync::mpsc::{RecvError, RecvTimeoutError, TryRecvError};
use std::time::{Duration, Instant};

/// What C's threads ask and goroutines answer: the callers' end.
///
/// [`Bridge::call`](super::Bridge::call) sends a request and waits for its reply. Clones ask the
/// same servers.
///
/// ```
/// use gosched::callback::{Bridge, Service};
/// use gosched::{Mode, Runtime};
///
/// let runtime = Runtime::builder(Mode::threads()).build()?;
/// let bridge = Bridge::new(&runtime);
/// let (lengths, requests) = Service::bounded(16);
/// let server = runtime.handle().go(move || {
///     while let Ok(request) = requests.recv() {
///         let (text, reply): (String, _) = request.into_parts();
///         let _who_has_left = reply.send(text.len());
///     }
/// });
/// // On a thread of C's.
/// assert_eq!(bridge.call(&lengths, "hello".to_owned()).expect("a reply"), 5);
/// drop(lengths);
/// server.join().unwrap();
/// # Ok::<(), std::io::Error>(())
/// ```
#[doc(alias("RPC", "oneshot", "request", "actor"))]
pub struct Service<Req, Rep>(Arc<Shared<Req, Rep>>);

pub(super) struct Shared<Req, Rep> {
    asking: Sender<Ticket<Req, Rep, Notify>>,
    /// A list of the slots that no call uses.
    vacant: StaticMutex<Option<Vacant<Req, Rep, Notify>>>,
}

/// The servers' end of a [`Service`]. Clones receive from the same one, and each request goes to
/// one of them. When the last is dropped, requests that nobody has received go back to their
/// callers.
pub struct Requests<Req, Rep>(Receiver<Ticket<Req, Rep, Notify>>);

/// A request that a server has received. If it is dropped without a reply, also by a panic, the
/// caller is told so.
#[must_use = "a caller waits for the reply"]
pub struct Request<Req, Rep> {
    value: Req,
    reply: Reply<Req, Rep>,
}

/// What a server owes for a request. If it is dropped, the caller is told that no reply will come.
#[must_use = "a caller waits for the reply"]
pub struct Reply<Req, Rep>(Owed<Req, Rep, Notify>);

// A panic leaves a value where it was, or drops it.
impl<Req, Rep> std::panic::UnwindSafe for Service<Req, Rep> {}
impl<Req, Rep> std::panic::RefUnwindSafe for Service<Req, Rep> {}
impl<Req, Rep> std::panic::UnwindSafe for Requests<Req, Rep> {}
impl<Req, Rep> std::panic::RefUnwindSafe for Requests<Req, Rep> {}
impl<Req, Rep> std::panic::UnwindSafe for Reply<Req, Rep> {}
impl<Req, Rep> std::panic::RefUnwindSafe for Reply<Req, Rep> {}

impl Wakes for Notify {
    fn wake(&self) {
        self.notify_one();
    }
}

impl<Req: Send, Rep: Send> Service<Req, Rep> {
    /// Makes a service, and its servers' end. So many requests lie there until a server comes; with
    /// a `capacity` of 0 a server takes each from its caller.
    #[doc(alias = "channel")]
    pub fn bounded(capacity: usize) -> (Self, Requests<Req, Rep>) {
        let (asking, asked) = chan::bounded(capacity);
        (Self(Arc::new(Shared { asking, vacant: StaticMutex::new(None) })), Requests(asked))
    }
}

impl<Req, Rep> Service<Req, Rep> {
    pub(super) fn shared(&self) -> &Shared<Req, Rep> {
        &self.0
    }
}

impl<Req, Rep> Shared<Req, Rep> {
    /// Where tickets go.
    pub(super) fn asking(&self) -> &Sender<Ticket<Req, Rep, Notify>> {
        &self.asking
    }

    /// Takes a slot that no call uses.
    pub(super) fn take_vacant(&self) -> Option<Vacant<Req, Rep, Notify>> {
        Vacant::unlink(&mut self.vacant.lock())
    }

    /// Keeps a slot for the next call.
    pub(super) fn put_vacant(&self, slot: Vacant<Req, Rep, Notify>) {
        slot.link(&mut self.vacant.lock());
    }
}

impl<Req, Rep> Drop for Shared<Req, Rep> {
    fn drop(&mut self) {
        // One by one: a list that drops itself would do it on as many frames.
        while let Some(slot) = self.take_vacant() {
            drop(slot);
        }
    }
}

impl<Req: Send, Rep: Send> Requests<Req, Rep> {
    /// Receives the oldest request, and waits for it. One that its caller has withdrawn is passed
    /// over.
    ///
    /// # Errors
    ///
    /// All [`Service`]s are gone, and all requests.
    ///
    /// # Panics
    ///
    /// Unwinds with `Cancelled` if the calling goroutine is cancelled while it waits; it has
    /// received no request then.
    pub fn recv(&self) -> Result<Request<Req, Rep>, RecvError> {
        loop {
            let ticket = self.0.recv().map_err(|_| RecvError)?;
            if let Some(request) = Request::of(ticket) {
                return Ok(request);
            }
        }
    }

    /// Receives the oldest request, if there is one.
    ///
    /// # Errors
    ///
    /// There is none, or there will be none.
    pub fn try_recv(&self) -> Result<Request<Req, Rep>, TryRecvError> {
        loop {
            let ticket = self.0.try_recv().map_err(|error| match error {
                chan::TryRecvError::Empty => TryRecvError::Empty,
                chan::TryRecvError::Disconnected => TryRecvError::Disconnected,
            })?;
            if let Some(request) = Request::of(ticket) {
                return Ok(request);
            }
        }
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
    pub fn recv_timeout(&self, timeout: Duration) -> Result<Request<Req, Rep>, RecvTimeoutError> {
        match Instant::now().checked_add(timeout) {
            Some(deadline) => self.recv_deadline(deadline),
            None => self.recv().map_err(|RecvError| RecvTimeoutError::Disconnected),
        }
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
    pub fn recv_deadline(&self, deadline: Instant) -> Result<Request<Req, Rep>, RecvTimeoutError> {
        loop {
            let ticket = self.0.recv_deadline(deadline).map_err(|error| match error {
                chan::RecvTimeoutError::Timeout => RecvTimeoutError::Timeout,
                chan::RecvTimeoutError::Disconnected => RecvTimeoutError::Disconnected,
            })?;
            if let Some(request) = Request::of(ticket) {
                return Ok(request);
            }
        }
    }

    /// As [`recv`](Self::recv), for an async task. The future may be dropped at any time: it takes
    /// a request only when it is ready.
    ///
    /// # Errors
    ///
    /// As [`recv`](Self::recv).
    pub async fn recv_async(&self) -> Result<Request<Req, Rep>, RecvError> {
        loop {
            let ticket = self.0.recv_async().await.map_err(|_| RecvError)?;
            if let Some(request) = Request::of(ticket) {
                return Ok(request);
            }
        }
    }
}

impl<Req, Rep> Request<Req, Rep> {
    fn of(ticket: Ticket<Req, Rep, Notify>) -> Option<Self> {
        let (value, owed) = ticket.take()?;
        Some(Self { value, reply: Reply(owed) })
    }

    /// Returns what the caller asks.
    pub fn value(&self) -> &Req {
        &self.value
    }

    /// Replies.
    ///
    /// # Errors
    ///
    /// The reply, if the caller has left: its time was over, or it was cancelled.
    pub fn reply(self, reply: Rep) -> Result<(), Rep> {
        self.reply.send(reply)
    }

    /// Returns what the caller asks, and the means to reply later.
    pub fn into_parts(self) -> (Req, Reply<Req, Rep>) {
        (self.value, self.reply)
    }
}

impl<Req, Rep> Reply<Req, Rep> {
    /// Replies, from any thread.
    ///
    /// # Errors
    ///
    /// As [`Request::reply`].
    pub fn send(self, reply: Rep) -> Result<(), Rep> {
        self.0.reply(reply)
    }

    /// True if the caller waits, at this moment.
    pub fn is_awaited(&self) -> bool {
        self.0.is_awaited()
    }
}

impl<Req, Rep> Clone for Service<Req, Rep> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<Req, Rep> Clone for Requests<Req, Rep> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<Req, Rep> fmt::Debug for Service<Req, Rep> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service").field("waiting", &self.0.asking.len()).finish_non_exhaustive()
    }
}

impl<Req, Rep> fmt::Debug for Requests<Req, Rep> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Requests").field("waiting", &self.0.len()).finish_non_exhaustive()
    }
}

impl<Req: fmt::Debug, Rep> fmt::Debug for Request<Req, Rep> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request").field("value", &self.value).finish_non_exhaustive()
    }
}

impl<Req, Rep> fmt::Debug for Reply<Req, Rep> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reply").field("awaited", &self.is_awaited()).finish()
    }
}
