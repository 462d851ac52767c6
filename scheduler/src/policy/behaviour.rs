//! On which M a goroutine may begin, by what is known of how it behaves.
//!
//! A settled goroutine stays on the M that starts it, and shares the thread with all others that
//! have settled there. If it computes or blocks for seconds, they wait for as long, and nobody can
//! move them. So the one decision that keeps a service from starving is where a goroutine begins.
//!
//! Nothing is known of a goroutine before it runs. Something is known of its call site, the place
//! in the program where it is made: how others behaved that were made there.
//!
//! | the call site | a goroutine that is made there begins |
//! |---|---|
//! | [`Talks`](Behaviour::Talks): the last ones suspended or ended soon | wherever there is room |
//! | [`Unknown`](Behaviour::Unknown): none has run | on an M of its own, or beside its burst |
//! | [`Computes`](Behaviour::Computes): one kept its thread | on an M of its own, or among its like |
//!
//! A *burst* is what one goroutine makes in one round. Those who have settled and wait may wait for
//! the next one of their burst. While they have work they do not, and the next one may be a hog: so
//! an M begins the unknown of a burst only when its own have nothing to do.
//!
//! A call site that changes its ways does harm once, and is known from then on.
//!
//! # Rejected
//!
//! - To begin the unknown beside their maker and to move the others away when it turns out to
//!   compute: what has settled cannot move.
//! - To begin each of a burst apart: a server and its client, made one after the other, would talk
//!   across two threads for good, 500 ns a round trip in place of 75.

use super::retake::{LONGEST_ADMISSION_NS, SLICE_NS};

/// Processor time in ns that a goroutine may take in one run, or time for which it may block its
/// thread, before its call site counts as one that computes.
pub(crate) const COMPUTES_NS: u64 = 2_000_000;

/// Processor time in ns of a first run from which on the others of its burst are spread evenly over
/// the Ms.
///
/// Several times what a first run takes that has to touch a new stack and a new thread's memory
/// (20 to 70 us), and far more than a wake-up of another M costs.
pub(crate) const WORKS_NS: u64 = 100_000;

/// Rounds between two looks of an M with other work at what is to begin apart. An M that has none
/// looks in its search, and one that was brought for it looks first.
pub(crate) const APART_ROUNDS: u32 = 8;

/// Number of goroutines in a row that must suspend or end soon before a call site that computed
/// counts as one that talks.
pub(crate) const FORGIVEN_AFTER: u32 = 64;

/// Number of first runs that ended with a wait for a timer after which a call site counts as one
/// that talks. A ticker has such a run, and so has a goroutine that computes after a delay.
pub(crate) const TIMED_RUNS: u32 = 8;

/// What is known of the goroutines that are made at one call site.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Behaviour {
    /// None of them has run yet.
    #[default]
    Unknown,
    /// They suspend or end soon.
    Talks,
    /// One of them computed, or blocked its thread; see [`Run::keeps_thread`].
    Computes,
}

/// A run of a goroutine, until it suspended or up to now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    /// How long it has lasted, in ns.
    pub(crate) lasted_ns: u64,
    /// The processor time that it took, in ns, if that is known.
    pub(crate) cpu_ns: Option<u64>,
    /// Its thread is known to be blocked.
    pub(crate) blocked: bool,
    /// It ended with a wait that a timer ends, which says little about the run after it.
    pub(crate) timed: bool,
}

impl Run {
    /// True if others must not wait behind such runs.
    ///
    /// A thread that waits for a core takes no processor time, and its goroutine may be a short
    /// one. So without blocking or taking that time a run counts only if it lasted for a slice.
    pub(crate) fn keeps_thread(self) -> bool {
        let took = self.cpu_ns.is_some_and(|ns| ns >= COMPUTES_NS);
        took || self.lasted_ns >= if self.blocked { COMPUTES_NS } else { SLICE_NS }
    }

    /// True if the goroutine gains more from a core of its own than from those that it talks to.
    ///
    /// So do those that were made with it, as a rule: a pool of workers that take their jobs from
    /// one channel. Together they had one core, and could never have another. It says nothing about
    /// the next burst, since it is a first run, and may have set something up.
    pub(crate) fn works(self) -> bool {
        self.cpu_ns.unwrap_or(0) >= WORKS_NS
    }
}

