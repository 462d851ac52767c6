//! How a goroutine, or a thread that is none, waits.
//!
//! A G with a stack of its own normally *switches*: it suspends, the M's loop commits on its parker
//! and runs somebody else. It waits *in place* - the M gives its P up and the thread sleeps - when
//! a sibling must not run above its frames: while the thread is panicking (the panic count belongs
//! to the thread), and while it is pinned (a nested entry from C) or locked to its thread. A
//! thread-backed G always waits in place; a plain thread borrows such a G for the time of its wait.
//!
//! # Safety
//!
//! `Target` points to a G record that may be parked; waiters hand it out only while they wait (see
//! `waiter`), and whoever claims the G from its parker owns it until it is runnable again.
#![expect(unsafe_code, reason = "claims parked Gs, suspends the running one")]

use std::ptr::{self, NonNull};
use std::thread;
use std::time::Instant;

use gosched_runtime_sys::clock::{to_instant, to_ns};
use gosched_runtime_sys::thread::monotonic_ns;

use crate::current::{self, Current};
use crate::ds::parker::Notify;
use crate::ds::timers::NEVER;
use crate::g::{CancelScope, G, GSuspender, Kind, Switch};
use crate::m::M;
use crate::policy::Patience;
use crate::proc::in_place::{self, kind_of_running};
use crate::proc::timers::Armed;
use crate::proc::{cancel, quick, switch};
use crate::sched::Sched;
use crate::thread_g::{self, Borrowed};
use crate::why::Why;

mod claimed;
mod plain;

pub(crate) use claimed::Wake;
pub(crate) use plain::{Plain, PlainSwitch};

/// One wait of whoever calls: begun before its node can be seen, then parked as often as it takes.
#[derive(Debug)]
pub(crate) struct Parking {
    target: Target,
    /// It began inside an operation of the scheduler (an allocator that waits): the M is not to be
    /// switched away from.
    busy: bool,
    /// Set when the caller is no goroutine: the G that stands in for its thread.
    _stand_in: Option<Borrowed>,
}

/// What a waker needs of a waiter.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target {
    g: NonNull<G>,
    /// Null for a plain thread: no runtime is needed to wake it.
    sched: *const Sched,
}

// SAFETY: the pointers are what is not `Send`; both are followed only while the waiter waits, by
// whoever holds the lock of what it waits for.
unsafe impl Send for Target {}

impl Target {
    /// The calling goroutine.
    pub(crate) fn here() -> Option<Self> {
        current::with(|cx| {
            let cx = cx?;
            Some(Self { g: cx.g()?.into(), sched: cx.sched() })
        })
    }

    /// The M it has settled on, if it is in `sched`; none for one that has no M for good.
    ///
    /// # Safety
    ///
    /// The goroutine has begun, and does not end meanwhile; what it wrote before it began is seen.
    pub(crate) unsafe fn settled_in(&self, sched: &Sched) -> Option<&'static M> {
        if !ptr::eq(self.sched, sched) {
            return None;
        }
        // SAFETY: this function's contract.
        let g = unsafe { self.g.as_ref() };
        // SAFETY: as above.
        unsafe { g.settled_home() }.map(M::of)
    }

    /// Ends its wait for a reason that was written before. Under a lock that it takes before it
    /// ends; runs no user code.
    ///
    /// # Safety
    ///
    /// The goroutine does not end meanwhile.
    pub(crate) unsafe fn cancel(self) -> Wake {
        // SAFETY: this function's contract; `sched` is the runtime it is in.
        unsafe { cancel(self.g, self.sched) }
    }

    /// Asks it to end. Under a lock that it takes before it does; runs no user code.
    ///
    /// # Safety
    ///
    /// The goroutine has begun, and does not end meanwhile.
    pub(crate) unsafe fn ask_to_end(self) -> Wake {
        // SAFETY: this function's contract.
        let g = unsafe { self.g.as_ref() };
        // SAFETY: as above.
        unsafe { g.ask_to_end() };
        // SAFETY: as above.
        unsafe { self.cancel() }
    }

    /// Ends the wait. Under the lock of what was waited for; runs no user code.
    #[inline(always)]
    pub(crate) fn notify(self) -> Wake {
        // SAFETY: the waiter waits, so its G's record is there.
        let parker = &unsafe { self.g.as_ref() }.parker;
        match parker.notify() {
            Notify::Left => Wake::NOBODY,
            // SAFETY: the parker made this caller the owner.
            Notify::Owner => unsafe { self.claimed() },
        }
    }
}

