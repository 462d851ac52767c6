//! Signals on a thread that may belong to a host: masks, signal stacks, handlers, last words.
//!
//! | module | what it holds |
//! |---|---|
//! | [`mask`] | the calling thread's signal mask: block, restore |
//! | [`stack`](mod@stack) | the calling thread's alternate signal stack: install, remove |
//! | [`handler`] | handlers in front of a host's, and the way on to the host's |
//! | [`fatal`](mod@fatal) | a message and an abort, where nothing may be allocated |
//!
//! What may enter: code that runs in a signal handler, or that prepares a thread for one. Each
//! function says whether it is async-signal-safe. Begin with `stack.rs` for the ownership of a
//! signal stack, and with `docs/signals.md` for the whole.

pub mod fatal;
#[cfg_attr(all(windows, not(gosched_no_signals)), path = "../sys/windows/handler.rs")]
#[cfg_attr(any(not(any(unix, windows)), gosched_no_signals), path = "../sys/absent/handler.rs")]
pub mod handler;
#[cfg_attr(any(not(unix), gosched_no_signals), path = "../sys/absent/mask.rs")]
pub mod mask;
#[cfg_attr(any(not(unix), gosched_no_signals), path = "../sys/absent/signal_stacks.rs")]
pub mod stack;
