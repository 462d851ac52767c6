//! A token: what runs under it, who waits for it and its children are cancelled together.
//!
//! It lies under all that ends together: tokens as users have them (`cancel`), and scopes and
//! groups whose goroutines fail together (`scope`).
//!
//! A token's lock guards four lists: the parts of goroutines that run under it, those that wait for
//! it, futures that do, and its children. The canceller marks the token under the lock, and then
//! takes one entry at a time off the lists, under the lock again, and wakes it without. Nothing is
//! added to a list of a token that is marked. So each entry is taken by the canceller or taken off
//! by its owner, and neither is missed.
//!
//! # Who is reached
//!
//! A cancel reaches a goroutine through its region, which carries the reason, and then ends its
//! wait. Both happen under the token's lock, which the goroutine takes to leave the region. So the
//! goroutine is there, and what it unwinds for is written before it is woken. What runs user code,
//! such as a waker, is called when the lock is free.
//!
//! A child is a token of its own that its parent knows weakly: a child that nobody has is gone, and
//! its entry with the next growth of the list. A parent is held strongly, since a child that is
//! asked must know of a cancel from above: the canceller marks the children, one after the other.
//! What is to be called at a cancel is listed as a child is; it is called last, when all are woken.
//!
//! # Deadlines
//!
//! A deadline is no timer to those that park: a region has it as its limit, a wait for the token as
//! its deadline, and who asks reads the clock. For all others, the futures, children, calls and the
//! channel of `done`, the thread that calls wakers in time ([`alarm`](super::alarm)) cancels the
//! token.
//!
//! # Rejected
//!
//! - Looking at the ancestors when a token is asked, in place of marking the descendants: asking is
//!   what loops do, and those that wait would have to be listed with each ancestor.
//! - One list for all whom a cancel wakes: subjects have an index, so that they leave in one step,
//!   and waiters a node on their stack.
//!
//! # Safety
//!
//! The lists lie under the token's lock, which nothing replaces.
#![expect(unsafe_code, reason = "waits in the token's list; ends the waits of listed subjects")]

mod call;
mod deadline;
mod done;
mod pending;
pub(crate) mod run;
pub(crate) mod subject;

use std::error::Error;
use std::fmt;
use std::sync::atomic::{
    AtomicBool, AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Instant;

use gosched_runtime_sys::clock::{monotonic_ns, to_instant};
use gosched_runtime_sys::sync::lock::Mutex;
use gosched_runtime_sys::sync::primitive::mutated;

use super::owed::{Panics, wake_each};
use super::park::Park;
use super::parked::{Look, WaitIn, WaitedFor, wait_for};
use super::waiter::{Popped, WaitList, Wakeup};
use crate::ds::timers::NEVER;
use crate::gmp::wait_reason::WaitReason;
use crate::proc::target::Target;
pub(crate) use call::Call;
pub(crate) use done::{Done, DoneChannel};
use pending::Pending;
pub(crate) use subject::EndsWaits;
use subject::Subject;

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
pub struct Token {
    /// Made when it is needed first, so that a token can be a `static`.
    shared: OnceLock<Arc<TokenInner<Target>>>,
}

// A panic passes through no change of the token's lists.
impl std::panic::UnwindSafe for Token {}
impl std::panic::RefUnwindSafe for Token {}
impl Token {
    /// A token that nobody has cancelled.
    ///
    /// ```
    /// use gosched::cancel::Token;
    ///
    /// static STOP: Token = Token::new();
    ///
    /// let waits = std::thread::spawn(|| STOP.wait());
    /// STOP.cancel();
    /// waits.join().unwrap();
    /// ```
    #[must_use]
    #[inline]
    pub const fn new() -> Self {
        Self { shared: OnceLock::new() }
    }

    #[inline]
    pub(crate) fn of(shared: Arc<TokenInner<Target>>) -> Self {
        Self { shared: OnceLock::from(shared) }
    }

    /// The part that its clones share.
    #[inline]
    pub(crate) fn shared(&self) -> &Arc<TokenInner<Target>> {
        self.shared.get_or_init(|| TokenInner::new(None))
    }
}

impl Clone for Token {
    fn clone(&self) -> Self {
        Self::of(self.shared().clone())
    }
}

/// The shared part of a token. `K` is how a goroutine under it is woken.
pub(crate) struct TokenInner<K: EndsWaits> {
    pub(crate) id: u64,
    cancelled: AtomicBool,
    pub(crate) state: Mutex<State<K>>,
    parent: Option<Arc<TokenInner<K>>>,
    /// On the monotonic clock, the first of its own and its ancestors'; [`NEVER`] if none has one.
    pub(crate) deadline: u64,
    /// What cancels it when its deadline comes.
    pending: Mutex<Option<Pending>>,
    /// What [`Token::done`] hands out.
    pub(crate) done: Done,
}

/// What lies under a token's lock.
pub(crate) struct State<K: EndsWaits> {
    /// Why it was cancelled. The atomic `cancelled` says whether, for readers without the lock.
    cause: Option<Cause>,
    subjects: Vec<Subject<K>>,
    waiting: WaitList<(), K>,
    pub(crate) polling: WaitList<(), K>,
    children: Vec<Child<K>>,
}

/// What a cancel goes on to.
pub(crate) enum Child<K: EndsWaits> {
    Token(Weak<TokenInner<K>>),
    /// For as long as somebody has it.
    Call(Weak<Call>),
    /// For as long as the token is there.
    Kept(Arc<Call>),
}

/// Why a token was cancelled: [`Token::cause`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Cause {
    /// By [`Token::cancel`], of this token or one that it is a child of.
    Cancelled,
    /// Its deadline, or that of one that it is a child of, has passed.
    Deadline,
    /// By [`Token::cancel_with`], which was given this.
    Error(Arc<dyn Error + Send + Sync>),
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cancelled => f.write_str("cancelled"),
            Self::Deadline => f.write_str("the deadline has passed"),
            Self::Error(error) => error.fmt(f),
        }
    }
}

