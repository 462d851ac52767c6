//! What a signal handler may ask: whom did it interrupt?

use gosched_runtime_sys::signal::stack;

use crate::gmp::current;

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
/// Async-signal-safe: reads the thread's current word and asks the kernel about the signal stack,
/// and leaves `errno` alone.
///
/// A handler that is told of a goroutine finds all of it: its thread has a signal stack, registered
/// before and removed after the goroutine is to be seen. (But for what a host does to it meanwhile.)
#[must_use]
pub fn context() -> Context {
    match current::with(|cx| Some(cx?.g()?.id())) {
        Some(id) => Context::Goroutine { id, on_signal_stack: stack::registered().executing },
        None => Context::Outside,
    }
}
