//! Ends a run that hangs: a lost wake-up must be a failure with a message, not a process that never
//! ends.

use std::sync::atomic::Ordering;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;
use std::{io, mem};

use crate::count::CALLBACKS;
use crate::storm;

/// The exit status of a run that the watchdog ended.
const NO_PROGRESS: i32 = 3;

/// Watches until it is dropped.
#[derive(Debug)]
pub(crate) struct Watchdog {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Watchdog {
    /// Ends the process when no callback returns for `patience`.
    pub(crate) fn start(patience: Duration) -> io::Result<Self> {
        let (stop, stopped) = mpsc::channel::<()>();
        let thread = thread::Builder::new().name("watchdog".into()).spawn(move || {
            let mut seen = 0;
            while stopped.recv_timeout(patience) == Err(RecvTimeoutError::Timeout) {
                let callbacks = CALLBACKS.load(Ordering::Relaxed);
                if mem::replace(&mut seen, callbacks) == callbacks {
                    give_up(callbacks, patience);
                }
            }
        })?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

/// Ends the process without its exit handlers: threads that hang may hold locks that these need.
fn give_up(callbacks: u64, patience: Duration) -> ! {
    let signals = storm::received();
    eprintln!(
        "callbacks: no progress for {} s after {callbacks} callbacks and {} signals ({} torn)",
        patience.as_secs(),
        signals.received(),
        signals.torn,
    );
    c_side::thread::exit_process(NO_PROGRESS)
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A watchdog that panicked has printed why. The result of the run is still valid.
            drop(thread.join());
        }
    }
}
