//! Time limits on whatever a goroutine does.

use std::error::Error;
use std::fmt;
use std::time::{Duration, Instant};

use crate::proc::limit::{self, Over};

/// The error of [`timeout`]: the time was over first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Elapsed;

impl fmt::Display for Elapsed {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the time was over")
    }
}

impl Error for Elapsed {}

/// Runs `f` with a time limit. When `duration` has passed, the call in which the calling goroutine
/// waits, or the next one that would wait, unwinds with [`Cancelled`](crate::Cancelled) up to here.
///
/// It is a cancel like any other, as by a [`Token`](crate::cancel::Token), of what runs in `f`.
/// Limits nest; the first to pass counts. With [`Duration::ZERO`] `f` runs up to its first wait. A
/// duration that the clock cannot reach is no limit.
///
/// # What a limit does not end
///
/// - Code that does not wait. An `f` that returns late has returned: the result is `Ok`.
/// - Goroutines that `f` made. A [`scope`](crate::scope()) in `f` waits for its goroutines without
///   a limit, so that the result may be late and `Ok`. To end them, cancel a
///   [`Token`](crate::cancel::Token) that they run under.
/// - Waits inside a [`shield`](crate::cancel::shield), whether the limit is around the shield or
///   inside it. There, use the limits that operations have of their own, such as `recv_timeout`.
///   Closures of [`Once`](crate::sync::Once#cancels) and [`LazyLock`](crate::sync::LazyLock) run in
///   a shield.
/// - Waits on a thread that is no goroutine, and all waits with `panic = "abort"`.
///
/// # Errors
///
/// [`Elapsed`] if the limit ended a wait in `f`.
///
/// # Panics
///
/// With the payload of any other panic in `f`, such as a cancel of the whole goroutine.
///
/// ```
/// use gosched::{Mode, chan, run, time};
/// use std::time::Duration;
///
/// run(Mode::threads(), || {
///     let (tx, rx) = chan::bounded(1);
///     assert_eq!(time::timeout(Duration::from_millis(5), || rx.recv()), Err(time::Elapsed));
///     tx.send("in time").unwrap();
///     assert_eq!(time::timeout(Duration::from_secs(60), || rx.recv()), Ok(Ok("in time")));
/// });
/// ```
#[doc(alias("WithTimeout", "time limit"))]
pub fn timeout<R>(duration: Duration, f: impl FnOnce() -> R) -> Result<R, Elapsed> {
    match Instant::now().checked_add(duration) {
        Some(deadline) => timeout_at(deadline, f),
        None => Ok(f()),
    }
}

/// Runs `f` as [`timeout`] does, until `deadline`.
///
/// # Errors
///
/// As [`timeout`].
///
/// # Panics
///
/// As [`timeout`].
#[doc(alias("WithDeadline", "deadline"))]
pub fn timeout_at<R>(deadline: Instant, f: impl FnOnce() -> R) -> Result<R, Elapsed> {
    limit::within(deadline, f).map_err(|Over| Elapsed)
}
