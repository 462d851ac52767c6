//! The home Ms: those that the Ps are meant for.
//!
//! Each has a place, of which as many are in use as there are Ps; other Ms were made to help out.
//! Places are read by everybody and change under the lock of the list of Ms.
//!
//! # Safety
//!
//! Only M records are stored, and those are never freed.
#![expect(unsafe_code, reason = "follows pointers to M records")]

use std::ptr;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use crate::gmp::m::M;
use crate::gmp::sched::Sched;

impl Sched {
    /// Makes `m` a home M, if it is none and a place is free.
    pub(crate) fn make_resident(&self, m: &'static M) {
        let _places = self.ms.lock();
        self.place(m);
    }

    /// With the lock taken.
    fn place(&self, m: &'static M) {
        if m.remote.is_resident() || m.is_exiting() {
            return;
        }
        let free =
            self.residents[..self.procs()].iter().find(|place| place.load(Relaxed).is_null());
        if let Some(place) = free {
            m.remote.set_resident(true);
            // ORDERING[sched.home]: the record is whole for who finds it in `least_loaded_resident`.
            place.store(ptr::from_ref(m).cast_mut(), Release);
        }
    }

    /// It is none any more, and the next M that joins may be. True: it was one.
    pub(crate) fn leave_residents(&self, m: &'static M) -> bool {
        let _places = self.ms.lock();
        m.remote.set_resident(false);
        let place = self.residents.iter().find(|place| ptr::eq(place.load(Relaxed), m));
        if let Some(place) = place {
            place.store(ptr::null_mut(), Relaxed);
        }
        place.is_some()
    }

    /// The number of Ps has changed: so many Ms are home Ms, and as long as there are Ms no place
    /// is free. Those that are none any more, and sleep, learn that nobody needs them.
    pub(crate) fn fit_residents(&self) {
        while let Some(m) = self.drop_resident() {
            m.remote.note.wake();
        }
        let ms = self.ms.lock();
        ms.list.iter().for_each(|m| self.place(m));
    }

    /// Takes one home M more than there are Ps.
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

    /// The home M that owns the fewest settled Gs, with that count; `None` in place of an M whose
    /// thread is yet to be made.
    pub(crate) fn least_loaded_resident(&self) -> (Option<&'static M>, usize) {
        let mut least = (None, usize::MAX);
        for place in &self.residents[..self.procs()] {
            // ORDERING[sched.home]: pairs with `place`.
            let m = place.load(Acquire);
            if m.is_null() {
                return (None, 0);
            }
            // SAFETY: an M record, see the file's head.
            let m: &'static M = unsafe { &*m };
            let load = m.load();
            if load < least.1 {
                least = (Some(m), load);
            }
        }
        least
    }

    /// How many of the home Ms have been made.
    pub(crate) fn resident_count(&self) -> usize {
        self.residents.iter().filter(|place| !place.load(Relaxed).is_null()).count()
    }
}
