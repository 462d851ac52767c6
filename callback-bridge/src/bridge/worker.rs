//! Work of a foreign thread that runs on one of the runtime's threads.
//!
//! # Why it may borrow
//!
//! The goroutine belongs to a scope of the caller's frame. The scope waits for its end, whatever
//! else ends: no cancel, and no shutdown, ends that wait.
//!
//! # Why it does not wait for itself
//!
//! A thread that is no goroutine holds nothing that the new goroutine needs. A goroutine is pinned,
//! because frames of C may lie below it; so its thread sleeps, and gives up the Ps that it holds in
//! all its runtimes. The new goroutine has not begun, so any M takes it. A handler is different: it
//! may have interrupted a thread inside of the scheduler, which would wait for its handler. It is
//! refused where it shows.
//!
//! # Safety
//!
//! The runtime is used between coming in and going out.
#![expect(unsafe_code, reason = "lends the runtime of an entrance")]

use super::Bridge;
use crate::binding;
use crate::error::EnterError;
use crate::extra::entrance::Entrance;
use gosched_runtime_sys::errno;
use gosched_runtime_sys::signal::stack;
use gosched_runtime_sys::thread::pthread_cancel::CancelState;
use gosched_scheduler::embed::{self, Handle, NotStarted};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

impl Bridge {
    /// Runs `f` as a new goroutine on a thread of the runtime, waits for its end, and returns its
    /// value.
    ///
    /// For what should not run on the calling thread: `f` needs more stack than C gave the thread,
    /// or is to be scheduled as the runtime's other work is. It has to wait for its turn, as every
    /// goroutine. The calling thread does not become a goroutine by this; if it is one, it sleeps
    /// as in [`enter`](Self::enter), and one P is enough for both. `f` may borrow, because the call
    /// returns when `f` has ended: a cancel of the caller does not end the wait. Pthread
    /// cancellation is held off meanwhile, and `errno` is the same afterwards as before.
    ///
    /// It waits for ever if `f` waits for the caller, as for a lock that the caller holds.
    ///
    /// ```
    /// use gosched::callback::Bridge;
    /// use gosched::{Mode, Runtime};
    ///
    /// let runtime = Runtime::builder(Mode::threads()).build()?;
    /// let bridge = Bridge::new(&runtime);
    /// let mut words = vec!["c", "a", "b"];
    /// let here = std::thread::current().id();
    /// let there = bridge.enter_on_worker(|| {
    ///     words.sort();
    ///     std::thread::current().id()
    /// });
    /// assert_ne!(there.expect("the runtime is up"), here);
    /// assert_eq!(words, ["a", "b", "c"]);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`enter`](Self::enter). [`EnterError::Cancelled`] is that of a shutdown that ended `f`.
    /// [`EnterError::Resources`]: there was no memory for the goroutine.
    /// [`EnterError::SignalHandler`]: the thread runs on its signal stack, or is just beginning or
    /// ending a call.
    #[doc(alias("spawn", "run_on", "trampoline"))]
    pub fn enter_on_worker<R: Send>(&self, f: impl FnOnce() -> R + Send) -> Result<R, EnterError> {
        embed::check_no_wait();
        let errno = errno::get();
        let outcome = self.enter_on_worker_by(f);
        errno::set(errno);
        outcome
    }

    fn enter_on_worker_by<R: Send>(&self, f: impl FnOnce() -> R + Send) -> Result<R, EnterError> {
        let entrance = self.entrance()?;
        if stack::registered().executing || binding::is_on_its_way(entrance.process) {
            return Err(EnterError::SignalHandler.refused());
        }
        // SAFETY: used before `_counted` is dropped.
        let handle = unsafe { entrance.count_in() }?;
        let _counted = Counted(entrance);
        let cancel = CancelState::disable();
        let outcome = if embed::is_outside() {
            on_worker(handle, f)
        } else {
            embed::pinned(|| on_worker(handle, f))
        };
        cancel.restore();
        outcome
    }
}

/// A call is counted in until this is dropped.
struct Counted<'a>(&'a Entrance);

impl Drop for Counted<'_> {
    #[inline]
    fn drop(&mut self) {
        self.0.count_out();
    }
}

fn on_worker<R: Send>(handle: &Handle, f: impl FnOnce() -> R + Send) -> Result<R, EnterError> {
    let has_begun = AtomicBool::new(false);
    let body = || {
        has_begun.store(true, Relaxed);
        f()
    };
    let outcome = embed::shielded(|| handle.scope(|scope| scope.go(body).join()));
    outcome.map_err(|payload| {
        if has_begun.load(Relaxed) {
            return EnterError::of_payload(payload);
        }
        let error = match payload.downcast::<NotStarted>() {
            Ok(why) => EnterError::Resources(why.0),
            Err(_cancelled) => EnterError::ShutDown,
        };
        error.refused()
    })
}
