//! The door: a callback holds a [`Bridge`] and enters by it.
//!
//! # Safety
//!
//! The runtime is used between coming in and going out.
#![expect(unsafe_code, reason = "lends the runtime of an entrance")]

mod attach;
mod call;
mod service;
pub(crate) mod slot;
mod worker;

use crate::enter::{self, Way};
use crate::error::{CloseError, EnterError};
use crate::extra::entrance::Entrance;
use crate::extra::line::Line;
use crate::{binding, catch_panic::catch_panic};
use gosched_runtime_sys::errno;
use gosched_runtime_sys::thread::pthread_cancel::CancelState;
use gosched_scheduler::embed::{self, Caller, Handle, Over, Runtime};
use std::fmt;
use std::ptr;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub use attach::Attached;
pub use call::CallError;
pub use service::{Reply, Request, Requests, Service};

/// How long a thread keeps the extra M that it gets for its callbacks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Binding {
    /// For one call. After every return the thread's signal mask, signal stack and `errno` are
    /// exactly what they were. A call costs several system calls.
    PerCall,
    /// Until the thread ends. Between its calls the thread is C's. But its signal stack stays
    /// changed if its own was too small, and its mask stays changed if it blocked faults. The first
    /// call costs what a per-call one does. Each later call costs some tens of nanoseconds, and no
    /// system call but one in 256 calls.
    ///
    /// If the host changes the thread's signal stack between two calls, a call may find none for a
    /// while: `docs/signals.md` says what then happens.
    #[default]
    UntilThreadExit,
}

/// The way in for a thread that the runtime did not create.
///
/// A C callback holds a bridge, in its user data or in a static, and calls [`enter`](Self::enter)
/// with a closure. Inside the closure the thread is a goroutine: it may use channels, locks and
/// everything else that waits. The closure runs on the calling thread, at once, however busy the
/// runtime is. When it waits, that thread sleeps.
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
#[doc(alias("cgo", "cgocallback", "needm", "FFI"))]
pub struct Bridge {
    /// Calls come in by the newest.
    entrances: Line<Entrance>,
    binding: Binding,
}

// `enter` catches what its closure unwinds with, and a bridge changes in one step.
impl std::panic::UnwindSafe for Bridge {}
impl std::panic::RefUnwindSafe for Bridge {}

impl Bridge {
    /// Returns a bridge into `runtime`, [`Binding::UntilThreadExit`].
    ///
    /// # Panics
    ///
    /// As [`bind`](Self::bind).
    #[inline]
    pub fn new(runtime: &Runtime) -> Self {
        Self::from_handle(runtime.handle())
    }

    /// Returns a bridge into the runtime of this handle.
    ///
    /// # Panics
    ///
    /// As [`bind`](Self::bind).
    #[inline]
    pub fn from_handle(handle: Handle) -> Self {
        let bridge = Self::unbound();
        bridge.bind(handle);
        bridge
    }

    /// Returns a bridge that leads nowhere until it is [bound](Self::bind): for a static that C may
    /// call before the runtime is up.
    #[inline]
    pub const fn unbound() -> Self {
        Self { entrances: Line::new(), binding: Binding::UntilThreadExit }
    }

    /// Binds an unbound bridge. False if it was bound before; then nothing changes.
    ///
    /// # Panics
    ///
    /// If there is no memory for the process's fork hook, as when any small allocation fails.
    #[inline]
    pub fn bind(&self, handle: Handle) -> bool {
        let entrance = Entrance::new(handle).expect("memory for a fork hook");
        self.entrances.append(None, Arc::new(entrance))
    }

    /// Binds the bridge and its copies to another runtime, if they lead nowhere: the runtime is
    /// shut down or just ends, the bridge was [closed](Self::close), or this is a forked child. So
    /// what C holds goes on working. A bridge that was never bound is [bound](Self::bind).
    ///
    /// Waits for nobody. What is still inside of the former runtime stays there, and `close` waits
    /// for it, too. Calls that come meanwhile are refused as before, or come in. False if the
    /// bridge leads into a runtime that is up, also where another thread has just bound it; then
    /// nothing changes. To exchange a runtime that is up, close the bridge first.
    ///
    /// The former runtime is let go when nobody is inside of it. Some hundred bytes stay with the
    /// bridge for each time.
    ///
    /// ```
    /// use gosched::callback::Bridge;
    /// use gosched::{Mode, Runtime};
    /// use std::time::Duration;
    ///
    /// static BRIDGE: Bridge = Bridge::unbound();
    ///
    /// let first = Runtime::builder(Mode::threads()).build()?;
    /// assert!(BRIDGE.rebind(first.handle()));
    /// let second = Runtime::builder(Mode::threads()).build()?;
    /// assert!(!BRIDGE.rebind(second.handle()), "the first one is up");
    /// first.shutdown(Duration::from_secs(1)).expect("nothing is left");
    /// assert!(BRIDGE.enter(|| ()).is_err());
    /// assert!(BRIDGE.rebind(second.handle()));
    /// assert_eq!(BRIDGE.enter(|| 7).expect("it is up"), 7);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Panics
    ///
    /// As [`bind`](Self::bind).
    #[doc(alias("restart", "reload", "atfork"))]
    #[inline]
    pub fn rebind(&self, handle: Handle) -> bool {
        let Some(last) = self.entrances.newest() else { return self.bind(handle) };
        if !last.leads_nowhere() {
            return false;
        }
        let entrance = Entrance::new(handle).expect("memory for a fork hook");
        // In this order, so that a call that finds the old one closed finds the new one.
        let is_new = self.entrances.append(Some(last), Arc::new(entrance));
        if is_new {
            last.retire();
        }
        is_new
    }

