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
//!
//! The frame may lie on the stack of a coroutine of another library, which the goroutine leaves and
//! enters again. So three things are checked, and the process ends with a message if one fails. A
//! region unlinks itself from wherever it is in the list. It is left by the goroutine that entered
//! it. A goroutine does not end while it is in a region ([`check_left`]).
#![expect(unsafe_code, reason = "walks the regions on the running goroutine's stack")]

use std::any::Any;
use std::cell::Cell;
use std::iter::successors;
use std::panic;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;

use gosched_runtime_sys::clock::monotonic_ns;
use gosched_runtime_sys::signal::fatal::{Part, fatal};

use crate::ds::timers::NEVER;
use crate::gmp::current::{self, Current};
pub use crate::gmp::g::{CancelScope, Cancelled};
use crate::gmp::g::{G, GOwned, running_owned};
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
    for region in regions(owned).take_while(|region| !region.hides_outer) {
        if region.limit <= now {
            region.cancel();
        }
    }
    let _it_runs = g.parker.cancel();
}

/// Returns the regions that a goroutine is in, the innermost first. `owned` is its own part, and
/// the calling thread runs it.
fn regions(owned: &GOwned) -> impl Iterator<Item = &Region> {
    // SAFETY: linked by a frame that has not returned: a region unlinks itself before its frame
    // goes, wherever in the list it is.
    let at = |region: NonNull<()>| unsafe { region.cast::<Region>().as_ref() };
    successors(owned.regions.get().map(at), move |region| region.outer.get().map(at))
}

/// Returns the widest reason there is.
fn reason(g: &G, sched: Option<&Sched>) -> Option<CancelScope> {
    // Nothing cancels a plain thread: a cancel was meant for an earlier user of the record.
    if sched?.closing() {
        let deadlocked = sched?.deadlocks.report().is_some();
        return Some(if deadlocked { CancelScope::Deadlock } else { CancelScope::Runtime });
    }
    // SAFETY: `pending`'s caller is the goroutine.
    own_reason(unsafe { running_owned(g) })
}

