//! A waiter between its claim and its wake-up.
//!
//! # Who calls it
//!
//! [`Target`](super::target::Target) makes a [`Claimed`] under the lock of what is waited for. The
//! claimer calls [`now`](Claimed::now) once that lock is free, which makes the G runnable (`wake`).
//!
//! # Who owns what
//!
//! A [`Claimed`] owns the parked G, and sees to it that the G's runtime exists until the G is
//! runnable. A parked G keeps its runtime from ending; a runnable one may run, end, and the runtime
//! with it, while its waker is still in [`wake::ready`]. There are three cases:
//!
//! - The waker is in the waiter's runtime itself: nothing is to be kept.
//! - The waiter sleeps on its thread's note: the runtime is not needed, and notes are never freed.
//! - The waker is a thread outside of the runtime: it holds a count of the runtime's `Arc`.
//!
//! # Safety
//!
//! The claimer of a G owns it. The G does not end before it is made runnable, nor does its runtime.
#![expect(unsafe_code, reason = "owns claimed Gs, keeps their runtimes")]

use std::fmt;
use std::ptr::{self, NonNull};
use std::sync::Arc;

use crate::gmp::current;
use crate::gmp::g::{G, Runnable};
use crate::gmp::sched::Sched;
use crate::proc::wake;

/// A claimed waiter, to be made runnable once every lock is free; or no waiter, if the claim was
/// lost.
///
/// `sched` says what keeps the waiter's runtime alive until the wake-up. It is a tagged pointer and
/// no enum of the three cases: two words are passed through several functions on every hand-over.
#[must_use = "the waiter never runs again unless it is woken"]
pub(crate) struct Claimed {
    g: Option<Runnable>,
    /// The waiter's runtime. Null if its thread's note wakes it. With [`HELD`] in the address, it
    /// comes out of an `Arc` and this owns the count: the waking thread is not in that runtime.
    sched: *const Sched,
}

/// See [`Claimed`].
const HELD: usize = 1;

impl fmt::Debug for Claimed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Claimed").field(&self.g.as_ref().map(|g| g.g().id())).finish()
    }
}

impl Claimed {
    pub(super) const NOBODY: Self = Self { g: None, sched: ptr::null() };

    /// Takes over the G at `g`, which is parked in `sched` (null if its thread's note wakes it).
    ///
    /// # Safety
    ///
    /// The caller has just become the owner of the parked G.
    #[inline(always)]
    pub(super) unsafe fn new(g: NonNull<G>, sched: *const Sched) -> Self {
        // SAFETY: this function's contract.
        let g = unsafe { Runnable::from_raw(g) };
        let by_note = g.owned().in_place.get();
        let inside = by_note || current::with(|cx| cx.is_some_and(|cx| ptr::eq(cx.sched(), sched)));
        let sched = match (by_note, inside) {
            (true, _) => ptr::null(),
            (false, true) => sched,
            // SAFETY: the G has a runtime, and is parked in it.
            (false, false) => unsafe { hold(sched) },
        };
        Self { g: Some(g), sched }
    }

    /// Makes the waiter runnable, if there is one.
    #[inline(always)]
    pub(crate) fn now(self) {
        let Some(g) = self.g else { return };
        if self.sched.addr() & HELD != 0 {
            let sched = self.sched.map_addr(|address| address & !HELD);
            // SAFETY: `hold` took it out of an `Arc`, and only this puts it back.
            return wake_held(&unsafe { Arc::from_raw(sched) }, g);
        }
        // SAFETY: null, or the runtime that the calling thread is in until it leaves the code that
        // called this.
        match unsafe { self.sched.as_ref() } {
            Some(sched) => wake::ready(sched, g),
            None => wake::wake_thread(g),
        }
    }
}

#[cold]
fn wake_held(sched: &Arc<Sched>, g: Runnable) {
    wake::ready(sched, g);
}

/// Returns `sched` with a count of its own, and [`HELD`] in the address.
///
/// # Safety
///
/// A G is parked in `sched`, which therefore has not ended.
#[cold]
unsafe fn hold(sched: *const Sched) -> *const Sched {
    const { assert!(align_of::<Sched>() > HELD, "the bit is free") };
    // SAFETY: this function's contract; a runtime lies in an `Arc`.
    let held = unsafe { &*sched }.arc();
    Arc::into_raw(held).map_addr(|address| address | HELD)
}
