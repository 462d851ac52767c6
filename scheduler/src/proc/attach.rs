//! Making a thread an M's thread, and undoing it.
//!
//! # Who calls it
//!
//! Everything that gives a thread a place in a runtime: the main function of an M's thread (`run`),
//! a thread that lends itself (`Runtime::run`), a thread of `Mode::threads` (`thread_backed`) and a
//! helper of `blocking`. [`prepare`] is what can fail, and comes first; [`attached`] cannot.
//! Callbacks have their own path, in the callback bridge.
//!
//! # Who owns what
//!
//! While it is attached the thread has a signal stack on which a handler, ours or the host's, can
//! run while a goroutine's small stack is in use. If the host registered one that is large enough,
//! it is kept. If not, the M's takes its place, and the host's is registered again when the thread
//! detaches. The signal stack belongs to the M record, and goes with it from thread to thread.
//!
//! # The order
//!
//! It is that of `need_m` (see `docs/signals.md`). Signals are blocked while the signal stack and
//! the current pointer change, so a handler finds both or neither.
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

/// Makes what attaching a thread to `m` needs, so that attaching itself cannot fail.
pub(crate) fn prepare(m: &M) -> io::Result<()> {
    let mut stack = m.signal_stack.lock();
    // The thread that used the stack last may still know it, if other code replaced it there. Then
    // it is not used again.
    if stack.as_ref().is_none_or(SignalStack::is_taken) {
        *stack = Some(SignalStack::new()?);
    }
    Ok(())
}

/// Runs `f` with `cx` as the calling thread's place in `sched`. The caller has [`prepare`]d the M
/// of `cx`, which belongs to the thread.
pub(crate) fn attached<R>(cx: &Current, sched: &Sched, f: impl FnOnce() -> R) -> R {
    tls::show_to_handlers();
    let mask = SignalMask::block_all();
    let before = if stack::registered().serves() {
        None
    } else {
        // Fails only while a handler runs on the stack that would be replaced; then that stack
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

/// Detaches the thread when it is dropped, also by unwinding.
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