/// Wakes a G because it is cancelled, whose reason was written before; a wait that must not be
/// given up goes on.
///
/// # Safety
///
/// `g` is a record of `sched` (or, `sched` being null, of a thread-backed G).
pub(crate) unsafe fn cancel(g: NonNull<G>, sched: *const Sched) -> Wake {
    // SAFETY: records outlive their runtime's use, and thread-backed ones everything.
    match unsafe { g.as_ref() }.parker.cancel() {
        Notify::Left => Wake::NOBODY,
        // SAFETY: the parker made this caller the owner.
        Notify::Owner => unsafe { Target { g, sched }.claimed() },
    }
}

/// The M that the calling goroutine has settled on, if it has; it is the calling thread's for as
/// long as the goroutine lives.
pub(crate) fn settled_here() -> Option<&'static M> {
    current::with(|cx| {
        let cx = cx?;
        (kind_of_running(cx.g()?) == Kind::Settled).then_some(cx.m)
    })
}

impl Parking {
    /// Begins a wait of the calling goroutine; `None` on a thread that is none. Neither allocates
    /// nor locks.
    #[inline(always)]
    pub(crate) fn begin_at_once() -> Option<Self> {
        current::with(|cx| {
            let cx = cx?;
            let g = cx.g()?;
            g.parker.prepare();
            g.waits_for(Why::Unsaid);
            let target = Target { g: g.into(), sched: cx.sched() };
            Some(Self { target, busy: cx.m.is_busy(), _stand_in: None })
        })
    }

    /// Begins a wait of the calling goroutine or thread; the latter borrows a G for it, under a
    /// lock.
    pub(crate) fn begin() -> Self {
        Self::begin_at_once().unwrap_or_else(|| {
            let borrowed = thread_g::borrow();
            borrowed.g().parker.prepare();
            let target = Target { g: borrowed.g().into(), sched: ptr::null() };
            Self { target, busy: false, _stand_in: Some(borrowed) }
        })
    }

    /// Begins the wait again, after other waits of the caller came between: they forgot its
    /// notifications.
    pub(crate) fn renew(&self) {
        self.g().parker.prepare();
    }

    /// Who has to be woken.
    #[inline(always)]
    pub(crate) fn target(&self) -> Target {
        self.target
    }

    #[inline(always)]
    fn g(&self) -> &G {
        // SAFETY: the calling G's own record, or the one borrowed for this wait.
        unsafe { self.target.g.as_ref() }
    }

    /// Says what for, to who looks at the goroutine from outside.
    #[inline(always)]
    pub(crate) fn because(&self, why: Why) {
        self.g().waits_for(why);
    }

    /// Waits until it is notified or cancelled. May return early; may be called again.
    #[inline(always)]
    pub(crate) fn park(&self) {
        match cancel::limit(self.g()) {
            NEVER => self.park_as(Switch::Park),
            limit => self.park_at_most(limit, in_place::patience),
        }
    }

    /// Waits until it is notified. May return early; may be called again.
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
                in_place::patience(),
            ),
        }
    }

    /// As [`park`](Self::park), and returns once `deadline` has passed, too, if there is one. When
    /// it has returned, nothing is left of the deadline: it does not end a later wait.
    #[inline(always)]
    pub(crate) fn park_until(&self, deadline: Option<Instant>) {
        match deadline {
            Some(deadline) => {
                self.park_at_most(to_ns(deadline).min(cancel::limit(self.g())), in_place::patience)
            }
            None => self.park(),
        }
    }

    /// As [`park_until`](Self::park_until), for who expects nobody to come before the deadline: a
    /// thread does not look out for anybody before it sleeps.
    pub(crate) fn sleep_until(&self, deadline: Instant) {
        self.park_at_most(to_ns(deadline).min(cancel::limit(self.g())), || Patience::NONE);
    }

    fn park_at_most(&self, at: u64, patience: impl FnOnce() -> Patience) {
        if at <= monotonic_ns() {
            return;
        }
        let panicking = thread::panicking();
        let armed = suspender(self.g(), panicking || self.busy).and_then(|suspender| {
            // SAFETY: a G that has a suspender is in a runtime, which stays while the G runs.
            let sched = unsafe { &*self.target.sched };
            Some((suspender, Armed::arm(sched, self.g(), at)?))
        });
        match armed {
            Some((suspender, armed)) => {
                // SAFETY: it is the calling G's, on whose stack this runs.
                unsafe { switch::suspend(self.target.sched, suspender, Switch::Park) };
                armed.disarm();
            }
            // It may not switch; or there is no memory for a timer, and the thread can do without.
            None => in_place::wait(self.g(), panicking, to_instant(at), patience()),
        }
    }

    /// What the wait is to be given up for, if it is.
    fn cancel_pending(&self) -> Option<CancelScope> {
        cancel::pending(self.g(), self.sched())
    }

    /// The calling goroutine's runtime.
    #[inline(always)]
    fn sched(&self) -> Option<&Sched> {
        // SAFETY: null, or a runtime that has not ended: the caller runs in it.
        unsafe { self.target.sched.as_ref() }
    }

    /// Whether the wait is to be given up. Never where a cancel must not get through: shielded, or
    /// panicking.
    #[inline]
    pub(crate) fn cancelled(&self) -> bool {
        self.cancel_pending().is_some()
    }

    /// Gives the wait up by unwinding. The cancel stays pending.
    pub(crate) fn raise(&self) -> ! {
        // What cancelled it stays until this goroutine has left what was cancelled.
        cancel::raise(
            self.g(),
            self.sched(),
            self.cancel_pending().unwrap_or(CancelScope::Goroutine),
        )
    }
}

