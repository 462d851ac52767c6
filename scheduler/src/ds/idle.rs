//! The counts of idle Ps and searching Ms: whether published work needs a wake-up, and which M
//! looks once more before all Ms sleep.
//!
//! # What the outside needs
//!
//! Waking a sleeping core is the dearest thing there is. So a publisher wakes an M only when a P is
//! idle and no M searches; and an M that starts to search ends up with work or goes to sleep. Two
//! promises, for any number of queues:
//!
//! 1. **Nothing is left.** It never happens that work lies in a queue, all searches have ended, a P
//!    is idle, and no M is on the way to look: even if every M that has a P runs user code for
//!    ever.
//! 2. **At most one M is woken at a time.** While an M searches, publishing wakes none.
//!
//! # The rules for callers
//!
//! - *Publish*: put the work into its queue, then call [`submit`](Idle::submit). If it returns
//!   true, wake an M that searches and give it a P. If there is no P or no M to be had, take the
//!   search back: `if idle.stop_search() { submit again }`. (Other publishers may have relied on
//!   that search, and the P that was gone may have come back meanwhile.)
//! - *Find*: a searcher that found work stops its search before it runs the work. If it was the
//!   last searcher, it calls `submit` for the queues that it did not look at (the successor in Go's
//!   `resetspinning`). One exception: if the only work is what the searcher itself has just put
//!   into its own queue, it may leave that work to a later look. No publisher has relied on its
//!   search for that work.
//! - *Retire*: give the P to the idle list, call [`add_idle_p`](Idle::add_idle_p), and if searching
//!   [`stop_search`](Idle::stop_search). If *either* returns true, look at all queues once more
//!   before sleeping. If there is work then, take a P back and *search again*
//!   (`start_search(usize::MAX)`): there may be more than one piece, and all their publishers
//!   relied on this search. If no P is left, the M that has it retires later, and looks. An M that
//!   may not run the work (it is about to leave) calls `submit` in place of taking a P, and does
//!   not search in the first place.
//! - Only a thread that has a P may move work between queues, and must then publish it anew.
//!
//! # Why it holds
//!
//! Both counts are halves of one word, so their changes have one order, and each read returns a
//! true pair. Name the events: W puts work into a queue, F is `submit`'s fence, L its load. R is
//! the retirer's change to the word, G the fence after it, V its view of the queue. (F and G are
//! `SeqCst`; the one order S contains them.) [idle.handshake]
//!
//! - F before G in S: W precedes F and V follows G, so V sees the work, if the retirer looks.
//! - G before F: L reads R or a later word, so `submit` decides on what R left or on what followed
//!   it.
//!
//! Suppose promise 1 is broken for work W: from some change R on, the word says for good that no M
//! searches and a P is idle. R is an `add_idle_p` that read searching = 0 or a `stop_search` that
//! read searching = 1. So it returned true, and its caller looked, or called `submit`. If F is
//! before G, that look saw W (or that `submit` acted) and began a search, against "for good". If G
//! is before F, L read the word as R left it, or later, when it still said so: then `submit` acted.
//! Either way some M was on the way.
//!
//! An M that retires without searching (because the limit denied it) and finds no searcher must
//! look, too. The searcher that it relied on may have found other work when no P was idle yet; then
//! that searcher's `submit` started no successor.
//!
//! The changes themselves are relaxed: the fences carry everything, and each queue hands its own
//! content over.
//!
//! # Rejected
//!
//! - Two words, as in Go: what `submit` reads is then no true pair, the proof has twice the cases,
//!   and giving a P back and ending a search must happen in one certain order. Here either order
//!   will do.
//! - A fence only if an M sleeps: that is the question that the fence answers. (5 ns against 4.5 us
//!   for one futile wake.)
//! - `SeqCst` accesses in place of fences: as dear, and loom does not model them.
//! - A last look by every retiring searcher (Go, out of caution): N cores that go idle together
//!   scan N queues each.

use gosched_runtime_sys::sync::primitive::{AtomicU64, Ordering, const_fn, fence, mutated};

/// One searching M. Searching Ms are counted in the upper half of the word, idle Ps in the lower
/// half.
const SEARCH: u64 = 1 << 32;

/// How many Ps are idle and how many Ms search.
///
/// The word has its own cache line: every `go` reads it, and only Ms without other work write it.
#[derive(Debug)]
#[repr(align(128))]
pub(crate) struct Idle {
    word: AtomicU64,
}

/// Returns the number of idle Ps in `word`.
fn idle(word: u64) -> usize {
    (word % SEARCH) as usize
}

/// Returns the number of searching Ms in `word`.
fn searching(word: u64) -> usize {
    (word / SEARCH) as usize
}

impl Idle {
    const_fn! {
        /// No P is idle, no M searches.
        pub(crate) fn new() -> Self {
            Self { word: AtomicU64::new(0) }
        }
    }

    /// Decides, after work was published, whether an M must be woken. True: a search was counted,
    /// and the caller must wake an M that carries it out, or [stop](Self::stop_search) it.
    #[inline]
    #[must_use]
    pub(crate) fn submit(&self) -> bool {
        if !mutated("idle.submit_unfenced") {
            // ORDERING[idle.handshake]: partner is the fence in `retired`: the retirer sees the
            // work, or the load below sees the retirer's change to the word.
            fence(Ordering::SeqCst);
        }
        self.begin_search(|word| idle(word) > 0 && searching(word) == 0)
    }

    /// Counts the caller as searching, unless `limit` Ms search already.
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

    /// Counts the caller as no longer searching. True: no M searches now, and the caller must look
    /// at all queues once more, or call `submit` if it found work.
    #[must_use]
    pub(crate) fn stop_search(&self) -> bool {
        let before = self.word.fetch_sub(SEARCH, Ordering::Relaxed);
        debug_assert!(searching(before) > 0, "a search ends once");
        !mutated("idle.last_searcher_unaware") && Self::retired(searching(before) == 1)
    }

    /// Counts `n` more idle Ps, which the caller put on the idle list (under the lock under which
    /// they are taken from it). True: no M searches, and the caller must look at all queues once
    /// more.
    #[must_use]
    pub(crate) fn add_idle_p(&self, n: usize) -> bool {
        let before = self.word.fetch_add(n as u64, Ordering::Relaxed);
        debug_assert!(idle(before) + n < SEARCH as usize, "as many Ps as there cannot be");
        !mutated("idle.retirer_unaware") && Self::retired(searching(before) == 0)
    }

    /// Fences if this change was the `last`, before its caller looks at the queues. Returns `last`.
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

    /// Returns the number of idle Ps.
    #[inline]
    pub(crate) fn idle_ps(&self) -> usize {
        idle(self.word.load(Ordering::Relaxed))
    }

    /// Returns the number of searching Ms.
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