/// What a call site has to its record. The caller keeps it in a word.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Conduct(pub(crate) u32);

impl Conduct {
    const TALKS: u32 = 1;
    /// Above what computes: how many first runs ended with a wait for a timer.
    const FIRST_TIMED: u32 = 1_000;
    const LAST_TIMED: u32 = Self::FIRST_TIMED + TIMED_RUNS - 1;

    /// Returns what is to be expected.
    #[inline]
    pub(crate) fn behaviour(self) -> Behaviour {
        match self.0 {
            0 | Self::FIRST_TIMED..=Self::LAST_TIMED => Behaviour::Unknown,
            Self::TALKS => Behaviour::Talks,
            _ => Behaviour::Computes,
        }
    }

    /// Returns the record after one more goroutine has suspended or ended for the first time.
    pub(crate) fn after_first_run(self, run: Run) -> Self {
        if run.keeps_thread() {
            return Self::computed();
        }
        if run.timed && self.behaviour() == Behaviour::Unknown && self.0 != Self::LAST_TIMED {
            return Self(self.0.max(Self::FIRST_TIMED - 1) + 1);
        }
        if self.behaviour() != Behaviour::Computes {
            return Self(Self::TALKS);
        }
        Self(self.0.saturating_sub(1).max(Self::TALKS))
    }

    /// Returns the record of a call site of which a goroutine has just computed or blocked.
    pub(crate) fn computed() -> Self {
        Self(Self::TALKS + FORGIVEN_AFTER)
    }
}

/// What those do who have settled on an M.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Settled {
    /// There is none.
    Nobody,
    /// All of them wait.
    Waiting,
    /// Some are ready, or run.
    Busy,
}

/// Whom a goroutine would join that began on an M.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Company {
    /// The burst that all who have settled there were made in; 0 if there were several, or none.
    pub(crate) burst: u16,
    /// All who have settled there were expected to compute.
    pub(crate) computes: bool,
}

impl Company {
    /// True if a goroutine of that behaviour, made in `burst`, may begin on an M on which others
    /// have settled.
    pub(crate) fn admits(self, settled: Settled, behaviour: Behaviour, burst: u16) -> bool {
        settled == Settled::Nobody
            || match behaviour {
                Behaviour::Talks => !self.computes,
                Behaviour::Unknown => {
                    burst != 0 && burst == self.burst && settled == Settled::Waiting
                }
                Behaviour::Computes => self.computes,
            }
    }

    /// Returns the company after such a goroutine has begun beside `settled` others.
    pub(crate) fn joined_by(self, settled: usize, behaviour: Behaviour, burst: u16) -> Self {
        let (first, computes) = (settled == 0, behaviour == Behaviour::Computes);
        let same_burst = first || behaviour == Behaviour::Talks || burst == self.burst;
        Self {
            burst: if first {
                burst
            } else if same_burst {
                self.burst
            } else {
                0
            },
            computes: computes && (first || self.computes),
        }
    }
}

/// True if one more M may be made for a goroutine that is to begin apart, when settled goroutines
/// wait on `waiting` Ms already.
///
/// The number of Ms stays bounded, however many call sites there are. Beyond it the goroutine
/// begins on whichever M has the time, unless it is
/// [left to its like](LEFT_TO_ITS_LIKE_NS). Ms whose one goroutine computes are bounded by the
/// start gate.
pub(crate) fn may_make_apart(waiting: usize, procs: usize) -> bool {
    waiting < 2 * procs + APART_SLACK
}

/// Time in ns for which a goroutine that computes, and for which no M may be made, is left to an M
/// on which all compute.
///
/// Such Ms look for it in each of their rounds. Begun by whichever M had the time, 20 of 32
/// goroutines that compute for 3 ms between their yields lay beside four that serve, whose callers
/// waited for 90 ms. Not for ever, for the goroutines of those Ms may block them.
pub(crate) const LEFT_TO_ITS_LIKE_NS: u64 = LONGEST_ADMISSION_NS;

