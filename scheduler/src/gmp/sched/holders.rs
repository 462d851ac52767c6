//! Which M got which P last, and how many Ms go on without the P that was taken from them.
//!
//! Whoever takes a P over (`proc::take_over`) looks here for an M that has one. The list of Ms is
//! longer, and under a lock.
//!
//! The M of a place may have lost its P since, or have another one, or belong to another runtime by
//! now: its record is reused. `Sched::occupant` and `Sched::revoke_p` see to the last of these.
//!
//! # Safety
//!
//! The places hold pointers to M records, which are never freed.
#![expect(unsafe_code, reason = "follows pointers to M records")]

use std::ptr;
use std::sync::atomic::{
    AtomicPtr, AtomicUsize,
    Ordering::{Acquire, Relaxed, Release},
};

use crate::ds::deprived::Deprived;
use crate::gmp::m::M;
use crate::gmp::p::MAX_PROCS;
use crate::policy::retake::may_take_over;

/// A place for each P.
pub(crate) struct Holders {
    places: Box<[AtomicPtr<M>]>,
    /// Ms whose P was taken over, and that have not noticed it yet.
    deprived: Deprived,
    /// How often somebody has looked.
    looks: AtomicUsize,
}

impl Holders {
    pub(crate) fn new() -> Self {
        let places = (0..MAX_PROCS).map(|_| AtomicPtr::default()).collect();
        Self { places, deprived: Deprived::new(), looks: AtomicUsize::new(0) }
    }

    /// Notes that `m` has got the P with the number `p`.
    pub(crate) fn got(&self, p: usize, m: &'static M) {
        // ORDERING[sched.holder]: publishes the whole record; pairs with the load in `of`.
        self.places[p].store(ptr::from_ref(m).cast_mut(), Release);
        self.noticed(m);
    }

    /// Returns the M that got the P with the number `p` last.
    pub(crate) fn of(&self, p: usize) -> Option<&'static M> {
        // ORDERING[sched.holder]: pairs with the store in `got`.
        let m = self.places[p].load(Acquire);
        // SAFETY: null or an M record, see the file's head.
        unsafe { m.as_ref() }
    }

    /// Returns the number of the P at which a look begins that does not see all `ps` of them.
    pub(crate) fn begin(&self, ps: usize) -> usize {
        self.looks.fetch_add(1, Relaxed) % ps.max(1)
    }

    /// Counts `m` among those whose P was taken over, before it is. False if it is among them
    /// already, or too many are for `procs` Ps.
    pub(crate) fn count(&self, m: &M, procs: usize) -> bool {
        self.deprived.count(&m.deprived, |others| may_take_over(others, procs))
    }

    /// Takes `m` off that count, when it has found its P gone, or was not deprived of it after all.
    /// True if it was counted.
    pub(crate) fn noticed(&self, m: &M) -> bool {
        self.deprived.noticed(&m.deprived)
    }
}

#[cfg(all(test, not(gosched_loom)))]
mod tests {
    use super::*;

    #[test]
    fn each_m_counts_once_and_no_more_than_may() {
        let holders = Holders::new();
        let [one, two] = [(); 2].map(|()| M::acquire());
        assert!(holders.count(one, 1) && !holders.count(one, 2), "it counts already");
        assert!(!holders.count(two, 1), "another one does");
        assert!(holders.noticed(one) && !holders.noticed(one));
        assert!(holders.count(two, 1));
        holders.got(3, two);
        assert!(holders.of(3).is_some_and(|m| ptr::eq(m, two)) && holders.of(2).is_none());
        assert!(holders.count(one, 1), "who has a P goes on with it");
        assert!(holders.noticed(one) && holders.deprived.number() == 0);
    }
}
