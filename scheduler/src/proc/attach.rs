//! A thread becomes an M, or stops being one.
//!
//! In between it has a signal stack on which a handler, ours or the host's, can run while a
//! goroutine's small stack is in use. The order is `need_m`'s (see `docs/signals.md`): signals are
//! blocked while the signal stack and the current pointer are changed, so that a handler finds both
//! or neither.
//!
//! # Safety
//!
//! A place is published for the time of one call, on the thread of that call.
#![expect(
    unsafe_code,
    reason = "publishes the current pointer, re-registers the host's signal stack"
)]

use std::io;

use gosched_runtime_sys::signal::handler::FAULTS;
use gosched_runtime_sys::signal::mask::SignalMask;
use gosched_runtime_sys::signal::stack::{self, Registered, SignalStack};
use gosched_runtime_sys::thread::tls;

use crate::gmp::current::Current;
use crate::gmp::m::M;
use crate::gmp::sched::Sched;

/// Makes what attaching needs, so that attaching itself cannot fail.
pub(crate) fn prepare(m: &M) -> io::Result<()> {
    let mut stack = m.signal_stack.lock();
    // One that somebody replaced on the thread that used it last may still be known there: it is
    // not used again.
    if stack.as_ref().is_none_or(SignalStack::is_taken) {
        *stack = Some(SignalStack::new()?);
    }
    Ok(())
}

/// Runs `f` with `cx` as the calling thread's place in `sched`. The caller [`prepare`]d its M,
/// which is the thread's.
pub(crate) fn attached<R>(cx: &Current, sched: &Sched, f: impl FnOnce() -> R) -> R {
    tls::show_to_handlers();
    let mask = SignalMask::block_all();
    let registered = stack::registered();
    let before = if registered.enabled && stack::large_enough(registered.size) {
        None
    } else {
        // Fails only while a handler runs on the stack that would be replaced; then that one
        // serves.
        cx.m.signal_stack.lock().as_ref().and_then(|ours| ours.install().ok())
    };
    // SAFETY: `cx` and `sched` stay until `attached` retracts it, on this thread, before this
    // function returns or unwinds; signals are blocked.
    unsafe { cx.publish(sched) };
    let attached = Attached { cx, mask, before };
    // A blocked fault kills without a word. A thread that lends itself may have blocked them.
    mask.without(&FAULTS).restore();
    let result = f();
    drop(attached);
    result
}

struct Attached<'a> {
    cx: &'a Current,
    /// The thread's mask from before.
    mask: SignalMask,
    before: Option<Registered>,
}

impl Drop for Attached<'_> {
    fn drop(&mut self) {
        let mask = SignalMask::block_all();
        self.cx.retract();
        let ours = self.cx.m.signal_stack.lock();
        if let (Some(before), Some(ours)) = (&self.before, ours.as_ref()) {
            // SAFETY: `before` was registered when this thread attached, and the thread has not
            // ended since: std unmaps its signal stacks only after a thread's main function has
            // returned.
            let _done_or_not_ours = unsafe { ours.remove(Some(before)) };
        }
        drop(ours);
        mask.restore();
        for fault in FAULTS.into_iter().filter(|&fault| self.mask.contains(fault)) {
            SignalMask::block(fault);
        }
    }
}
