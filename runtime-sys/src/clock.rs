//! The monotonic clock as one number: what can lie in an atomic, and be compared without a call.
//!
//! `Instant` is opaque, and timers are kept by nanoseconds. The two run alike; what lies between
//! their zeros is measured once, and so that the conversion errs to one side: a point in time never
//! becomes an earlier one, so nothing that is due by the number is early by the `Instant`.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use crate::thread::monotonic_ns;

/// The same moment on both clocks; as a number it may be a little later.
#[derive(Clone, Copy, Debug)]
struct Anchor {
    instant: Instant,
    ns: u64,
}

fn anchor() -> Anchor {
    static ANCHOR: OnceLock<Anchor> = OnceLock::new();
    *ANCHOR.get_or_init(|| {
        // Whoever loses its core between the two readings widens the gap, so the narrowest of a few
        // counts.
        let look = |_| {
            let before = monotonic_ns();
            let instant = Instant::now();
            let ns = monotonic_ns();
            (ns - before, Anchor { instant, ns })
        };
        (0..8).map(look).min_by_key(|(gap, _)| *gap).expect("it looked").1
    })
}

/// `instant` in nanoseconds on the clock of [`monotonic_ns`], and never too early. What was before
/// the first call may be too late by as much as one likes: it is over in any case. `u64::MAX` is
/// for what is later than that clock can say.
#[must_use]
pub fn to_ns(instant: Instant) -> u64 {
    let anchor = anchor();
    let since = instant.saturating_duration_since(anchor.instant).as_nanos();
    anchor.ns.saturating_add(u64::try_from(since).unwrap_or(u64::MAX))
}

/// The moment that [`monotonic_ns`] will say, or said, `ns`; none for `u64::MAX`, or if an
/// `Instant` cannot be so late.
#[must_use]
pub fn to_instant(ns: u64) -> Option<Instant> {
    if ns == u64::MAX {
        return None;
    }
    let anchor = anchor();
    anchor.instant.checked_add(Duration::from_nanos(ns.saturating_sub(anchor.ns)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_never_becomes_an_earlier_one() {
        for _ in 0..1000 {
            let instant = Instant::now();
            let after = monotonic_ns();
            let ns = to_ns(instant + Duration::from_millis(1));
            // The gap of the anchor is what two readings in a row take, or longer where this
            // machine is slow.
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
}
