//! `need_m` and `drop_m`.
//!
//! # The order
//!
//! | step | a handler at this point finds |
//! |---|---|
//! | `need_m`: cancellation off | nobody; the thread is C's |
//! | save the mask, block all signals but libc's | no handler runs until the mask is restored |
//! | take an extra M | - |
//! | current = its goroutine | - |
//! | register a signal stack, unless the thread's own will do | - |
//! | restore the mask, faults unblocked | the goroutine, its M, a signal stack |
//! | make another M, if this was the last; the callback | the same |
//! | `drop_m`: copy the saved mask out of the M, block | no handler runs until the mask is restored |
//! | take the signal stack off, if it is still ours | - |
//! | current = none (or what it was) | - |
//! | put the M back: it is somebody else's from here on | - |
//! | restore the copied mask | nobody; the thread is C's |
//! | cancellation as it was | nobody |
//!
//! Two other orders are wrong, and Go had both in 2015. Without blocking, a handler between
//! `current` and the signal stack runs Go code on whatever stack it is given (Go's f8e6418). With
//! the M taken before blocking, a handler inside the list's locked phase that needs an M itself
//! waits for the thread it has interrupted (golang/go#42207). Both orders can be compiled back in,
//! and the storm must notice.
//!
//! A fault while signals are blocked kills the process without its handler. The steps in between
//! contain nothing that faults.
//!
//! # Safety
//!
//! `publish` and `retract` are called in pairs, on the M's own thread, in nesting order. A signal
//! stack is registered wherever a signal can arrive in between.
#![expect(unsafe_code, reason = "makes a goroutine current on a thread")]

use crate::catch_panic::catch_panic;
use crate::error::EnterError;
use crate::extra_list::Take;
use crate::extra_m::ExtraM;
use crate::process::Process;
use gosched_runtime_sys::signal::mask::SignalMask;
use gosched_runtime_sys::sync::primitive::mutated;
use gosched_runtime_sys::thread::pthread_cancel::CancelState;
use gosched_runtime_sys::thread::tls;
use gosched_scheduler::embed::{Bound, Closed};

/// The signals that the runtime's overflow report needs. A host gains nothing by blocking them: a
/// blocked fault kills.
const FAULTS: [libc::c_int; 2] = [libc::SIGSEGV, libc::SIGBUS];

/// The runtime that a bridge leads to, and the process that bound it.
#[derive(Clone)]
pub(crate) struct Destination {
    pub(crate) bound: Bound,
    pub(crate) process: &'static Process,
}

/// What a thread holds between `need_m` and `drop_m`.
pub(crate) struct HeldM {
    pub(crate) m: &'static mut ExtraM,
    pub(crate) cancel: CancelState,
}

/// Runs `f` as a goroutine for this one call.
pub(crate) fn enter<R>(destination: &Destination, f: impl FnOnce() -> R) -> Result<R, EnterError> {
    let held = need_m(destination)?;
    let outcome = catch_panic(f);
    drop_m(held, destination);
    outcome
}

/// Makes the calling thread a goroutine of the destination's runtime.
pub(crate) fn need_m(destination: &Destination) -> Result<HeldM, EnterError> {
    let cancel = CancelState::disable();
    // Before the gap, because it may allocate.
    tls::show_to_handlers();
    match cross_in(destination) {
        Ok(m) => Ok(HeldM { m, cancel }),
        Err(error) => {
            cancel.restore();
            Err(error)
        }
    }
}

/// Crosses the gap to the inside. Whatever takes time is done before the gap, with the thread's own
/// mask.
fn cross_in(destination: &Destination) -> Result<&'static mut ExtraM, EnterError> {
    let process = destination.process;
    loop {
        // Mutant: the order of 2015.
        let early = mutated("need_m.take_before_block").then(|| process.extra.take());
        let mask = SignalMask::block_all();
        match early.unwrap_or_else(|| process.extra.take()) {
            Take::One(m) => return cross_gap(m, mask, destination),
            Take::Last(m, owed) => {
                let outcome = cross_gap(m, mask, destination);
                // The thread that is inside does not need the new Ms. If none could be made, the
                // next thread to find the list empty tries again.
                let _told_to_waiters = process.refill(owed);
                return outcome;
            }
            Take::Wait(seen) => {
                mask.restore();
                process.extra.wait(seen).map_err(EnterError::refill)?;
            }
            Take::Dry(owed) => {
                mask.restore();
                process.refill(owed)?;
            }
        }
    }
}

/// The gap. Signals are blocked on entry; on return the thread is inside, or it is C's again.
fn cross_gap(
    m: &'static mut ExtraM,
    mask: SignalMask,
    destination: &Destination,
) -> Result<&'static mut ExtraM, EnterError> {
    m.mask = mask;
    match put_on(m, destination) {
        Ok(()) => {
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

/// Makes the M's goroutine current, then registers the signal stack; on an error neither.
fn put_on(m: &mut ExtraM, destination: &Destination) -> Result<(), EnterError> {
    if mutated("need_m.stack_after_unmask") {
        m.mask.restore();
    }
    // SAFETY: this call owns the M; `drop_m` or the lines below retract it; signals are blocked
    // until there is a stack.
    unsafe { m.foreign.publish(destination.bound.handle()) }
        .map_err(|Closed| EnterError::ShutDown)?;
    m.put_stack_on().inspect_err(|_| {
        // SAFETY: published above.
        unsafe { m.foreign.retract(destination.bound.handle()) };
    })
}

/// Makes the calling thread what it was before [`need_m`].
pub(crate) fn drop_m(held: HeldM, destination: &Destination) {
    let HeldM { m, cancel } = held;
    let mask = m.mask;
    // In the child of a fork inside the callback, the M's list stayed with the parent.
    let forked = m.forked();
    let _open = SignalMask::block_all();
    m.take_stack_off();
    // SAFETY: published by `need_m` on this thread; whatever was published since is retracted.
    unsafe { m.foreign.retract(destination.bound.handle()) };
    if !forked {
        m.extra.put(m);
    }
    mask.restore();
    cancel.restore();
}