    /// Returns the same bridge with another binding.
    #[must_use]
    #[inline]
    pub const fn with_binding(mut self, binding: Binding) -> Self {
        self.binding = binding;
        self
    }

    /// Returns how long a thread keeps its extra M.
    #[inline]
    pub const fn binding(&self) -> Binding {
        self.binding
    }

    /// Runs `f` as a goroutine on the calling thread and returns its value.
    ///
    /// `errno` is the same afterwards as before. Pthread cancellation is held off meanwhile; a
    /// cancel that arrives takes effect in C.
    ///
    /// If this runtime is the innermost one that the thread is in, `f` is a part of the thread's
    /// goroutine; while `f` waits, the thread sleeps. If the thread is in another runtime further
    /// in, `f` is a new goroutine, even if the thread is in this runtime further out.
    ///
    /// Do not call it in a signal handler. Do not leave `f` by `pthread_exit` or `longjmp`. The
    /// first ends the process with a message. The second is undefined behaviour, as it is across
    /// any Rust frame with destructors.
    ///
    /// `f` ends on the thread that it began on, and after all that was entered in it. If coroutines
    /// switch inside `f` and break that, the process ends with a message.
    ///
    /// # Errors
    ///
    /// A panic in `f` comes back as [`EnterError::Panicked`], and a cancel that ended it as
    /// [`EnterError::Cancelled`]; after every other error `f` has not run.
    #[doc(alias("cgocallback"))]
    #[inline]
    pub fn enter<R>(&self, f: impl FnOnce() -> R) -> Result<R, EnterError> {
        let errno = errno::get();
        let outcome = self.enter_by(f);
        errno::set(errno);
        outcome
    }

    #[inline]
    fn enter_by<R>(&self, f: impl FnOnce() -> R) -> Result<R, EnterError> {
        enter_asked(self.entrance()?, self.binding, f)
    }

    /// Returns the entrance that calls come in by, unless they would be refused there.
    #[inline]
    fn entrance(&self) -> Result<&Entrance, EnterError> {
        match self.entrances.known() {
            Some(known) if known.seems_open() => Ok(known),
            _ => self.find_entrance(),
        }
    }

    #[cold]
    fn find_entrance(&self) -> Result<&Entrance, EnterError> {
        let newest = self.entrances.newest().ok_or_else(|| EnterError::NotRunning.refused())?;
        newest.ask()?;
        Ok(newest)
    }

    /// Runs `f` as [`enter`](Self::enter) does, with a time limit for its waits. When `timeout` has
    /// passed, the call in which `f` waits, or the next one that would wait, unwinds up to here. An
    /// `f` that does not wait is not ended, and what it returns late is returned.
    ///
    /// ```
    /// use gosched::callback::{Bridge, EnterError};
    /// use gosched::{Mode, Runtime, chan};
    /// use std::time::Duration;
    ///
    /// let runtime = Runtime::builder(Mode::threads()).build()?;
    /// let bridge = Bridge::new(&runtime);
    /// let (_tx, rx) = chan::bounded::<u8>(1);
    /// let outcome = bridge.enter_timeout(Duration::from_millis(5), || rx.recv());
    /// assert!(matches!(outcome, Err(EnterError::TimedOut)));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`EnterError::TimedOut`] if the limit ended a wait. Else as [`enter`](Self::enter).
    #[inline]
    pub fn enter_timeout<R>(
        &self,
        timeout: Duration,
        f: impl FnOnce() -> R,
    ) -> Result<R, EnterError> {
        match Instant::now().checked_add(timeout) {
            Some(deadline) => self.enter_deadline(deadline, f),
            None => self.enter(f),
        }
    }

