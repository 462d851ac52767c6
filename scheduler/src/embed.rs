//! The one door for `callback-bridge`; nobody else uses it.
//!
//! The bridge decides when a foreign thread enters and leaves and what happens to its signals; here
//! is what it needs of the scheduler for that.
//!
//! # Safety
//!
//! [`ForeignM::publish`] and [`ForeignM::retract`] write the thread's current pointer; their
//! contracts say when that is right.
#![expect(unsafe_code, reason = "publishes a foreign thread's place")]

use std::any::Any;
use std::time::Instant;
use std::{fmt, ptr};

use crate::gmp::current::{self, left_out_of_turn};
use crate::gmp::thread_g::{self, ThreadG};
use crate::proc::cancel::Raised;
use crate::proc::{cancel, carried, limit, locals, no_wait, park, standstill, yield_now};

pub use crate::chan;
pub use crate::gmp::body::NotStarted;
pub use crate::gmp::g::Cancelled;
pub use crate::gmp::thread_g::Closed;
pub use crate::proc::limit::Over;
pub use crate::runtime::{Handle, Runtime};
pub use crate::sync::{Notified, Notify};

/// An extra M with its thread-backed G: what a foreign thread runs as. Immortal; the bridge
/// recycles it.
#[derive(Clone, Copy, Debug)]
pub struct ForeignM(&'static ThreadG);

/// Says that a callback's goroutine has ended, in its turn, so that its thread may be taken out of
/// the runtime without running anything of the user's.
#[derive(Debug)]
#[must_use = "the thread is a goroutine that has ended"]
pub struct Ended(());

/// What a thread carries along for its host, while a callback's goroutine runs on it. If it is
/// dropped, the thread does without.
#[must_use = "it is the host's"]
pub struct HostContext(Option<Box<[Box<dyn Any>]>>);

impl HostContext {
    /// That of a thread which has begun nothing.
    pub const fn none() -> Self {
        Self(None)
    }
}

impl fmt::Debug for HostContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("HostContext").field(&self.0.is_some()).finish()
    }
}

/// What a bridge leads to. While it exists, any thread may come and wake goroutines of that
/// runtime.
#[derive(Debug)]
pub struct Bound(Handle);

impl Bound {
    /// A way into the runtime of `handle`.
    #[must_use]
    pub fn new(handle: Handle) -> Self {
        handle.sched().deadlocks.add_bridge();
        Self(handle)
    }

    /// The runtime.
    #[inline]
    #[must_use]
    pub fn handle(&self) -> &Handle {
        &self.0
    }
}

impl Clone for Bound {
    fn clone(&self) -> Self {
        Self::new(self.0.clone())
    }
}

impl Drop for Bound {
    fn drop(&mut self) {
        self.0.sched().deadlocks.remove_bridge();
        standstill::check(self.0.sched());
    }
}

/// Where the calling thread is, seen from one runtime.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caller {
    /// In no runtime.
    Outside,
    /// A goroutine of this runtime is current.
    Goroutine,
    /// A goroutine of another runtime is.
    Elsewhere,
}

impl ForeignM {
    /// Makes an extra M. Allocates.
    #[must_use]
    pub fn new() -> Self {
        Self(ThreadG::acquire_foreign())
    }

    /// True if this is the calling thread's innermost place.
    #[must_use]
    pub fn is_innermost(&self) -> bool {
        current::with(|cx| cx.is_some_and(|cx| ptr::eq(cx, self.0.current())))
    }

