//! Why the running goroutine is to give its waits up, and what keeps it from doing so.
//!
//! A cancel is two things: its reason, which is written first, and a bit in the park word, which ends the wait. The bit
//! alone ends nothing: whoever finds it looks for a reason, and without one forgets it. So a cancel that was meant for an
//! earlier goroutine of the record, or for a region that this one has left, costs a wait that is begun once more.
//!
//! The reasons: the runtime shuts down; the goroutine was asked to end by its handle; a token was cancelled, for the part of
//! the goroutine that runs under it, a [`Region`].
//!
//! Rejected: a word of bits for the reasons in the G, which leaving a region would have to clear while somebody sets it.
//! Looking for the outermost is walking a list of frames, and nobody does so who was not cancelled.
//!
//! # Safety
//!
//! A region lies in the frame of [`Region::run`], which links it into its own goroutine before it calls anybody and unlinks
//! it before it returns or unwinds. The list is read and written by that goroutine alone; what others store is an atomic.
#![expect(unsafe_code, reason = "walks the regions on the running goroutine's stack")]

use std::any::Any;
use std::cell::Cell;
use std::panic;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;

use crate::current;
use crate::g::{CancelScope, Cancelled, G, Own, running_own};
use crate::sched::Sched;

/// With `panic = "abort"` nothing is unwound: a cancel only marks.
pub(crate) const fn can_unwind() -> bool {
    cfg!(panic = "unwind")
}

/// Whether a cancel may end a wait of the goroutine with this part, if its thread is not panicking.
#[inline]
pub(crate) fn may_end_waits(own: &Own) -> bool {
    can_unwind() && own.shields.get() == 0
}

/// What the calling goroutine is to unwind for. `sched` is the runtime it is in; none when a plain thread borrowed `g`.
/// Nothing while the thread is panicking: its unwinding must get through.
#[inline]
pub(crate) fn pending(g: &G, sched: Option<&Sched>) -> Option<CancelScope> {
    let why = g.parker.pending(|| reason(g, sched))?;
    // SAFETY: the calling goroutine's.
    let own = unsafe { running_own(g) };
    (may_end_waits(own) && !thread::panicking()).then_some(why)
}

/// The widest reason there is: what is unwound for it need not be unwound for the others.
fn reason(g: &G, sched: Option<&Sched>) -> Option<CancelScope> {
    // A plain thread is nobody's to cancel, whatever was meant for those who had the record before.
    if sched?.closing() {
        return Some(CancelScope::Runtime);
    }
    // SAFETY: `pending`'s caller is the goroutine.
    let own = unsafe { running_own(g) };
    if own.asked.load(Relaxed) {
        return Some(CancelScope::Goroutine);
    }
    let mut widest = None;
    let mut at = own.regions.get();
    while let Some(region) = at {
        // SAFETY: linked by a frame of this goroutine that has not returned.
        let region = unsafe { region.cast::<Region>().as_ref() };
        if region.told.load(Relaxed) {
            widest = Some(CancelScope::Token(region.token));
        }
        at = region.outer.get();
    }
    widest
}

/// Gives a wait up that is to be given up for `scope`.
pub(crate) fn raise(g: &G, scope: CancelScope) -> ! {
    let payload: Box<dyn Any + Send> = Box::new(Cancelled { g: g.id(), scope });
    panic::resume_unwind(payload)
}

/// Calls `f` while `count` of the calling goroutine is one more.
pub(crate) fn counted<R>(count: fn(&Own) -> &Cell<u32>, f: impl FnOnce() -> R) -> R {
    struct Undo(NonNull<G>, fn(&Own) -> &Cell<u32>);
    impl Drop for Undo {
        fn drop(&mut self) {
            // SAFETY: the record of a G that has not ended: it runs this.
            let g = unsafe { self.0.as_ref() };
            // SAFETY: it is the calling G's.
            let count = self.1(unsafe { running_own(g) });
            count.set(count.get() - 1);
        }
    }
    let g = current::with(|cx| {
        let count = count(cx?.own()?);
        count.set(count.get() + 1);
        cx?.g().map(NonNull::from)
    });
    let _undo = g.map(|g| Undo(g, count));
    f()
}

/// Runs `f` so that no cancel ends its waits. A cancel stays pending.
pub(crate) fn shielded<R>(f: impl FnOnce() -> R) -> R {
    counted(|own| &own.shields, f)
}

/// A part of a goroutine that a token cancels.
pub(crate) struct Region {
    outer: Cell<Option<NonNull<()>>>,
    token: u64,
    told: AtomicBool,
}

impl Region {
    pub(crate) fn new(token: u64) -> Self {
        Self { outer: Cell::new(None), token, told: AtomicBool::new(false) }
    }

    /// The token was cancelled. The goroutine's park word is cancelled after this.
    pub(crate) fn tell(&self) {
        self.told.store(true, Relaxed);
    }

    /// Calls `f` with this as the innermost region of the calling goroutine, if that is one.
    pub(crate) fn run<R>(&self, f: impl FnOnce() -> R) -> R {
        struct Leave<'a>(NonNull<G>, &'a Region);
        impl Drop for Leave<'_> {
            fn drop(&mut self) {
                // SAFETY: the record of a G that has not ended: it runs this.
                let g = unsafe { self.0.as_ref() };
                // SAFETY: it is the calling G's.
                unsafe { running_own(g) }.regions.set(self.1.outer.get());
            }
        }
        let g = current::with(|cx| {
            let own = cx?.own()?;
            self.outer.set(own.regions.replace(Some(NonNull::from(self).cast())));
            cx?.g().map(NonNull::from)
        });
        let _leave = g.map(|g| Leave(g, self));
        f()
    }
}