    /// As [`enter_timeout`](Self::enter_timeout), until `deadline`.
    ///
    /// # Errors
    ///
    /// As [`enter_timeout`](Self::enter_timeout).
    #[inline]
    pub fn enter_deadline<R>(
        &self,
        deadline: Instant,
        f: impl FnOnce() -> R,
    ) -> Result<R, EnterError> {
        match self.enter(|| embed::within(deadline, f)) {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(Over)) => Err(EnterError::TimedOut),
            Err(error) => Err(error),
        }
    }

    /// Closes this bridge and its copies, and waits until nobody is inside, at longest for `grace`.
    /// From here on every call is refused with [`EnterError::Closed`], until the bridge is
    /// [bound anew](Self::rebind).
    ///
    /// What is inside is not ended: it returns, or is left. After `Ok` no closure runs that came in
    /// by this bridge, and none will, and no thread is [attached](Self::attach) by it. So what the
    /// closures use may go. The bridge itself must stay for as long as C may call, to refuse.
    ///
    /// May be called again, also at the same time. A bridge that was never bound has nobody inside,
    /// and may still be bound. Inside of one of the bridge's own calls it waits for the whole
    /// grace, because that call is inside.
    ///
    /// ```
    /// use gosched::callback::{Bridge, EnterError};
    /// use gosched::{Mode, Runtime};
    /// use std::time::Duration;
    ///
    /// let runtime = Runtime::builder(Mode::threads()).build()?;
    /// let bridge = Bridge::new(&runtime);
    /// bridge.close(Duration::from_secs(1)).expect("nobody is inside");
    /// assert!(matches!(bridge.enter(|| ()), Err(EnterError::Closed)));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`CloseError::Running`] if calls are left inside when `grace` is over.
    /// [`CloseError::Forked`] in a forked child. The bridge is closed all the same.
    ///
    /// # Panics
    ///
    /// Unwinds with `Cancelled` if the calling goroutine is cancelled while it waits. The bridge is
    /// closed then.
    #[inline]
    pub fn close(&self, grace: Duration) -> Result<(), CloseError> {
        let Some(newest) = self.entrances.newest() else {
            return Ok(());
        };
        embed::check_no_wait();
        newest.close_door();
        if newest.process.forked() {
            // The parent's threads will not go out here.
            return Err(CloseError::Forked);
        }
        let deadline = Instant::now().checked_add(grace);
        let older = self.entrances.iter().take_while(|entrance| !ptr::eq(*entrance, newest));
        let all = older.filter(|entrance| !entrance.process.forked()).chain([newest]);
        match all.map(|entrance| entrance.close(deadline, 0)).sum() {
            0 => Ok(()),
            calls => Err(CloseError::Running { calls }),
        }
    }
}

/// Runs `f` as a goroutine on the calling thread. `errno` may change.
#[inline]
pub(crate) fn enter_through<R>(
    entrance: &Entrance,
    binding: Binding,
    f: impl FnOnce() -> R,
) -> Result<R, EnterError> {
    entrance.ask()?;
    enter_asked(entrance, binding, f)
}

/// As [`enter_through`], where the entrance was asked.
#[inline]
fn enter_asked<R>(
    entrance: &Entrance,
    binding: Binding,
    f: impl FnOnce() -> R,
) -> Result<R, EnterError> {
    if !embed::is_outside() {
        return enter_from_goroutine(entrance, f);
    }
    match binding {
        Binding::UntilThreadExit => binding::enter(entrance, f),
        Binding::PerCall => enter::enter(Way::Placed(entrance), f),
    }
}

/// Runs `f` on a thread that is a goroutine: of this runtime or of another one, which is seen when
/// the call is counted in.
#[cold]
fn enter_from_goroutine<R>(entrance: &Entrance, f: impl FnOnce() -> R) -> Result<R, EnterError> {
    // SAFETY: not used after the call has gone out, below.
    let handle = unsafe { entrance.count_in() }?;
    let outcome = match embed::caller(handle) {
        Caller::Goroutine => nested(f),
        Caller::Outside | Caller::Elsewhere => enter::enter(Way::Sure(handle, entrance.process), f),
    };
    entrance.count_out();
    outcome
}

/// Rust called C, and C calls back: the thread is a goroutine already.
///
/// Between the goroutine's two parts lie frames of C. The thread must not switch away from them,
/// and no other goroutine of the same thread may run above them.
fn nested<R>(f: impl FnOnce() -> R) -> Result<R, EnterError> {
    let cancel = CancelState::disable();
    let outcome = catch_panic(|| embed::pinned(f));
    cancel.restore();
    outcome
}

impl Clone for Bridge {
    /// Returns a bridge to the same runtime, which is [closed](Self::close) and
    /// [bound anew](Self::rebind) with this one. A copy of an unbound bridge has to be bound
    /// itself.
    #[inline]
    fn clone(&self) -> Self {
        Self { entrances: self.entrances.clone(), binding: self.binding }
    }
}

impl fmt::Debug for Bridge {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bound = self.entrances.newest().is_some();
        f.debug_struct("Bridge")
            .field("bound", &bound)
            .field("binding", &self.binding)
            .finish_non_exhaustive()
    }
}
