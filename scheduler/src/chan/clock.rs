//! The clock that sends into a channel: behind `after`, `tick`, `Timer` and `Ticker`.
//!
//! Nobody sends when the time has come. The channel knows when its next value is due, and who takes
//! from it, or looks whether there is one, finds the value that is due by then; who waits for one
//! waits until that moment. So a channel that nobody waits for costs nothing, whatever its moment;
//! and one that was set to another time, or stopped, holds no value of before.
//!
//! Rejected: timers that send. Each would be an entry of its own in a heap and be taken out when
//! its last receiver goes; what they send could wake an async task, whose waker is the user's code,
//! where none may run; and between the sending and the receiving lies a value that a stop comes too
//! late for.

use std::time::{Duration, Instant};

use gosched_runtime_sys::clock::to_ns;

use super::buffer::Buffer;
use super::place::Place;

/// When the next value of a channel is due. Lies under the channel's lock.
#[derive(Debug)]
pub(crate) struct Clock<T> {
    next: Option<Instant>,
    /// Between one value and the next; none if there is only one.
    period: Option<Duration>,
    /// The value that was due at a moment.
    value: fn(Instant) -> T,
}

impl<T> Clock<T> {
    /// With the first value at `next`, or none.
    pub(crate) fn new(
        next: Option<Instant>,
        period: Option<Duration>,
        value: fn(Instant) -> T,
    ) -> Self {
        Self { next: next.filter(can_come), period: period.map(no_less), value }
    }

    /// When the next value is due. None: never.
    pub(super) fn next(&self) -> Option<Instant> {
        self.next
    }

    /// Puts a value that is due by `now` into the buffer, which has room for one: for who was too
    /// slow for one there is no second, and the next one comes when it would have come in any case.
    pub(super) fn strike(&mut self, now: Instant, buffer: &mut Buffer<T>) {
        let Some(due) = self.next.filter(|due| *due <= now) else { return };
        self.next = self.period.and_then(|period| now.checked_add(until_next(now - due, period)));
        if buffer.is_empty() {
            buffer.push(&mut Place::Full((self.value)(due)));
        }
    }

    /// Sets it anew. True: a value would have come, or lay in the buffer; now it does not.
    pub(super) fn set(
        &mut self,
        next: Option<Instant>,
        period: Option<Duration>,
        buffer: &mut Buffer<T>,
    ) -> bool {
        let came = self.next.is_some() || !buffer.is_empty();
        // The value is the clock's own, and nothing of the user's.
        let _stopped = buffer.pop(&mut Place::Empty);
        (self.next, self.period) = (next.filter(can_come), period.map(no_less));
        came
    }
}

/// False for a moment that the clock of the timers never says. An `Instant` may be so late: how
/// late, differs by system.
fn can_come(moment: &Instant) -> bool {
    to_ns(*moment) != u64::MAX
}

/// A period of zero is the shortest there is: a value is always due.
#[inline]
fn no_less(period: Duration) -> Duration {
    period.max(Duration::from_nanos(1))
}

/// How long after now a value comes that comes once in each period, when the last one came `late`
/// ago, or earlier.
#[inline]
fn until_next(late: Duration, period: Duration) -> Duration {
    let into = late.as_nanos() % period.as_nanos();
    let seconds = u64::try_from(into / 1_000_000_000).expect("less than what a Duration holds");
    period - Duration::new(seconds, (into % 1_000_000_000) as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    /// What comes from the clock at a moment.
    fn at(clock: &mut Clock<Instant>, moment: Instant) -> Option<Instant> {
        let (mut buffer, mut place) = (Buffer::with_capacity(1), Place::Empty);
        clock.strike(moment, &mut buffer);
        buffer.pop(&mut place);
        place.take()
    }

    #[test]
    fn one_value_comes_once() {
        let began = Instant::now();
        let mut clock = Clock::new(Some(began + ms(5)), None, |due| due);
        assert_eq!(at(&mut clock, began + ms(4)), None);
        assert_eq!(
            at(&mut clock, began + ms(9)),
            Some(began + ms(5)),
            "when it was due, however late"
        );
        assert_eq!((at(&mut clock, began + ms(99)), clock.next()), (None, None));
    }

    #[test]
    fn what_was_missed_does_not_follow_and_does_not_shift() {
        let began = Instant::now();
        let mut clock = Clock::new(Some(began + ms(10)), Some(ms(10)), |due| due);
        assert_eq!(at(&mut clock, began + ms(10)), Some(began + ms(10)), "at the very moment");
        assert_eq!(at(&mut clock, began + ms(57)), Some(began + ms(20)));
        assert_eq!(clock.next(), Some(began + ms(60)));
        assert_eq!(at(&mut clock, began + ms(59)), None);
    }

    #[test]
    fn a_full_buffer_takes_nothing_and_time_goes_on() {
        let began = Instant::now();
        let mut clock = Clock::new(Some(began), Some(ms(10)), |due| due);
        let mut buffer = Buffer::with_capacity(1);
        clock.strike(began, &mut buffer);
        clock.strike(began + ms(25), &mut buffer);
        assert_eq!((buffer.len(), clock.next()), (1, Some(began + ms(30))));
        let mut place = Place::Empty;
        assert!(buffer.pop(&mut place));
        assert_eq!(place.take(), Some(began));
        clock.strike(began + ms(30), &mut buffer);
        assert!(clock.set(None, None, &mut buffer), "one was there");
        assert!(buffer.is_empty() && !clock.set(None, None, &mut buffer), "and is not now");
    }

    #[test]
    fn the_shortest_and_the_longest_periods() {
        let began = Instant::now();
        let mut always = Clock::new(Some(began), Some(Duration::ZERO), |due| due);
        assert_eq!(at(&mut always, began), Some(began));
        assert_eq!(at(&mut always, began + ms(1)), Some(began + Duration::from_nanos(1)));
        for huge in [Duration::MAX, Duration::from_secs(1 << 40)] {
            let mut once = Clock::new(Some(began), Some(huge), |due| due);
            assert_eq!(at(&mut once, began + ms(1)), Some(began));
            assert!(once.next().is_none_or(|next| next > began + ms(1)));
        }
        assert_eq!(
            until_next(Duration::from_secs(7), Duration::MAX),
            Duration::MAX - Duration::from_secs(7)
        );
        assert_eq!(until_next(Duration::new(5, 3), Duration::new(2, 1)), Duration::new(1, 0));
    }
}
