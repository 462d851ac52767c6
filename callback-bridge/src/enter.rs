//! `need_m` and `drop_m`.
//!
//! # The order
//!
//! | step | a handler at this point finds |
//! |---|---|
//! | `need_m`: cancellation off | nobody; the thread is C's |
//! | save the mask, block all signals but libc's | no handler runs until the mask is restored |
//! | take an extra M | - |
//! | come in by the entrance; from here on the runtime stays | - |
//! | current = its goroutine | - |
//! | register a signal stack, unless the thread's own will do | - |
//! | restore the mask, faults unblocked | the goroutine, its M, a signal stack |
//! | make another M, if this was the last; take off what the host carries; strip idle Ms | the same |
//! | the callback | the same |
//! | `drop_m`: end the goroutine, which drops its locals; what the host carries | the same |
//! | copy the saved mask out of the M, block | no handler runs until the mask is restored |
//! | take the signal stack off, if it is still ours | - |
//! | current = none (or what it was) | - |
//! | go out of the entrance | - |
//! | put the M back: it is somebody else's from here on | - |
//! | restore the copied mask | nobody; the thread is C's |
//! | cancellation as it was | nobody |
//!
//! Go had two other orders in 2015. Without blocking, a handler between `current` and the signal
//! stack runs Go code on whatever stack it is given (Go's f8e6418). The same mistake on the way out
//! is to unblock before no goroutine is current. Both can be compiled in, and the storm must
//! notice. With the M taken before blocking, a handler inside the list's locked phase that needs an
//! M itself waits for the thread it has interrupted (golang/go#42207). Here the list has no locked
//! phase.
//!
//! A fault while signals are blocked kills the process without its handler. The steps in between
//! contain nothing that faults, and nothing of the user's: no destructor, no waker, no allocation.
//! A goroutine is left by a value ([`Ended`](gosched_scheduler::embed::Ended)) that says that the
//! user's part is over (`tests/gap.rs`).
//!
//! # The turn
//!
//! Code of the user's that switches stacks may leave a callback on another thread, or before one
//! that was entered after it. Two words tell, on the way out: the thread's current place is not
//! this M's, or the goroutine has entries that were not left. Then the process ends with a message
//! (`tests/coroutines.rs`).
//!
//! # Safety
//!
//! `publish` and `retract` are called in pairs, on the M's own thread, in nesting order. A signal
//! stack is registered wherever a signal can arrive in between.
#![expect(unsafe_code, reason = "makes a goroutine current on a thread")]

use crate::catch_panic::catch_panic;
use crate::error::EnterError;
use crate::extra::door::Place;
use crate::extra::entrance::Entrance;
use crate::extra::list::Take;
use crate::extra::m::ExtraM;
use crate::extra::process::Process;
use gosched_runtime_sys::signal::handler::FAULTS;
use gosched_runtime_sys::signal::mask::SignalMask;
use gosched_runtime_sys::signal::stack;
use gosched_runtime_sys::sync::primitive::mutated;
use gosched_runtime_sys::thread::pthread_cancel::CancelState;
use gosched_runtime_sys::thread::tls;
use gosched_scheduler::embed::{Closed, Handle, HostContext};

/// How a thread comes in, which says where its runtime is.
#[derive(Clone, Copy)]
pub(crate) enum Way<'a> {
    /// By an entrance, with the place of the M that the thread gets.
    Placed(&'a Entrance),
    /// The caller sees to it that the runtime is there, as one that was counted in does.
    Sure(&'a Handle, &'static Process),
}

impl<'a> Way<'a> {
    /// The process that made the runtime.
    #[inline]
    pub(crate) fn process(self) -> &'static Process {
        match self {
            Way::Placed(entrance) => entrance.process,
            Way::Sure(_, process) => process,
        }
    }

    /// Comes in, and returns the runtime.
    ///
    /// # Safety
    ///
    /// The handle is not used after [`go_out`](Self::go_out).
    #[inline]
    pub(crate) unsafe fn come_in(self, place: &Place) -> Result<&'a Handle, EnterError> {
        match self {
            // SAFETY: as the caller says.
            Way::Placed(entrance) => unsafe { entrance.come_in(place) },
            Way::Sure(handle, _) => Ok(handle),
        }
    }

    /// Returns the runtime.
    ///
    /// # Safety
    ///
    /// The caller is inside, and does not use it after it has gone out.
    #[inline]
    pub(crate) unsafe fn handle(self) -> &'a Handle {
        match self {
            // SAFETY: as the caller says.
            Way::Placed(entrance) => unsafe { entrance.handle() },
            Way::Sure(handle, _) => handle,
        }
    }

    /// Goes out.
    #[inline]
    pub(crate) fn go_out(self, place: &Place) {
        if let Way::Placed(entrance) = self {
            entrance.go_out(place);
        }
    }

    /// Tells those who wait for that. Called when the calling thread has gone out, or was refused.
    #[inline]
    pub(crate) fn tell(self) {
        if let Way::Placed(entrance) = self {
            entrance.tell();
        }
    }
}

/// What a thread holds between `need_m` and `drop_m`.
pub(crate) struct HeldM {
    pub(crate) m: &'static mut ExtraM,
    pub(crate) cancel: CancelState,
    pub(crate) host: HostContext,
}

