//! The door: what a callback holds on to.

use crate::enter::{self, Target};
use crate::error::EnterError;
use crate::process::Process;
use crate::{barrier, binding};
use gosched_runtime_sys::cancel::CancelState;
use gosched_runtime_sys::errno;
use gosched_scheduler::embed::{self, Bound, Handle, Here, Runtime};
use std::fmt;
use std::sync::OnceLock;

/// How long the machine that a thread gets for its callbacks stays with it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Binding {
    /// For one call. After every return the thread's signal mask, signal stack and `errno` are
    /// exactly what they were. A call costs several system calls.
    PerCall,
    /// Until the thread ends. Between its calls the thread is C's, but its signal stack (if its own
    /// was too small) and its mask (if it blocked faults) stay changed. The first call costs what a
    /// per-call one does, each later one some tens of nanoseconds and no system call.
    #[default]
    UntilThreadExit,
}

/// Where a thread walks in that the runtime did not create.
///
/// A C callback holds a bridge, in its user data or in a static, and calls [`enter`](Self::enter)
/// with what it wants to do. In there it is a goroutine: channels, locks and everything else that
/// waits may be used. It runs on the calling thread, at once, however busy the runtime is; when it
/// waits, that thread sleeps.
///
/// ```
/// use gosched::callback::{Bridge, EnterError};
/// use gosched::{Mode, Runtime};
///
/// static BRIDGE: Bridge = Bridge::unbound();
///
/// extern "C" fn on_event(value: i32) -> i32 {
///     match BRIDGE.enter(|| value * 2) {
///         Ok(answer) => answer,
///         Err(EnterError::NotRunning | EnterError::ShutDown) => -1,
///         Err(other) => {
///             eprintln!("{other}");
///             -2
///         }
///     }
/// }
///
/// assert_eq!(on_event(4), -1);
/// let runtime = Runtime::builder(Mode::threads()).build()?;
/// BRIDGE.bind(runtime.handle());
/// assert_eq!(on_event(4), 8);
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct Bridge {
    target: OnceLock<Target>,
    binding: Binding,
}

impl Bridge {
    /// A bridge into `runtime`, [`Binding::UntilThreadExit`].
    ///
    /// # Panics
    ///
    /// As [`bind`](Self::bind).
    pub fn new(runtime: &Runtime) -> Self {
        Self::from_handle(runtime.handle())
    }

    /// A bridge into the runtime of this handle.
    ///
    /// # Panics
    ///
    /// As [`bind`](Self::bind).
    pub fn from_handle(handle: Handle) -> Self {
        let bridge = Self::unbound();
        bridge.bind(handle);
        bridge
    }

    /// A bridge that leads nowhere until it is [bound](Self::bind): for a static that C may call
    /// before the runtime is up.
    pub const fn unbound() -> Self {
        Self { target: OnceLock::new(), binding: Binding::UntilThreadExit }
    }

    /// Binds an unbound bridge. False: it was bound before, and stays so.
    ///
    /// # Panics
    ///
    /// There is no memory for the process's fork hook; like any small allocation that fails.
    pub fn bind(&self, handle: Handle) -> bool {
        let process = Process::this().expect("memory for a fork hook");
        process.stock();
        self.target.set(Target { bound: Bound::new(handle), process }).is_ok()
    }

    /// The same bridge with another binding.
    #[must_use]
    pub const fn with_binding(mut self, binding: Binding) -> Self {
        self.binding = binding;
        self
    }

    /// How long a thread keeps its machine.
    pub const fn binding(&self) -> Binding {
        self.binding
    }

    /// Runs `f` as a goroutine on the calling thread and returns its value.
    ///
    /// `errno` afterwards is what it was before. Pthread cancellation is held off meanwhile; a
    /// cancel that arrives takes effect in C. Where this runtime is the innermost one that the
    /// thread is in, `f` is a part of the goroutine that the thread is already; while it waits, the
    /// thread sleeps. Where the thread is in another runtime further in, `f` is a new goroutine,
    /// even if the thread is in this one further out.
    ///
    /// Not for signal handlers. Not to be left by `pthread_exit` or `longjmp`: the first ends the
    /// process with a message, the second is undefined behaviour, as it is across any Rust frame
    /// with destructors.
    ///
    /// # Errors
    ///
    /// A panic in `f` comes back as [`EnterError::Panicked`]; after every other error `f` has not
    /// run.
    #[inline]
    pub fn enter<R>(&self, f: impl FnOnce() -> R) -> Result<R, EnterError> {
        let errno = errno::get();
        let outcome = self.enter_by(f);
        errno::set(errno);
        outcome
    }

    #[inline]
    fn enter_by<R>(&self, f: impl FnOnce() -> R) -> Result<R, EnterError> {
        let target = self.target.get().ok_or(EnterError::NotRunning)?;
        if target.process.forked() {
            return Err(EnterError::Forked);
        }
        match (embed::here(target.bound.handle()), self.binding) {
            (Here::Goroutine, _) => nested(f),
            (Here::Outside, Binding::UntilThreadExit) => binding::enter(target, f),
            (Here::Outside, Binding::PerCall) | (Here::Elsewhere, _) => enter::enter(target, f),
        }
    }
}

/// Rust called C, and C calls back: the goroutine is here already. The frames of C between its two
/// parts must not be switched away from, nor be run over by another goroutine of the same thread.
#[cold]
fn nested<R>(f: impl FnOnce() -> R) -> Result<R, EnterError> {
    let cancel = CancelState::disable();
    let outcome = barrier::run(|| embed::pinned(f));
    cancel.restore();
    outcome
}

impl Clone for Bridge {
    /// A bridge to where this one leads at this moment; a copy of an unbound one has to be bound
    /// itself.
    fn clone(&self) -> Self {
        Self { target: self.target.clone(), binding: self.binding }
    }
}

impl fmt::Debug for Bridge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bound = self.target.get().is_some();
        f.debug_struct("Bridge")
            .field("bound", &bound)
            .field("binding", &self.binding)
            .finish_non_exhaustive()
    }
}
