//! A fault on a goroutine's guard is a stack overflow: say whose, and abort. Every other fault goes
//! to the handler that was there before.
//!
//! # Safety
//!
//! Runs in a signal handler: it reads atomics and the thread's words, writes to descriptor 2 and
//! aborts; nothing else.
#![expect(unsafe_code, reason = "installs a signal handler")]

use std::io;
use std::sync::Mutex;

use gosched_runtime_sys::signal::fatal::{Part, fatal};
use gosched_runtime_sys::signal::handler::{self, Response, SignalInfo};
use gosched_runtime_sys::thread::tls;

use crate::gmp::current;
use crate::gmp::g::{G, GOwned, running_owned};

/// Below a thread's stack, an access this near to it is an overflow even where the system does not
/// tell the guard's size (the main thread's stack grows downwards to its limit).
const NEAR: usize = 64 * 1024;

const ADVICE: &str =
    "\n  raise it with Builder::stack_size, or run what is deep with on_thread_stack\n";
const THREADS_ADVICE: &str =
    "\n  it is its thread's: give that thread a larger one where it is made\n";

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

fn on_fault(fault: &SignalInfo) -> Response {
    // A code of zero or less was sent by some program: no access, no address.
    if fault.code <= 0 {
        return Response::PassOn;
    }
    current::with_interrupted(|cx| {
        let g = cx?.g()?;
        // SAFETY: this handler interrupted the G, or code on its thread that runs while it is
        // current.
        let owned = unsafe { running_owned(g) };
        let stack = owned.stack;
        if stack.high == 0 || owned.on_thread_stack.get() {
            report(g, owned, thread_overflow(fault.address)?, THREADS_ADVICE);
        }
        if (stack.guard..stack.low).contains(&fault.address) {
            report(g, owned, stack.high - stack.low, ADVICE);
        }
        Some(())
    });
    Response::PassOn
}

/// Says which goroutine has overflowed a stack of so many bytes, and what helps.
fn report(g: &G, owned: &GOwned, bytes: usize, advice: &str) -> ! {
    let nothing = Part::Text("");
    let [called, name] =
        owned.name().map_or([nothing; 2], |name| [Part::Text("\n  called "), Part::Text(name)]);
    let made = g.made().map_or([nothing; 4], |place| {
        [
            Part::Text("\n  made at "),
            Part::Text(place.file()),
            Part::Text(":"),
            Part::Dec(place.line().into()),
        ]
    });
    let [made_at, file, colon, line] = made;
    fatal(&[
        Part::Text("\ngosched: goroutine "),
        Part::Dec(g.id()),
        Part::Text(" has overflowed its stack of "),
        Part::Dec(bytes as u64),
        Part::Text(" bytes"),
        called,
        name,
        made_at,
        file,
        colon,
        line,
        Part::Text(advice),
    ])
}

/// The size of the thread's stack, if `address` is where it overflows.
fn thread_overflow(address: usize) -> Option<usize> {
    let bounds = tls::in_handler::own_stack_bounds()?;
    let guard = bounds.low.saturating_sub(bounds.guard.max(NEAR))..bounds.low;
    guard.contains(&address).then_some(bounds.high - bounds.low)
}
