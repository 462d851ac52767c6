//! What is promised, once, by whoever builds a runtime.

use std::fmt;

/// How the goroutines of a runtime share threads, and the promise that this takes.
///
/// | mode | a started goroutine | promise |
/// |---|---|---|
/// | [`Mode::threads`] | has a thread of its own | none |
/// | [`Mode::settled`] | stays on the thread that started it, which it shares | (a), (b) |
/// | [`Mode::migratory`] | resumes on any thread | (a), (b), (c) |
///
/// - **(a)** Nothing waits inside the initialiser or destructor of a thread-local.
/// - **(b)** Nothing waits inside a call-back of code that relies on the calls of one thread being
///   nested. A call-back is a closure, a trait method, a destructor, a C function pointer.
/// - **(c)** Nothing that is bound to a thread is held across a wait.
///
/// A *wait* is a call of this crate that may suspend a goroutine: to send, receive, join, lock,
/// sleep or yield, or to try so in vain. What only looks, as `is_finished`, is none. The promise is
/// for all code that runs in goroutines, dependencies included. The closure of [`run`](crate::run)
/// is a goroutine, too. [`go_migratory`](crate::go_migratory) takes (c) for one goroutine. Every
/// other call is safe, whatever the mode.
///
/// ```
/// use gosched::{Mode, go, run};
///
/// // SAFETY: nothing here waits in a closure or trait impl that other people's code calls, or in
/// // an initialiser or destructor of a thread-local.
/// let mode = unsafe { Mode::settled() };
/// assert_eq!(run(mode, || go(|| 6 * 7).join().unwrap()), 42);
/// ```
///
/// # The local rule
///
/// **A crate that does not call gosched cannot wait.** So (a) and (b) hold if all code that calls
/// gosched obeys two rules, each of which can be checked where that code stands:
///
/// 1. In the closures and trait impls that I hand to other people's code, I do not wait.
/// 2. In the initialisers and destructors of thread-locals, I do not wait.
///
/// *Other people's code* is every crate but gosched and my own, and C: a function pointer that C
/// calls is such a closure, unless it goes through `Bridge::enter`. The closures that gosched takes
/// itself, such as those of [`go`](crate::go()), [`scope`](crate::scope()) and
/// [`blocking`](crate::blocking()), may wait. A dependency that calls gosched obeys the same rules.
///
/// Rule 1 is stricter than the promise. A wait in such a closure is harmful only where the code
/// that calls the closure keeps something on the thread meanwhile, and has `unsafe` that relies on
/// it. Code that passes everything through its arguments may be handed a closure that waits, as the
/// iterators, slices and collections of `std` may, and `catch_unwind`.
///
/// (c) is no local rule: what is bound to the thread may be in a function of a dependency that was
/// inlined. It is a borrow or an address of a thread-local, a guard that must be released on its
/// thread, or an `Rc` of which the thread keeps a clone. Settled goroutines may hold all of these.
///
/// # Why there is a promise
///
/// Code that is checked as safe rests on two assumptions, which switching stacks makes false:
///
/// - *Calls of one thread are nested*: the call that began last returns first. The initialisation
///   of thread-locals relies on it. So does each library whose `unsafe` sets something up on the
///   thread, calls a closure, and takes it down again.
/// - *A function stays on its thread.* The compiler keeps the address of a thread-local across a
///   call, and guards are given back where they were taken.
///
/// A scheduler cannot restore them from outside. Therefore the builder of a runtime promises once,
/// in one `unsafe` line, what the code in goroutines does not do.
///
/// # How it is broken
///
/// **(a)** Two settled goroutines on one thread use `CONFIG`. The first waits in the initialiser,
/// and the second runs the initialiser again. The value that is stored last replaces one that the
/// other goroutine still borrows: a use after free.
///
/// ```no_run
/// use gosched::chan;
/// use std::sync::OnceLock;
///
/// static SETTINGS: OnceLock<chan::Receiver<String>> = OnceLock::new();
///
/// thread_local! {
///     static CONFIG: String = SETTINGS.get().unwrap().recv().unwrap(); // wrong: waits
/// }
/// ```
///
/// Right: receive the value first, then store it in a `const`-initialised cell with an `Option`.
///
/// **(b)** A scoped thread-local stores a pointer, calls the closure, and restores what was there
/// before. Two goroutines on one thread overlap where they should be nested, and the second to
/// return restores a pointer to what the first has dropped.
///
/// ```text
/// WORLD.set(&mine, || done.recv().unwrap()); // wrong: waits while WORLD points to `mine`
/// ```
///
/// Others of this kind are tokens for the lock of an interpreter, "the current arena", "the current
/// transaction", and each `with_*` function that passes a reference which it takes back by way of
/// the thread. Right: collect what is needed, return from the closure, then wait.
///
/// **(c)** A migratory goroutine resumes on another thread, and writes into a cell of the first
/// one. Without a visible borrow it is no better: the optimiser may have kept the cell's address.
///
/// ```no_run
/// use std::cell::Cell;
///
/// thread_local! {
///     static HITS: Cell<u64> = const { Cell::new(0) };
/// }
///
/// fn mark() {
///     HITS.set(1);
///     gosched::yield_now();
///     HITS.set(2); // wrong in a migratory goroutine
/// }
/// ```
///
/// # What needs no promise
///
/// Code in a callback and in a goroutine with a thread of its own: a wait puts the thread to sleep,
/// and no other goroutine ever runs on it. `std::sync::OnceLock`, `LazyLock` and `Once` guard
/// against a second initialiser, so (a) is not about them; they block.
///
/// What goroutines on one thread can do to each other without being unsound, such as a panic for a
/// `RefCell` that is borrowed across a wait, is listed in [soundness], with the whole argument.
///
/// [soundness]: https://docs.rs/gosched/latest/gosched/docs/soundness/index.html
#[doc(alias("soundness", "M:N", "flavor", "work stealing"))]
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
    /// - inside the initialiser or destructor of a thread-local, or
    /// - inside a call-back (closure, trait method, destructor, C function pointer) of code that
    ///   relies on the calls of one thread being nested: code whose `unsafe` does (scoped
    ///   thread-locals, interpreter-lock guards, ...), a C++ `catch` block, C code that keeps a
    ///   `setjmp` buffer or another chain of frames on the thread.
    ///
    /// Destructors of thread-locals also run in `exit`, on the stack of the goroutine that calls
    /// it. With [`gosched::exit`](crate::exit()) their waits, and those of `atexit` handlers, break
    /// no promise.
    ///
    /// This is for all code in the program that runs in goroutines, dependencies included. It holds
    /// if the code that calls gosched obeys [the local rule](Mode#the-local-rule).
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
/// goroutines of other runtimes. It is *proven* if the process has no thread but the runtime's own,
/// those in [`run`](crate::Runtime::run) included.
#[doc(alias = "all goroutines are asleep")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Deadlock {
    /// Nothing.
    Ignore,
    /// A deadlock that is proven is a warning with a list of the goroutines, the first time
    /// ([`Builder::warnings`](crate::Builder::warnings)). Where somebody outside may wake one, the
    /// list is an event of `tracing` at level `DEBUG`, the first time.
    #[default]
    Report,
    /// It is a deadlock: whoever says this promises that nobody outside of the runtime wakes its
    /// goroutines. `run` panics with a list of the goroutines, what each waits for and where it was
    /// made; all others are cancelled, with
    /// [`CancelScope::Deadlock`](crate::CancelScope::Deadlock), and the runtime takes no new ones,
    /// as after a shutdown.
    Panic,
    /// As [`Panic`](Self::Panic) if the deadlock is proven, and nothing otherwise. This promises
    /// nothing. If some goroutine cannot be unwound, because it panics already or is shielded, the
    /// list goes to standard error and the process ends with the exit code 101, as that of a panic.
    /// [`gosched::run`](crate::run()) does this.
    PanicIfProven,
}

/// Where a runtime's warnings go: that a goroutine keeps others waiting, that all of them wait for
/// each other, that nobody joins a panic, that a runtime was left running. See
/// [`Builder::warnings`](crate::Builder::warnings).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Warnings {
    /// To whoever listens: events of `tracing`, at level `WARN`, where the process has a
    /// subscriber. Where it has none, or without the feature `tracing`, as
    /// [`Stderr`](Self::Stderr).
    #[default]
    Heard,
    /// Events of `tracing`; nothing without a subscriber, or without the feature `tracing`.
    Events,
    /// Lines on standard error. Of goroutines that were made at the same place, and keep others
    /// waiting in the same way, the first is told.
    Stderr,
    /// Nowhere.
    Off,
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
