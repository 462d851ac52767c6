//! What a signal handler may ask: whom did it interrupt? And what a program may ask about its
//! handlers: which of them is in front?

mod fault;

use std::io;

use gosched_runtime_sys::signal::mask::OPEN_SIGNALS;
use gosched_runtime_sys::signal::{handler, stack};

use crate::gmp::current;
use crate::proc::events::{self, Warnings};

/// What a signal handler interrupted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Context {
    /// A goroutine.
    Goroutine {
        /// Its number.
        id: u64,
        /// Whether the handler runs on a registered signal stack, so that it does not use the
        /// goroutine's. False in a handler that was installed without `SA_ONSTACK`, and in a
        /// callback on a bound thread whose signal stack the host took away since its last call.
        on_signal_stack: bool,
    },
    /// Nothing of ours: a thread of the host, one of our own threads between two goroutines, or a
    /// thread bound to a runtime between two callbacks.
    Outside,
}

/// What the calling thread is doing; in a signal handler, what it was interrupted in.
/// Async-signal-safe on every thread, also on one that never called in: reads the thread's current
/// word, asks the kernel about the signal stack, and leaves `errno` alone.
///
/// A handler that is told of a goroutine finds all of it: its thread has a signal stack, registered
/// before and removed after the goroutine is to be seen. (But for what a host does to it
/// meanwhile.)
#[must_use]
#[inline]
pub fn context() -> Context {
    match current::with_interrupted(|cx| Some(cx?.g()?.id())) {
        Some(id) => Context::Goroutine { id, on_signal_stack: stack::registered().executing },
        None => Context::Outside,
    }
}

/// What [`check`] found: signals whose handlers get into the way of the overflow report or of
/// goroutines' stacks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Check {
    /// The faults (`SIGSEGV`, `SIGBUS`) for which this library's handler is not in front. Another
    /// handler was installed after it, and decides whether a stack overflow is reported.
    /// [`reinstall`] changes that. Both, if no runtime has been built yet.
    pub not_in_front: Vec<i32>,
    /// The signals whose handler was installed without `SA_ONSTACK`. It runs on the stack that it
    /// interrupts, and a goroutine's is small. Threads of the runtime take few signals, see
    /// [`on_our_threads`](Self::on_our_threads); threads in callbacks take any.
    pub without_signal_stack: Vec<i32>,
}

impl Check {
    /// True if nothing was found.
    #[must_use]
    #[inline]
    pub fn is_clean(&self) -> bool {
        self.not_in_front.is_empty() && self.without_signal_stack.is_empty()
    }

    /// Those [without a signal stack](Self::without_signal_stack) that threads of the runtime take.
    #[must_use]
    pub fn on_our_threads(&self) -> Vec<i32> {
        let taken = |signal: &i32| OPEN_SIGNALS.contains(signal);
        self.without_signal_stack.iter().copied().filter(taken).collect()
    }
}

/// Looks at the process's signal handlers, with a system call for each signal. Not for a signal
/// handler: it allocates.
///
/// ```
/// use gosched::{Mode, Runtime, signal};
///
/// let _runtime = Runtime::builder(Mode::threads()).build().expect("a runtime");
/// assert!(signal::check().not_in_front.is_empty());
/// ```
#[must_use]
pub fn check() -> Check {
    Check { not_in_front: fault::behind(), without_signal_stack: handler::without_signal_stack() }
}

/// Puts this library's handler for stack overflows in front of those that were installed after it:
/// by a Java virtual machine, `faulthandler`, a crash reporter. It passes every other fault on to
/// them, and they pass on what they pass on.
///
/// # Errors
///
/// `QuotaExceeded` from the eighth time on, if another handler has been put in front each time.
#[inline]
pub fn reinstall() -> io::Result<()> {
    fault::reinstall()
}

/// Installs the handlers for the overflow report, once per process, and warns of what [`check`]
/// finds.
pub(crate) fn install(warnings: Warnings) -> io::Result<()> {
    fault::install()?;
    warn(warnings);
    Ok(())
}

fn warn(warnings: Warnings) {
    if !events::handlers_are_heard(warnings) {
        return;
    }
    let found = check();
    if !found.not_in_front.is_empty() {
        events::handlers(
            warnings,
            &found.not_in_front,
            "a handler installed later may keep stack overflows from being reported (see \
             signal::reinstall)",
        );
    }
    let on_our_threads = found.on_our_threads();
    if !on_our_threads.is_empty() {
        events::handlers(
            warnings,
            &on_our_threads,
            "handlers without SA_ONSTACK run on the stacks of goroutines",
        );
    }
}
