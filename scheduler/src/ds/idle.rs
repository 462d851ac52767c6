//! The counts of idle Ps and searching Ms: whether published work needs somebody woken, and who
//! looks once more before everybody sleeps.
//!
//! # What the outside needs
//!
//! Waking a sleeping core is the dearest thing there is, so who publishes work wakes an M only when
//! a P is idle and nobody searches; and an M that starts to search ends up with work or goes to
//! sleep. Two promises, for any number of queues:
//!
//! 1. **Nothing is left.** It never happens that work lies in a queue, all searches have ended, a P
//!    is idle, and nobody is on the way to look: even if every M that has a P runs user code for
//!    ever.
//! 2. **At most one is woken at a time.** While somebody searches, publishing wakes nobody.
//!
//! # The rules for callers
//!
//! - *Publish*: put the work into its queue, then [`submit`](Idle::submit). If true, wake an M that
//!   searches and give it a P; if there is none to be had, take the search back: `if
//!   idle.stop_search() { submit again }`. (Others may have relied on that search, and the P that
//!   was gone may have come back meanwhile.)
//! - *Find*: a searcher that found work stops its search before it runs the work; if it was the
//!   last, it calls `submit` for what it did not look at (the successor in Go's `resetspinning`).
//!   Only what it has itself just put into its own queue, and that is all there is, it may leave to
//!   somebody who looks later: nobody has relied on its search for that.
//! - *Retire*: give the P to the idle list, [`add_idle_p`](Idle::add_idle_p), and if searching
//!   [`stop_search`](Idle::stop_search); if *either* says so, look at all queues once more before
//!   sleeping, and if there is work, take a P back and *search again* (`start_search(usize::MAX)`):
//!   there may be more than one piece, and all their publishers relied on this search. If no P is
//!   left, who has it retires later, and looks. An M that may not run what it sees (it is about to
//!   leave) calls `submit` in place of taking a P, and does not search in the first place.
//! - Work may be moved between queues only by somebody who has a P, and is then published anew.
//!
//! # Why it holds
//!
//! Both counts are halves of one word, so their changes have one order, and whoever reads the word
//! reads a true pair. Name the events: W puts work into a queue, F is submit's fence, L its load. R
//! is the retirer's change to the word, G the fence after it, V its view of the queue. (F, G are
//! `SeqCst`, the one order S contains them.) [idle.handshake]
//!
//! - F before G in S: W precedes F, V follows G, so V sees the work, if the retirer looks.
//! - G before F: L reads R or something later, so submit decides on what R left or on what followed
//!   it.
//!
//! Suppose promise 1 is broken for work W: from some change R on, the word says for good that
//! nobody searches and a P is idle. R is an `add_idle_p` that read searching = 0 or a `stop_search`
//! that read searching = 1, so its caller was told, and looked, or called submit. If F is before G,
//! that look saw W (or that submit acted) and began a search, against "for good". If G is before F,
//! L read the word as R left it, or later, when it still said so: then submit acted. Either way
//! somebody was on the way.
//!
//! An M that retires without searching (the limit did not let it) and finds nobody searching must
//! look, too: the searcher it relied on may have found other work when no P was idle yet, and then
//! its submit started no successor.
//!
//! The changes themselves are relaxed: the fences carry everything, and what is in a queue is
//! handed over by that queue.
//!
//! # Rejected
//!
//! - Two words, as in Go: the pair that submit reads is then no pair, the proof has twice the
//!   cases, and a P given back and a search ended must happen in one certain order; here either
//!   order will do.
//! - The fence only if somebody sleeps: that is the question it answers. (5 ns against 4.5 us for
//!   one futile wake.)
//! - `SeqCst` accesses in place of fences: as dear, and loom does not model them.
//! - Every retiring searcher looks (Go, out of caution): N cores that go idle together scan N
//!   queues each.

use gosched_runtime_sys::sync::primitive::{AtomicU64, Ordering, const_fn, fence, mutated};

/// One searching M: they are counted in the upper half of the word, idle Ps in the lower half.
const SEARCH: u64 = 1 << 32;

/// How many Ps are idle and how many Ms search. On a line of its own: every `go` reads it, and only
/// those that have nothing better to do write it.
#[derive(Debug)]
#[repr(align(128))]
pub(crate) struct Idle {
    word: AtomicU64,
}

/// The idle Ps that a word counts.
fn idle(word: u64) -> usize {
    (word % SEARCH) as usize
}

/// The searching Ms that a word counts.
fn searching(word: u64) -> usize {
    (word / SEARCH) as usize
}

