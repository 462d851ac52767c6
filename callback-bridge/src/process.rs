//! The share of one process in all its bridges: the list of extra Ms.
//!
//! A fork copies memory and one thread. What the other threads were doing to the list stays half
//! done in the child: a locked head stays locked for ever. So the list belongs to a process. A
//! bridge that is bound in a child gets a new list. Everything that was made before the fork is
//! left alone there, leaked with the parent's runtime.

use crate::error::EnterError;
use crate::extra_list::{Chain, ExtraList, Owed};
use crate::extra_m::ExtraM;
use gosched_runtime_sys::signal::mask::SignalMask;
use gosched_runtime_sys::thread::fork;
use std::io;
use std::sync::{Mutex, PoisonError};

/// The list of one process. Never freed.
pub(crate) struct Process {
    /// The process, counted in forks.
    generation: u32,
    /// The Ms that no thread uses.
    pub(crate) extra: ExtraList<ExtraM>,
}

impl Process {
    /// Returns this process's list.
    ///
    /// # Errors
    ///
    /// No memory for the fork hook. Without it a child would not know that it is one.
    pub(crate) fn this() -> io::Result<&'static Self> {
        static THIS: Mutex<Option<&'static Process>> = Mutex::new(None);
        fork::register_hook()?;
        let mut this = THIS.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(process) = this.filter(|process| !process.forked()) {
            return Ok(process);
        }
        Ok(this.insert(Box::leak(Box::new(Self {
            generation: fork::generation(),
            extra: ExtraList::new(),
        }))))
    }

    /// True if this is a forked child of the process meant. Async-signal-safe.
    #[inline]
    pub(crate) fn forked(&self) -> bool {
        self.generation != fork::generation()
    }

    /// Puts a first M on an empty list. Without memory for one the list stays empty. The first
    /// callback then tries again and can report the error.
    pub(crate) fn stock(&'static self) {
        if let Some(owed) = quietly(|| self.extra.stock()) {
            let _told_later = self.refill(owed);
        }
    }

    /// Makes the Ms that the list is owed. If there is no memory for a single one, the waiters and
    /// the caller get the error. Not for the gap: this allocates.
    pub(crate) fn refill(&'static self, owed: Owed) -> Result<(), EnterError> {
        let mut made = Chain::new();
        let mut failure = 0;
        for _ in 0..quietly(|| self.extra.wanted()) {
            match ExtraM::new(&self.extra) {
                Ok(m) => made.push(m),
                Err(error) => {
                    failure = error.raw_os_error().unwrap_or(libc::ENOMEM);
                    break;
                }
            }
        }
        let nothing = made.is_empty();
        quietly(|| self.extra.pay(owed, made, failure));
        if nothing { Err(EnterError::refill(failure)) } else { Ok(()) }
    }
}

/// Calls `f` with all signals blocked, as the list requires.
fn quietly<R>(f: impl FnOnce() -> R) -> R {
    let mask = SignalMask::block_all();
    let result = f();
    mask.restore();
    result
}
