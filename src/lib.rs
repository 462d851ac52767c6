#![doc = include_str!("../README.md")]
//!
//! # Cargo features
//!
//! - `tracing`, on by default: warnings and reports are events of the crate `tracing`. A program
//!   without a subscriber sees none of them.
//!
//! Without `tracing`, a warning is a line on standard error. Reports below the level of a warning,
//! as that of [`Deadlock::Report`], are then not made.

#[doc(inline)]
pub use gosched_scheduler::{
    Builder, CancelScope, Cancelled, Carry, DEFAULT_MAX_THREADS, DEFAULT_STACK_SIZE, DROP_GRACE,
    Deadlock, Handle, JoinHandle, Mode, NotStarted, Runtime, Scope, ScopedJoinHandle,
    ShutdownError, StackStats, Stats, ThreadLock, blocking, go, go_migratory, lock_thread,
    on_thread_stack, run, scope, stack_remaining, yield_now,
};

#[doc(inline)]
pub use gosched_scheduler::{
    cancel, chan, future, goroutine_local, local, select, signal, sync, time,
};

/// The calling goroutine.
pub mod goroutine {
    #[doc(inline)]
    pub use gosched_scheduler::goroutine::{Builder, current_name};
    #[doc(inline)]
    pub use gosched_scheduler::{Dump, Snapshot, StackUse, State, current_id, dump, stack_used};
}

/// Threads that gosched did not create call in.
pub mod callback {
    #[doc(inline)]
    pub use gosched_callback_bridge::*;
}
