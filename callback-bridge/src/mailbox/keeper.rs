//! The thread that hears the bell, one in a process, and the process.
//!
//! It is made with the first mailbox whose receiver may sleep, and stays. It sleeps while nobody
//! rings for a receiver. A forked child has no such thread: there the mailboxes of its parent are
//! disconnected, and the first one that is made there makes a thread.
//!
//! A thread is made without a lock, since that allocates. Of two that are made at the same time one
//! ends at once.

use crate::mailbox::bell::{Bell, Hears};
use gosched_runtime_sys::thread::fork::{self, PerProcess};
use gosched_runtime_sys::thread::spawn_thread;
use gosched_scheduler::embed::Notify;
use std::io;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

impl Hears for Notify {
    fn hear(&self) {
        // A waker of the user's may panic. The thread is there for all mailboxes, so the payload is
        // not dropped either: that is user code again.
        mem::forget(catch_unwind(AssertUnwindSafe(|| self.notify_one())));
    }
}

/// The bell of one process. Never freed.
#[derive(Debug)]
pub(crate) struct Keeper {
    /// The process, counted in forks.
    generation: u32,
    pub(crate) bell: Bell<Notify>,
    /// Another one was made at the same time.
    superfluous: AtomicBool,
}

static THIS: PerProcess<Option<&'static Keeper>> = PerProcess::new(|| None);

impl Keeper {
    /// Returns this process's bell, with a thread that hears it.
    ///
    /// # Errors
    ///
    /// No room for a thread, or no memory for the fork hook.
    #[inline]
    pub(crate) fn this() -> io::Result<&'static Self> {
        fork::register_hook()?;
        let this = *THIS.lock();
        this.map_or_else(Self::make, Ok)
    }

    #[cold]
    fn make() -> io::Result<&'static Self> {
        let made: &'static Self = Box::leak(Box::new(Self {
            generation: fork::generation(),
            bell: Bell::new(),
            superfluous: AtomicBool::new(false),
        }));
        spawn_thread("gosched-mailbox".to_owned(), || made.hear())?;
        let mut this = THIS.lock();
        if let Some(earlier) = *this {
            drop(this);
            // Relaxed: `wake` publishes it.
            made.superfluous.store(true, Relaxed);
            made.bell.wake();
            return Ok(earlier);
        }
        Ok(this.insert(made))
    }

    /// True if this is a forked child of the process meant. Async-signal-safe.
    #[inline]
    pub(crate) fn forked(&self) -> bool {
        self.generation != fork::generation()
    }

    /// The thread's main function.
    fn hear(&self) {
        while !self.superfluous.load(Relaxed) {
            self.bell.answer();
            self.bell.sleep();
        }
    }
}
