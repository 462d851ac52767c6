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
//! A subject in a token's list is a region in a frame of [`TokenInner::run`] and the goroutine that
//! has it. Both are there while it is listed: the frame takes it off the list, under the token's
//! lock, before it ends.
#![expect(
    unsafe_code,
    reason = "reaches regions in the frames of the goroutines that entered them"
)]

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::ptr::NonNull;
use std::sync::atomic::{
    AtomicBool, AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
};
use std::sync::{Arc, Weak};
use std::time::Instant;

use gosched_runtime_sys::sync::lock::Mutex;
use gosched_runtime_sys::sync::primitive::mutated;

use super::owed::wake_each;
use super::park::Park;
use super::parked::{Look, WaitIn, WaitedFor, wait_for};
use super::waiter::{Popped, Unpark, WaitList, Wakeup};
use crate::ds::grow;
use crate::ds::timers::NEVER;
use crate::gmp::current;
use crate::gmp::g::{CancelScope, Cancelled};
use crate::gmp::wait_reason::WaitReason;
use crate::proc::cancel::Region;
use crate::proc::claimed::Claimed;
use crate::proc::target::Target;

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
    pub(crate) id: u64,
    cancelled: AtomicBool,
    pub(crate) state: Mutex<State<K>>,
    parent: Option<Arc<TokenInner<K>>>,
}

/// What lies under a token's lock.
pub(crate) struct State<K: EndsWaits> {
    /// The same as the atomic of this name, which is for readers without the lock.
    pub(crate) cancelled: bool,
    subjects: Vec<Subject<K>>,
    waiting: WaitList<(), K>,
    pub(crate) polling: WaitList<(), K>,
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
impl TokenInner<Target> {
    /// See [`Token::run`](crate::cancel::Token::run).
    pub(crate) fn run<R>(&self, f: impl FnOnce() -> R) -> Result<R, Cancelled> {
        let scope = self.scope();
        let listed = Listed::new(scope);
        let entered = Listing::new(self, &listed);
        if !entered.enter(Target::current()) {
            return Err(self.cancelled_here());
        }
        let outcome = catch_unwind(AssertUnwindSafe(|| listed.region.run(f)));
        drop(entered);
        outcome.or_else(|payload| match payload.downcast::<Cancelled>() {
            Ok(cancelled) if cancelled.scope == scope => Err(*cancelled),
            Ok(of_another) => resume_unwind(of_another),
            Err(panic) => resume_unwind(panic),
        })
    }

    /// What the calling goroutine, or thread, unwinds with for this token.
    pub(crate) fn cancelled_here(&self) -> Cancelled {
        let g = current::with(|cx| Some(cx?.g()?.id())).unwrap_or_default();
        Cancelled { g, scope: self.scope() }
    }

    fn scope(&self) -> CancelScope {
        CancelScope::Token(self.id)
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

    /// See [`Token::is_cancelled`](crate::cancel::Token::is_cancelled).
    pub(crate) fn is_cancelled(&self) -> bool {
        // ORDERING[cancel.token]: pairs with the store in `mark_cancelled`: the caller sees all
        // that the canceller did before.
        self.cancelled.load(Acquire)
    }

    /// See [`Token::cancel`](crate::cancel::Token::cancel).
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

    /// See [`Token::wait_deadline`](crate::cancel::Token::wait_deadline).
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
