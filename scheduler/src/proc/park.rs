//! How a goroutine, or a thread that is none, waits.
//!
//! # Who calls it
//!
//! Everything that waits: channels, the locks of `sync`, `join`, sleeps, scopes and `blocking`, by
//! way of `wait::waiter`. A wait begins with [`Parking::begin`], before the waiter's node is linked
//! under the lock of what it waits for. The waiter then parks as often as it takes, and looks for
//! the outcome in its node each time: every park may return early.
//!
//! # Two ways to park
//!
//! A G with a stack of its own normally *switches*: it suspends, its M's loop commits on the G's
//! park word (`ds::parker`) and runs another G. It waits *in place* if no sibling may run above its
//! frames: the M gives its P up and the thread sleeps ([`in_place`]). [`suspender`] decides, and
//! there are four reasons to wait in place:
//!
//! - The thread is panicking. The panic count belongs to the thread.
//! - The G is pinned: C has called back into a goroutine, or the G runs on its thread's own stack.
//! - The G is locked to its thread ([`lock_thread`](crate::lock_thread())) and alone there.
//! - The wait began inside of an operation of the scheduler, in an allocator.
//!
//! A thread-backed G always waits in place. A plain thread borrows such a G for the time of its
//! wait.
//!
//! # Who owns what
//!
//! Until the commit the G belongs to its M, from then on to the claimer. A switched G cannot commit
//! for itself: a claimer would have another M resume a stack that is still in use. So its M
//! commits, on the thread's own stack (`proc::run`). A G that waits in place commits for itself,
//! because its thread alone resumes it.
//!
//! A time limit is one more waker: [`Armed`] puts the G into a heap before the switch, and takes it
//! out before the wait returns. A thread that waits in place sleeps until the limit instead, and
//! needs no timer.
//!
//! # Rejected
//!
//! A commit that the suspending G passes to its M as a closure: every kind of wait would be a
//! protocol of its own to prove, with an indirect call on the hottest path. All waits end by the
//! same park word, whatever they wait for.
//!
//! # Safety
//!
//! A wait parks the G that runs it, or the G borrowed for its thread, and no other.
#![expect(unsafe_code, reason = "reads the running G's own part, suspends it")]

use std::ptr;
use std::thread;
use std::time::Instant;

use gosched_runtime_sys::clock::monotonic_ns;
use gosched_runtime_sys::clock::{to_instant, to_ns};

use crate::ds::timers::NEVER;
use crate::gmp::current::{self, Current};
use crate::gmp::g::{CancelScope, G, GOwned, GSuspender, Kind, Switch};
use crate::gmp::m::M;
use crate::gmp::sched::Sched;
use crate::gmp::thread_g::{self, Borrowed};
use crate::gmp::wait_reason::WaitReason;
use crate::policy::SpinBudget;
use crate::proc::in_place::{self, kind_of_running};
use crate::proc::target::Target;
use crate::proc::timers::Armed;
use crate::proc::{cancel, switch};

mod switch_only;

pub(crate) use switch_only::{ParkSwitch, SwitchOnly};

/// One wait of the calling goroutine or thread. It begins before its node can be seen, and is
/// parked as often as it takes.
#[derive(Debug)]
pub(crate) struct Parking {
    target: Target,
    /// The wait began inside of an operation of the scheduler (an allocator that waits), so the G
    /// must not switch.
    busy: bool,
    /// The G that stands in for the calling thread, if that runs no goroutine.
    _stand_in: Option<Borrowed>,
}

/// Returns the home of the goroutine at a place of the calling thread, if it is settled.
///
/// The home is the M of that place, as long as the goroutine lives.
#[inline]
pub(crate) fn home_of(cx: &Current) -> Option<&'static M> {
    (kind_of_running(cx.g()?) == Kind::Settled).then_some(cx.m)
}

impl Parking {
    /// Begins a wait of the calling goroutine. Returns `None` on a thread that runs none. Neither
    /// allocates nor locks.
    #[inline(always)]
    pub(crate) fn begin_at_once() -> Option<Self> {
        current::with(|cx| {
            let cx = cx?;
            let g = cx.g()?;
            g.parker.prepare();
            g.set_wait_reason(WaitReason::Unsaid);
            let target = Target { g: g.into(), sched: cx.sched() };
            Some(Self { target, busy: cx.m.in_scheduler(), _stand_in: None })
        })
    }

    /// Begins a wait of the calling goroutine or thread. A thread borrows a G for it, under a lock.
    pub(crate) fn begin() -> Self {
        Self::begin_at_once().unwrap_or_else(|| {
            let borrowed = thread_g::borrow();
            borrowed.g().parker.prepare();
            let target = Target { g: borrowed.g().into(), sched: ptr::null() };
            Self { target, busy: false, _stand_in: Some(borrowed) }
        })
    }

