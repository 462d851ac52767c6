//! Joining with a time limit.

use std::thread;
use std::time::{Duration, Instant};

use super::handle::{JoinHandle, Joint};

impl<T> Joint<'_, T> {
    pub(crate) fn join_timeout(self, timeout: Duration) -> Result<thread::Result<T>, Self> {
        // One that the clock cannot reach is no limit.
        self.packet.join(Instant::now().checked_add(timeout)).ok_or(self)
    }

    pub(crate) fn join_deadline(self, deadline: Instant) -> Result<thread::Result<T>, Self> {
        self.packet.join(Some(deadline)).ok_or(self)
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
        self.0.join_timeout(timeout).map_err(Self)
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
        self.0.join_deadline(deadline).map_err(Self)
    }
}
