//! Since when goroutines wait, for those that wait longer than a second.
//!
//! A wait does not look at the clock, which would be half of what it costs. It stores its reason in
//! one byte of the G, four bits of which are zero then. From time to time somebody who knows the
//! time walks over all records and marks the waits that have no mark: sysmon, once a second while
//! it is awake, and each dump. A mark is the number of a walk of which the time is kept: a wait
//! with that mark is older than it.
//!
//! There are fifteen marks. Before the last one is taken, two neighbours become one: those whose
//! waits differ least in age, as a share of it. Both then have the later time, so what is said is
//! always too little.
//!
//! Rejected: a time in the G, because the record is full, and a million goroutines pay for each
//! byte; the time of the M's last look at the clock, which is as old as what it has run since.

use std::sync::atomic::{
    AtomicBool, AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
};

use crate::gmp::g::G;

/// The least time between two walks, in nanoseconds.
const APART: u64 = 1_000_000_000;

/// See the file's head.
#[derive(Debug)]
pub(crate) struct WaitAges {
    walks: AtomicBool,
    last: AtomicU64,
    /// By the mark, less one; zero if the mark is free.
    times: [AtomicU64; 15],
    /// By the mark as well: the time of the first walk whose mark has become this one.
    firsts: [AtomicU64; 15],
}

impl WaitAges {
    pub(crate) fn new() -> Self {
        Self {
            walks: AtomicBool::new(false),
            last: AtomicU64::new(0),
            times: [const { AtomicU64::new(0) }; 15],
            firsts: [const { AtomicU64::new(0) }; 15],
        }
    }

    /// True if a walk is due at `now`.
    pub(crate) fn is_due(&self, now: u64) -> bool {
        now.saturating_sub(self.last.load(Relaxed)) >= APART
    }

    /// Marks the waits of all records that `each` shows, unless another thread does so.
    pub(crate) fn mark(&self, now: u64, each: impl FnOnce(&dyn Fn(&G))) {
        // ORDERING[wait_ages.walk]: pairs with the store below: one walk after the other.
        if self.walks.swap(true, Acquire) {
            return;
        }
        self.last.store(now, Relaxed);
        let new = self.free().next().expect("the last walk has left one");
        let merged = if self.free().nth(1).is_none() { self.closest(now) } else { None };
        self.times[new].store(now, Relaxed);
        self.firsts[new].store(now, Relaxed);
        let (new, merged) = (mark_of(new), merged.map(|(from, to)| (mark_of(from), mark_of(to))));
        each(&|g| match g.wait_mark() {
            0 if g.parker.is_parked() => g.mark_wait(0, new),
            mark => {
                if let Some((from, to)) = merged.filter(|(from, _)| *from == mark) {
                    g.mark_wait(from, to);
                }
            }
        });
        if let Some((from, to)) = merged {
            let (from, to) = (place_of(from), place_of(to));
            self.firsts[to].store(self.firsts[from].load(Relaxed), Relaxed);
            self.times[from].store(0, Relaxed);
        }
        // ORDERING[wait_ages.walk]: pairs with the swap above.
        self.walks.store(false, Release);
    }

    /// Returns the places of the marks that are free.
    fn free(&self) -> impl Iterator<Item = usize> {
        (0..self.times.len()).filter(|place| self.times[*place].load(Relaxed) == 0)
    }

    /// Returns the places of the two neighbours whose waits differ least in age, as a share of it:
    /// the earlier one, and the later.
    fn closest(&self, now: u64) -> Option<(usize, usize)> {
        let time = |place: &usize| self.times[*place].load(Relaxed);
        let mut places: Vec<usize> =
            (0..self.times.len()).filter(|place| time(place) != 0).collect();
        places.sort_by_key(time);
        let share = |pair: &&[usize]| {
            let (first, last) = (self.firsts[pair[0]].load(Relaxed), time(&pair[1]));
            (u128::from(last - first) << 32) / u128::from(now.saturating_sub(first).max(1))
        };
        places.windows(2).min_by_key(share).map(|pair| (pair[0], pair[1]))
    }

    /// Returns the time at which a wait with this mark had begun.
    pub(crate) fn time(&self, mark: u8) -> Option<u64> {
        let time = self.times.get(usize::from(mark).checked_sub(1)?)?.load(Relaxed);
        (time != 0).then_some(time)
    }
}

fn mark_of(place: usize) -> u8 {
    place as u8 + 1
}

fn place_of(mark: u8) -> usize {
    usize::from(mark) - 1
}

#[cfg(all(test, not(gosched_loom)))]
mod tests {
    use super::*;
    use crate::gmp::wait_reason::WaitReason;

    const SECOND: u64 = APART;

    fn begin(g: &G) {
        g.parker.prepare();
        g.set_wait_reason(WaitReason::Lock);
        let _parked = g.parker.commit(true);
    }

    fn end(g: &G) {
        let _claimed = g.parker.notify();
    }

    /// A wait is said to be no older than it is, and at least a third as old.
    #[test]
    fn what_is_said_is_too_little_and_not_by_much() {
        let ages = WaitAges::new();
        let waits: Vec<G> = (0..200).map(|_| G::vacant()).collect();
        for now in 1..=1000 {
            if let Some(begins) = waits.get(now as usize / 5).filter(|_| now % 5 == 0) {
                begin(begins);
            }
            assert!(ages.is_due(now * SECOND));
            ages.mark(now * SECOND, |each| waits.iter().for_each(each));
            for (n, g) in waits.iter().enumerate().skip(1).take((now as usize / 5).min(199)) {
                let since = ages.time(g.wait_mark()).expect("it has a mark");
                let (age, said) = (now - 5 * n as u64, now - since / SECOND);
                assert!(said <= age && 3 * said + 1 >= age, "{said} s of {age}");
                assert_eq!(g.wait_reason(), WaitReason::Lock);
            }
        }
    }

    #[test]
    fn a_new_wait_has_no_mark() {
        let ages = WaitAges::new();
        let g = G::vacant();
        begin(&g);
        ages.mark(SECOND, |each| each(&g));
        assert_eq!(ages.time(g.wait_mark()), Some(SECOND));
        end(&g);
        begin(&g);
        assert_eq!(ages.time(g.wait_mark()), None);
        ages.mark(3 * SECOND, |each| each(&g));
        assert_eq!(ages.time(g.wait_mark()), Some(3 * SECOND));
        assert!(!ages.is_due(3 * SECOND + 1));
    }
}
