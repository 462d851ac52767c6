//! How a goroutine, or a thread that is none, waits.
//!
//! A G with a stack of its own normally *switches*: it suspends, the M's loop commits on its parker and runs somebody
//! else. It waits *in place* - the M gives its P up and the thread sleeps - when a sibling must not run above its frames:
//! while the thread is panicking (the panic count belongs to the thread), and while it is pinned (a nested entry from C).
//! A thread-backed G always waits in place; a plain thread borrows such a G for the time of its wait.
//!
//! # Safety
//!
//! `Target` points to a G record that may be parked; waiters hand it out only while they wait (see `waiter`), and whoever
//! claims the G from its parker owns it until it is runnable again.
#![expect(unsafe_code, reason = "claims parked Gs, suspends the running one")]

use std::any::Any;
use std::fmt;
use std::panic;
use std::ptr::{self, NonNull};
use std::sync::Arc;
use std::thread;

use gosched_runtime_sys::thread::{monotonic_ns, yield_thread};

use crate::current::{self, Current};
use crate::ds::parker::{Commit, Notify};
use crate::g::{G, GSuspender, Kind, Runnable, Switch};
use crate::m::M;
use crate::policy::Patience;
use crate::proc::wake;
use crate::sched::Sched;
use crate::thread_g::{self, Borrowed};

/// The payload a cancelled goroutine unwinds with. It comes back from `join` as any panic does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Cancelled {
    /// The goroutine's number.
    pub g: u64,
}

impl fmt::Display for Cancelled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "goroutine {} was cancelled", self.g)
    }
}

impl std::error::Error for Cancelled {}

/// One wait of whoever calls: begun before its node can be seen, then parked as often as it takes.
#[derive(Debug)]
pub(crate) struct Parking {
    target: Target,
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

// SAFETY: the pointers are what is not `Send`; both are followed only while the waiter waits, by whoever holds the lock of
// what it waits for.
unsafe impl Send for Target {}

/// A claimed waiter, to be made runnable once every lock is free; or nobody, if the waiter will see for itself.
#[must_use = "the waiter never runs again unless it is woken"]
#[derive(Debug)]
pub(crate) struct Wake(Option<Claimed>);

struct Claimed {
    g: Runnable,
    keep: Keep,
}

impl fmt::Debug for Claimed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Claimed").field(&self.g.g().id()).finish()
    }
}

/// What keeps the waiter's runtime alive between the claim and the wake: once the G is runnable, all of it may end.
enum Keep {
    /// The G's thread is woken by its note, which outlives everything.
    Note,
    /// The waking thread is in the same runtime.
    Here(*const Sched),
    Held(Arc<Sched>),
}

impl Target {
    /// Ends the wait. Under the lock of what was waited for; runs no user code.
    pub(crate) fn notify(self) -> Wake {
        // SAFETY: the waiter waits, so its G's record is there.
        let parker = &unsafe { self.g.as_ref() }.parker;
        match parker.notify() {
            Notify::Left => Wake(None),
            // SAFETY: the parker made this caller the owner.
            Notify::Owner => unsafe { self.claimed() },
        }
    }

    /// # Safety
    ///
    /// The caller has just become the owner of the parked G.
    unsafe fn claimed(self) -> Wake {
        // SAFETY: this function's contract.
        let g = unsafe { Runnable::from_raw(self.g) };
        let keep = if g.own().in_place.get() {
            Keep::Note
        } else if current::with(|cx| cx.is_some_and(|cx| ptr::eq(cx.sched(), self.sched))) {
            Keep::Here(self.sched)
        } else {
            // SAFETY: the G is parked in that runtime, which therefore has not ended; it lies in an `Arc`.
            Keep::Held(unsafe { &*self.sched }.arc())
        };
        Wake(Some(Claimed { g, keep }))
    }
}

impl Wake {
    /// Makes the waiter runnable.
    pub(crate) fn now(self) {
        let Some(Claimed { g, keep }) = self.0 else { return };
        match keep {
            Keep::Note => wake::wake_thread(g),
            // SAFETY: the calling thread is in that runtime until it leaves the code that called this.
            Keep::Here(sched) => wake::ready(unsafe { &*sched }, g),
            Keep::Held(sched) => wake::ready(&sched, g),
        }
    }
}

/// Wakes a G because it is cancelled; a wait that must not be given up goes on.
///
/// # Safety
///
/// `g` is a record of `sched` (or, `sched` being null, of a thread-backed G).
pub(crate) unsafe fn cancel(g: NonNull<G>, sched: *const Sched) -> Wake {
    // SAFETY: records outlive their runtime's use, and thread-backed ones everything.
    match unsafe { g.as_ref() }.parker.cancel() {
        Notify::Left => Wake(None),
        // SAFETY: the parker made this caller the owner.
        Notify::Owner => unsafe { Target { g, sched }.claimed() },
    }
}

impl Parking {
    /// Begins a wait of the calling goroutine or thread.
    pub(crate) fn begin() -> Self {
        current::with(|cx| match cx.and_then(|cx| Some((cx, cx.g()?))) {
            Some((cx, g)) => {
                g.parker.prepare();
                Self { target: Target { g: g.into(), sched: cx.sched() }, _stand_in: None }
            }
            None => {
                let borrowed = thread_g::borrow();
                borrowed.g().parker.prepare();
                Self { target: Target { g: borrowed.g().into(), sched: ptr::null() }, _stand_in: Some(borrowed) }
            }
        })
    }

    /// Who has to be woken.
    #[inline]
    pub(crate) fn target(&self) -> Target {
        self.target
    }

    fn g(&self) -> &G {
        // SAFETY: the calling G's own record, or the one borrowed for this wait.
        unsafe { self.target.g.as_ref() }
    }

