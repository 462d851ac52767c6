#![doc = include_str!("links.md")]
#![doc = include_str!("../README.md")]
//!
//! # Cargo features
//!
//! - `tracing`, on by default: warnings and reports are events of the crate `tracing`.
//! - `tracing-spans`: the spans of `tracing` stay with the goroutine that is in them, by
//!   `CarrySpans`, and `in_current_span` hands them on.
//! - `signals`: [`signal`]`::notify`, signals of the process as a channel.
//! - `check-promises`: debug builds can look for broken promises of a [`Mode`]; see
//!   `runtime::Builder::check_promises`, and [docs::soundness].
//! - `futures-core`: receivers, tickers and sets of goroutines are streams.
//! - `futures-sink`: senders are sinks.
//!
//! Without `tracing`, or without a subscriber, a warning is a line on standard error; see
//! [`runtime::Warnings`]. Reports below the level of a warning, as that of [`Deadlock::Report`]
//! where somebody outside may wake a goroutine, are then not made.
//!
//! # Words
//!
//! The words are those of Go's runtime. An M is a thread that runs goroutines; an extra M is what a
//! thread of C's has while it is in a callback. A P, or processor, is the right to run a goroutine:
//! there are as many as [`procs`](runtime::Builder::procs) says. Sysmon is the thread that takes
//! the P of an M that keeps it for too long.

#[doc(inline)]
pub use gosched_scheduler::{
    CancelScope, Cancelled, Carry, DEFAULT_MAX_THREADS, DEFAULT_STACK_SIZE, DROP_GRACE, Deadlock,
    Group, GroupFuture, Handle, JoinError, JoinHandle, JoinNext, JoinOnDrop, JoinSet,
    JoinSetTimeoutError, Mode, NotStarted, Runtime, Scope, ScopedJoinHandle, ShutdownError,
    StackStats, Stats, ThreadLock, TryScope, TryScopedJoinHandle, Warnings, blocking, exit, go,
    go_migratory, lock_thread, no_wait, on_thread_stack, run, scope, scope_try, stack_remaining,
    try_lock_thread, yield_now,
};

#[cfg(feature = "tracing-spans")]
#[doc(inline)]
pub use gosched_scheduler::{CarriedSpans, CarrySpans, in_current_span};

#[doc(inline)]
pub use gosched_scheduler::{
    chan, goroutine_local, local, select, select_async, select_biased, select_biased_async, sync,
    test, time,
};

/// Ending what is no longer wanted: tokens, and shields against them.
///
/// A cancel wakes a goroutine; the call that it waits in, or the next one that would wait, unwinds
/// with [`Cancelled`], and whatever is on its stack is dropped as in a panic. Nobody unwinds a
/// goroutine but itself, so one that never waits is never ended. There are four ways to be
/// cancelled: [`JoinHandle::cancel`] ends a goroutine, [`Token::cancel`](cancel::Token::cancel)
/// what runs under a token, [`time::timeout`] what takes too long, and a runtime that shuts down
/// ends all that is in it.
///
/// Waits are not ended while the goroutine is panicking, inside [`shield`](cancel::shield), and in
/// the wait of [`scope`](scope()) for its goroutines. A cancel that a goroutine catches stays
/// pending: the next wait unwinds again, until what was cancelled is left. Across a callback from C
/// a cancel becomes [`EnterError::Cancelled`](callback::EnterError::Cancelled). With
/// `panic = "abort"` nothing can be unwound, and waits are not ended.
///
/// What does not wait in gosched hears of a token, too: a `select!` by
/// [`Token::done`](cancel::Token::done), a blocking call by a function that ends it,
/// [`Token::on_cancel`](cancel::Token::on_cancel), and a loop by asking. A token may have a
/// [deadline](cancel::Token::with_timeout), and says [why](cancel::Token::cause) it was cancelled.
/// [`scope_try`](scope_try()) and [`Group`] cancel the rest when one fails.
pub mod cancel {
    #[doc(inline)]
    pub use gosched_scheduler::cancel::{
        CancelScope, Cancelled, Cause, OnCancel, Token, TokenFuture, shield,
    };
}

/// Futures in goroutines.
///
/// [`block_on`](future::block_on) runs a future to its end: a goroutine parks where the future is
/// pending, any other thread blocks. [`go_future`](future::go_future) makes a goroutine of a
/// future. [`block_on_in`](future::block_on_in) is for futures that need tokio's context, or
/// another one. The waker may be kept for as long as anybody likes: once the future has ended it
/// does nothing.
///
/// Sockets work in goroutines by futures; see [sockets today](crate#sockets-today).
pub mod future {
    #[doc(inline)]
    pub use gosched_scheduler::future::{block_on, block_on_in, go_future};
}

