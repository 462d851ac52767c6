//! Which case of a list could be done: `Select::ready` and its kind.

use std::error::Error;
use std::fmt;
use std::time::{Duration, Instant};

use super::RANDOM;
use super::dynamic::Select;
use super::engine::{Entry, Wait};
use super::observe::ready;
use crate::proc::park::Parking;
use crate::proc::yield_now::preempt_point;

/// No case was ready: [`Select::try_ready`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TryReadyError;

/// No case became ready in time: [`Select::ready_timeout`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadyTimeoutError;

impl Select<'_> {
    /// Waits until one of the cases could be done without waiting, and returns its number; if
    /// several could, that of one of them at random. None is done, and all keep their values.
    ///
    /// Others may be faster: whoever wants to do the case tries, and comes back. A case on a
    /// disconnected channel is ready. Without a buffer a case is ready while somebody waits at the
    /// other side to do something: two that only look for each other wait for ever. One that is
    /// told keeps nobody else from being told, nor from what is there.
    ///
    /// # Panics
    ///
    /// Unwinds with `Cancelled` if the calling goroutine is cancelled while it would have to wait.
    ///
    /// # Examples
    ///
    /// ```
    /// use gosched::chan::{self, Select, TryRecvError};
    ///
    /// let (txs, rxs): (Vec<_>, Vec<_>) = (0..3).map(|_| chan::bounded(1)).unzip();
    /// let mut list = Select::new();
    /// for rx in &rxs {
    ///     list.recv(rx);
    /// }
    /// txs[2].send("two").expect("there is room");
    /// let value = loop {
    ///     match rxs[list.ready()].try_recv() {
    ///         // Somebody was faster.
    ///         Err(TryRecvError::Empty) => {}
    ///         other => break other,
    ///     }
    /// };
    /// assert_eq!(value, Ok("two"));
    /// ```
    #[inline]
    pub fn ready(&mut self) -> usize {
        self.look(Wait::Until(None)).expect("without a deadline it waits for as long as it takes")
    }

    /// Returns the number of a case that could be done now. If there is none, a goroutine whose
    /// slice is over gives its turn.
    ///
    /// # Errors
    ///
    /// [`TryReadyError`] if there is none.
    #[inline]
    pub fn try_ready(&mut self) -> Result<usize, TryReadyError> {
        self.look(Wait::No).ok_or(TryReadyError)
    }

    /// As [`ready`](Self::ready), waiting at longest for `timeout`.
    ///
    /// # Errors
    ///
    /// [`ReadyTimeoutError`] if the time was over first.
    ///
    /// # Panics
    ///
    /// As [`ready`](Self::ready).
    #[inline]
    pub fn ready_timeout(&mut self, timeout: Duration) -> Result<usize, ReadyTimeoutError> {
        let deadline = Instant::now().checked_add(timeout);
        self.look(Wait::Until(deadline)).ok_or(ReadyTimeoutError)
    }

    /// As [`ready`](Self::ready), waiting at longest until `deadline`.
    ///
    /// # Errors
    ///
    /// As [`ready_timeout`](Self::ready_timeout).
    ///
    /// # Panics
    ///
    /// As [`ready`](Self::ready).
    #[inline]
    pub fn ready_deadline(&mut self, deadline: Instant) -> Result<usize, ReadyTimeoutError> {
        self.look(Wait::Until(Some(deadline))).ok_or(ReadyTimeoutError)
    }

    #[inline]
    fn look(&mut self, wait_mode: Wait) -> Option<usize> {
        self.drop_chosen();
        let tries = matches!(wait_mode, Wait::No);
        if !tries {
            preempt_point();
        }
        let numbered = self.cases.iter().enumerate();
        let mut entries: Vec<_> = numbered
            .filter_map(|(index, case)| case.as_deref().map(|case| Entry::new(case, index)))
            .collect();
        let found = ready(&mut entries, wait_mode, RANDOM, Parking::begin);
        if tries && found.is_none() {
            preempt_point();
        }
        found
    }
}

impl fmt::Display for TryReadyError {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no case of the select is ready")
    }
}

impl fmt::Display for ReadyTimeoutError {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("timed out waiting until a case of the select is ready")
    }
}

impl Error for TryReadyError {}
impl Error for ReadyTimeoutError {}