impl Error for Cause {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            // The error speaks for itself in `Display`; what is behind it is the source.
            Self::Error(error) => error.source(),
            Self::Cancelled | Self::Deadline => None,
        }
    }
}

impl<K: EndsWaits> State<K> {
    pub(crate) fn is_cancelled(&self) -> bool {
        self.cause.is_some()
    }
}

impl<K: EndsWaits> Child<K> {
    /// True if nobody is left whom it concerns.
    fn is_gone(&self) -> bool {
        match self {
            Self::Token(token) => token.strong_count() == 0,
            Self::Call(call) => call.strong_count() == 0,
            Self::Kept(_) => false,
        }
    }
}

/// What a cancel has yet to do.
struct Cancelling<K: EndsWaits> {
    tokens: Vec<Arc<TokenInner<K>>>,
    calls: Vec<Arc<Call>>,
    /// Dropped last: while one is there, no runtime stands still.
    pending: Vec<Pending>,
}

impl<K: EndsWaits> Cancelling<K> {
    fn nothing() -> Self {
        Self { tokens: Vec::new(), calls: Vec::new(), pending: Vec::new() }
    }

    fn add(&mut self, children: impl IntoIterator<Item = Child<K>>) {
        for child in children {
            match child {
                Child::Token(token) => self.tokens.extend(token.upgrade()),
                Child::Call(call) => self.calls.extend(call.upgrade()),
                Child::Kept(call) => self.calls.push(call),
            }
        }
    }

    /// Cancels the tokens and their descendants, and then calls what is to be called.
    ///
    /// Without recursion, because users decide how deep the tree is.
    fn run(mut self, cause: &Cause) -> Panics {
        let mut wakes: Option<Arc<TokenInner<K>>> = None;
        let mut panics = wake_each(|| {
            loop {
                if let Some(wake) = wakes.as_ref().and_then(|token| token.next_to_wake()) {
                    return Some(wake);
                }
                let token = self.tokens.pop()?;
                let children = token.mark_cancelled(cause);
                self.add(children);
                self.pending.extend(token.no_longer_pending());
                wakes = (!mutated("token.wakes_first")).then_some(token);
            }
        });
        for call in self.calls {
            panics.catch(|| call.run());
        }
        panics
    }
}

static NEXT_ID: AtomicU64 = AtomicU64::new(1);

impl<K: EndsWaits> TokenInner<K> {
    pub(crate) fn new(parent: Option<Arc<Self>>) -> Arc<Self> {
        Self::with_deadline(parent, NEVER)
    }

    /// A token with a deadline, on the monotonic clock. Nothing cancels it then as yet.
    fn with_deadline(parent: Option<Arc<Self>>, deadline: u64) -> Arc<Self> {
        let state = State {
            cause: None,
            subjects: Vec::new(),
            waiting: WaitList::new(),
            polling: WaitList::new(),
            children: Vec::new(),
        };
        Arc::new(Self {
            id: NEXT_ID.fetch_add(1, Relaxed),
            cancelled: AtomicBool::new(false),
            state: Mutex::new(state),
            deadline: parent.as_ref().map_or(NEVER, |parent| parent.deadline).min(deadline),
            parent,
            pending: Mutex::new(None),
            done: Done::new(),
        })
    }

    /// See [`Token::is_cancelled`].
    pub(crate) fn is_cancelled(&self) -> bool {
        self.done.known(self.is_over() || self.is_marked())
    }

    /// True if its deadline has passed. The clock is read only if it has one.
    pub(crate) fn is_over(&self) -> bool {
        self.deadline != NEVER && self.deadline <= monotonic_ns()
    }