impl Idle {
    const_fn! {
        /// No P is idle, nobody searches.
        pub(crate) fn new() -> Self {
            Self { word: AtomicU64::new(0) }
        }
    }

    /// To be called after work was published. True: a search was counted, and the caller must wake
    /// an M that carries it out, or [stop](Self::stop_search) it.
    #[inline]
    #[must_use]
    pub(crate) fn submit(&self) -> bool {
        if !mutated("idle.submit_unfenced") {
            // ORDERING[idle.handshake]: partner is the fence in `retired`: its thread sees the
            // work, or the load below sees what it did to the word.
            fence(Ordering::SeqCst);
        }
        self.begin_search(|word| idle(word) > 0 && searching(word) == 0)
    }

    /// Counts the caller as searching, unless `limit` Ms search.
    #[must_use]
    pub(crate) fn start_search(&self, limit: usize) -> bool {
        self.begin_search(|word| searching(word) < limit)
    }

    #[inline]
    fn begin_search(&self, wanted: impl Fn(u64) -> bool) -> bool {
        let mut word = self.word.load(Ordering::Relaxed);
        while wanted(word) {
            match self.word.compare_exchange_weak(
                word,
                word + SEARCH,
                Ordering::Relaxed,
                Ordering::Relaxed,
            ) {
                Ok(_) => return true,
                Err(other) => word = other,
            }
        }
        false
    }

    /// Counts the caller as no longer searching. True: nobody does, and the caller must look at all
    /// queues once more, or `submit` if it found work.
    #[must_use]
    pub(crate) fn stop_search(&self) -> bool {
        let before = self.word.fetch_sub(SEARCH, Ordering::Relaxed);
        debug_assert!(searching(before) > 0, "a search ends once");
        !mutated("idle.last_searcher_unaware") && Self::retired(searching(before) == 1)
    }

    /// Counts `n` more idle Ps, which the caller put on the idle list (under the lock under which
    /// they are taken from it). True: nobody searches, and the caller must look at all queues once
    /// more.
    #[must_use]
    pub(crate) fn add_idle_p(&self, n: usize) -> bool {
        let before = self.word.fetch_add(n as u64, Ordering::Relaxed);
        debug_assert!(idle(before) + n < SEARCH as usize, "as many Ps as there cannot be");
        !mutated("idle.retirer_unaware") && Self::retired(searching(before) == 0)
    }

    /// What a change that may have been the last says to its caller, who looks at the queues next
    /// if it was.
    fn retired(last: bool) -> bool {
        if last && !mutated("idle.retire_unfenced") {
            // ORDERING[idle.handshake]: partner is the fence in `submit`.
            fence(Ordering::SeqCst);
        }
        last
    }

    /// Counts `n` fewer idle Ps, which the caller took from the idle list (under the same lock).
    pub(crate) fn sub_idle_p(&self, n: usize) {
        let before = self.word.fetch_sub(n as u64, Ordering::Relaxed);
        debug_assert!(idle(before) >= n, "a P is taken once");
    }

    /// How many Ps are idle.
    #[inline]
    pub(crate) fn idle_ps(&self) -> usize {
        idle(self.word.load(Ordering::Relaxed))
    }

    /// How many Ms search.
    #[inline]
    pub(crate) fn searching(&self) -> usize {
        searching(self.word.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::Idle;

    #[test]
    fn nobody_is_woken_without_an_idle_p() {
        let idle = Idle::new();
        assert!(!idle.submit());
        assert!(idle.add_idle_p(1), "nobody searches: look");
        assert!(idle.submit());
    }

    #[test]
    fn one_is_woken_at_a_time() {
        let idle = Idle::new();
        assert!(idle.add_idle_p(2));
        assert!(idle.submit());
        assert!(!idle.submit(), "one searches already");
        assert!(idle.stop_search(), "it was the last");
        assert!(idle.submit());
    }

    #[test]
    fn the_limit_counts_all_searchers_and_the_last_one_knows() {
        let idle = Idle::new();
        assert!(!idle.start_search(0));
        assert!(idle.start_search(2));
        assert!(idle.start_search(2));
        assert!(!idle.start_search(2));
        assert_eq!(idle.searching(), 2);
        assert!(!idle.add_idle_p(3), "others search");
        assert!(!idle.stop_search());
        assert!(idle.stop_search());
        assert_eq!((idle.searching(), idle.idle_ps()), (0, 3));
        idle.sub_idle_p(2);
        assert_eq!((idle.searching(), idle.idle_ps()), (0, 1));
    }
}
