//! A goroutine lets others run: when it says so, and when sysmon has requested it.
//!
//! # Who calls it
//!
//! The user's code calls [`yield_now`]. The operations that may wait, of channels, of `sync`,
//! joins, scopes, tokens and `blocking`, begin with [`preempt_point`]; those that only try end with
//! [`give_turn`] if they fail: who polls waits for somebody that may share the thread. What only
//! looks (`is_finished`, `is_cancelled`, `len`) has neither: it is called in predicates, where
//! nothing may suspend. Futures begin with [`poll_turn`]. Sysmon requests preemption
//! (`Progress::request_preempt`); the M's loop clears the request when a new slice begins.
//!
//! # What a yield comes to
//!
//! 1. If the M is in fast rounds and has nothing else ready, the goroutine goes on at once, without
//!    a switch (`fast_rounds`).
//! 2. If the goroutine may switch, it suspends, and its M queues it behind others (`run`).
//! 3. If it may not switch, its M hands its P off, where another M has use for it, and the thread
//!    offers its core (`in_place`).
//!
//! # Safety
//!
//! A suspender comes from its goroutine's own record, and is used on that goroutine's stack.
#![expect(unsafe_code, reason = "suspends the running G")]

use std::task::{Context, Poll};
use std::thread;

use gosched_runtime_sys::sync::held;

use crate::gmp::current::{self, Current};
use crate::gmp::g::{G, GSuspender, Switch};
use crate::gmp::sched::Sched;
use crate::proc::park::suspender;
use crate::proc::{cancel, fast_rounds, in_place, no_wait, promises, switch};

/// Lets other goroutines run. Returns when the calling goroutine's turn has come again, at once if
/// no other is ready.
///
/// A goroutine that may not switch, for example because it is [locked](crate::lock_thread) to its
/// thread, offers its P and its core to others. On a plain thread this is `std::thread::yield_now`.
///
/// # Panics
///
/// Unwinds with [`Cancelled`](crate::Cancelled) if the goroutine was cancelled. Inside of
/// [`no_wait`](crate::no_wait()).
#[doc(alias("Gosched", "sched_yield"))]
pub fn yield_now() {
    promises::at_wait();
    let suspends = current::with(|cx| {
        let cx = cx?;
        let g = cx.g()?;
        if let Some(scope) = cancel::pending(g, Some(cx.sched())) {
            cancel::raise(g, Some(cx.sched()), scope);
        }
        plan_yield(cx, g)
    });
    yield_as(suspends);
}

/// Yields, without raising a pending cancel.
#[cold]
fn yield_for_preempt() {
    yield_as(current::with(|cx| cx.and_then(|cx| plan_yield(cx, cx.g()?))));
}

/// What the running G's yield comes to, if it may switch.
enum YieldPlan {
    /// It goes on at once.
    Again,
    Suspends(GSuspender, *const Sched),
}

/// Decides how the running G yields. `None` if it may not switch.
#[inline(always)]
fn plan_yield(cx: &Current, g: &G) -> Option<YieldPlan> {
    let suspender = suspender(g, thread::panicking() || cx.m.in_scheduler())?;
    if fast_rounds::yield_without_switch(cx, g) {
        return Some(YieldPlan::Again);
    }
    Some(YieldPlan::Suspends(suspender, cx.sched()))
}

#[inline(always)]
fn yield_as(plan: Option<YieldPlan>) {
    match plan {
        Some(YieldPlan::Again) => {}
        // SAFETY: it is the calling G's, on whose stack this runs.
        Some(YieldPlan::Suspends(suspender, sched)) => unsafe {
            switch::suspend(sched, suspender, Switch::Yield);
        },
        None => {
            no_wait::check();
            in_place::yield_in_place();
        }
    }
}

/// Begins an operation that may wait: yields if sysmon has requested it, because the slice is
/// nearly over and others wait, or the P was taken.
///
/// Each operation that may suspend begins with this, also where it then succeeds at once. A loop
/// over such operations would otherwise keep its thread for ever. Inside of [`no_wait`] it panics;
/// so the caller has nothing begun that an unwinding would leave behind.
#[inline]
pub(crate) fn preempt_point() {
    preempt_point_of(|| true);
}

/// As [`preempt_point`], for an operation of which `may_wait` says whether it may wait. If not, it
/// gives its turn only where that is allowed.
#[inline]
pub(crate) fn preempt_point_of(may_wait: impl FnOnce() -> bool) {
    held::assert_none();
    promises::at_wait();
    if no_wait::may_be_inside() {
        look(may_wait());
    }
}

/// Yields if sysmon has requested it, or once in some calls, and the caller may: for an operation
/// that has only tried and failed.
#[inline]
pub(crate) fn give_turn() {
    held::assert_none();
    promises::at_wait();
    let is_over = |cx: &Current| cx.m.progress.asks() | cx.m.progress.has_tried_enough();
    if current::with(|cx| cx.is_some_and(is_over)) && no_wait::forbidden_at().is_none() {
        yield_for_preempt();
    }
}

/// Does what the calling goroutine, or thread, was asked for.
#[cold]
fn look(may_wait: bool) {
    match no_wait::forbidden_at() {
        Some(at) if may_wait => no_wait::refuse(at),
        Some(_) => {}
        None if current::with(|cx| cx.is_some_and(|cx| cx.m.progress.preempt_requested())) => {
            yield_for_preempt();
        }
        None => {}
    }
}

/// A future's part in preemption: the first thing that the future of an operation does in its poll.
///
/// A future does not suspend the goroutine that polls it: the executor around it may rely on its
/// calls being nested. It is pending in place of that, and wakes itself; `block_on` has a
/// [`preempt_point`] before it polls again. An executor without one polls at once, while the
/// request stands. So one future is pending for each time that sysmon requests it, whichever
/// future that is: one that is made anew for each poll would never be ready otherwise.
#[inline]
pub(crate) fn poll_turn(cx: &Context<'_>) -> Poll<()> {
    if !current::with(|place| place.is_some_and(|place| place.m.progress.take_turn_request())) {
        return Poll::Ready(());
    }
    cx.waker().wake_by_ref();
    Poll::Pending
}

#[cfg(all(test, not(gosched_loom)))]
mod tests;
