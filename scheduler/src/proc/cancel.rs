//! Why the running goroutine is to give its waits up, and what keeps it from doing so.
//!
//! # A cancel is a reason and a bit
//!
//! The canceller writes the reason first, and then sets a bit in the park word, which ends the
//! wait. The bit alone ends nothing: the goroutine that finds it looks for a reason, and without
//! one discards it. A bit may have been meant for an earlier goroutine of the same record, or for a
//! region that this one has left. Then it costs one wait that is begun again.
//!
//! # The reasons
//!
//! In this order, the widest first; what is unwound for one need not be unwound for those after it:
//!
//! 1. The runtime shuts down, or a deadlock was declared.
//! 2. The goroutine was asked to end, by its handle.
//! 3. A token was cancelled, or a time limit has passed, for the part of the goroutine that runs
//!    under it: a [`Region`]. Of several regions the outermost counts.
//!
//! # Who calls it
//!
//! Cancellers write a reason here ([`Region::cancel`]), in the G (`G::request_cancel`) or in the
//! runtime (`Sched::close`), and claim the G by its [`Target`](super::target::Target). The
//! goroutine itself asks [`pending`] whenever it waits or yields, and gives up by [`raise`].
//!
//! # Time limits
//!
//! Nothing fires when the limit of a region passes. The goroutine parks no longer than the first
//! limit of its regions ([`limit`]), and reads the clock whenever it looks for a reason. So a limit
//! works the same for a goroutine that is a thread, and costs nothing where the goroutine never
//! waits.
//!
//! # Rejected
//!
//! - A word of bits for the reasons in the G: leaving a region would have to clear its bit while a
//!   canceller sets it. The widest reason is found by walking the regions, and only a cancelled
//!   goroutine walks.
//! - A timer that cancels, for a time limit: it needs a heap, and so an M, also for goroutines that
//!   are threads.
//!
//! # Safety
//!
//! A region lies in the frame of [`Region::run`], which links it into its own goroutine before it
//! calls other code, and unlinks it before it returns or unwinds. That goroutine alone reads and
//! writes the list; what other threads store is an atomic.
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

/// True if a cancel can unwind. With `panic = "abort"` a cancel only leaves its mark.
pub(crate) const fn can_unwind() -> bool {
    cfg!(panic = "unwind")
}

/// True if a cancel may end a wait of the goroutine with this part, unless its thread is panicking.
#[inline]
pub(crate) fn may_end_waits(owned: &GOwned) -> bool {
    can_unwind() && owned.shields.get() == 0
}

/// Returns what the calling goroutine is to unwind for, if there is anything.
///
/// `sched` is the runtime it is in, or `None` if a plain thread has borrowed `g`. While the thread
/// is panicking there is nothing: that unwinding must complete.
#[inline]
pub(crate) fn pending(g: &G, sched: Option<&Sched>) -> Option<CancelScope> {
    // SAFETY: the calling goroutine's.
    if unsafe { running_owned(g) }.limit.get() != NEVER {
        cancel_expired(g);
    }
    let why = g.parker.pending(|| reason(g, sched))?;
    // SAFETY: the calling goroutine's.
    let owned = unsafe { running_owned(g) };
    (may_end_waits(owned) && !thread::panicking()).then_some(why)
}

/// Returns when the waits of the calling goroutine end at the latest, in nanoseconds on the
/// monotonic clock; [`NEVER`] if none of its time limits counts here.
#[inline(always)]
pub(crate) fn limit(g: &G) -> u64 {
    // SAFETY: the calling goroutine's.
    let owned = unsafe { running_owned(g) };
    match owned.limit.get() {
        limit if limit != NEVER && may_end_waits(owned) && !thread::panicking() => limit,
        _ => NEVER,
    }
}

/// Cancels the regions of the calling goroutine whose limits have passed.
#[cold]
fn cancel_expired(g: &G) {
    // SAFETY: the calling goroutine's.
    let owned = unsafe { running_owned(g) };
    let now = monotonic_ns();
    if owned.limit.get() > now {
        return;
    }
    each_region(owned, |region| {
        if region.limit <= now {
            region.cancel();
        }
    });
    let _it_runs = g.parker.cancel();
}

/// Calls `f` with each region that the calling goroutine is in, the innermost first. `owned` is its
/// own part.
fn each_region(owned: &GOwned, mut f: impl FnMut(&Region)) {
    let mut at = owned.regions.get();
    while let Some(region) = at {
        // SAFETY: linked by a frame of this goroutine that has not returned.
        let region = unsafe { region.cast::<Region>().as_ref() };
        f(region);
        at = region.outer.get();
    }
}

/// Returns the widest reason there is.
fn reason(g: &G, sched: Option<&Sched>) -> Option<CancelScope> {
    // Nothing cancels a plain thread: a cancel was meant for an earlier user of the record.
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
        if region.cancelled.load(Relaxed) {
            widest = Some(region.scope);
        }
    });
    widest
}

/// Gives a wait up for `scope` by unwinding. In a deadlock, root goroutines panic with the report.
pub(crate) fn raise(g: &G, sched: Option<&Sched>, scope: CancelScope) -> ! {
    // SAFETY: callers pass the running G of their own thread, or the G borrowed for the thread.
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

/// Calls `f` while `count` of the calling goroutine is one higher.
pub(crate) fn with_raised<R>(count: fn(&GOwned) -> &Cell<u32>, f: impl FnOnce() -> R) -> R {
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

/// Runs `f` so that no cancel ends its waits. A cancel stays pending meanwhile.
pub(crate) fn shielded<R>(f: impl FnOnce() -> R) -> R {
    with_raised(|owned| &owned.shields, f)
}

/// A part of a goroutine that a token or a time limit cancels.
pub(crate) struct Region {
    outer: Cell<Option<NonNull<()>>>,
    scope: CancelScope,
    limit: u64,
    cancelled: AtomicBool,
}

impl Region {
    /// Makes a region that is left for `scope` once it is cancelled or `limit` has passed. `limit`
    /// is in nanoseconds on the monotonic clock; [`NEVER`] for none.
    pub(crate) fn new(scope: CancelScope, limit: u64) -> Self {
        Self { outer: Cell::new(None), scope, limit, cancelled: AtomicBool::new(false) }
    }

    /// Writes the reason. The canceller cancels the goroutine's park word after this.
    pub(crate) fn cancel(&self) {
        self.cancelled.store(true, Relaxed);
    }

    /// Calls `f` with this as the innermost region of the calling goroutine, if the thread runs
    /// one.
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
