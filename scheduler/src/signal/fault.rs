//! A fault on a goroutine's guard is a stack overflow: say whose, and abort. Every other fault goes
//! to the handler that was there before.
//!
//! The stack of a thread that is not ours belongs to the host, and so may its overflow. Nothing is
//! known of such a stack but where the thread entered. A fault there is an overflow if the
//! interrupted stack pointer lies below the entry and the address in the frames at the stack
//! pointer. The host's handler is asked first. A handler of the same object file, std's for
//! one, ends the process without a word about the goroutine: then the report precedes it.
//!
//! # Safety
//!
//! Runs in a signal handler: it reads atomics, the thread's words and the records of goroutines
//! that stay while their thread is in the handler, writes to descriptor 2 and aborts; nothing else.
#![expect(unsafe_code, reason = "installs a signal handler")]

use std::io;
use std::ptr;
use std::sync::Mutex;

use gosched_runtime_sys::signal::fatal::{Part, fatal, report};
use gosched_runtime_sys::signal::handler::{self, Response, SignalInfo};
use gosched_runtime_sys::thread::tls;

use crate::gmp::current;
use crate::gmp::g::{G, GOwned, running_owned};

/// How far above the stack pointer an overflow may touch memory: code that makes a large frame in
/// one step touches it anywhere.
const FRAME: usize = 1 << 20;

/// How far below the stack pointer: a push, a red zone, a store that moves the pointer.
const BELOW: usize = 4096;

const ADVICE: &str =
    "\n  raise it with Builder::stack_size, or run what is deep with on_thread_stack\n";
const THREADS_ADVICE: &str =
    "\n  it is its thread's: make that thread with a larger one, gosched's own by RUST_MIN_STACK\n";

/// Returns the faults whose handler is installed and is not ours: one that came later is in front.
pub(super) fn behind() -> Vec<i32> {
    let behind = |&signal: &i32| !handler::ours_is_in_front(signal).unwrap_or(true);
    handler::FAULTS.into_iter().filter(behind).collect()
}

/// Puts our handlers in front again. They chain to those that were there.
#[inline]
pub(super) fn reinstall() -> io::Result<()> {
    install()?;
    handler::FAULTS.into_iter().try_for_each(handler::reinstall)
}

/// Installs the handlers, once per process. They chain to what was there before.
pub(super) fn install() -> io::Result<()> {
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
    // Some program sent it: no access, no address.
    if !fault.by_kernel {
        return Response::PassOn;
    }
    match judge(fault) {
        Judgement::NotOurs => Response::PassOn,
        Judgement::Overflow(overflow) => {
            overflow.report();
            abort()
        }
        Judgement::MaybeTheirs(overflow) if fault.before_is_near => {
            // The program's own handler, or std's, which ends the process and knows no goroutine.
            overflow.report();
            Response::PassOnOr(|_| abort())
        }
        Judgement::MaybeTheirs(_) => Response::PassOnOr(|fault| {
            if let Judgement::MaybeTheirs(overflow) = judge(fault) {
                overflow.report();
                abort()
            }
        }),
    }
}

/// What a fault is.
enum Judgement<'a> {
    /// None of a stack that a goroutine runs on.
    NotOurs,
    /// An overflow of a stack that we made.
    Overflow(Overflow<'a>),
    /// An overflow of a stack of the host's, which may have a handler that goes on after one.
    MaybeTheirs(Overflow<'a>),
}

/// Judges a fault that an access raised on the calling thread.
fn judge<'a>(fault: &SignalInfo) -> Judgement<'a> {
    current::with_interrupted(|cx| {
        let Some(cx) = cx else { return Judgement::NotOurs };
        // A callback of one runtime may run on the stack of a goroutine of another.
        for cx in std::iter::successors(Some(cx), |cx| cx.prev()) {
            let Some(g) = cx.g() else { continue };
            // SAFETY: records of the goroutines on this thread outlive the process's end.
            let g = unsafe { &*ptr::from_ref(g) };
            // SAFETY: this handler interrupted the G, or code on its thread that runs while it is
            // current.
            let owned = unsafe { running_owned(g) };
            let stack = owned.stack;
            if stack.high == 0 || owned.on_thread_stack.get() {
                continue;
            }
            if (stack.guard..stack.low).contains(&fault.address) {
                let size = Some(stack.high - stack.low);
                return Judgement::Overflow(Overflow { g, owned, size, advice: ADVICE });
            }
            if fault.stack_pointer().is_some_and(|sp| (stack.low..stack.high).contains(&sp)) {
                return Judgement::NotOurs;
            }
        }
        let Some(g) = cx.g() else { return Judgement::NotOurs };
        // SAFETY: as above.
        let g = unsafe { &*ptr::from_ref(g) };
        // SAFETY: as above.
        let owned = unsafe { running_owned(g) };
        let overflow = |size| Overflow { g, owned, size, advice: THREADS_ADVICE };
        let grown = fault.stack_pointer().is_some_and(|sp| {
            let frames = sp.saturating_sub(BELOW)..sp.saturating_add(FRAME).min(cx.entry());
            sp < cx.entry() && frames.contains(&fault.address)
        });
        match tls::in_handler::own_stack_bounds() {
            Some(own) => {
                let guard = own.low.saturating_sub(own.guard)..own.low;
                if guard.contains(&fault.address) || grown && fault.address < own.low {
                    return Judgement::Overflow(overflow(Some(own.high - own.low)));
                }
                Judgement::NotOurs
            }
            None if grown => Judgement::MaybeTheirs(overflow(None)),
            None => Judgement::NotOurs,
        }
    })
}

/// A goroutine that has overflowed its stack.
struct Overflow<'a> {
    g: &'a G,
    owned: &'a GOwned,
    /// The stack's size in bytes, if we made it.
    size: Option<usize>,
    advice: &'static str,
}

impl Overflow<'_> {
    /// Says which goroutine it is, of how large a stack, and what helps.
    fn report(&self) {
        let nothing = Part::Text("");
        let [of, bytes, unit] = self.size.map_or([nothing; 3], |size| {
            [Part::Text(" of "), Part::Dec(size as u64), Part::Text(" bytes")]
        });
        let [called, name] = self
            .owned
            .name()
            .map_or([nothing; 2], |name| [Part::Text("\n  called "), Part::Text(name)]);
        let made = self.g.made_at().map_or([nothing; 4], |place| {
            [
                Part::Text("\n  made at "),
                Part::Text(place.file()),
                Part::Text(":"),
                Part::Dec(place.line().into()),
            ]
        });
        let [made_at, file, colon, line] = made;
        report(&[
            Part::Text("\ngosched: goroutine "),
            Part::Dec(self.g.id()),
            Part::Text(" has overflowed its stack"),
            of,
            bytes,
            unit,
            called,
            name,
            made_at,
            file,
            colon,
            line,
            Part::Text(self.advice),
        ]);
    }
}

fn abort() -> ! {
    fatal(&[])
}
