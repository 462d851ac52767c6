//! Joining with a time limit.
//!
//! # Safety
//!
//! As in `handle`.
#![expect(unsafe_code, reason = "moves results out of packets")]

use std::thread;
use std::time::{Duration, Instant};

use super::handle::{JoinHandle, Joint};
use super::wait::JoinWait;
use crate::ds::slot::read;
use crate::proc::yield_now::preempt_point;

impl<T> Joint<'_, T> {
    pub(crate) fn join_timeout(self, timeout: Duration) -> Result<thread::Result<T>, Self> {
        // A timeout that the clock cannot reach is no limit.
        self.join_until(Instant::now().checked_add(timeout))
    }

    fn join_until(self, deadline: Option<Instant>) -> Result<thread::Result<T>, Self> {
        preempt_point();
        let no_load = JoinWait::begin(self.id, deadline);
        let taken = self.packet.join(deadline);
        drop(no_load);
        match taken {
            // SAFETY: the outcome was just taken, and this has a share of the packet.
            Some(taken) => Ok(unsafe { read(taken) }),
            None => Err(self),
        }
    }

    pub(crate) fn join_deadline(self, deadline: Instant) -> Result<thread::Result<T>, Self> {
        self.join_until(Some(deadline))
    }
}

impl<T> JoinHandle<T> {
    /// As [`join`](Self::join), for at most `timeout`. A timeout that the clock cannot reach is
    /// none.
    ///
    /// # Errors
    ///
    /// The handle, if the goroutine has not ended by then.
    ///
    /// # Panics
    ///
    /// As [`join`](Self::join).
    ///
    /// ```
    /// use gosched::{Mode, chan, go, run};
    /// use std::time::Duration;
    ///
    /// run(Mode::threads(), || {
    ///     let (tx, rx) = chan::bounded(0);
    ///     let waits = go(move || rx.recv());
    ///     let waits = waits.join_timeout(Duration::from_millis(1)).unwrap_err();
    ///     tx.send(3).unwrap();
    ///     assert_eq!(waits.join().unwrap(), Ok(3));
    /// });
    /// ```
    pub fn join_timeout(self, timeout: Duration) -> Result<thread::Result<T>, Self> {
        match self.0.join_timeout(timeout) {
            Ok(outcome) => Ok(outcome),
            Err(handle) => Err(Self(handle)),
        }
    }

    /// As [`join`](Self::join), until `deadline` at the latest.
    ///
    /// # Errors
    ///
    /// The handle, if the goroutine has not ended by then.
    ///
    /// # Panics
    ///
    /// As [`join`](Self::join).
    pub fn join_deadline(self, deadline: Instant) -> Result<thread::Result<T>, Self> {
        match self.0.join_deadline(deadline) {
            Ok(outcome) => Ok(outcome),
            Err(handle) => Err(Self(handle)),
        }
    }
}