    /// Its goroutine's number.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.0.g().id()
    }

    /// Notes whether a thread keeps the M between its callbacks, for `Stats`. Called where an M is
    /// bound and where its thread ends, so that a callback in between counts nothing.
    pub fn set_bound(&self, is_bound: bool) {
        self.0.set_bound(is_bound);
    }

    /// Makes this the calling thread's place in the runtime. Refused, with nothing published, if
    /// that shuts down.
    ///
    /// # Errors
    ///
    /// [`Closed`].
    ///
    /// # Safety
    ///
    /// The M belongs to the calling thread, `handle` lives until [`retract`](Self::retract), and
    /// wherever a signal may be handled meanwhile the thread has a signal stack.
    #[inline]
    pub unsafe fn publish(&self, handle: &Handle) -> Result<(), Closed> {
        let sched = &**handle.sched();
        self.0.register(sched)?;
        self.0.renew_callback();
        // SAFETY: this function's contract.
        unsafe { self.0.current().publish(sched) };
        Ok(())
    }

    /// Begins the goroutine: takes what the host carries along off the thread. That is the user's
    /// code, so the signals are as the thread has them. Called after [`publish`](Self::publish),
    /// for the same runtime.
    #[inline]
    pub fn begin(&self, handle: &Handle) -> HostContext {
        HostContext(carried::take(handle.sched()))
    }

    /// Ends the goroutine: drops its locals, forgets its locks of the thread, and puts back what
    /// the `host` carries along. That is the user's code, so the signals are as the thread has
    /// them, and the goroutine is whole while its locals are dropped. Nothing of the user's runs
    /// afterwards.
    ///
    /// Ends the process if the goroutine is not the calling thread's innermost one, or if something
    /// that was entered in it was not left: two words tell. The user's code has switched stacks.
    #[inline]
    pub fn end(&self, host: HostContext) -> Ended {
        match self.has_left_all() {
            Some(true) if host.0.is_none() => {}
            Some(_) => self.end_code(host),
            None => left_out_of_turn(),
        }
        Ended(())
    }

    #[cold]
    fn end_code(&self, host: HostContext) {
        locals::end(self.0.g().id());
        if self.has_left_all().is_none() {
            left_out_of_turn();
        }
        // A lock whose guard was forgotten. The thread is the host's, and goes on.
        let _was_locked = self.0.ended_locked();
        if let Some(taken) = host.0 {
            let sched = current::with(|cx| cx.expect("it was not left").sched().arc());
            carried::put_back(&sched, taken);
            if self.has_left_all().is_none() {
                left_out_of_turn();
            }
        }
    }

    /// True if the goroutine has no locals and no lock, and is inside of nothing; none if it may
    /// not be left here and now.
    #[inline]
    fn has_left_all(&self) -> Option<bool> {
        current::with(|cx| {
            let owned = cx.filter(|cx| ptr::eq(*cx, self.0.current()))?.owned()?;
            let is_bare =
                || !owned.is_inside() && owned.locks.get() == 0 && locals::len(owned) == 0;
            (owned.pins.get() == 0).then(is_bare)
        })
    }

    /// Makes the place before this one the calling thread's again. Runs nothing of the user's.
    ///
    /// # Safety
    ///
    /// Undoes a `publish` of this thread on this M with the same `handle`. The goroutine was
    /// [ended](Self::end) after it, and the thread has run nothing of the user's since then.
    #[inline]
    pub unsafe fn retract(&self, handle: &Handle, _: Ended) {
        self.0.current().retract_innermost();
        self.0.unregister(handle.sched());
    }
}

impl Default for ForeignM {
    fn default() -> Self {
        Self::new()
    }
}

/// Counts a call that was refused, for `Stats`. Async-signal-safe.
pub fn count_refusal() {
    thread_g::count_refusal();
}

/// True if the calling thread is in no runtime.
#[inline]
#[must_use]
pub fn is_outside() -> bool {
    current::with(|cx| cx.is_none())
}

/// True if the runtime of `handle` shuts down, or has: nobody enters it any more.
#[must_use]
pub fn shuts_down(handle: &Handle) -> bool {
    handle.sched().closing()
}

/// Where the calling thread is, seen from the runtime of `handle`.
#[inline]
#[must_use]
pub fn caller(handle: &Handle) -> Caller {
    current::with(|cx| match cx {
        None => Caller::Outside,
        Some(cx) if ptr::eq(cx.sched(), &**handle.sched()) => Caller::Goroutine,
        Some(_) => Caller::Elsewhere,
    })
}

/// Runs `f` so that no cancel ends a wait in it.
pub fn shielded<R>(f: impl FnOnce() -> R) -> R {
    cancel::shielded(f)
}

/// Begins an operation that may wait: gives the turn of a goroutine whose slice is over. Panics
/// inside of `no_wait`.
#[inline]
pub fn preempt_point() {
    yield_now::preempt_point();
}

/// Panics inside of `no_wait`: begins what waits in more than one way, before there is anything to
/// undo.
#[inline]
pub fn check_no_wait() {
    no_wait::check();
}

/// Gives the turn of a goroutine whose slice is over, if it may give it. For what has only tried.
#[inline]
pub fn give_turn() {
    yield_now::give_turn();
}

/// Runs `f` with a time limit: [`time::timeout_at`](crate::time::timeout_at).
///
/// # Errors
///
/// [`Over`] if the limit ended a wait in `f`.
///
/// # Panics
///
/// With the payload of any other panic in `f`.
pub fn within<R>(deadline: Instant, f: impl FnOnce() -> R) -> Result<R, Over> {
    limit::within(deadline, f)
}

/// The stretch in which the calling goroutine is pinned, as in [`pinned`]. It ends where it began:
/// on the same goroutine, or the process ends with a message.
#[must_use = "the goroutine is pinned until this is dropped"]
pub struct Pin {
    _raised: Raised,
}

impl Pin {
    /// Pins the calling goroutine.
    #[expect(clippy::new_without_default, reason = "it is not a value, but something that happens")]
    pub fn new() -> Self {
        Self { _raised: Raised::begin(|owned| &owned.pins) }
    }
}

impl fmt::Debug for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pin { .. }")
    }
}

/// Runs `f` with the current goroutine pinned: while `f` runs, its waits put the thread to sleep
/// and run no sibling above the frames on its stack.
pub fn pinned<R>(f: impl FnOnce() -> R) -> R {
    park::pinned(f)
}
