//! The start gate: limits the start of new goroutines while many running ones compute without end.
//!
//! A goroutine that computes for longer than its slice loses its P and runs on; its thread competes
//! with the others for the cores. A few such goroutines do no harm. Two hundred would: so many
//! threads, all of them ready.
//!
//! So while more than a certain number of Ms compute without a P, sysmon restricts the gate. Then
//! new goroutines start one at a time. The M that starts one needs the permit, and gives it back
//! when that goroutine has suspended or ended. If the goroutine does neither, sysmon makes another
//! permit after a while; that while doubles with each goroutine that turned out to be a hog.
//!
//! So short goroutines pass one after the other at full speed, and hogs trickle in. The Ps that the
//! newest goroutines do not use are free for goroutines that were started before.
//!
//! Rejected: longer slices while the gate is restricted. Hogs would then keep their Ps, and all
//! other goroutines, tickers and timers too, would wait for a slice of up to a second.
//!
//! A permit too many does no harm, so nothing here needs an order. A gate that opens is published
//! as work is (`Idle::submit`).

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// The terms on which an M started a goroutine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    /// The M needed no permit.
    Free,
    /// The M took the permit, and gives it back in its next round.
    Permit,
}

/// The start gate of one runtime.
#[derive(Debug)]
pub(crate) struct StartGate {
    restricted: AtomicBool,
    permit: AtomicBool,
}

impl StartGate {
    pub(crate) fn new() -> Self {
        Self { restricted: AtomicBool::new(false), permit: AtomicBool::new(true) }
    }

    /// Returns the terms on which the caller may start a goroutine now; `None` if it may not.
    ///
    /// A caller that then starts none calls [`give_back`](Self::give_back).
    #[inline]
    pub(crate) fn admit(&self) -> Option<Admission> {
        if !self.restricted.load(Relaxed) {
            return Some(Admission::Free);
        }
        self.permit.swap(false, Relaxed).then_some(Admission::Permit)
    }

    /// True if a goroutine could be started now.
    #[inline]
    pub(crate) fn admits(&self) -> bool {
        !self.restricted.load(Relaxed) || self.permit.load(Relaxed)
    }

    /// Gives the permit back: the goroutine has suspended or ended, or none was started.
    ///
    /// True if the caller must submit (`Idle::submit`), for the Ms that were refused meanwhile.
    #[must_use]
    pub(crate) fn give_back(&self, admission: Admission) -> bool {
        if admission == Admission::Free {
            return false;
        }
        self.permit.store(true, Relaxed);
        true
    }

    /// Restricts or opens the gate; called by sysmon.
    ///
    /// True if the gate was restricted and opens: the caller must submit (`Idle::submit`).
    #[must_use]
    pub(crate) fn restrict(&self, restricted: bool) -> bool {
        let before = self.restricted.swap(restricted, Relaxed);
        if before != restricted {
            self.permit.store(true, Relaxed);
        }
        before && !restricted
    }

    /// True if the gate is restricted and an M has the permit.
    pub(crate) fn permit_is_out(&self) -> bool {
        self.restricted.load(Relaxed) && !self.permit.load(Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::{Admission, StartGate};

    #[test]
    fn every_start_is_admitted_until_the_gate_is_restricted_and_then_one_at_a_time() {
        let start_gate = StartGate::new();
        assert_eq!([start_gate.admit(), start_gate.admit()], [Some(Admission::Free); 2]);
        assert!(!start_gate.restrict(true));
        assert_eq!([start_gate.admit(), start_gate.admit()], [Some(Admission::Permit), None]);
        assert!(!start_gate.admits() && start_gate.permit_is_out());
        assert!(!start_gate.give_back(Admission::Free), "it began before the restriction");
        assert!(!start_gate.admits());
        assert!(start_gate.give_back(Admission::Permit));
        assert!(start_gate.admits());
        assert!(start_gate.restrict(false), "the caller must submit for the Ms that were refused");
        assert!(!start_gate.restrict(false));
    }
}