/// Signals: what a handler interrupted, which handlers are in front, and signals as a channel.
///
/// [`context`](signal::context) tells a handler what it interrupted. [`check`](signal::check) tells
/// which handlers keep the report of a stack overflow from being made, and
/// [`reinstall`](signal::reinstall) puts ours in front again. With the feature `signals`,
/// `signal::notify([SIGINT, SIGTERM])` is a channel to which the signals of the process come; it is
/// `chan::signals` under the name that Go has for it.
pub mod signal {
    #[cfg(feature = "signals")]
    #[doc(no_inline)]
    pub use gosched_scheduler::chan::signals as notify;
    #[doc(inline)]
    pub use gosched_scheduler::signal::*;
}

/// A runtime: how it is built, entered and ended.
///
/// [`run`] is the short form. [`Runtime::builder`] gives the [`Builder`](runtime::Builder) of a
/// runtime; the builder of one goroutine is [`goroutine::Builder`].
///
/// # A graceful end
///
/// [`Runtime::shutdown`] cancels what waits; what lies in channels is dropped with them. Work that
/// is to be done first is ended by its channel: drop the senders, join the receivers, and shut down
/// last.
///
/// ```
/// use gosched::{Mode, Runtime, chan};
/// use std::time::Duration;
///
/// let runtime = Runtime::builder(Mode::threads()).build()?;
/// let (jobs, taken) = chan::bounded::<u64>(4);
/// let (done, results) = chan::unbounded();
/// let workers: Vec<_> = (0..3)
///     .map(|_| {
///         let (taken, done) = (taken.clone(), done.clone());
///         runtime.handle().go(move || taken.iter().for_each(|n| done.send(n * n).unwrap()))
///     })
///     .collect();
/// drop(done);
/// (1..=10).for_each(|n| jobs.send(n).unwrap());
///
/// drop(jobs); // Each worker's iteration ends when the buffer is empty.
/// workers.into_iter().for_each(|worker| worker.join().unwrap());
/// assert_eq!(results.iter().sum::<u64>(), 385);
/// runtime.shutdown(Duration::from_secs(1)).expect("nothing is left");
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// What asks a server for its end is a signal. With the feature `signals` it comes by a channel,
/// and the documentation of `chan::signals` has an orderly end by it.
pub mod runtime {
    #[doc(no_inline)]
    pub use crate::{
        DEFAULT_MAX_THREADS, DEFAULT_STACK_SIZE, DROP_GRACE, Deadlock, Handle, Mode, Runtime,
        ShutdownError, StackStats, Stats, Warnings, run,
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
    pub use gosched_scheduler::goroutine::{Builder, current_name, is_forked};
    #[doc(inline)]
    pub use gosched_scheduler::{Dump, Snapshot, StackUse, State, current_id, dump, stack_used};
}

/// Threads that gosched did not create call in.
///
/// A callback of C holds a [`Bridge`](callback::Bridge) and enters a runtime through it. A
/// [`Callback`](callback::Callback) is a closure in the form in which C takes it. A
/// [`Service`](callback::Service) answers requests of C's threads. From signal handlers and
/// real-time threads a [`Mailbox`](callback::Mailbox) leads to a goroutine. [`docs::signals`] says
/// what is done with the thread's signals meanwhile.
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

    /// What has gone wrong where threads of C become goroutines, and which test has each lesson.
    ///
    #[doc = include_str!("links.md")]
    #[doc = include_str!("../docs/lessons.md")]
    pub mod lessons {}

    /// The C interface: what it promises, and what it asks of a C program.
    ///
    #[doc = include_str!("links.md")]
    #[doc = include_str!("../docs/c.md")]
    pub mod c {}

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

    /// What is asked of an operating system, what stands in where a system lacks it, and what was
    /// verified on which.
    ///
    #[doc = include_str!("links.md")]
    #[doc = include_str!("../docs/platforms.md")]
    pub mod platforms {}

    /// Programs and libraries of others that call in, and what each of them shows.
    ///
    #[doc = include_str!("links.md")]
    #[doc = include_str!("../docs/hosts.md")]
    pub mod hosts {}

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

    /// What the test suites of std, crossbeam, tokio and others find here, and what differs.
    ///
    #[doc = include_str!("links.md")]
    #[doc = include_str!("../docs/other-suites.md")]
    pub mod other_suites {}
}
