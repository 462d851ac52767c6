//! How new goroutines are let in when many of those before them compute without end.
//!
//! A goroutine that computes for longer than its slice loses its P and goes on; its thread competes
//! with the others for the cores. A few of those are no harm. Two hundred would be: so many
//! threads, all of them ready. So while more than a certain number compute without a P, sysmon
//! calls it a crowd, and then one new goroutine at a time is let in: whoever starts one needs the
//! permit, and gives it back when that goroutine has suspended or ended. If it does neither, sysmon
//! makes another permit after a while that doubles with each one that turned out to be a hog. Short
//! goroutines so pass one after the other at full speed, hogs trickle in, and the Ps that are not
//! in use by the newest are there for goroutines that were started before.
//!
//! Rejected: longer slices while it is crowded. Ps would then lie on the tables of hogs, and
//! everybody else, tickers and timers too, would wait for a slice of up to a second.
//!
//! A permit too many does no harm, so nothing here needs an order; opening is published as work is
//! (`Idle::submit`).

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// On what terms a goroutine was started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    /// It needed nothing.
    Free,
    /// It needed the permit, which its M gives back in the next round.
    Permit,
}

/// The gate.
#[derive(Debug)]
pub(crate) struct StartGate {
    restricted: AtomicBool,
    permit: AtomicBool,
}

impl StartGate {
    pub(crate) fn new() -> Self {
        Self { restricted: AtomicBool::new(false), permit: AtomicBool::new(true) }
    }

    /// May the caller start a goroutine now? If it then does not, it [gives the permit
    /// back](Self::give_back).
    #[inline]
    pub(crate) fn admit(&self) -> Option<Admission> {
        if !self.restricted.load(Relaxed) {
            return Some(Admission::Free);
        }
        self.permit.swap(false, Relaxed).then_some(Admission::Permit)
    }

    /// Whether a goroutine could be started now.
    #[inline]
    pub(crate) fn admits(&self) -> bool {
        !self.restricted.load(Relaxed) || self.permit.load(Relaxed)
    }

    /// What was started has given its M back, or nothing was. True: the caller submits, for whoever
    /// was refused meanwhile.
    #[must_use]
    pub(crate) fn give_back(&self, admission: Admission) -> bool {
        if admission == Admission::Free {
            return false;
        }
        self.permit.store(true, Relaxed);
        true
    }

    /// By sysmon: whether it is crowded. True: it no longer is, and the caller submits.
    #[must_use]
    pub(crate) fn restrict(&self, restricted: bool) -> bool {
        let before = self.restricted.swap(restricted, Relaxed);
        if before != restricted {
            self.permit.store(true, Relaxed);
        }
        before && !restricted
    }

    /// Whether the permit is out.
    pub(crate) fn permit_is_out(&self) -> bool {
        self.restricted.load(Relaxed) && !self.permit.load(Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::{Admission, StartGate};

    #[test]
    fn everybody_comes_in_until_it_is_crowded_and_then_one_at_a_time() {
        let start_gate = StartGate::new();
        assert_eq!([start_gate.admit(), start_gate.admit()], [Some(Admission::Free); 2]);
        assert!(!start_gate.restrict(true));
        assert_eq!([start_gate.admit(), start_gate.admit()], [Some(Admission::Permit), None]);
        assert!(!start_gate.admits() && start_gate.permit_is_out());
        assert!(!start_gate.give_back(Admission::Free), "it came before the crowd");
        assert!(!start_gate.admits());
        assert!(start_gate.give_back(Admission::Permit));
        assert!(start_gate.admits());
        assert!(start_gate.restrict(false), "who was refused hears of it");
        assert!(!start_gate.restrict(false));
    }
}