/// Number of Ms with waiting goroutines that a runtime may have beyond two for each P; the constant
/// part of [`may_make_apart`].
pub(crate) const APART_SLACK: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;
    use Behaviour::{Computes, Talks, Unknown};

    fn took(ns: u64) -> Run {
        Run { lasted_ns: ns, cpu_ns: Some(ns), blocked: false, timed: false }
    }

    #[test]
    fn a_thread_that_waits_for_a_core_keeps_nobody_waiting() {
        let cpu_ns = Some(COMPUTES_NS - 1);
        let late = Run { lasted_ns: SLICE_NS - 1, cpu_ns, blocked: false, timed: false };
        assert!(!late.keeps_thread() && !Run { cpu_ns: None, ..late }.keeps_thread());
        assert!(Run { blocked: true, ..late }.keeps_thread());
        assert!(Run { lasted_ns: SLICE_NS, ..late }.keeps_thread());
        assert!(Run { cpu_ns: Some(COMPUTES_NS), ..late }.keeps_thread());
    }

    #[test]
    fn a_call_site_is_known_by_its_last_goroutines() {
        let mut conduct = Conduct::default();
        assert_eq!(conduct.behaviour(), Unknown);
        conduct = conduct.after_first_run(took(COMPUTES_NS - 1));
        assert_eq!(conduct.behaviour(), Talks);
        conduct = conduct.after_first_run(took(COMPUTES_NS));
        assert_eq!(conduct, Conduct::computed());
        for _ in 1..FORGIVEN_AFTER {
            conduct = conduct.after_first_run(took(0));
            assert_eq!(conduct.behaviour(), Computes);
        }
        assert_eq!(conduct.after_first_run(took(0)).behaviour(), Talks);
    }

    #[test]
    fn a_wait_for_a_timer_says_little() {
        let timed = Run { timed: true, ..took(0) };
        let mut conduct = Conduct::default();
        for _ in 0..TIMED_RUNS {
            conduct = conduct.after_first_run(timed);
            assert_eq!(conduct.behaviour(), Unknown);
        }
        assert_eq!(conduct.after_first_run(timed).behaviour(), Talks);
        assert_eq!(conduct.after_first_run(took(0)).behaviour(), Talks);
        assert_eq!(conduct.after_first_run(took(COMPUTES_NS)).behaviour(), Computes);
        let computed = Conduct::computed().after_first_run(timed);
        assert_eq!(computed, Conduct::computed().after_first_run(took(0)));
    }

    #[test]
    fn everybody_may_begin_where_nobody_is() {
        for behaviour in [Unknown, Talks, Computes] {
            let company = Company { burst: 7, computes: true };
            assert!(company.admits(Settled::Nobody, behaviour, 3));
        }
    }

    #[test]
    fn the_unknown_join_their_burst_alone() {
        let company = Company::default().joined_by(0, Unknown, 7);
        assert!(company.admits(Settled::Waiting, Unknown, 7));
        assert!(
            !company.admits(Settled::Waiting, Unknown, 8)
                && !company.admits(Settled::Waiting, Unknown, 0)
        );
        assert!(!company.admits(Settled::Busy, Unknown, 7), "nobody waits for it");
        assert!(company.admits(Settled::Busy, Talks, 8));
        let company = company.joined_by(1, Unknown, 7).joined_by(2, Talks, 0);
        assert!(company.admits(Settled::Waiting, Unknown, 7), "their children are with them");
        let company = company.joined_by(3, Unknown, 8);
        assert!(!company.admits(Settled::Waiting, Unknown, 7), "another one has come since");
        assert!(!Company::default().joined_by(0, Unknown, 0).admits(Settled::Waiting, Unknown, 0));
    }

    #[test]
    fn what_computes_joins_its_like_and_what_talks_does_not_join_it() {
        let company = Company::default().joined_by(0, Computes, 7);
        assert!(
            company.admits(Settled::Waiting, Computes, 8)
                && !company.admits(Settled::Waiting, Talks, 7)
        );
        let company = company.joined_by(1, Talks, 0);
        assert!(
            !company.admits(Settled::Waiting, Computes, 8)
                && company.admits(Settled::Waiting, Talks, 0)
        );
    }

    #[test]
    fn the_number_of_ms_is_bounded() {
        assert!(may_make_apart(9, 1) && !may_make_apart(10, 1));
        assert!(!may_make_apart(40, 16));
    }
}
