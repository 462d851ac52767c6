//! The resident Ms: as many as there are Ps. The other Ms are spare.
//!
//! Each resident M has a place; the first `procs` places are in use. Every thread may read the
//! places. They change under the lock of the list of Ms.
//!
//! # Safety
//!
//! The places hold pointers to M records, which are never freed.
#![expect(unsafe_code, reason = "follows pointers to M records")]

use std::ptr;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use crate::gmp::m::M;
use crate::gmp::sched::Sched;

impl Sched {
    /// Makes `m` resident, if it is not and a place is free.
    pub(crate) fn make_resident(&self, m: &'static M) {
        let _places = self.ms.lock();
        self.make_resident_locked(m);
    }

    /// Does the same for a caller that holds the lock of `ms`.
    fn make_resident_locked(&self, m: &'static M) {
        if m.remote.is_resident() || m.is_exiting() || m.locks.is_locked() {
            return;
        }
        let free =
            self.residents[..self.procs()].iter().find(|place| place.load(Relaxed).is_null());
        if let Some(place) = free {
            m.remote.set_resident(true);
            // ORDERING[sched.resident]: publishes the whole record; pairs with the load in
            // `least_loaded_resident`.
            place.store(ptr::from_ref(m).cast_mut(), Release);
        }
    }

    /// Makes `m` spare and frees its place, for the next M that joins. True if `m` had a place.
    pub(crate) fn leave_residents(&self, m: &'static M) -> bool {
        let _places = self.ms.lock();
        m.remote.set_resident(false);
        let place = self.residents.iter().find(|place| ptr::eq(place.load(Relaxed), m));
        if let Some(place) = place {
            place.store(ptr::null_mut(), Relaxed);
        }
        place.is_some()
    }

    /// Fits the resident Ms to a new number of Ps: fills the free places, as far as there are Ms.
    ///
    /// The Ms that are no longer resident are woken. One that sleeps then finds that it is not
    /// needed.
    pub(crate) fn fit_residents(&self) {
        while let Some(m) = self.drop_resident() {
            m.remote.note.wake();
        }
        let ms = self.ms.lock();
        ms.list.iter().for_each(|m| self.make_resident_locked(m));
    }

    /// Makes one resident M spare, if there are more resident Ms than Ps. Returns that M.
    fn drop_resident(&self) -> Option<&'static M> {
        let _places = self.ms.lock();
        let place =
            self.residents[self.procs()..].iter().find(|place| !place.load(Relaxed).is_null())?;
        let m = place.swap(ptr::null_mut(), Relaxed);
        // SAFETY: an M record, see the file's head.
        let m: &'static M = unsafe { &*m };
        m.remote.set_resident(false);
        Some(m)
    }

    /// Returns the resident M with the least load, and that load; `(None, 0)` if a place is free,
    /// so that an M could be made for it.
    pub(crate) fn least_loaded_resident(&self) -> (Option<&'static M>, usize) {
        self.least_loaded(|_| true)
    }

    /// Returns the least load of the resident Ms other than `m`; 0 if one could be made, and
    /// `usize::MAX` if there are no others.
    pub(crate) fn least_load_beside(&self, m: &M) -> usize {
        self.least_loaded(|other| !ptr::eq(other, m)).1
    }

    fn least_loaded(&self, counts: impl Fn(&M) -> bool) -> (Option<&'static M>, usize) {
        let mut least = (None, usize::MAX);
        for place in &self.residents[..self.procs()] {
            // ORDERING[sched.resident]: pairs with the store in `make_resident_locked`.
            let m = place.load(Acquire);
            if m.is_null() {
                return (None, 0);
            }
            // SAFETY: an M record, see the file's head.
            let m: &'static M = unsafe { &*m };
            let load = m.load();
            if load < least.1 && counts(m) {
                least = (Some(m), load);
            }
        }
        least
    }

    /// Returns how many resident Ms there are.
    pub(crate) fn resident_count(&self) -> usize {
        self.residents.iter().filter(|place| !place.load(Relaxed).is_null()).count()
    }
}
