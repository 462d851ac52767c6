//! The goroutine scheduler of `gosched`: g, m, p, and the verbs on them. Use it through the
//! `gosched` package.
//!
//! What users call stands at the top of this directory. What it is made of has five rooms, and each
//! room's `mod.rs` says what lives there and where to begin. A room uses those above it in this
//! table and nothing below; `cargo xtask layers` prints the order of all modules.
//!
//! | room | what |
//! |---|---|
//! | `ds` | protocols and structures without G, M or P: parker, idle counts, inbox, timers |
//! | `policy` | what is decided, as pure functions over counts and times |
//! | `gmp` | what there is: G, M, P, the runtime that holds them, and who runs on which thread |
//! | `proc` | what happens to it: an M's loop, finding, waking, parking, spawning; sysmon |
//! | `wait` | the wait queue under everything that blocks |
//!
//! Between the rooms and the users stands `embed`, the door for the callback bridge.

#[cfg(not(any(unix, windows)))]
compile_error!(
    "gosched does not run on WebAssembly: goroutines need stacks to switch to, or threads, and \
     stable Rust has neither there"
);

mod blocking;
mod cancelled;
mod carry;
mod ds;
mod dump;
mod gmp;
mod go;
mod join;
mod mode;
mod policy;
mod proc;
mod procs;
mod runtime;
mod scope;
mod stats;
#[cfg(test)]
mod testing;
mod thread_stack;
mod wait;

pub mod cancel;
pub mod chan;
#[doc(hidden)]
pub mod embed;
pub mod future;
pub mod goroutine;
pub mod local;
pub mod signal;
pub mod sync;
pub mod time;

pub use blocking::blocking;
pub use cancel::{CancelScope, Cancelled};
pub use carry::Carry;
#[cfg(feature = "tracing-spans")]
pub use carry::{CarriedSpans, CarrySpans, in_current_span};
pub use dump::{Dump, Snapshot, StackUse, State, dump};
pub use gmp::body::NotStarted;
pub use gmp::stack_pool::StackStats;
pub use go::{current_id, go, go_migratory};
pub use join::{JoinError, JoinHandle, JoinOnDrop};
pub use mode::{Deadlock, Mode, Warnings};
pub use proc::exit::exit;
pub use proc::lock_thread::{ThreadLock, lock_thread, try_lock_thread};
pub use proc::no_wait::no_wait;
pub use proc::yield_now::yield_now;
pub use runtime::{
    Builder, DEFAULT_MAX_THREADS, DEFAULT_STACK_SIZE, DROP_GRACE, Handle, Runtime, ShutdownError,
    run,
};
pub use scope::{
    Group, GroupFuture, JoinNext, JoinSet, JoinSetTimeoutError, Scope, ScopedJoinHandle, TryScope,
    TryScopedJoinHandle, scope, scope_try,
};
pub use stats::Stats;
pub use thread_stack::{on_thread_stack, stack_remaining, stack_used};

#[cfg(all(test, gosched_loom))]
mod model;