    /// Begins the wait again. Called after other waits of the same caller, which discarded this
    /// wait's notifications.
    pub(crate) fn renew(&self) {
        self.g().parker.prepare();
    }

    /// Returns what a waker needs to wake the waiter.
    #[inline(always)]
    pub(crate) fn target(&self) -> Target {
        self.target
    }

    #[inline(always)]
    fn g(&self) -> &G {
        // SAFETY: the calling G's own record, or the one borrowed for this wait.
        unsafe { self.target.g.as_ref() }
    }

    /// Records what the goroutine waits for, for dumps.
    #[inline(always)]
    pub(crate) fn set_wait_reason(&self, why: WaitReason) {
        self.g().set_wait_reason(why);
    }

    /// Parks until the wait is notified or cancelled. May return early; may be called again.
    #[inline(always)]
    pub(crate) fn park(&self) {
        match cancel::limit(self.g()) {
            NEVER => self.park_as(Switch::Park),
            limit => self.park_at_most(limit, in_place::spin_budget),
        }
    }

    /// Parks until the wait is notified. May return early; may be called again.
    pub(crate) fn park_shielded(&self) {
        self.park_as(Switch::ParkShielded);
    }

    #[inline(always)]
    fn park_as(&self, switch: Switch) {
        let panicking = thread::panicking();
        match suspender(self.g(), panicking || self.busy) {
            // SAFETY: it is the calling G's, on whose stack this runs.
            Some(suspender) => unsafe {
                switch::suspend(self.target.sched, suspender, switch);
            },
            None => in_place::wait(
                self.g(),
                panicking || switch == Switch::ParkShielded,
                None,
                in_place::spin_budget(),
            ),
        }
    }

    /// Parks as [`park`](Self::park) does, and returns as well once the deadline has passed, if
    /// there is one.
    ///
    /// When it returns, nothing is left of the deadline: it does not end a later wait.
    #[inline(always)]
    pub(crate) fn park_until(&self, deadline: Option<Instant>) {
        match deadline {
            Some(deadline) => self
                .park_at_most(to_ns(deadline).min(cancel::limit(self.g())), in_place::spin_budget),
            None => self.park(),
        }
    }

    /// Parks as [`park_until`](Self::park_until) does, for a caller that expects no waker before
    /// the deadline: a thread sleeps without spinning first.
    pub(crate) fn sleep_until(&self, deadline: Instant) {
        self.park_at_most(to_ns(deadline).min(cancel::limit(self.g())), || SpinBudget::NONE);
    }

    fn park_at_most(&self, at: u64, spin_budget: impl FnOnce() -> SpinBudget) {
        if at <= monotonic_ns() {
            return;
        }
        let panicking = thread::panicking();
        let armed = suspender(self.g(), panicking || self.busy).and_then(|suspender| {
            // SAFETY: a G that has a suspender is in a runtime, which exists while the G runs.
            let sched = unsafe { &*self.target.sched };
            Some((suspender, Armed::arm(sched, self.g(), at)?))
        });
        match armed {
            Some((suspender, armed)) => {
                // SAFETY: it is the calling G's, on whose stack this runs.
                unsafe { switch::suspend(self.target.sched, suspender, Switch::Park) };
                armed.disarm();
            }
            // The G may not switch, or there is no memory for a timer: a thread needs none.
            None => in_place::wait(self.g(), panicking, to_instant(at), spin_budget()),
        }
    }

    /// Returns the cancel for which the wait is to be given up, if there is one.
    fn cancel_pending(&self) -> Option<CancelScope> {
        cancel::pending(self.g(), self.sched())
    }

    /// Returns the calling goroutine's runtime, if it has one.
    #[inline(always)]
    fn sched(&self) -> Option<&Sched> {
        // SAFETY: null, or a runtime that has not ended: the caller runs in it.
        unsafe { self.target.sched.as_ref() }
    }

    /// True if the wait is to be given up. Never true where no cancel may end a wait: while the
    /// goroutine is shielded, or panicking.
    #[inline]
    pub(crate) fn cancelled(&self) -> bool {
        self.cancel_pending().is_some()
    }

    /// Gives the wait up by unwinding. The cancel stays pending.
    pub(crate) fn raise(&self) -> ! {
        // The reason stays until this goroutine has left what was cancelled.
        cancel::raise(
            self.g(),
            self.sched(),
            self.cancel_pending().unwrap_or(CancelScope::Goroutine),
        )
    }
}

/// Returns the running G's suspender, if it may switch. `forbidden`: the caller has a reason
/// against it already.
#[inline(always)]
pub(crate) fn suspender(g: &G, forbidden: bool) -> Option<GSuspender> {
    // SAFETY: callers pass their own running G, or the record borrowed for their thread.
    let owned = unsafe { crate::gmp::g::running_owned(g) };
    if forbidden || owned.pins.get() > 0 || (owned.locks.get() > 0 && !shares_thread(owned)) {
        return None;
    }
    owned.suspender.get()
}

