//! Ending what is no longer wanted: tokens, and shields against them. The facade's `cancel` says
//! what a cancel does.

mod future;

use std::error::Error;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::time::{Duration, Instant};

use gosched_runtime_sys::clock::to_instant;

pub use crate::proc::cancel::{CancelScope, Cancelled};
pub use crate::wait::token::{Cause, Token};
pub use future::TokenFuture;

use crate::proc::cancel;
use crate::proc::park::Parking;
use crate::proc::yield_now::preempt_point;
use crate::wait::token::{Call, Child, TokenInner};

/// Runs `f` so that no cancel, of whatever kind, ends a wait in it. A cancel that arrives stays
/// pending, and the first wait after `f` unwinds for it.
///
/// For what must be done to its end, such as giving something back that takes a wait.
///
/// ```
/// use gosched::{Mode, cancel::shield, chan, go, run};
///
/// run(Mode::threads(), || {
///     let (tx, rx) = chan::bounded(0);
///     let undisturbed = go(move || shield(|| rx.recv()));
///     undisturbed.cancel();
///     // If it had begun, it waits on; if it had not, it never does.
///     let sent = tx.send(5).is_ok();
///     assert_eq!(sent, undisturbed.join().is_ok());
/// });
/// ```
#[doc(alias("uncancellable", "WithoutCancel"))]
pub fn shield<R>(f: impl FnOnce() -> R) -> R {
    cancel::shielded(f)
}
/// Tokens are equal that are clones of each other.
impl PartialEq for Token {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(self.shared(), other.shared())
    }
}

impl Eq for Token {}

impl Hash for Token {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.id().hash(state);
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token")
            .field("id", &self.id())
            .field("cancelled", &self.is_cancelled())
            .finish()
    }
}

impl Default for Token {
    fn default() -> Self {
        Self::new()
    }
}

impl Token {
    /// A token that is cancelled with this one, and may be cancelled alone.
    #[doc(alias("child_token", "WithCancel"))]
    #[must_use]
    #[inline]
    pub fn child(&self) -> Self {
        Self::of(TokenInner::child(self.shared(), None))
    }

    /// A [`child`](Self::child) that is cancelled when `timeout` has passed, too. A timeout that
    /// the clock cannot reach is none.
    ///
    /// What it cancels it cancels in time, wherever that waits. [`time::timeout`] is cheaper and
    /// bounds the waits of one closure.
    ///
    /// [`time::timeout`]: crate::time::timeout()
    ///
    /// ```
    /// use gosched::{Mode, cancel::Token, chan, go, run};
    /// use std::time::Duration;
    ///
    /// run(Mode::threads(), || {
    ///     let (_tx, rx) = chan::bounded::<()>(0);
    ///     let token = Token::new().with_timeout(Duration::from_millis(5));
    ///     let waits: Vec<_> = (0..3)
    ///         .map(|_| {
    ///             let (token, rx) = (token.clone(), rx.clone());
    ///             go(move || token.run(|| rx.recv()).is_err())
    ///         })
    ///         .collect();
    ///     assert!(waits.into_iter().all(|wait| wait.join().unwrap()));
    ///     assert_eq!(token.cause().unwrap().to_string(), "the deadline has passed");
    /// });
    /// ```
    #[doc(alias("WithTimeout", "timeout_token"))]
    #[must_use]
    #[inline]
    pub fn with_timeout(&self, timeout: Duration) -> Self {
        Self::of(TokenInner::child(self.shared(), Instant::now().checked_add(timeout)))
    }

    /// A [`child`](Self::child) that is cancelled at `deadline`, too. As
    /// [`with_timeout`](Self::with_timeout).
    #[doc(alias = "WithDeadline")]
    #[must_use]
    #[inline]
    pub fn with_deadline(&self, deadline: Instant) -> Self {
        Self::of(TokenInner::child(self.shared(), Some(deadline)))
    }

    /// When it is cancelled at the latest: the first deadline of its own and of those that it is a
    /// child of.
    #[must_use]
    #[inline]
    pub fn deadline(&self) -> Option<Instant> {
        to_instant(self.shared().deadline)
    }

    /// Its number, unique in the process: what [`CancelScope::Token`] names.
    #[must_use]
    #[inline]
    pub fn id(&self) -> u64 {
        self.shared().id
    }

    /// Cancels what runs under it and what will, its children, and whoever waits for this. Never
    /// blocks. Cancelling again does nothing.
    #[inline]
    pub fn cancel(&self) {
        TokenInner::cancel(self.shared());
    }

    /// As [`cancel`](Self::cancel), and says why: [`cause`](Self::cause) of it and of its children
    /// is [`Cause::Error`] with this, unless they were cancelled before.
    ///
    /// ```
    /// use gosched::cancel::Token;
    ///
    /// let token = Token::new();
    /// let child = token.child();
    /// token.cancel_with("the disk is full");
    /// token.cancel_with("too late");
    /// assert_eq!(child.cause().unwrap().to_string(), "the disk is full");
    /// ```
    #[doc(alias = "WithCancelCause")]
    pub fn cancel_with(&self, error: impl Into<Box<dyn Error + Send + Sync>>) {
        TokenInner::cancel_for(self.shared(), &Cause::Error(Arc::from(error.into())));
    }

