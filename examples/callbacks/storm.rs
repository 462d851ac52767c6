//! Counts what a signal handler finds: a whole goroutine on a whole signal stack, nothing of
//! gosched, or something torn.
//!
//! # Safety
//!
//! The handler is async-signal-safe. So are [`gosched::signal::context`] and the question to the
//! kernel for the signal stack; the rest is atomics.

#![expect(unsafe_code, reason = "installs a signal handler")]

use std::ffi::c_int;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use c_side::storm::Storm;
use c_side::thread::SignalStack;
use gosched::signal::{self, Context};

static IN_GOROUTINE: AtomicU64 = AtomicU64::new(0);
static OUTSIDE: AtomicU64 = AtomicU64::new(0);
static TORN: AtomicU64 = AtomicU64::new(0);

/// True if a callback thread in C must be as C left it: with `Binding::PerCall`.
static STRICT: AtomicBool = AtomicBool::new(false);

/// The signals so far, by what they interrupted.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Signals {
    pub(crate) in_goroutine: u64,
    pub(crate) outside: u64,
    pub(crate) torn: u64,
}

impl Signals {
    pub(crate) fn received(self) -> u64 {
        self.in_goroutine + self.outside + self.torn
    }

    /// True if a storm that shall send `asked` signals goes on. After the first tear there is
    /// nothing more to learn.
    pub(crate) fn wants_more(self, asked: u64) -> bool {
        self.torn == 0 && self.received() < asked
    }
}

pub(crate) fn received() -> Signals {
    Signals {
        in_goroutine: IN_GOROUTINE.load(Ordering::Relaxed),
        outside: OUTSIDE.load(Ordering::Relaxed),
        torn: TORN.load(Ordering::Relaxed),
    }
}

/// Starts the storm; it ends when the value is dropped.
pub(crate) fn start(strict: bool) -> io::Result<Storm> {
    STRICT.store(strict, Ordering::Relaxed);
    // SAFETY: `on_signal` is async-signal-safe.
    unsafe { Storm::start(on_signal) }
}

extern "C" fn on_signal(signal: c_int) {
    classify(signal).fetch_add(1, Ordering::Relaxed);
    #[cfg(gosched_mutants)]
    crate::mutants::enter_from_handler(signal);
}

/// Returns the counter for what this signal interrupted. The answer of gosched is compared with the
/// kernel's.
fn classify(signal: c_int) -> &'static AtomicU64 {
    match (signal::context(), SignalStack::now()) {
        (Context::Goroutine { on_signal_stack: true, .. }, SignalStack::Running) => &IN_GOROUTINE,
        (Context::Goroutine { .. }, _) => &TORN,
        // Only callback threads get this signal, and C gave them no signal stack: one that exists
        // was left behind.
        (Context::Outside, SignalStack::Registered | SignalStack::Running)
            if signal == c_side::storm::signal() && STRICT.load(Ordering::Relaxed) =>
        {
            &TORN
        }
        (Context::Outside, _) => &OUTSIDE,
    }
}