/// How the running G suspends, if it may switch.
#[inline(always)]
fn suspender(g: &G, forbidden: bool) -> Option<GSuspender> {
    // SAFETY: callers pass their own running G, or the record borrowed for their thread.
    let own = unsafe { crate::g::running_own(g) };
    if forbidden || own.pins.get() > 0 || own.locks.get() > 0 {
        return None;
    }
    own.suspender.get()
}

/// Whether the thread may be left to others while its G waits for another thread: the G is settled,
/// so that there are others, and may switch.
pub(crate) fn may_leave_thread(cx: &Current) -> bool {
    let Some(g) = cx.g() else { return false };
    kind_of_running(g) == Kind::Settled
        && suspender(g, thread::panicking() || cx.m.is_busy()).is_some()
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

/// Lets others run. Returns when the goroutine's turn has come again, at once if there is nobody.
/// One that may not switch, [locked](crate::lock_thread) to its thread for one, offers others its P
/// and its core.
///
/// On a plain thread this is `std::thread::yield_now`.
///
/// # Panics
///
/// Unwinds with [`Cancelled`](crate::Cancelled) if the goroutine was cancelled.
#[doc(alias("Gosched", "sched_yield"))]
pub fn yield_now() {
    let suspends = current::with(|cx| {
        let cx = cx?;
        let g = cx.g()?;
        if let Some(scope) = cancel::pending(g, Some(cx.sched())) {
            cancel::raise(g, Some(cx.sched()), scope);
        }
        turn(cx, g)
    });
    yield_as(suspends);
}

#[cold]
fn yield_turn() {
    yield_as(current::with(|cx| cx.and_then(|cx| turn(cx, cx.g()?))));
}

/// What the running G's yield comes to, if it may switch.
enum Turn {
    /// It goes on at once.
    Again,
    Suspends(GSuspender, *const Sched),
}

#[inline(always)]
fn turn(cx: &Current, g: &G) -> Option<Turn> {
    let suspender = suspender(g, thread::panicking() || cx.m.is_busy())?;
    if quick::comes_again(cx, g) {
        return Some(Turn::Again);
    }
    Some(Turn::Suspends(suspender, cx.sched()))
}

#[inline(always)]
fn yield_as(turn: Option<Turn>) {
    match turn {
        Some(Turn::Again) => {}
        // SAFETY: it is the calling G's, on whose stack this runs.
        Some(Turn::Suspends(suspender, sched)) => unsafe {
            switch::suspend(sched, suspender, Switch::Yield);
        },
        None => in_place::offer(),
    }
}

/// Lets others run if this goroutine has been asked to: its slice is over and somebody waits, or
/// its P was taken. Every operation that may suspend begins with it, also where it then succeeds at
/// once: a loop over such operations would otherwise keep its thread for ever.
#[inline]
pub(crate) fn give_turn() {
    let urged = current::with(|cx| cx.is_some_and(|cx| cx.m.pulse.urged()));
    if urged {
        yield_turn();
    }
}

/// Runs `f` with the current goroutine pinned: its waits put the thread to sleep instead of running
/// siblings above the frames that are on its stack.
pub(crate) fn pinned<R>(f: impl FnOnce() -> R) -> R {
    cancel::counted(|own| &own.pins, f)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

    use super::*;
    use crate::ds::timers::NEVER;
    use crate::{Mode, Runtime, chan, go};

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
            let hand = current::with(|cx| cx.expect("inside").enter().expect("not busy yet"));
            yield_now();
            let (tx, rx) = chan::bounded(0);
            let sender = thread::spawn(move || tx.send(7));
            assert_eq!(rx.recv(), Ok(7));
            let early = ran.load(Relaxed);
            drop(hand);
            sender.join().expect("no panic").expect("it was received");
            other.join().expect("no panic");
            early
        });
        assert!(!early && ran.load(Relaxed));
    }
}
