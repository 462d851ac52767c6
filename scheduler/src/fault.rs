//! A fault on a goroutine's guard is a stack overflow: say whose, and abort. Every other fault goes to the handler that
//! was there before.
//!
//! # Safety
//!
//! Runs in a signal handler: it reads atomics and the thread's words, writes to descriptor 2 and aborts; nothing else.
#![expect(unsafe_code, reason = "installs a signal handler")]

use std::io;
use std::sync::Mutex;

use gosched_runtime_sys::fatal::{Part, fatal};
use gosched_runtime_sys::handler::{self, Fault, Verdict};
use gosched_runtime_sys::slot;

use crate::current;
use crate::g::running_own;

/// Below a thread's stack, an access this near to it is an overflow even where the system does not tell the guard's size
/// (the main thread's stack grows downwards to its limit).
const NEAR: usize = 64 * 1024;

/// Installs the handlers, once per process. They chain to what was there before.
pub(crate) fn install() -> io::Result<()> {
    static DONE: Mutex<bool> = Mutex::new(false);
    let mut done = DONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if !*done {
        for signal in handler::FAULTS {
            // SAFETY: `on_fault` is async-signal-safe, see the module's head.
            unsafe { handler::install(signal, on_fault)? };
        }
        *done = true;
    }
    Ok(())
}

fn on_fault(fault: &Fault) -> Verdict {
    // A code of zero or less was sent by some program: no access, no address.
    if fault.code <= 0 {
        return Verdict::NotMine;
    }
    let overflow = current::with(|cx| {
        let g = cx?.g()?;
        // SAFETY: this handler interrupted the G, or code on its thread that runs while it is current.
        let stack = unsafe { running_own(g) }.stack;
        let thread = stack.high == 0;
        let bytes = if thread { thread_overflow(fault.address)? } else { stack.high - stack.low };
        (thread || (stack.guard..stack.low).contains(&fault.address)).then_some((g.id(), bytes, thread))
    });
    let Some((id, bytes, thread)) = overflow else { return Verdict::NotMine };
    let advice = if thread {
        " bytes, its thread's; give that thread a larger one where it is made\n"
    } else {
        " bytes; raise it with Builder::stack_size\n"
    };
    fatal(&[
        Part::Text("\ngosched: goroutine "),
        Part::Dec(id),
        Part::Text(" has overflowed its stack of "),
        Part::Dec(bytes as u64),
        Part::Text(advice),
    ])
}

/// The size of the thread's stack, if `address` is where it overflows.
fn thread_overflow(address: usize) -> Option<usize> {
    let bounds = slot::stack_bounds()?;
    let guard = bounds.low.saturating_sub(bounds.guard.max(NEAR))..bounds.low;
    guard.contains(&address).then_some(bounds.high - bounds.low)
}
