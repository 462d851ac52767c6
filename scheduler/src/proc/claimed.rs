//! A waiter between its claim and its being runnable.
//!
//! # Safety
//!
//! Who claims a G from its parker owns it, and it does not end before it is made runnable; nor does
//! its runtime.
#![expect(unsafe_code, reason = "owns claimed Gs, keeps their runtimes")]

use std::fmt;
use std::ptr::{self, NonNull};
use std::sync::Arc;

use crate::gmp::current;
use crate::gmp::g::{G, Runnable};
use crate::gmp::sched::Sched;
use crate::proc::wake;

/// A claimed waiter, to be made runnable once every lock is free; or nobody, if the waiter will see
/// for itself.
///
/// The words say what keeps the waiter's runtime alive between the claim and the wake: once the G
/// is runnable, all of it may end. (Two words, and no enum of the three cases: this is handed
/// through several others on every hand-over.)
#[must_use = "the waiter never runs again unless it is woken"]
pub(crate) struct Claimed {
    g: Option<Runnable>,
    /// The waiter's runtime. Null if it is woken by its thread's note, which outlives everything.
    /// With [`HELD`] in its address it is out of an `Arc`, which goes with it: the waking thread is
    /// not in it.
    sched: *const Sched,
}

/// See [`Claimed`].
const HELD: usize = 1;

impl fmt::Debug for Claimed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Wake").field(&self.g.as_ref().map(|g| g.g().id())).finish()
    }
}

impl Claimed {
    pub(super) const NOBODY: Self = Self { g: None, sched: ptr::null() };

    /// For the G at `g`, which is parked in `sched` (null: it is woken by its thread's note).
    ///
    /// # Safety
    ///
    /// The caller has just become the owner of the parked G.
    #[inline(always)]
    pub(super) unsafe fn new(g: NonNull<G>, sched: *const Sched) -> Self {
        // SAFETY: this function's contract.
        let g = unsafe { Runnable::from_raw(g) };
        let by_note = g.owned().in_place.get();
        let here = by_note || current::with(|cx| cx.is_some_and(|cx| ptr::eq(cx.sched(), sched)));
        let sched = match (by_note, here) {
            (true, _) => ptr::null(),
            (false, true) => sched,
            // SAFETY: the G has a runtime, and is parked in it.
            (false, false) => unsafe { hold(sched) },
        };
        Self { g: Some(g), sched }
    }

    /// Makes the waiter runnable.
    #[inline(always)]
    pub(crate) fn now(self) {
        let Some(g) = self.g else { return };
        if self.sched.addr() & HELD != 0 {
            let sched = self.sched.map_addr(|address| address & !HELD);
            // SAFETY: `hold` took it out of an `Arc`, and this is the only one to put it back.
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
