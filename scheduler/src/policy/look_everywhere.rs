//! When an M looks first at what it otherwise looks at last: the global queue, the oldest Gs of its
//! P, those of other Ps.
//!
//! It does so in one of [`GLOBAL_INTERVAL`] rounds, and when sysmon asks for it, because 61 rounds
//! of Gs that compute would take too long.
//!
//! What it finds there may be new and compute, too. So of two rounds for which sysmon asks, one
//! goes to what is there already. Without that limit, where 200 goroutines that compute wanted to
//! begin, sysmon ended each round and the next one took a new G. A migratory goroutine that had
//! slept for a millisecond waited for 190 ms, in the queue of a P that was handed from M to M.
//!
//! The P keeps all this, not the M. An M that was asked may give its P away, and get one again only
//! after all others. With requests that stayed with their Ms, where three Ms took turns with one P
//! and each ran a G for 5 ms, a new goroutine waited for 50 ms.

use super::GLOBAL_INTERVAL;

/// What the Ms that have a P have to look at next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct LookEverywhere {
    /// Sysmon has asked, and no M has looked since.
    asked: bool,
    /// The next round for which sysmon asks goes to what is there already.
    known_first: bool,
}

impl LookEverywhere {
    /// Notes that sysmon asks.
    pub(crate) fn ask(&mut self) {
        self.asked = true;
    }

    /// True if sysmon has asked, and no M has looked since.
    pub(crate) fn is_asked(self) -> bool {
        self.asked
    }

    /// Notes that the M has looked, and leaves what it saw to the next M that has the P.
    pub(crate) fn left_to_another(&mut self) {
        *self = Self { asked: true, known_first: false };
    }

    /// Notes that the M has looked everywhere and found nothing, so what sysmon asked for is done.
    pub(crate) fn found_nothing(&mut self) {
        self.asked = false;
    }

    /// Notes that the P was handed to an M, which may have woken Gs. If sysmon has asked before,
    /// that goes first, since the P may go from M to M after each round; but no G goes before a
    /// root goroutine that begins on its thread.
    pub(crate) fn handed_on(&mut self, root_begins: bool) {
        self.known_first |= root_begins || !self.asked;
    }

    /// True if the M that has the P looks everywhere in its round `tick`. Called once in a round.
    #[inline]
    pub(crate) fn is_due(&mut self, tick: u32) -> bool {
        let by_count = tick.is_multiple_of(GLOBAL_INTERVAL);
        let looks = by_count || self.asked && !self.known_first;
        *self = Self { asked: self.asked && !looks, known_first: looks };
        looks
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns in which of the rounds an M looks everywhere. Sysmon asks in those that are true.
    fn rounds<const N: usize>(look: &mut LookEverywhere, asks: [bool; N]) -> [bool; N] {
        asks.map(|asks| {
            if asks {
                look.ask();
            }
            look.is_due(1)
        })
    }

    #[test]
    fn of_two_rounds_that_are_put_an_end_to_one_looks_everywhere() {
        let mut look = LookEverywhere::default();
        assert_eq!(rounds(&mut look, [true; 5]), [true, false, true, false, true]);
        assert_eq!(rounds(&mut look, [false; 3]), [false; 3]);
        assert!(look.is_due(GLOBAL_INTERVAL));
    }

    #[test]
    fn a_request_is_kept_until_an_m_looks() {
        let mut look = LookEverywhere::default();
        assert_eq!(rounds(&mut look, [true, true, false, false]), [true, false, true, false]);
        assert!(!look.is_asked());
    }

    #[test]
    fn an_m_that_is_handed_the_p_runs_its_own_first() {
        let mut look = LookEverywhere::default();
        look.handed_on(false);
        assert_eq!(rounds(&mut look, [true; 2]), [false, true]);
    }

    #[test]
    fn ms_that_hand_the_p_on_after_each_round_look_in_every_second() {
        let mut look = LookEverywhere::default();
        let looks: Vec<_> = (0..6)
            .map(|_| {
                look.handed_on(false);
                rounds(&mut look, [true])[0]
            })
            .collect();
        assert_eq!(looks, [false, true, false, true, false, true]);
    }

    #[test]
    fn what_an_m_leaves_to_another_is_the_first_that_this_one_looks_at() {
        let mut look = LookEverywhere::default();
        assert_eq!(rounds(&mut look, [true]), [true]);
        look.left_to_another();
        look.handed_on(false);
        assert_eq!(rounds(&mut look, [false; 2]), [true, false]);
    }

    #[test]
    fn a_root_goes_first_whatever_was_asked_before() {
        let mut look = LookEverywhere::default();
        look.ask();
        look.handed_on(true);
        assert_eq!(rounds(&mut look, [false; 2]), [false, true]);
    }
}