    /// Why it was cancelled first; `None` if it was not. Never suspends.
    #[must_use]
    #[inline]
    pub fn cause(&self) -> Option<Cause> {
        self.shared().cause()
    }

    /// Has `f` called when this is cancelled, unless the guard is dropped before. If this is
    /// cancelled already, `f` is called here and now.
    ///
    /// It is called once, by whoever cancels, after all that waits was woken; at a deadline by the
    /// thread of the process's clock. So it should be short, and must not wait: what takes a while
    /// is a [`go`](crate::Handle::go) in it. A panic of it goes on in the canceller. The guard's
    /// drop does not wait for a call that has begun.
    ///
    /// ```
    /// use gosched::cancel::Token;
    /// use std::net::{Shutdown, TcpListener, TcpStream};
    /// use std::io::Read;
    ///
    /// let listener = TcpListener::bind("127.0.0.1:0")?;
    /// let mut stream = TcpStream::connect(listener.local_addr()?)?;
    /// let token = Token::new();
    ///
    /// // A blocking read is no wait of gosched's; this ends it.
    /// let theirs = stream.try_clone()?;
    /// let _guard = token.on_cancel(move || _ = theirs.shutdown(Shutdown::Both));
    /// let canceller = std::thread::spawn(move || token.cancel());
    /// assert_eq!(stream.read(&mut [0])?, 0);
    /// canceller.join().unwrap();
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[doc(alias("AfterFunc", "stop_callback", "register"))]
    pub fn on_cancel(&self, f: impl FnOnce() + Send + 'static) -> OnCancel {
        let call = Arc::new(Call::new(f));
        self.shared().adopt(Child::Call(Arc::downgrade(&call)));
        OnCancel { call, token: self.clone() }
    }

    /// Whether it, or a token that it is a child of, was cancelled. Never suspends: a loop that
    /// asks until then calls [`yield_now`](crate::yield_now), or
    /// [`wait_timeout`](Self::wait_timeout).
    #[must_use]
    #[inline]
    pub fn is_cancelled(&self) -> bool {
        self.shared().is_cancelled()
    }

    /// Waits until it is cancelled. A goroutine parks; any other thread blocks.
    ///
    /// # Panics
    ///
    /// Unwinds with [`Cancelled`] if the calling goroutine is cancelled while it waits; also by
    /// this token, if it runs under it.
    #[doc(alias = "cancelled")]
    #[inline]
    pub fn wait(&self) {
        let _without_a_limit = self.wait_until(None);
    }

    /// As [`wait`](Self::wait), for at most `timeout`. Whether it is cancelled. A timeout that the
    /// clock cannot reach is none.
    ///
    /// # Panics
    ///
    /// As [`wait`](Self::wait).
    #[inline]
    pub fn wait_timeout(&self, timeout: Duration) -> bool {
        self.wait_until(Instant::now().checked_add(timeout))
    }

    /// As [`wait`](Self::wait), until `deadline` at the latest. Whether it is cancelled.
    ///
    /// # Panics
    ///
    /// As [`wait`](Self::wait).
    #[inline]
    pub fn wait_deadline(&self, deadline: Instant) -> bool {
        self.wait_until(Some(deadline))
    }

    #[inline]
    fn wait_until(&self, deadline: Option<Instant>) -> bool {
        preempt_point();
        self.shared().wait(deadline, Parking::begin)
    }

    /// Runs `f` under this token: once it is cancelled, the waits that the calling goroutine is in
    /// unwind up to here.
    ///
    /// Goroutines that `f` makes are not under it, unless they call this themselves. On a thread
    /// that is no goroutine `f` runs, too, but its waits are not ended: there is nothing to wake it
    /// by.
    ///
    /// # Errors
    ///
    /// [`Cancelled`] if the token was cancelled before, and then `f` is dropped; or if a wait in
    /// `f` unwound for it.
    ///
    /// # Panics
    ///
    /// With whatever else `f` unwinds with, such as a cancel of the whole goroutine.
    pub fn run<R>(&self, f: impl FnOnce() -> R) -> Result<R, Cancelled> {
        self.shared().run(f)
    }
}

/// What [`Token::on_cancel`] returns: as long as it is there, the function is called at the cancel.
#[must_use = "dropped at once, nothing is called"]
pub struct OnCancel {
    call: Arc<Call>,
    token: Token,
}

// The function lies under a lock, and is taken whole.
impl std::panic::UnwindSafe for OnCancel {}
impl std::panic::RefUnwindSafe for OnCancel {}

impl OnCancel {
    /// Keeps the function from being called. True if it was not, and will not be.
    #[doc(alias = "stop")]
    #[inline]
    pub fn unregister(self) -> bool {
        // The function is the user's, and dropped without a lock.
        self.call.take().is_some()
    }

    /// Lets the token have the function for as long as there is one.
    #[inline]
    pub fn keep(self) {
        self.token.shared().adopt(Child::Kept(self.call));
    }
}

impl fmt::Debug for OnCancel {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OnCancel").field("token", &self.token.id()).finish_non_exhaustive()
    }
}