    /// Waits until it is notified or cancelled. May return early; may be called again.
    pub(crate) fn park(&self) {
        let panicking = thread::panicking();
        match suspender(self.g(), panicking) {
            // SAFETY: it is the calling G's, on whose stack this runs.
            Some(suspender) => unsafe {
                suspender.suspend(Switch::Park);
            },
            None => self.park_in_place(panicking || !can_unwind()),
        }
    }

    /// Whether the wait is to be given up. Never while the thread is panicking: its unwinding must get through.
    pub(crate) fn cancelled(&self) -> bool {
        if !self.g().parker.cancelled() {
            return false;
        }
        if self.cancel_is_stale() {
            self.g().parker.forget_cancel();
            return false;
        }
        !thread::panicking() && can_unwind()
    }

    /// A thread-backed record goes from runtime to runtime, and a cancel for the last one may arrive late.
    fn cancel_is_stale(&self) -> bool {
        // SAFETY: the calling G's own record, or the one borrowed for this wait.
        let own = unsafe { crate::g::running_own(self.g()) };
        // SAFETY: the calling goroutine's runtime, or null.
        let sched = unsafe { self.target.sched.as_ref() };
        own.kind.get() == Kind::ThreadBacked && !sched.is_some_and(Sched::closing)
    }

    /// Gives the wait up by unwinding. The cancel stays pending.
    pub(crate) fn raise(&self) -> ! {
        raise(self.g())
    }

    #[cold]
    fn park_in_place(&self, shielded: bool) {
        let g = self.g();
        if look_first(g, patience()) {
            return;
        }
        // SAFETY: the calling G's own record, or the one borrowed for this wait.
        let own = unsafe { crate::g::running_own(g) };
        let home = own.home.get();
        current::with(|cx| {
            if let Some(cx) = cx {
                give_up_p(cx);
                own.home.set(Some(cx.m.as_home()).filter(|_| home.is_none()).or(home));
            }
        });
        own.in_place.set(true);
        let note = &M::of(own.home.get().expect("it has just been set")).seat.note;
        if g.parker.commit(!shielded) == Commit::Parked {
            while g.parker.parked() {
                note.sleep();
            }
        }
        own.in_place.set(own.kind.get() == Kind::ThreadBacked);
        own.home.set(home);
    }
}

/// How the running G suspends, if it may switch.
#[inline]
fn suspender(g: &G, panicking: bool) -> Option<GSuspender> {
    // SAFETY: callers pass their own running G, or the record borrowed for their thread.
    let own = unsafe { crate::g::running_own(g) };
    if panicking || own.pins.get() > 0 {
        return None;
    }
    own.suspender.get()
}

/// Looks for a while whether the wait is over before the thread goes to sleep.
fn look_first(g: &G, patience: Patience) -> bool {
    if patience.total_ns == 0 {
        return g.parker.notified();
    }
    let began = monotonic_ns();
    loop {
        if g.parker.notified() {
            return true;
        }
        let waited = monotonic_ns().saturating_sub(began);
        if waited >= patience.total_ns {
            return false;
        }
        if waited < patience.spin_ns {
            std::hint::spin_loop();
        } else {
            yield_thread();
        }
    }
}

fn patience() -> Patience {
    current::with(|cx| cx.map_or(Patience { spin_ns: 0, total_ns: 0 }, |cx| cx.sched().patience()))
}

/// Before its thread sleeps, every M on it (one per runtime that the thread is in) gives its P up.
fn give_up_p(cx: &Current) {
    let mut place = Some(cx);
    while let Some(cx) = place {
        let p = cx.enter().ok().and_then(|mut hand| hand.p.take());
        if let Some(p) = p {
            cx.m.seat.without_p();
            wake::hand_off_p(cx.sched(), p);
        }
        place = cx.prev();
    }
}

/// Lets others run. Returns when the goroutine's turn has come again, at once if it is pinned or there is nobody.
///
/// On a plain thread this is `std::thread::yield_now`.
///
/// # Panics
///
/// Unwinds with [`Cancelled`] if the goroutine was cancelled.
pub fn yield_now() {
    let suspender = current::with(|cx| {
        let g = cx?.g()?;
        if g.parker.cancelled() && !thread::panicking() && can_unwind() {
            raise(g);
        }
        suspender(g, thread::panicking())
    });
    match suspender {
        // SAFETY: it is the calling G's, on whose stack this runs.
        Some(suspender) => unsafe {
            suspender.suspend(Switch::Yield);
        },
        None => yield_thread(),
    }
}

/// With `panic = "abort"` nothing is unwound: a cancel only marks.
pub(crate) const fn can_unwind() -> bool {
    cfg!(panic = "unwind")
}

fn raise(g: &G) -> ! {
    let payload: Box<dyn Any + Send> = Box::new(Cancelled { g: g.id() });
    panic::resume_unwind(payload)
}

/// Runs `f` with the current goroutine pinned: its waits put the thread to sleep instead of running siblings above the
/// frames that are on its stack.
pub(crate) fn pinned<R>(f: impl FnOnce() -> R) -> R {
    struct Unpin(NonNull<G>);
    impl Drop for Unpin {
        fn drop(&mut self) {
            // SAFETY: the record of a G that has not ended: it runs this.
            let g = unsafe { self.0.as_ref() };
            // SAFETY: it is the calling G's.
            let own = unsafe { crate::g::running_own(g) };
            own.pins.set(own.pins.get() - 1);
        }
    }
    let g = current::with(|cx| {
        let own = cx?.own()?;
        own.pins.set(own.pins.get() + 1);
        cx?.g().map(NonNull::from)
    });
    let _unpin = g.map(Unpin);
    f()
}