/// True if others have settled on the thread to which the running G is locked. They have nowhere
/// else to run. Without any, the G waits in place, and needs no P to go on.
#[cold]
fn shares_thread(owned: &GOwned) -> bool {
    owned.home.get().is_some_and(|home| M::of(home).settled() > 1)
}

/// True if the running G may leave its thread to siblings while it waits for another thread.
///
/// Some Gs have settled on the thread, the G itself or others, and the G may switch. It is not
/// locked to the thread.
pub(crate) fn may_leave_thread(cx: &Current) -> bool {
    let Some(g) = cx.g() else { return false };
    kind_of_running(g) != Kind::ThreadBacked
        && cx.m.settled() > 0
        && cx.owned().is_some_and(|owned| owned.locks.get() == 0)
        && suspender(g, thread::panicking() || cx.m.in_scheduler()).is_some()
}

/// Unwinds if the calling goroutine was cancelled and may unwind.
pub(crate) fn raise_if_cancelled() {
    current::with(|cx| {
        if let Some((cx, g)) = cx.and_then(|cx| Some((cx, cx.g()?)))
            && let Some(scope) = cancel::pending(g, Some(cx.sched()))
        {
            cancel::raise(g, Some(cx.sched()), scope);
        }
    });
}

/// Runs `f` with the current goroutine pinned. Its waits put the thread to sleep: no sibling runs
/// above the frames on its stack.
pub(crate) fn pinned<R>(f: impl FnOnce() -> R) -> R {
    cancel::with_raised(|owned| &owned.pins, f)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

    use super::*;
    use crate::ds::timers::NEVER;
    use crate::{Mode, Runtime, chan, go, yield_now};

    fn parked_until(deadline: Option<Instant>) -> (bool, bool) {
        let parking = Parking::begin();
        let notified = Arc::new(AtomicBool::new(false));
        let waker = deadline.is_none().then(|| {
            let (target, theirs) = (parking.target(), notified.clone());
            thread::spawn(move || {
                theirs.store(true, Relaxed);
                target.notify().now();
            })
        });
        parking.park_until(deadline);
        waker.into_iter().for_each(|waker| waker.join().expect("no panic"));
        (notified.load(Relaxed), deadline.is_some_and(|deadline| deadline <= Instant::now()))
    }

    #[test]
    fn a_wait_with_a_limit_ends_by_either() {
        let both = || {
            assert_eq!(parked_until(None), (true, false));
            for ms in [0, 1, 20] {
                let limit = Instant::now() + std::time::Duration::from_millis(ms);
                assert_eq!(parked_until(Some(limit)), (false, true));
            }
        };
        both();
        // SAFETY: no goroutine here waits in an initialiser or in code that relies on nesting.
        let mode = unsafe { Mode::settled() };
        let rt = Runtime::builder(mode).procs(1).build().expect("a runtime");
        let sched = rt.handle().sched().clone();
        rt.run(|| {
            both();
            pinned(both);
        });
        assert_eq!(
            (sched.first_timer(), sched.unkept_deadline()),
            (NEVER, None),
            "no timer is left"
        );
    }

    /// A goroutine that was notified long before its limit leaves nothing behind that could end its
    /// next wait.
    #[test]
    fn a_limit_that_was_not_reached_ends_no_later_wait() {
        // SAFETY: as above.
        let mode = unsafe { Mode::settled() };
        let rt = Runtime::builder(mode).procs(1).build().expect("a runtime");
        let sched = rt.handle().sched().clone();
        rt.run(|| {
            let parking = Parking::begin();
            let target = parking.target();
            let waker = thread::spawn(move || target.notify().now());
            parking.park_until(Some(Instant::now() + std::time::Duration::from_secs(3600)));
            waker.join().expect("no panic");
            assert_eq!(sched.first_timer(), NEVER);
        });
    }

    #[test]
    fn nothing_switches_inside_an_operation_of_the_scheduler() {
        // SAFETY: no goroutine here waits in an initialiser or in code that relies on nesting.
        let mode = unsafe { Mode::settled() };
        let rt = Runtime::builder(mode).procs(1).build().expect("a runtime");
        let ran = Arc::new(AtomicBool::new(false));
        let early = rt.run(|| {
            let theirs = ran.clone();
            let other = go(move || theirs.store(true, Relaxed));
            let inside = current::with(|cx| cx.expect("inside").enter().expect("not busy yet"));
            yield_now();
            let (tx, rx) = chan::bounded(0);
            let sender = thread::spawn(move || tx.send(7));
            assert_eq!(rx.recv(), Ok(7));
            let early = ran.load(Relaxed);
            drop(inside);
            sender.join().expect("no panic").expect("it was received");
            other.join().expect("no panic");
            early
        });
        assert!(!early && ran.load(Relaxed));
    }
}
