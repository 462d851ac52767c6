//! Time limits on whatever a goroutine does.

use std::error::Error;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use gosched_runtime_sys::clock::to_ns;

use crate::gmp::g::{CancelScope, Cancelled};
use crate::proc::cancel::Region;

/// The time that [`timeout`] gave was over first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Elapsed;

impl fmt::Display for Elapsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the time was over")
    }
}

impl Error for Elapsed {}

/// Runs `f`, which has `duration` for it: once that is over, the call that the calling goroutine
/// waits in, or the next one that would wait, unwinds with [`Cancelled`] up to here.
///
/// It is a cancel like any other, as by a [`Token`](crate::cancel::Token), of what runs in `f`. What `f`
/// does without waiting is not interrupted, and an `f` that returns late has returned all the same.
/// Goroutines that `f` made go on, but for those of a [`scope`](crate::scope()), which are waited
/// for. Limits nest; the first to pass counts. A limit inside a [`shield`](crate::cancel::shield)
/// ends no wait: there, use the limits that operations have of their own, such as `recv_timeout`.
///
/// With [`Duration::ZERO`] `f` runs up to its first wait; a duration that the clock cannot reach is
/// no limit.
///
/// On a thread that is no goroutine, and with `panic = "abort"`, waits are not ended: `f` runs for
/// as long as it takes.
///
/// # Errors
///
/// [`Elapsed`] if a wait in `f` was ended for the time.
///
/// # Panics
///
/// With whatever else `f` unwinds with, such as a cancel of the whole goroutine.
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
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let scope = CancelScope::Timeout(NEXT.fetch_add(1, Relaxed));
    let region = Region::new(scope, to_ns(deadline));
    catch_unwind(AssertUnwindSafe(|| region.run(f))).or_else(|payload| {
        match payload.downcast::<Cancelled>() {
            Ok(cancelled) if cancelled.scope == scope => Err(Elapsed),
            Ok(of_another) => resume_unwind(of_another),
            Err(panic) => resume_unwind(panic),
        }
    })
}
