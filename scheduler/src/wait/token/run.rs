//! Running under a token.
//!
//! The region is listed first and entered then. A cancel that comes in between gives the region its
//! reason and sets the bit in the park word; the first wait in the region finds both. The region is
//! taken off the list after it was left, so a cancel may be late: it costs one wait that is begun
//! again, as `proc::cancel` says.
//!
//! The deadline of the token is the limit of the region. So a goroutine that runs under a token
//! parks no longer than until that, and unwinds for the token, whoever else is late.
//!
//! A thread that is no goroutine is not listed. It learns of a cancel when it asks.
//!
//! # Safety
//!
//! As in `subject`.
#![expect(unsafe_code, reason = "reaches a listed region, under the token's lock")]

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::ptr::NonNull;

use gosched_runtime_sys::sync::primitive::mutated;

use super::TokenInner;
use super::subject::{EndsWaits, Listed, Subject};
use crate::ds::grow;
use crate::gmp::current;
use crate::gmp::g::{CancelScope, Cancelled};
use crate::proc::target::Target;

impl TokenInner<Target> {
    /// See [`Token::run`](crate::cancel::Token::run).
    pub(crate) fn run<R>(&self, f: impl FnOnce() -> R) -> Result<R, Cancelled> {
        let scope = self.scope();
        let listed = Listed::new(scope, self.deadline);
        let entered = Listing::new(self, &listed);
        if !entered.enter(Target::current()) {
            self.done.known(true);
            return Err(self.cancelled_here());
        }
        let outcome = catch_unwind(AssertUnwindSafe(|| listed.region.run(f)));
        drop(entered);
        outcome.or_else(|payload| match payload.downcast::<Cancelled>() {
            Ok(cancelled) if cancelled.scope == scope => {
                self.done.known(true);
                Err(*cancelled)
            }
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
        if self.token.is_over() {
            return false;
        }
        let Some(g) = g else { return !self.token.state.lock().is_cancelled() };
        let subject = Subject { listed: NonNull::from(self.listed), g };
        grow::with_room(
            || self.token.state.lock(),
            |state| &mut state.subjects,
            |state| {
                let may_enter = !state.is_cancelled();
                if may_enter {
                    self.listed.at.set(Some(state.subjects.len()));
                    state.subjects.push(subject);
                }
                may_enter
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
