//! A storm of signals on the threads of [`lines`](crate::lines), from the moment they start until
//! after the destructors of their thread-specific data have run.
//!
//! One C thread goes round them as fast as it can and sends `SIGURG` by `pthread_kill`. It skips a
//! thread that has not handled the signal before: a signal that finds one pending is lost in it.
//! Where there are two processors, the sender keeps one to itself and the targets off it. A timer
//! raises `SIGPROF` on a running thread.
//!
//! # Safety
//!
//! The C side sends only to enrolled threads, and a thread ends its enrolment before it can be
//! joined.

#![expect(unsafe_code, reason = "calls into C")]

use std::ffi::c_int;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

/// The function that is called on a signal, on the thread's signal stack if it has one. `errno` is
/// kept for it.
pub type OnSignal = extern "C" fn(signal: c_int);

unsafe extern "C" {
    fn c_storm_handle(handler: OnSignal) -> c_int;
    fn c_storm_start() -> c_int;
    fn c_storm_stop();
    safe fn c_storm_sent() -> u64;
    safe fn c_storm_signal() -> c_int;
}

/// Returns the signal that is sent to the threads. It is ignored by default, so one too many does
/// no harm.
pub fn signal() -> c_int {
    c_storm_signal()
}

/// A process has one storm at a time: one timer, one list of targets.
static RUNNING: AtomicBool = AtomicBool::new(false);

/// A storm; dropping it ends it. The handler stays installed.
#[derive(Debug)]
pub struct Storm(());

impl Storm {
    /// Installs `handler` for `SIGURG` and `SIGPROF` and starts to send.
    ///
    /// The error is the system's, or [`io::ErrorKind::ResourceBusy`] if there is a storm already.
    ///
    /// # Safety
    ///
    /// `handler` is async-signal-safe, on every thread of the process and from this call on.
    pub unsafe fn start(handler: OnSignal) -> io::Result<Self> {
        // ORDERING[storm.running]: the drop of the storm before this one: its thread is joined.
        if RUNNING.swap(true, Ordering::Acquire) {
            return Err(io::ErrorKind::ResourceBusy.into());
        }
        // SAFETY: the handler is the caller's promise.
        let handled = crate::checked(unsafe { c_storm_handle(handler) });
        handled
            // SAFETY: the handler is there, and `RUNNING` says that there is no other storm.
            .and_then(|()| crate::checked(unsafe { c_storm_start() }))
            .map(|()| Self(()))
            .inspect_err(|_| RUNNING.store(false, Ordering::Relaxed))
    }

    /// Returns how many signals were sent, without the timer's.
    pub fn sent(&self) -> u64 {
        c_storm_sent()
    }
}

impl Drop for Storm {
    fn drop(&mut self) {
        // SAFETY: `self` is the only storm, so its thread runs and is not joined yet.
        unsafe { c_storm_stop() }
        // ORDERING[storm.running]: the next `start`: the thread of this one is joined.
        RUNNING.store(false, Ordering::Release);
    }
}
