//! Ending what is no longer wanted: tokens, and shields against them. The facade's `cancel` says
//! what a cancel does.

mod future;

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub use crate::gmp::g::{CancelScope, Cancelled};
pub use future::TokenFuture;

use crate::proc::cancel;
use crate::proc::park::Parking;
use crate::proc::target::Target;
use crate::wait::token::TokenInner;

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
/// Cancels, all at once, whatever runs under it: parts of any number of goroutines, and its
/// children.
///
/// A token can also be asked ([`is_cancelled`](Self::is_cancelled)) and waited for
/// ([`wait`](Self::wait)), by anybody. It is a reference; clones are the same token.
///
/// ```
/// use gosched::{Mode, cancel::Token, chan, go, run};
///
/// run(Mode::threads(), || {
///     let token = Token::new();
///     let (tx, rx) = chan::bounded::<u32>(0);
///     let theirs = token.clone();
///     let worker = go(move || theirs.run(|| rx.iter().sum::<u32>()).is_err());
///     tx.send(1).unwrap();
///     token.cancel();
///     assert!(worker.join().unwrap(), "it was cancelled, and ended by itself");
/// });
/// ```
#[doc(alias("CancellationToken", "Context", "WithCancel"))]
#[derive(Clone)]
pub struct Token {
    shared: Arc<TokenInner<Target>>,
}

// A panic passes through no change of the token's lists.
impl std::panic::UnwindSafe for Token {}
impl std::panic::RefUnwindSafe for Token {}
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
    /// A token that nobody has cancelled.
    #[must_use]
    pub fn new() -> Self {
        Self { shared: TokenInner::new(None) }
    }

    /// A token that is cancelled with this one, and may be cancelled alone.
    #[doc(alias("child_token", "WithCancel"))]
    #[must_use]
    pub fn child(&self) -> Self {
        let shared = TokenInner::new(Some(self.shared.clone()));
        self.shared.adopt(&shared);
        Self { shared }
    }

    /// Its number, unique in the process: what [`CancelScope::Token`] names.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.shared.id
    }

    /// Cancels what runs under it and what will, its children, and whoever waits for this. Never
    /// blocks. Cancelling again does nothing.
    pub fn cancel(&self) {
        TokenInner::cancel(&self.shared);
    }

    /// Whether it, or a token that it is a child of, was cancelled. Never suspends: a loop that
    /// asks until then calls [`yield_now`](crate::yield_now), or
    /// [`wait_timeout`](Self::wait_timeout).
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.shared.is_cancelled()
    }

    /// Waits until it is cancelled. A goroutine parks; any other thread blocks.
    ///
    /// # Panics
    ///
    /// Unwinds with [`Cancelled`] if the calling goroutine is cancelled while it waits; also by
    /// this token, if it runs under it.
    #[doc(alias = "cancelled")]
    pub fn wait(&self) {
        let _without_a_limit = self.wait_until(None);
    }

    /// As [`wait`](Self::wait), for at most `timeout`. Whether it is cancelled. A timeout that the
    /// clock cannot reach is none.
    ///
    /// # Panics
    ///
    /// As [`wait`](Self::wait).
    pub fn wait_timeout(&self, timeout: Duration) -> bool {
        self.wait_until(Instant::now().checked_add(timeout))
    }

    /// As [`wait`](Self::wait), until `deadline` at the latest. Whether it is cancelled.
    ///
    /// # Panics
    ///
    /// As [`wait`](Self::wait).
    pub fn wait_deadline(&self, deadline: Instant) -> bool {
        self.wait_until(Some(deadline))
    }

    fn wait_until(&self, deadline: Option<Instant>) -> bool {
        self.shared.wait(deadline, Parking::begin)
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
        self.shared.run(f)
    }
}
