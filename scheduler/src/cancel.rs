//! Ending what is no longer wanted: tokens, and shields against them. The facade's `cancel` says
//! what a cancel does.
//!
//! # Safety
//!
//! A subject in a token's list is a region in a frame of [`Token::run`] and the goroutine that has
//! it. Both are there while it is listed: the frame takes it off the list, under the token's lock,
//! before it ends.
#![expect(
    unsafe_code,
    reason = "reaches regions in the frames of the goroutines that entered them"
)]

mod future;

use std::cell::Cell;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::ptr::NonNull;
use std::sync::atomic::{
    AtomicBool, AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use gosched_runtime_sys::sync::lock::Mutex;
use gosched_runtime_sys::sync::primitive::mutated;

pub use crate::gmp::g::{CancelScope, Cancelled};
pub use future::TokenFuture;

use crate::ds::grow;
use crate::ds::timers::NEVER;
use crate::gmp::current;
use crate::gmp::wait_reason::WaitReason;
use crate::proc::cancel::{self, Region};
use crate::proc::claimed::Claimed;
use crate::proc::park::Parking;
use crate::proc::target::Target;
use crate::wait::owed::wake_each;
use crate::wait::park::Park;
use crate::wait::parked::{Look, WaitIn, WaitedFor, wait_for};
use crate::wait::waiter::{Popped, Unpark, WaitList, Wakeup};

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

/// A goroutine that waits under a token.
pub(crate) trait EndsWaits: Unpark {
    /// Makes the goroutine look for a reason to end its wait. The caller has written that reason.
    /// Runs no user code.
    ///
    /// # Safety
    ///
    /// The goroutine has begun, and does not end during the call.
    #[must_use = "it never runs again unless it is woken"]
    unsafe fn end_wait(self) -> Self::Wake;
}

impl EndsWaits for Target {
    unsafe fn end_wait(self) -> Claimed {
        // SAFETY: this function's contract.
        unsafe { self.cancel() }
    }
}

/// The shared part of a token. `K` is how a goroutine under it is woken.
pub(crate) struct TokenInner<K: EndsWaits> {
    id: u64,
    cancelled: AtomicBool,
    state: Mutex<State<K>>,
    parent: Option<Arc<TokenInner<K>>>,
}

struct State<K: EndsWaits> {
    /// The same as the atomic of this name, which is for readers without the lock.
    cancelled: bool,
    subjects: Vec<Subject<K>>,
    waiting: WaitList<(), K>,
    polling: WaitList<(), K>,
    children: Vec<Weak<TokenInner<K>>>,
}

/// A part of a goroutine that runs under a token.
struct Subject<K> {
    listed: NonNull<Listed>,
    g: K,
}

// SAFETY: only the pointer is not `Send`. It is followed under the token's lock; see the module's
// head.
unsafe impl<K: Send> Send for Subject<K> {}

/// A region, and its index among the token's subjects.
pub(crate) struct Listed {
    region: Region,
    /// The index, if the region is listed. Read and written under the token's lock.
    at: Cell<Option<usize>>,
}

static NEXT_ID: AtomicU64 = AtomicU64::new(1);

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
        // ORDERING[cancel.token]: pairs with the store in `mark_cancelled`: the caller sees all
        // that the canceller did before.
        self.shared.cancelled.load(Acquire)
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
        let scope = CancelScope::Token(self.id());
        let listed = Listed::new(scope);
        let entered = Listing::new(&self.shared, &listed);
        if !entered.enter(Target::current()) {
            let g = current::with(|cx| Some(cx?.g()?.id())).unwrap_or_default();
            return Err(Cancelled { g, scope });
        }
        let outcome = catch_unwind(AssertUnwindSafe(|| listed.region.run(f)));
        drop(entered);
        outcome.or_else(|payload| match payload.downcast::<Cancelled>() {
            Ok(cancelled) if cancelled.scope == scope => Err(*cancelled),
            Ok(of_another) => resume_unwind(of_another),
            Err(panic) => resume_unwind(panic),
        })
    }
}

impl<K: EndsWaits> TokenInner<K> {
    pub(crate) fn new(parent: Option<Arc<Self>>) -> Arc<Self> {
        let state = State {
            cancelled: false,
            subjects: Vec::new(),
            waiting: WaitList::new(),
            polling: WaitList::new(),
            children: Vec::new(),
        };
        Arc::new(Self {
            id: NEXT_ID.fetch_add(1, Relaxed),
            cancelled: AtomicBool::new(false),
            state: Mutex::new(state),
            parent,
        })
    }

