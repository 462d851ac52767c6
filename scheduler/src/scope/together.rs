//! Goroutines that fail together: what [`scope_try`](super::scope_try()) and
//! [`Group`](super::Group) share.
//!
//! All of them run under one token. One that fails leaves its error, if it is the first to, and
//! cancels the token. So the first error in time is the one that took the lock of
//! [`Failures::first`] first, and the others end early: what they then return or panic with is not
//! lost to the user, but comes second.
//!
//! A panic is no error, and is not to be missed: it comes before any error.

use std::any::Any;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use gosched_runtime_sys::sync::lock::Mutex;

use super::tally::Tally;
use crate::gmp::g::Cancelled;
use crate::join::OnEnd;
use crate::proc::park::Parking;
use crate::proc::target::Target;
use crate::proc::yield_now::preempt_point;
use crate::wait::token::TokenInner;

/// What the goroutines of a scope or group share, besides their errors.
pub(super) struct Members {
    pub(super) tally: Tally,
    pub(super) token: Arc<TokenInner<Target>>,
    /// How many may run at once.
    limit: AtomicUsize,
}

/// What a goroutine has of the scope or group that it belongs to.
#[derive(Clone)]
pub(super) struct Member(pub(super) Arc<Members>);

impl OnEnd for Member {
    const TELLS: bool = false;

    /// It could not be started, for [`Failures::run`] lets no panic of its closure out.
    #[inline]
    fn panicked(&self) {
        self.0.tally.count_panic();
        self.0.cancel();
    }

    #[inline]
    fn released(self) {
        self.0.tally.down();
    }
}

impl Members {
    #[inline]
    pub(super) fn new() -> Arc<Self> {
        let (tally, token) = (Tally::new(), TokenInner::new(None));
        Arc::new(Self { tally, token, limit: AtomicUsize::new(usize::MAX) })
    }

    #[inline]
    pub(super) fn cancel(&self) {
        TokenInner::cancel(&self.token);
    }

    /// Sets how many may run at once.
    #[track_caller]
    #[inline]
    pub(super) fn set_limit(&self, limit: usize) {
        assert!(limit > 0, "with a limit of zero no goroutine would ever run");
        self.limit.store(limit, Relaxed);
    }

    /// Counts a goroutine that is to be made, once fewer than the limit are left.
    #[inline]
    pub(super) fn come(&self) {
        match self.limit.load(Relaxed) {
            usize::MAX => self.tally.up(),
            limit => {
                preempt_point();
                self.tally.up_below(limit, Parking::begin);
            }
        }
    }

    /// Counts a goroutine that is to be made, if fewer than the limit are left.
    #[inline]
    pub(super) fn try_come(&self) -> bool {
        self.tally.try_up(self.limit.load(Relaxed))
    }
}

/// What the goroutines of a scope or group failed with.
pub(super) struct Failures<E> {
    first: Mutex<First<E>>,
}

struct First<E> {
    error: Option<E>,
    panic: Option<Box<dyn Any + Send>>,
}

impl<E> Failures<E> {
    pub(super) fn new() -> Self {
        Self { first: Mutex::new(First { error: None, panic: None }) }
    }

    /// Runs a goroutine's closure under the token. `None` if it failed or was cancelled.
    pub(super) fn run<T>(&self, members: &Members, f: impl FnOnce() -> Result<T, E>) -> Option<T> {
        match catch_unwind(AssertUnwindSafe(|| members.token.run(f))) {
            Ok(Ok(Ok(value))) => return Some(value),
            Ok(Ok(Err(error))) => self.fail(members, error),
            Ok(Err(_cancelled)) => {}
            Err(payload) if payload.is::<Cancelled>() => resume_unwind(payload),
            Err(payload) => self.panic(members, payload),
        }
        None
    }

    /// Keeps an error, if it is the first, and cancels the others.
    pub(super) fn fail(&self, members: &Members, error: E) {
        let mut error = Some(error);
        let mut first = self.first.lock();
        if first.error.is_none() {
            mem::swap(&mut first.error, &mut error);
        }
        drop(first);
        members.cancel();
        // The user's code, if there was one before.
        drop(error);
    }

    /// Keeps the payload of a panic, if it is the first, and cancels the others.
    fn panic(&self, members: &Members, payload: Box<dyn Any + Send>) {
        let mut payload = Some(payload);
        let mut first = self.first.lock();
        if first.panic.is_none() {
            mem::swap(&mut first.panic, &mut payload);
        }
        drop(first);
        members.cancel();
        drop(payload);
    }

    /// Returns what became of all goroutines, when all have ended.
    ///
    /// # Panics
    ///
    /// With the first panic of a goroutine, or if one could not be started.
    pub(super) fn outcome(&self, members: &Members) -> Result<(), E> {
        let none = First { error: None, panic: None };
        let First { error, panic } = mem::replace(&mut *self.first.lock(), none);
        if let Some(payload) = panic {
            resume_unwind(payload);
        }
        assert!(!members.tally.has_unjoined_panics(), "gosched: a goroutine could not be started");
        error.map_or(Ok(()), Err)
    }
}
