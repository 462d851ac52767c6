//! Time for goroutines, threads in callbacks, plain threads and futures.
//!
//! All of it is measured on the monotonic clock, that of [`Instant`], and nothing happens early.
//! How late it happens depends on what else there is to run. A goroutine that waits for the clock
//! parks, and its M runs others meanwhile; a million may do so at once.
//!
//! [`sleep`] waits. [`timeout()`] bounds the waits of a closure. [`sleep_async`] and
//! [`timeout_async`] do the same for futures, on any executor. [`Timer`] and [`Ticker`] have
//! channels, for a select. [`chan::after`](crate::chan::after) and
//! [`chan::tick`](crate::chan::tick) are for times that are not stopped or set again.
//!
//! A duration of zero, and a moment that has passed, is over at once. A duration that the clock
//! cannot reach, as [`Duration::MAX`], never is.
//!
//! ```
//! use gosched::{Mode, go, run, time};
//! use std::time::{Duration, Instant};
//!
//! run(Mode::threads(), || {
//!     let began = Instant::now();
//!     let sleeper = |_| go(|| time::sleep(Duration::from_millis(20)));
//!     let sleepers: Vec<_> = (0..10).map(sleeper).collect();
//!     sleepers.into_iter().for_each(|sleeper| sleeper.join().unwrap());
//!     assert!(began.elapsed() >= Duration::from_millis(20));
//! });
//! ```

mod future;
mod ticker;
mod timeout;
mod timer;

use std::time::{Duration, Instant};

pub use future::{
    SleepFuture, TimeoutFuture, sleep_async, sleep_until_async, timeout_async, timeout_at_async,
};
pub use ticker::Ticker;
pub use timeout::{Elapsed, timeout, timeout_at};
pub use timer::Timer;

use crate::gmp::wait_reason::WaitReason;
use crate::proc::no_wait;
use crate::proc::park::Parking;
use crate::proc::yield_now::yield_now;

/// Lets the calling goroutine, or thread, sleep for `duration` at least.
///
/// [`Duration::ZERO`] is [`yield_now`]: others get a turn. [`Duration::MAX`] ends with the
/// goroutine's cancellation only, and on a plain thread not at all.
///
/// # Panics
///
/// Unwinds with [`Cancelled`](crate::Cancelled) if the goroutine was cancelled, before it slept or
/// while it does.
#[doc(alias("Sleep", "delay"))]
#[inline]
pub fn sleep(duration: Duration) {
    sleep_to(Instant::now().checked_add(duration));
}

/// Lets the calling goroutine, or thread, sleep until `deadline`. If that has passed it is as
/// `sleep(Duration::ZERO)`.
///
/// # Panics
///
/// As [`sleep`].
#[inline]
pub fn sleep_until(deadline: Instant) {
    sleep_to(Some(deadline));
}

/// `None`: for ever.
#[inline]
fn sleep_to(deadline: Option<Instant>) {
    no_wait::check();
    let passed = || deadline.is_some_and(|deadline| deadline <= Instant::now());
    if passed() {
        return yield_now();
    }
    let parking = Parking::begin();
    parking.set_wait_reason(WaitReason::Sleep);
    loop {
        if parking.cancelled() {
            parking.raise();
        }
        if passed() {
            return;
        }
        // Nobody notifies a sleep. If one was notified, that was meant for an outer wait on the
        // same park word, whose waker sleeps here; it would refuse every commit.
        parking.renew();
        match deadline {
            Some(deadline) => parking.sleep_until(deadline),
            None => parking.park(),
        }
    }
}
