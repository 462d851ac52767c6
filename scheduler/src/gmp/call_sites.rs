//! What is known of the places in the program where goroutines are made.
//!
//! One table per runtime, of a fixed size, in which a call site is found by the address of its
//! `Location`. `spawn` reads it for each goroutine; it is written when a goroutine of a call site
//! that is not known to talk has run for the first time, and when sysmon finds a goroutine that
//! keeps its thread. The policy is in `policy::behaviour`.
//!
//! The words are hints and need no order: a reader that sees an older one begins one goroutine
//! elsewhere. A call site that finds no room counts as one that talks.

use std::panic::Location;
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU32, AtomicUsize, Ordering::Relaxed};

use crate::policy::behaviour::{Behaviour, Conduct, Run};

/// Number of call sites that a runtime tells apart.
const SITES: usize = 1024;
/// Number of entries in which a call site may lie.
const PROBES: usize = 8;

/// What a runtime knows of its call sites.
pub(crate) struct CallSites {
    sites: Box<[Site]>,
    /// How many of them make goroutines that are expected to compute.
    computing: AtomicUsize,
    /// How many of them have made goroutines, and are not known to talk.
    in_doubt: AtomicUsize,
}

#[derive(Default)]
struct Site {
    location: AtomicPtr<Location<'static>>,
    conduct: AtomicU32,
}

impl CallSites {
    pub(crate) fn new() -> Self {
        Self {
            sites: (0..SITES).map(|_| Site::default()).collect(),
            computing: AtomicUsize::new(0),
            in_doubt: AtomicUsize::new(0),
        }
    }

    /// Returns what is to be expected of a goroutine that is made at `location`.
    #[inline]
    pub(crate) fn behaviour(&self, location: &'static Location<'static>) -> Behaviour {
        for site in self.probe(location) {
            let found = site.location.load(Relaxed);
            if ptr::eq(found, location) {
                return Conduct(site.conduct.load(Relaxed)).behaviour();
            }
            if found.is_null() {
                return Behaviour::Unknown;
            }
        }
        Behaviour::Talks
    }

    /// Returns why a goroutine that was made at `location` is to begin apart, for reports.
    pub(crate) fn why_apart(&self, location: &'static Location<'static>) -> &'static str {
        match self.behaviour(location) {
            Behaviour::Unknown => "none that was made there has run yet",
            Behaviour::Computes => "one that was made there computed, or blocked its thread",
            Behaviour::Talks => "its builder says that it computes",
        }
    }

    /// Records the first run of a goroutine made at `location`.
    pub(crate) fn first_run(&self, location: &'static Location<'static>, run: Run) {
        self.update(location, |conduct| conduct.after_first_run(run));
    }

    /// Records that a goroutine made at `location` computes, or blocks its thread.
    pub(crate) fn computes(&self, location: &'static Location<'static>) {
        self.update(location, |_| Conduct::computed());
    }

    /// Returns the number of call sites whose goroutines are expected to compute.
    pub(crate) fn computing(&self) -> usize {
        self.computing.load(Relaxed)
    }

    /// True if any goroutine that has begun may compute from now on.
    #[inline]
    pub(crate) fn any_in_doubt(&self) -> bool {
        self.in_doubt.load(Relaxed) > 0
    }

    /// True if a goroutine that has begun, made at `location`, may compute from now on.
    pub(crate) fn is_in_doubt(&self, location: Option<&'static Location<'static>>) -> bool {
        location.is_some_and(|location| self.behaviour(location) != Behaviour::Talks)
    }

    fn update(&self, location: &'static Location<'static>, change: impl Fn(Conduct) -> Conduct) {
        let Some(site) = self.probe(location).find(|site| site.is_of(location)) else { return };
        // Of two threads that write at once, one loses its change.
        let conduct = change(Conduct(site.conduct.load(Relaxed)));
        let before = Conduct(site.conduct.swap(conduct.0, Relaxed));
        let computes = |conduct: Conduct| conduct.behaviour() == Behaviour::Computes;
        count(&self.computing, computes(before), computes(conduct));
        let in_doubt = |conduct| conduct != Conduct::default() && !talks(conduct);
        count(&self.in_doubt, in_doubt(before), in_doubt(conduct));
    }

    /// The entries in which `location` may lie, in the order in which they are filled.
    #[inline]
    fn probe(&self, location: &'static Location<'static>) -> impl Iterator<Item = &Site> {
        let address = ptr::from_ref(location).addr() as u64;
        // A `Location` is a few words, one beside the other: the low bits alone would collide.
        let hash = (address >> 3).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        (0..PROBES).map(move |n| &self.sites[(hash as usize + n) % SITES])
    }
}

fn talks(conduct: Conduct) -> bool {
    conduct.behaviour() == Behaviour::Talks
}

/// Counts a call site that was or was not in the counted state before, and is or is not in it now.
fn count(number: &AtomicUsize, before: bool, now: bool) {
    match (before, now) {
        (false, true) => _ = number.fetch_add(1, Relaxed),
        (true, false) => _ = number.fetch_sub(1, Relaxed),
        _ => {}
    }
}

impl Site {
    /// True if the entry is that of `location`, or was free and is so from now on.
    fn is_of(&self, location: &'static Location<'static>) -> bool {
        let own = ptr::from_ref(location).cast_mut();
        match self.location.compare_exchange(ptr::null_mut(), own, Relaxed, Relaxed) {
            Ok(_) => true,
            Err(found) => ptr::eq(found, own),
        }
    }
}

#[cfg(all(test, not(gosched_loom)))]
mod tests {
    use super::*;
    use crate::policy::behaviour::{COMPUTES_NS, FORGIVEN_AFTER};

    fn took(ns: u64) -> Run {
        Run { lasted_ns: ns, cpu_ns: Some(ns), blocked: false, timed: false }
    }

    #[test]
    fn each_call_site_is_known_by_itself() {
        let sites = CallSites::new();
        let (one, other) = (Location::caller(), here());
        assert_eq!(sites.behaviour(one), Behaviour::Unknown);
        sites.first_run(one, took(1));
        sites.first_run(other, took(COMPUTES_NS));
        assert_eq!(sites.behaviour(one), Behaviour::Talks);
        assert_eq!(sites.behaviour(other), Behaviour::Computes);
        assert_eq!(sites.computing(), 1);
        sites.computes(one);
        sites.computes(one);
        assert_eq!((sites.behaviour(one), sites.computing()), (Behaviour::Computes, 2));
        (0..FORGIVEN_AFTER).for_each(|_| sites.first_run(one, took(1)));
        assert_eq!((sites.behaviour(one), sites.computing()), (Behaviour::Talks, 1));
    }

    #[track_caller]
    fn here() -> &'static Location<'static> {
        Location::caller()
    }

    /// A full table is filled with call sites that are no more than their addresses.
    #[test]
    fn a_call_site_without_room_talks() {
        let sites = CallSites::new();
        let taken = Box::leak(Box::new(*here()));
        sites.sites.iter().for_each(|site| site.location.store(ptr::from_mut(taken), Relaxed));
        let one = here();
        sites.computes(one);
        assert_eq!(sites.behaviour(one), Behaviour::Talks);
    }
}
