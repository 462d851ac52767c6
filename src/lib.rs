#![doc = include_str!("links.md")]
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
    CancelScope, Cancelled, Carry, DEFAULT_MAX_THREADS, DEFAULT_STACK_SIZE, DROP_GRACE, Deadlock,
    Handle, JoinHandle, Mode, NotStarted, Runtime, Scope, ScopedJoinHandle, ShutdownError,
    StackStats, Stats, ThreadLock, blocking, exit, go, go_migratory, lock_thread, on_thread_stack,
    run, scope, stack_remaining, yield_now,
};

#[doc(inline)]
pub use gosched_scheduler::{
    cancel, chan, future, goroutine_local, local, select, signal, sync, time,
};

/// A runtime: how it is built, entered and ended.
///
/// [`run`] is the short form. [`Runtime::builder`] gives the [`Builder`](runtime::Builder) of a
/// runtime; the builder of one goroutine is [`goroutine::Builder`].
pub mod runtime {
    #[doc(no_inline)]
    pub use crate::{
        DEFAULT_MAX_THREADS, DEFAULT_STACK_SIZE, DROP_GRACE, Deadlock, Handle, Mode, Runtime,
        ShutdownError, StackStats, Stats, run,
    };
    #[doc(inline)]
    pub use gosched_scheduler::Builder;
}

/// One goroutine: how it is made with more than [`go`] takes, and what is known of those that run.
///
/// The [`Builder`](goroutine::Builder) here makes a goroutine; that of a runtime is
/// [`runtime::Builder`].
pub mod goroutine {
    #[doc(inline)]
    pub use gosched_scheduler::goroutine::{Builder, current_name};
    #[doc(inline)]
    pub use gosched_scheduler::{Dump, Snapshot, StackUse, State, current_id, dump, stack_used};
}

/// Threads that gosched did not create call in.
///
/// A callback of C holds a [`Bridge`](callback::Bridge) and enters a runtime through it.
/// [`docs::signals`] says what is done with the thread's signals meanwhile.
pub mod callback {
    #[doc(inline)]
    pub use gosched_callback_bridge::*;
}

/// The documents of the project, as they are in its `docs` folder.
///
/// Begin with [`soundness`](docs::soundness), which says what the one `unsafe` line promises.
// Each page begins with `links.md`. Markdown takes the first definition of a link: here, a page of
// this documentation; in the repository, the file that the document itself names at its end.
pub mod docs {
    /// Which part lies where, which way imports point, what always holds, and what is absent.
    ///
    #[doc = include_str!("links.md")]
    #[doc = include_str!("../docs/architecture.md")]
    pub mod architecture {}

    /// How goroutines get to threads: the rules of the scheduler, each with its reason.
    ///
    #[doc = include_str!("links.md")]
    #[doc = include_str!("../docs/scheduling.md")]
    pub mod scheduling {}

    /// What a [`Mode`](crate::Mode) promises, how each promise is broken, and what needs no
    /// promise.
    ///
    #[doc = include_str!("links.md")]
    #[doc = include_str!("../docs/soundness.md")]
    pub mod soundness {}

    /// What is done with a thread's signals when a callback enters and leaves a runtime.
    ///
    #[doc = include_str!("links.md")]
    #[doc = include_str!("../docs/signals.md")]
    pub mod signals {}

    /// How large a goroutine's stack is, what it costs, and what an overflow does.
    ///
    #[doc = include_str!("links.md")]
    #[doc = include_str!("../docs/stacks.md")]
    pub mod stacks {}

    /// Which test shows what, and how each is run.
    ///
    #[doc = include_str!("links.md")]
    #[doc = include_str!("../docs/testing.md")]
    pub mod testing {}

    /// What each operation costs, how that was measured, and which targets are missed.
    ///
    #[doc = include_str!("links.md")]
    #[doc = include_str!("../docs/performance.md")]
    #[doc = include_str!("../docs/versus.svg")]
    pub mod performance {}

    /// Which tests of Go's runtime have a counterpart here, and which have none.
    ///
    #[doc = include_str!("links.md")]
    #[doc = include_str!("../docs/go-scenarios.md")]
    pub mod go_scenarios {}
}