/// Runs `f` as a goroutine for this one call.
pub(crate) fn enter<R>(way: Way<'_>, f: impl FnOnce() -> R) -> Result<R, EnterError> {
    let held = need_m(way)?;
    // SAFETY: needed for this way.
    unsafe { inside(held, way, f) }
}

/// Runs `f` as the goroutine of an M that the thread has for this one call, and makes the thread
/// C's again.
///
/// # Safety
///
/// As [`drop_m`].
pub(crate) unsafe fn inside<R>(
    held: HeldM,
    way: Way<'_>,
    f: impl FnOnce() -> R,
) -> Result<R, EnterError> {
    let outcome = catch_panic(f);
    // SAFETY: as the caller says.
    unsafe { drop_m(held, way) };
    outcome
}

/// Makes the calling thread a goroutine of the runtime that `way` leads to. An error is told to
/// those who close the entrance.
#[inline]
pub(crate) fn need_m(way: Way<'_>) -> Result<HeldM, EnterError> {
    let cancel = CancelState::disable();
    // Before the gap, because it may allocate.
    tls::show_to_handlers();
    match cross_in(way) {
        Ok(m) => {
            // SAFETY: inside; used before the call goes out.
            let host = m.foreign.begin(unsafe { way.handle() });
            way.process().trim();
            Ok(HeldM { m, cancel, host })
        }
        Err(error) => {
            cancel.restore();
            way.tell();
            Err(error)
        }
    }
}

/// Crosses the gap to the inside. Whatever takes time is done before the gap or after it, with the
/// thread's own mask. Nothing here waits for another thread.
#[inline]
fn cross_in(way: Way<'_>) -> Result<&'static mut ExtraM, EnterError> {
    let process = way.process();
    let mask = SignalMask::block_all();
    let m = match process.extra.take() {
        Take::One(m) => return cross_gap(m, mask, way),
        Take::Last(m) => cross_gap(m, mask, way)?,
        Take::Empty => {
            mask.restore();
            let m = make_m(process).map_err(EnterError::refused)?;
            cross_gap(m, SignalMask::block_all(), way)?
        }
    };
    process.stock();
    Ok(m)
}

/// Makes an M for the calling thread.
#[inline]
fn make_m(process: &'static Process) -> Result<&'static mut ExtraM, EnterError> {
    if stack::registered().executing {
        return Err(EnterError::SignalHandler);
    }
    process.make_m().map_err(EnterError::Resources)
}

/// The gap. Signals are blocked on entry; on return the thread is inside, or it is C's again.
#[inline]
fn cross_gap(
    m: &'static mut ExtraM,
    mask: SignalMask,
    way: Way<'_>,
) -> Result<&'static mut ExtraM, EnterError> {
    m.mask = mask;
    match put_on(m, way) {
        Ok(()) => {
            // The overflow report needs them. A host gains nothing by blocking them: a blocked
            // fault kills.
            mask.without(&FAULTS).restore();
            Ok(m)
        }
        Err(error) => {
            m.extra.put(m);
            mask.restore();
            Err(error)
        }
    }
}

/// Comes in, makes the M's goroutine current, then registers the signal stack; on an error nothing
/// of it.
#[inline]
fn put_on(m: &mut ExtraM, way: Way<'_>) -> Result<(), EnterError> {
    if mutated("need_m.stack_after_unmask") {
        m.mask.restore();
    }
    // SAFETY: used here, where this call goes out on an error.
    let handle = unsafe { way.come_in(m.place) }?;
    // SAFETY: this call owns the M; `drop_m` or the lines below retract it; signals are blocked
    // until there is a stack. The runtime stays until this call has gone out.
    if let Err(Closed) = unsafe { m.foreign.publish(handle) } {
        way.go_out(m.place);
        return Err(EnterError::ShutDown.refused());
    }
    m.put_stack_on().map_err(|error| {
        // Nothing of the user's has run as this goroutine, so there is nothing to drop.
        let ended = m.foreign.end(HostContext::none());
        // SAFETY: published and ended above.
        unsafe { m.foreign.retract(handle, ended) };
        way.go_out(m.place);
        error.refused()
    })
}

/// Makes the calling thread what it was before [`need_m`].
///
/// # Safety
///
/// It was called for the same way, and the thread is inside.
#[inline]
pub(crate) unsafe fn drop_m(held: HeldM, way: Way<'_>) {
    let HeldM { m, cancel, host } = held;
    let mask = m.mask;
    // In the child of a fork inside the callback, the M's list stayed with the parent.
    let forked = m.forked();
    // Here the user's destructors run, with the user's own mask.
    let ended = m.foreign.end(host);
    let _open = SignalMask::block_all();
    m.take_stack_off();
    if mutated("drop_m.unmask_before_retract") {
        mask.restore();
    }
    // SAFETY: inside; used before the call goes out.
    let handle = unsafe { way.handle() };
    // SAFETY: published by `need_m`; ended above on this thread, which has run nothing since then.
    unsafe { m.foreign.retract(handle, ended) };
    // Before the M is another thread's. Nobody is told in the gap.
    way.go_out(m.place);
    if !forked {
        m.extra.put(m);
    }
    mask.restore();
    cancel.restore();
    way.tell();
}
