//! What is promised, once, by whoever builds a runtime.

use std::fmt;

/// How goroutines of a runtime share threads, and what its builder promised for that; see
/// `docs/soundness.md`.
///
/// Every other call is safe whatever the mode: what switching stacks asks of the code that runs in
/// goroutines is promised here, by the one who can know it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Mode(Kind);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Threads,
    Settled,
    Migratory,
}

impl Mode {
    /// Every goroutine has a thread of its own, from a pool. Safe, and slow: for Miri, sanitizers,
    /// debugging, and systems without stack switching.
    #[must_use]
    pub const fn threads() -> Self {
        Mode(Kind::Threads)
    }

    /// A goroutine stays on the thread that started it and shares that thread with others.
    ///
    /// # Safety
    ///
    /// Nothing that runs in a goroutine suspends it (any call of this crate that may block)
    ///
    /// - inside a `thread_local!` initialiser, or
    /// - inside a closure passed to code whose `unsafe` relies on the calls of one thread being
    ///   nested (scoped thread-locals, interpreter-lock guards, ...).
    #[must_use]
    #[expect(unsafe_code, reason = "the mode is a promise of its caller")]
    pub const unsafe fn settled() -> Self {
        Mode(Kind::Settled)
    }

    /// A goroutine may resume on any thread, as in Go.
    ///
    /// # Safety
    ///
    /// The promise of [`settled`](Mode::settled), and: nothing bound to a thread (a borrow or an
    /// address of a thread-local, a guard that must be released where it was acquired) is held
    /// across a suspension, by any code in the program that runs in goroutines, dependencies
    /// included.
    #[must_use]
    #[expect(unsafe_code, reason = "the mode is a promise of its caller")]
    pub const unsafe fn migratory() -> Self {
        Mode(Kind::Migratory)
    }

    /// Goroutines are threads.
    pub(crate) fn is_threads(self) -> bool {
        self.0 == Kind::Threads
    }

    /// Goroutines resume anywhere.
    pub(crate) fn is_migratory(self) -> bool {
        self.0 == Kind::Migratory
    }
}

/// What is done when every goroutine of a runtime waits and nothing in it is left that could wake
/// one: no timer, no blocking call, no callback, no bridge by which one may come, no future whose
/// waker may be anywhere.
///
/// Whether that is a deadlock depends on who else may wake them: plain threads, async executors,
/// goroutines of other runtimes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Deadlock {
    /// Nothing.
    Ignore,
    /// The first time, an event of `tracing` at level `DEBUG`, with a list of the goroutines;
    /// nothing if nobody listens, or without the feature `tracing`.
    #[default]
    Report,
    /// It is a deadlock: whoever says this promises that nobody outside of the runtime wakes its
    /// goroutines. `run` panics with a list of the goroutines, what each waits for and where it was
    /// made; all others are cancelled, with
    /// [`CancelScope::Deadlock`](crate::CancelScope::Deadlock), and the runtime takes no new ones,
    /// as after a shutdown.
    Panic,
}

impl fmt::Debug for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Kind::Threads => "Mode::threads",
            Kind::Settled => "Mode::settled",
            Kind::Migratory => "Mode::migratory",
        })
    }
}
