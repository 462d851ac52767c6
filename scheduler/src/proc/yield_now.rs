//! A goroutine lets others run: when it says so, and when sysmon has asked it to.
//!
//! # Safety
//!
//! What suspends a goroutine comes from its own record, and is used on its own stack.
#![expect(unsafe_code, reason = "suspends the running G")]

use std::thread;

use crate::gmp::current::{self, Current};
use crate::gmp::g::{G, GSuspender, Switch};
use crate::gmp::sched::Sched;
use crate::proc::park::suspender;
use crate::proc::{cancel, fast_rounds, in_place, switch};

/// Lets others run. Returns when the goroutine's turn has come again, at once if there is nobody.
/// One that may not switch, [locked](crate::lock_thread) to its thread for one, offers others its P
/// and its core.
///
/// On a plain thread this is `std::thread::yield_now`.
///
/// # Panics
///
/// Unwinds with [`Cancelled`](crate::Cancelled) if the goroutine was cancelled.
pub fn yield_now() {
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
        None => in_place::offer(),
    }
}

/// Lets others run if this goroutine has been asked to: its slice is over and somebody waits, or
/// its P was taken. Every operation that may suspend begins with it, also where it then succeeds at
/// once: a loop over such operations would otherwise keep its thread for ever.
#[inline]
pub(crate) fn preempt_point() {
    let preempt_requested =
        current::with(|cx| cx.is_some_and(|cx| cx.m.progress.preempt_requested()));
    if preempt_requested {
        yield_for_preempt();
    }
}