    fn is_marked(&self) -> bool {
        // ORDERING[cancel.token]: pairs with the store in `mark_cancelled`: the caller sees all
        // that the canceller did before.
        self.cancelled.load(Acquire)
    }

    /// See [`Token::cause`].
    pub(crate) fn cause(&self) -> Option<Cause> {
        let cause = self.state.lock().cause.clone();
        let cause = cause.or_else(|| self.is_over().then_some(Cause::Deadline));
        self.done.known(cause.is_some());
        cause
    }

    /// See [`Token::cancel`].
    pub(crate) fn cancel(this: &Arc<Self>) {
        Self::cancel_for(this, &Cause::Cancelled);
    }

    /// Cancels it for a cause that counts if it is the first one.
    pub(crate) fn cancel_for(this: &Arc<Self>, cause: &Cause) {
        let all = Cancelling { tokens: vec![this.clone()], ..Cancelling::nothing() };
        all.run(cause).go_on();
    }

    /// See [`Token::wait_deadline`].
    pub(crate) fn wait<P: Park<Target = K>>(
        &self,
        deadline: Option<Instant>,
        begin: impl FnOnce() -> P,
    ) -> bool {
        let place = WaitIn {
            why: WaitReason::Token,
            ..WaitIn::behind(|state: &mut State<K>| &mut state.waiting)
        };
        let look = |state: &mut State<K>| match state.is_cancelled() || self.is_over() {
            true => Look::Done(()),
            false => Look::Wait(None),
        };
        let deadline = deadline.into_iter().chain(to_instant(self.deadline)).min();
        // SAFETY: the list is one field of the state under this lock, which nothing replaces. The
        // closure does nothing.
        self.done.known(
            match unsafe { wait_for(&self.state, place, begin, deadline, look, || None) } {
                WaitedFor::AtOnce(()) | WaitedFor::Served(_) => true,
                WaitedFor::TimedOut => self.is_over(),
                WaitedFor::Cancelled(parking) => parking.raise(),
            },
        )
    }

    /// Marks the token as cancelled. Returns its children.
    ///
    /// The caller wakes the token's waiters and cancels the children.
    fn mark_cancelled(&self, cause: &Cause) -> Vec<Child<K>> {
        if mutated("token.wakes_first") {
            wake_each(|| self.next_to_wake()).go_on();
        }
        let mut state = self.state.lock();
        if state.cause.is_none() {
            state.cause = Some(cause.clone());
        }
        // ORDERING[cancel.token]: pairs with the load in `is_marked`.
        self.cancelled.store(true, Release);
        std::mem::take(&mut state.children)
    }

    /// Takes what would cancel it in time.
    fn no_longer_pending(&self) -> Option<Pending> {
        if self.deadline == NEVER { None } else { self.pending.lock().take() }
    }

    /// Takes one waiter, subject or future that is to be woken.
    ///
    /// One at a time, because waking runs other code, and a collection of all would have to be
    /// allocated under the lock.
    fn next_to_wake(&self) -> Option<Wakeup<K>> {
        let mut state = self.state.lock();
        if let Some(waiter) = state.waiting.pop() {
            return Some(waiter.finish());
        }
        match state.subjects.pop() {
            // SAFETY: it was popped under the lock, which is held.
            Some(subject) => Some(unsafe { subject.cancel() }),
            None => state.polling.pop().map(Popped::finish),
        }
    }

    /// Lists a child. Cancels or calls it instead, if this token is cancelled.
    ///
    /// The list is grown, and rid of dropped children, outside the lock.
    pub(crate) fn adopt(&self, child: Child<K>) {
        let mut more = vec![child];
        loop {
            let mut state = self.state.lock();
            if let Some(cause) = state.cause.clone()
                && !mutated("token.adopts_too_late")
            {
                drop(state);
                let mut all = Cancelling::nothing();
                all.add(more);
                return all.run(&cause).go_on();
            }
            if state.children.is_empty() {
                std::mem::swap(&mut state.children, &mut more);
            } else if state.children.capacity() - state.children.len() >= more.len() {
                state.children.append(&mut more);
            }
            if more.is_empty() {
                drop(state);
                return;
            }
            let mut listed = std::mem::take(&mut state.children);
            drop(state);
            listed.retain(|child| !child.is_gone());
            listed.reserve((listed.len() + more.len()).max(8));
            listed.append(&mut more);
            more = listed;
        }
    }
}

impl<K: EndsWaits> Drop for TokenInner<K> {
    /// Drops the ancestors that nothing else holds. Without recursion, because users decide how
    /// long the chain is.
    fn drop(&mut self) {
        let mut parent = self.parent.take();
        while let Some(mut last) = parent.and_then(Arc::into_inner) {
            parent = last.parent.take();
        }
    }
}
