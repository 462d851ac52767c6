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
    pub(crate) fn take_home(&self, m: &'static M) {
        let _places = self.ms.lock();
        self.place(m);
    }

    /// With the lock taken.
    fn place(&self, m: &'static M) {
        if m.seat.is_home() || m.retires() {
            return;
        }
        let free = self.home[..self.procs()].iter().find(|place| place.load(Relaxed).is_null());
        if let Some(place) = free {
            m.seat.set_home(true);
            // ORDERING[sched.home]: the record is whole for who finds it in `least_home`.
            place.store(ptr::from_ref(m).cast_mut(), Release);
        }
    }

    /// It is none any more, and the next M that joins may be. True: it was one.
    pub(crate) fn leave_home(&self, m: &'static M) -> bool {
        let _places = self.ms.lock();
        m.seat.set_home(false);
        let place = self.home.iter().find(|place| ptr::eq(place.load(Relaxed), m));
        if let Some(place) = place {
            place.store(ptr::null_mut(), Relaxed);
        }
        place.is_some()
    }

    /// The number of Ps has changed: so many Ms are home Ms, and as long as there are Ms no place
    /// is free. Those that are none any more, and sleep, learn that nobody needs them.
    pub(crate) fn fit_homes(&self) {
        while let Some(m) = self.dismiss_home() {
            m.seat.note.wake();
        }
        let ms = self.ms.lock();
        ms.list.iter().for_each(|m| self.place(m));
    }

    /// Takes one home M more than there are Ps.
    fn dismiss_home(&self) -> Option<&'static M> {
        let _places = self.ms.lock();
        let place =
            self.home[self.procs()..].iter().find(|place| !place.load(Relaxed).is_null())?;
        let m = place.swap(ptr::null_mut(), Relaxed);
        // SAFETY: an M record, see the file's head.
        let m: &'static M = unsafe { &*m };
        m.seat.set_home(false);
        Some(m)
    }

    /// The home M that owns the fewest settled Gs, with that count; `None` in place of an M whose
    /// thread is yet to be made.
    pub(crate) fn least_home(&self) -> (Option<&'static M>, usize) {
        let mut least = (None, usize::MAX);
        for place in &self.home[..self.procs()] {
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
    pub(crate) fn homes(&self) -> usize {
        self.home.iter().filter(|place| !place.load(Relaxed).is_null()).count()
    }
}
