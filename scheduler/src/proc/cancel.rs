//! Why the running goroutine is to give its waits up, and what keeps it from doing so.
//!
//! A cancel is two things: its reason, which is written first, and a bit in the park word, which
//! ends the wait. The bit alone ends nothing: whoever finds it looks for a reason, and without one
//! forgets it. So a cancel that was meant for an earlier goroutine of the record, or for a region
//! that this one has left, costs a wait that is begun once more.
//!
//! The reasons: the runtime shuts down; the goroutine was asked to end by its handle; a token was
//! cancelled, or time is up, for the part of the goroutine that runs under it, a [`Region`].
//!
//! Nobody tells a goroutine that its time is up. It waits no longer than the first limit of its
//! regions allows, and looks at the clock whenever it looks for a reason: that works the same for a
//! goroutine that is a thread, and one that never waits pays nothing.
//!
//! Rejected: a word of bits for the reasons in the G, which leaving a region would have to clear
//! while somebody sets it. Looking for the outermost is walking a list of frames, and nobody does
//! so who was not cancelled.
//!
//! # Safety
//!
//! A region lies in the frame of [`Region::run`], which links it into its own goroutine before it
//! calls anybody and unlinks it before it returns or unwinds. The list is read and written by that
//! goroutine alone; what others store is an atomic.
#![expect(unsafe_code, reason = "walks the regions on the running goroutine's stack")]

use std::any::Any;
use std::cell::Cell;
use std::panic;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;

use gosched_runtime_sys::clock::monotonic_ns;

use crate::ds::timers::NEVER;
use crate::gmp::current::{self, left_out_of_turn};
use crate::gmp::g::{CancelScope, Cancelled, G, GOwned, running_owned};
use crate::gmp::sched::Sched;

/// With `panic = "abort"` nothing is unwound: a cancel only marks.
pub(crate) const fn can_unwind() -> bool {
    cfg!(panic = "unwind")
}

/// Whether a cancel may end a wait of the goroutine with this part, if its thread is not panicking.
#[inline]
pub(crate) fn may_end_waits(owned: &GOwned) -> bool {
    can_unwind() && owned.shields.get() == 0
}

/// What the calling goroutine is to unwind for. `sched` is the runtime it is in; none when a plain
/// thread borrowed `g`. Nothing while the thread is panicking: its unwinding must get through.
#[inline]
pub(crate) fn pending(g: &G, sched: Option<&Sched>) -> Option<CancelScope> {
    // SAFETY: the calling goroutine's.
    if unsafe { running_owned(g) }.limit.get() != NEVER {
        look_at_clock(g);
    }
    let why = g.parker.pending(|| reason(g, sched))?;
    // SAFETY: the calling goroutine's.
    let owned = unsafe { running_owned(g) };
    (may_end_waits(owned) && !thread::panicking()).then_some(why)
}

/// When the waits of the calling goroutine end at the latest, in nanoseconds on the monotonic
/// clock; [`NEVER`] if none of its time limits counts here.
#[inline(always)]
pub(crate) fn limit(g: &G) -> u64 {
    // SAFETY: the calling goroutine's.
    let owned = unsafe { running_owned(g) };
    match owned.limit.get() {
        limit if limit != NEVER && may_end_waits(owned) && !thread::panicking() => limit,
        _ => NEVER,
    }
}

/// Limits of the calling goroutine that have passed become reasons.
#[cold]
fn look_at_clock(g: &G) {
    // SAFETY: the calling goroutine's.
    let owned = unsafe { running_owned(g) };
    let now = monotonic_ns();
    if owned.limit.get() > now {
        return;
    }
    each_region(owned, |region| {
        if region.limit <= now {
            region.tell();
        }
    });
    let _it_runs = g.parker.cancel();
}

/// Calls `f` with each region that the calling goroutine, whose part this is, is in; the innermost
/// first.
fn each_region(owned: &GOwned, mut f: impl FnMut(&Region)) {
    let mut at = owned.regions.get();
    while let Some(region) = at {
        // SAFETY: linked by a frame of this goroutine that has not returned.
        let region = unsafe { region.cast::<Region>().as_ref() };
        f(region);
        at = region.outer.get();
    }
}