    /// See [`Token::cancel`].
    pub(crate) fn cancel(this: &Arc<Self>) {
        Self::cancel_all(vec![this.clone()]);
    }

    /// Cancels these tokens and their descendants.
    ///
    /// Without recursion, because users decide how deep the tree is.
    fn cancel_all(mut left: Vec<Arc<Self>>) {
        let mut wakes: Option<Arc<Self>> = None;
        wake_each(|| {
            loop {
                if let Some(wake) = wakes.as_ref().and_then(|token| token.next_to_wake()) {
                    return Some(wake);
                }
                let token = left.pop()?;
                left.extend(token.mark_cancelled().iter().filter_map(Weak::upgrade));
                wakes = (!mutated("token.wakes_first")).then_some(token);
            }
        })
        .go_on();
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
        let look =
            |state: &mut State<K>| if state.cancelled { Look::Done(()) } else { Look::Wait(None) };
        // SAFETY: the list is one field of the state under this lock, which nothing replaces. The
        // closure does nothing.
        match unsafe { wait_for(&self.state, place, begin, deadline, look, || None) } {
            WaitedFor::AtOnce(()) | WaitedFor::Served(_) => true,
            WaitedFor::TimedOut => false,
            WaitedFor::Cancelled(parking) => parking.raise(),
        }
    }

    /// Marks the token as cancelled. Returns its children.
    ///
    /// The caller wakes the token's waiters and cancels the children.
    fn mark_cancelled(&self) -> Vec<Weak<Self>> {
        if mutated("token.wakes_first") {
            wake_each(|| self.next_to_wake()).go_on();
        }
        let mut state = self.state.lock();
        state.cancelled = true;
        // ORDERING[cancel.token]: pairs with the load in `is_cancelled`.
        self.cancelled.store(true, Release);
        std::mem::take(&mut state.children)
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
        let Some(Subject { listed, g }) = state.subjects.pop() else {
            return state.polling.pop().map(Popped::finish);
        };
        // SAFETY: the region was listed, and the lock is held.
        let listed = unsafe { listed.as_ref() };
        listed.at.set(None);
        listed.region.cancel();
        // SAFETY: the goroutine cannot leave the region, let alone end, while the lock is held.
        Some(Wakeup::Parked(unsafe { g.end_wait() }))
    }

    /// Lists a child. Cancels it instead, if this token is cancelled.
    ///
    /// The list is grown, and rid of dropped children, outside the lock.
    pub(crate) fn adopt(&self, child: &Arc<Self>) {
        let mut more = vec![Arc::downgrade(child)];
        loop {
            let mut state = self.state.lock();
            if state.cancelled && !mutated("token.adopts_too_late") {
                drop(state);
                return Self::cancel_all(more.iter().filter_map(Weak::upgrade).collect());
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
            listed.retain(|child| child.strong_count() > 0);
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

impl Listed {
    pub(crate) fn new(scope: CancelScope) -> Self {
        Self { region: Region::new(scope, NEVER), at: Cell::new(None) }
    }
}

/// Takes a region off a token's list of subjects in its drop.
pub(crate) struct Listing<'a, K: EndsWaits> {
    token: &'a TokenInner<K>,
    listed: &'a Listed,
}

impl<'a, K: EndsWaits> Listing<'a, K> {
    pub(crate) fn new(token: &'a TokenInner<K>, listed: &'a Listed) -> Self {
        Self { token, listed }
    }

    /// Lists the region as a part of the goroutine `g`, if there is one. False if the token is
    /// cancelled.
    pub(crate) fn enter(&self, g: Option<K>) -> bool {
        let Some(g) = g else { return !self.token.state.lock().cancelled };
        let subject = Subject { listed: NonNull::from(self.listed), g };
        grow::with_room(
            || self.token.state.lock(),
            |state| &mut state.subjects,
            |state| {
                if !state.cancelled {
                    self.listed.at.set(Some(state.subjects.len()));
                    state.subjects.push(subject);
                }
                !state.cancelled
            },
        )
    }
}

impl<K: EndsWaits> Drop for Listing<'_, K> {
    fn drop(&mut self) {
        let mut state = self.token.state.lock();
        let Some(at) = self.listed.at.take() else { return };
        state.subjects.swap_remove(at);
        if let Some(moved) = state.subjects.get(at)
            && !mutated("token.forgets_the_moved")
        {
            // SAFETY: the region is listed, and the lock is held.
            unsafe { moved.listed.as_ref() }.at.set(Some(at));
        }
    }
}