/// Returns the widest reason of the goroutine's own: the runtime's end is not among them.
fn own_reason(owned: &GOwned) -> Option<CancelScope> {
    let mut widest = None;
    for region in regions(owned) {
        if region.hides_outer {
            return widest;
        }
        if region.cancelled.load(Relaxed) {
            widest = Some(region.scope);
        }
    }
    if owned.cancel_requested.load(Relaxed) { Some(CancelScope::Goroutine) } else { widest }
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

/// The goroutine on which something was entered, as the frame that entered it remembers it.
///
/// A coroutine of another library may leave that frame on another goroutine, or when this one has
/// ended. So the goroutine is looked for on the thread, and never followed from here.
pub(crate) struct EnteredOn {
    g: NonNull<G>,
    id: u64,
}

impl EnteredOn {
    pub(crate) fn of(g: &G) -> Self {
        Self { g: NonNull::from(g), id: g.id() }
    }

    /// Calls `f` with the goroutine's own part. Ends the process if the thread does not run that
    /// goroutine, neither now nor below a call that came back into another runtime.
    #[inline]
    pub(crate) fn leave(&self, f: impl FnOnce(&Current, &GOwned)) {
        current::with(|cx| {
            let mut place = cx;
            while let Some(cx) = place {
                if let Some(g) = cx.g()
                    && NonNull::from(g) == self.g
                    && g.id() == self.id
                {
                    // SAFETY: the calling thread runs the goroutine, or code that it has called.
                    return f(cx, unsafe { running_owned(g) });
                }
                place = cx.prev();
            }
            left_elsewhere(self.id)
        });
    }
}

#[cold]
fn left_elsewhere(id: u64) -> ! {
    fatal(&[
        Part::Text(
            "gosched: a time limit, token, shield, goroutine-local or nested call that goroutine ",
        ),
        Part::Dec(id),
        Part::Text(" has entered was left elsewhere\n"),
    ])
}

/// Ends the process if a goroutine whose code has ended has not left what it entered: `owned` is
/// its own part.
///
/// A frame of it lies on the stack of a suspended coroutine. It would be reached when its goroutine
/// is gone: by a canceller through a token's list, or by the frame itself.
#[inline]
pub(crate) fn check_left(id: u64, owned: &GOwned) {
    if owned.is_inside() {
        not_left(id);
    }
}

#[cold]
fn not_left(id: u64) -> ! {
    fatal(&[
        Part::Text("gosched: goroutine "),
        Part::Dec(id),
        Part::Text(
            " has ended inside of a time limit, token, shield, goroutine-local or nested call: a \
             coroutine that is suspended there has to end first\n",
        ),
    ])
}

/// Calls `f` while `count` of the calling goroutine is one higher.
pub(crate) fn with_raised<R>(count: fn(&GOwned) -> &Cell<u32>, f: impl FnOnce() -> R) -> R {
    let _raised = Raised::begin(count);
    f()
}

/// The stretch in which a count of the calling goroutine is one higher.
#[must_use = "the stretch ends when this is dropped"]
pub(crate) struct Raised {
    on: Option<EnteredOn>,
    count: fn(&GOwned) -> &Cell<u32>,
}

impl Raised {
    /// Raises `count` of the calling goroutine, if there is one.
    #[inline]
    pub(crate) fn begin(count: fn(&GOwned) -> &Cell<u32>) -> Self {
        let on = current::with(|cx| {
            let cx = cx?;
            let count = count(cx.owned()?);
            count.set(count.get() + 1);
            cx.g().map(EnteredOn::of)
        });
        Self { on, count }
    }
}

impl Drop for Raised {
    #[inline]
    fn drop(&mut self) {
        if let Some(on) = &self.on {
            on.leave(|_, owned| {
                let count = (self.count)(owned);
                count.set(count.get() - 1);
            });
        }
    }
}

/// Runs `f` so that no cancel ends its waits. A cancel stays pending meanwhile.
pub(crate) fn shielded<R>(f: impl FnOnce() -> R) -> R {
    with_raised(|owned| &owned.shields, f)
}

/// Runs `f` so that its waits are ended by the end of the runtime, and by regions that `f` enters,
/// and by nothing else. Other cancels stay pending meanwhile.
pub(crate) fn undisturbed<R>(f: impl FnOnce() -> R) -> R {
    /// A cancel that came meanwhile was forgotten by the waits that had no reason to end.
    struct Remind;
    impl Drop for Remind {
        fn drop(&mut self) {
            current::with(|cx| {
                if let Some(g) = cx.and_then(Current::g)
                    // SAFETY: the calling goroutine's.
                    && own_reason(unsafe { running_owned(g) }).is_some()
                {
                    let _it_runs = g.parker.cancel();
                }
            });
        }
    }
    let _remind = Remind;
    Region::hiding().run(f)
}

/// A part of a goroutine that a token or a time limit cancels.
pub(crate) struct Region {
    outer: Cell<Option<NonNull<()>>>,
    scope: CancelScope,
    limit: u64,
    /// The earliest limit of this region and of those around it.
    first_limit: Cell<u64>,
    /// No cancel from outside of this region ends a wait in it, but for the runtime's end.
    hides_outer: bool,
    cancelled: AtomicBool,
}

impl Region {
    /// Makes a region that is left for `scope` once it is cancelled or `limit` has passed. `limit`
    /// is in nanoseconds on the monotonic clock; [`NEVER`] for none.
    pub(crate) fn new(scope: CancelScope, limit: u64) -> Self {
        Self {
            outer: Cell::new(None),
            scope,
            limit,
            first_limit: Cell::new(limit),
            hides_outer: false,
            cancelled: AtomicBool::new(false),
        }
    }

    /// Makes a region that nothing cancels, and that hides the regions around it.
    fn hiding() -> Self {
        Self { hides_outer: true, ..Self::new(CancelScope::Goroutine, NEVER) }
    }

    /// Writes the reason. The canceller cancels the goroutine's park word after this.
    pub(crate) fn cancel(&self) {
        self.cancelled.store(true, Relaxed);
    }

    /// Calls `f` with this as the innermost region of the calling goroutine, if the thread runs
    /// one.
    pub(crate) fn run<R>(&self, f: impl FnOnce() -> R) -> R {
        struct Leave<'a>(EnteredOn, &'a Region);
        impl Drop for Leave<'_> {
            fn drop(&mut self) {
                self.0.leave(|_, owned| self.1.unlink(owned));
            }
        }
        let on = current::with(|cx| {
            let cx = cx?;
            self.link(cx.owned()?);
            cx.g().map(EnteredOn::of)
        });
        let _leave = on.map(|on| Leave(on, self));
        f()
    }

    /// Makes this the innermost region of the goroutine with this own part.
    fn link(&self, owned: &GOwned) {
        self.outer.set(owned.regions.replace(Some(NonNull::from(self).cast())));
        if !self.hides_outer {
            self.first_limit.set(self.limit.min(owned.limit.get()));
        }
        owned.limit.set(self.first_limit.get());
    }

    /// Takes the region out of the goroutine's list. It is the innermost one, unless a coroutine
    /// of another library has left it out of turn.
    fn unlink(&self, owned: &GOwned) {
        let this = Some(NonNull::from(self).cast());
        if owned.regions.get() == this {
            owned.regions.set(self.outer.get());
        } else {
            let inner = regions(owned).find(|region| region.outer.get() == this);
            inner.expect("the goroutine has entered it").outer.set(self.outer.get());
            for region in regions(owned) {
                let around = regions_from(region).map(|region| region.limit);
                region.first_limit.set(around.min().unwrap_or(NEVER));
            }
        }
        owned.limit.set(regions(owned).next().map_or(NEVER, |region| region.first_limit.get()));
    }
}

/// Returns `region`, and the regions around it up to the first that hides what is outside.
fn regions_from(region: &Region) -> impl Iterator<Item = &Region> {
    successors(Some(region), |region| {
        // SAFETY: as in `regions`.
        let at = |outer: NonNull<()>| unsafe { outer.cast::<Region>().as_ref() };
        region.outer.get().filter(|_| !region.hides_outer).map(at)
    })
}