/// The widest reason there is: what is unwound for it need not be unwound for the others.
fn reason(g: &G, sched: Option<&Sched>) -> Option<CancelScope> {
    // A plain thread is nobody's to cancel, whatever was meant for those who had the record before.
    if sched?.closing() {
        let deadlocked = sched?.deadlocks.report().is_some();
        return Some(if deadlocked { CancelScope::Deadlock } else { CancelScope::Runtime });
    }
    // SAFETY: `pending`'s caller is the goroutine.
    let owned = unsafe { running_owned(g) };
    if owned.cancel_requested.load(Relaxed) {
        return Some(CancelScope::Goroutine);
    }
    let mut widest = None;
    each_region(owned, |region| {
        if region.told.load(Relaxed) {
            widest = Some(region.scope);
        }
    });
    widest
}

/// Gives a wait up that is to be given up for `scope`. In a deadlock somebody has to say so:
/// whoever is in `run`.
pub(crate) fn raise(g: &G, sched: Option<&Sched>, scope: CancelScope) -> ! {
    // SAFETY: callers pass the running G of their own thread, or the one borrowed for it.
    let owned = unsafe { running_owned(g) };
    if scope == CancelScope::Deadlock
        && owned.root.get()
        && let Some(report) = sched.and_then(|sched| sched.deadlocks.report())
    {
        panic!("{report}");
    }
    let payload: Box<dyn Any + Send> = Box::new(Cancelled { g: g.id(), scope });
    panic::resume_unwind(payload)
}

/// Calls `f` while `count` of the calling goroutine is one more.
pub(crate) fn counted<R>(count: fn(&GOwned) -> &Cell<u32>, f: impl FnOnce() -> R) -> R {
    struct Undo {
        g: NonNull<G>,
        count: fn(&GOwned) -> &Cell<u32>,
        /// The count inside.
        inside: u32,
    }
    impl Drop for Undo {
        fn drop(&mut self) {
            let in_order = current::with(|cx| {
                let cx = cx.filter(|cx| cx.g().map(NonNull::from) == Some(self.g))?;
                let count = (self.count)(cx.owned()?);
                (count.get() == self.inside).then(|| count.set(self.inside - 1))
            });
            if in_order.is_none() {
                left_out_of_turn();
            }
        }
    }
    let _undo = current::with(|cx| {
        let cx = cx?;
        let (g, inside) = (NonNull::from(cx.g()?), count(cx.owned()?).get() + 1);
        count(cx.owned()?).set(inside);
        Some(Undo { g, count, inside })
    });
    f()
}

/// Runs `f` so that no cancel ends its waits. A cancel stays pending.
pub(crate) fn shielded<R>(f: impl FnOnce() -> R) -> R {
    counted(|owned| &owned.shields, f)
}

/// A part of a goroutine that a token cancels, or a time limit.
pub(crate) struct Region {
    outer: Cell<Option<NonNull<()>>>,
    scope: CancelScope,
    limit: u64,
    told: AtomicBool,
}

impl Region {
    /// One that is left for `scope`, when it is told to be or when `limit` has passed, in
    /// nanoseconds on the monotonic clock; [`NEVER`] for none.
    pub(crate) fn new(scope: CancelScope, limit: u64) -> Self {
        Self { outer: Cell::new(None), scope, limit, told: AtomicBool::new(false) }
    }

    /// The token was cancelled. The goroutine's park word is cancelled after this.
    pub(crate) fn tell(&self) {
        self.told.store(true, Relaxed);
    }

    /// Calls `f` with this as the innermost region of the calling goroutine, if that is one.
    pub(crate) fn run<R>(&self, f: impl FnOnce() -> R) -> R {
        struct Leave<'a>(NonNull<G>, &'a Region, u64);
        impl Drop for Leave<'_> {
            fn drop(&mut self) {
                // SAFETY: the record of a G that has not ended: it runs this.
                let g = unsafe { self.0.as_ref() };
                // SAFETY: it is the calling G's.
                let owned = unsafe { running_owned(g) };
                owned.regions.set(self.1.outer.get());
                owned.limit.set(self.2);
            }
        }
        let g = current::with(|cx| {
            let owned = cx?.owned()?;
            self.outer.set(owned.regions.replace(Some(NonNull::from(self).cast())));
            let limit = owned.limit.replace(owned.limit.get().min(self.limit));
            Some((NonNull::from(cx?.g()?), limit))
        });
        let _leave = g.map(|(g, limit)| Leave(g, self, limit));
        f()
    }
}
