//! The monotonic clock as one number, which can lie in an atomic and be compared without a call.
//!
//! `Instant` is opaque, and timers are kept in nanoseconds. The two clocks run alike. The distance
//! of their zeros is measured once, and the conversion errs to one side: a point in time never
//! becomes an earlier one. So nothing that is due by the number is early by the `Instant`.
//!
//! Beside it a thread's CPU clock: it says whether a thread computes or is blocked.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use crate::sys;

/// Returns nanoseconds on the monotonic clock, whose zero is some moment before the process began.
/// Async-signal-safe.
pub fn monotonic_ns() -> u64 {
    sys::monotonic_ns()
}

/// One moment on both clocks. As a number it may be a little later.
#[derive(Clone, Copy, Debug)]
struct Anchor {
    instant: Instant,
    ns: u64,
}

fn anchor() -> Anchor {
    static ANCHOR: OnceLock<Anchor> = OnceLock::new();
    *ANCHOR.get_or_init(|| {
        // A thread that loses its core between the two readings widens the gap. So the narrowest of
        // a few gaps counts.
        let look = |_| {
            let before = monotonic_ns();
            let instant = Instant::now();
            let ns = monotonic_ns();
            (ns - before, Anchor { instant, ns })
        };
        (0..8).map(look).min_by_key(|(gap, _)| *gap).expect("it looked").1
    })
}

/// Returns `instant` in nanoseconds on the clock of [`monotonic_ns`], never too early.
///
/// A moment before the first call may come out too late by any amount: it is over in any case. A
/// moment later than that clock can say becomes `u64::MAX`.
#[must_use]
pub fn to_ns(instant: Instant) -> u64 {
    let anchor = anchor();
    let since = instant.saturating_duration_since(anchor.instant).as_nanos();
    anchor.ns.saturating_add(u64::try_from(since).unwrap_or(u64::MAX))
}

/// Returns the moment at which [`monotonic_ns`] says `ns`. None for `u64::MAX`, and if an `Instant`
/// cannot be so late.
#[must_use]
pub fn to_instant(ns: u64) -> Option<Instant> {
    if ns == u64::MAX {
        return None;
    }
    let anchor = anchor();
    anchor.instant.checked_add(Duration::from_nanos(ns.saturating_sub(anchor.ns)))
}

/// A thread's CPU clock, for other threads to read: it says whether the thread computes or is
/// blocked.
///
/// It is two plain numbers, which may outlive the thread. Then they say nothing, or something about
/// another thread that was given the same number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CpuClock {
    thread: i32,
    clock: u32,
}

impl CpuClock {
    /// Returns the calling thread's clock; none where the system has no such clock.
    pub fn of_this_thread() -> Option<Self> {
        Some(Self { thread: sys::thread_id(), clock: sys::thread_clock()? })
    }

    /// Returns the nanoseconds of CPU time so far; none if the thread has ended. Costs 0.3 us.
    pub fn read(&self) -> Option<u64> {
        sys::read_clock(self.clock)
    }

    /// True if the thread runs, or would run if it had a core; none where the system does not tell.
    /// Reads a file: 10 us.
    pub fn is_runnable(&self) -> Option<bool> {
        sys::is_runnable(self.thread)
    }

    /// Returns the clock as one word, to be kept in an atomic.
    pub fn to_bits(self) -> u64 {
        u64::from(self.thread as u32) << 32 | u64::from(self.clock)
    }

    /// Returns the clock that `to_bits` was called on; none for zero, which no thread has.
    pub fn from_bits(bits: u64) -> Option<Self> {
        (bits != 0).then_some(Self { thread: (bits >> 32) as i32, clock: bits as u32 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::thread::yield_thread;

    #[test]
    fn a_moment_never_becomes_an_earlier_one() {
        for _ in 0..1000 {
            let instant = Instant::now();
            let after = monotonic_ns();
            let ns = to_ns(instant + Duration::from_millis(1));
            // The anchor's gap is as long as two readings in a row take, or longer on a slow
            // machine.
            assert!(ns <= after + 1_000_000 + 100_000_000, "{ns} {after}");
            while monotonic_ns() < ns {
                std::hint::spin_loop();
            }
            assert!(Instant::now() >= instant + Duration::from_millis(1));
        }
    }

    #[test]
    fn there_and_back() {
        let later = Instant::now() + Duration::from_secs(3600);
        assert_eq!(to_instant(to_ns(later)), Some(later));
        assert_eq!(to_instant(u64::MAX), None);
    }

    #[test]
    fn what_is_long_over_stays_over_and_what_never_comes_is_last() {
        let began = Instant::now();
        let _anchored = to_ns(began);
        if let Some(before) = began.checked_sub(Duration::from_secs(1)) {
            assert!(to_ns(before) <= monotonic_ns());
        }
        let far = began.checked_add(Duration::from_secs(u64::MAX / 4));
        assert!(far.is_none_or(|far| to_ns(far) == u64::MAX));
    }

    #[test]
    #[cfg_attr(not(any(unix, windows)), ignore = "no threads there")]
    #[cfg_attr(gosched_no_thread_clock, ignore = "the part is taken away")]
    fn a_clock_tells_computing_from_blocked() {
        let (tell, told) = std::sync::mpsc::channel();
        let (done, wait) = std::sync::mpsc::channel::<()>();
        let other = std::thread::spawn(move || {
            let clock = CpuClock::of_this_thread().expect("a clock");
            let began = clock.read().expect("it runs");
            while clock.read().expect("it runs") < began + 5_000_000 {}
            assert_eq!(clock.is_runnable(), Some(true));
            assert_eq!(CpuClock::from_bits(clock.to_bits()), Some(clock));
            tell.send(clock).expect("the other side waits");
            let _it_is_dropped = wait.recv();
        });
        let clock = told.recv().expect("it computes, and then says so");
        while clock.is_runnable() != Some(false) {
            yield_thread();
        }
        let before = clock.read().expect("it is blocked");
        assert!(before >= 5_000_000);
        assert_eq!(clock.read(), Some(before), "a blocked thread's clock stands still");
        drop(done);
        other.join().expect("no panic");
        assert_eq!(CpuClock::from_bits(0), None);
    }

    #[test]
    fn the_clock_does_not_go_back_and_runs_with_instant() {
        let (before, instant) = (monotonic_ns(), std::time::Instant::now());
        std::thread::sleep(std::time::Duration::from_millis(5));
        let passed = instant.elapsed().as_nanos() as u64;
        let ours = monotonic_ns() - before;
        assert!(ours >= passed && ours >= 5_000_000, "{ours} {passed}");
    }
}
