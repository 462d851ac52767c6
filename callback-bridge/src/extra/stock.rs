//! The Ms of a process: those that are ready for a thread, and those that are bare.
//!
//! After ten thousand threads at once there are as many Ms. An M is never freed, because late
//! readers of the list and late wakers reach it; but its signal stack may go, which is two mappings
//! and all of its memory but a kilobyte. A *bare* M has none. It lies on a list of its own, with
//! the same protocol (`extra/list.rs`), and is given a stack before it is ready again. So a thread
//! in the gap finds an M with a stack, or leaves the gap, as ever.
//!
//! # How many stay
//!
//! As many as were out at once within the last two [periods](PERIOD), at least [`KEPT`], and the
//! one more that the list always has. Whoever needs an M strips some that lie there above that, so
//! it costs a host with threads that come and go a system call each now and then, and one with
//! threads that stay nothing. Without anybody who needs an M all stay.
//!
//! Rejected: sysmon, which is a runtime's, and sleeps when its runtime has nothing to do; the end
//! of the thread, where as little as possible is done; a bound by those that are out now, which
//! `PerCall` bindings move up and down a hundred thousand times a second.
//!
//! The counts are Relaxed: they say how many, and nothing is found by them.

use crate::extra::list::{ExtraList, Node, Owed, Take};
use gosched_runtime_sys::sync::primitive::{AtomicU32, AtomicU64, Ordering::Relaxed};

/// How many Ms keep their stacks in any case.
pub(crate) const KEPT: u32 = 16;

/// How long, in nanoseconds, a number of threads counts that needed Ms at once: once or twice.
const PERIOD: u64 = 1_000_000_000;

/// All Ms of a process.
pub(crate) struct Stock<T: 'static> {
    ready: ExtraList<T>,
    bare: ExtraList<T>,
    /// How many are not bare.
    whole: AtomicU32,
    /// How many of those are not on the list.
    out: AtomicU32,
    /// The most that were out at once in this period, and in the one before.
    peak: AtomicU32,
    before: AtomicU32,
    /// When this period began.
    since: AtomicU64,
}

impl<T: Node> Stock<T> {
    /// Returns one without Ms.
    pub(crate) fn new() -> Self {
        Self {
            ready: ExtraList::new(),
            bare: ExtraList::new(),
            whole: AtomicU32::new(0),
            out: AtomicU32::new(0),
            peak: AtomicU32::new(0),
            before: AtomicU32::new(0),
            since: AtomicU64::new(0),
        }
    }

    /// As [`ExtraList::adopt`].
    pub(crate) fn adopt(&self, node: Box<T>) -> Option<&'static mut T> {
        let node = self.ready.adopt(node)?;
        self.whole.fetch_add(1, Relaxed);
        self.goes_out();
        Some(node)
    }

    /// As [`ExtraList::take`].
    pub(crate) fn take(&self) -> Take<T> {
        let taken = self.ready.take();
        if !matches!(taken, Take::Empty) {
            self.goes_out();
        }
        taken
    }

    /// As [`ExtraList::put`].
    pub(crate) fn put(&self, node: &'static mut T) {
        self.out.fetch_sub(1, Relaxed);
        self.ready.put(node);
    }

    /// As [`ExtraList::owe`].
    pub(crate) fn owe(&self) -> Option<Owed<'_, T>> {
        self.ready.owe()
    }

    /// As [`Owed::pay`].
    pub(crate) fn pay(&self, owed: Owed<'_, T>, node: &'static mut T) {
        self.out.fetch_sub(1, Relaxed);
        owed.pay(node);
    }

    fn goes_out(&self) {
        let out = self.out.fetch_add(1, Relaxed) + 1;
        if out > self.peak.load(Relaxed) {
            self.peak.fetch_max(out, Relaxed);
        }
    }

    /// Returns how many Ms are whole that were not needed lately. Asks for the time if there are
    /// more than [`KEPT`].
    #[inline]
    pub(crate) fn surplus(&self, now: impl FnOnce() -> u64) -> u32 {
        let whole = self.whole.load(Relaxed);
        if whole <= KEPT { 0 } else { whole.saturating_sub(self.needed(now()) + 1) }
    }

    #[cold]
    fn needed(&self, now: u64) -> u32 {
        let since = self.since.load(Relaxed);
        let is_over = now.saturating_sub(since) >= PERIOD;
        // Of those that find the period over at once, one begins another.
        if is_over && self.since.compare_exchange(since, now, Relaxed, Relaxed).is_ok() {
            let peak = self.peak.swap(self.out.load(Relaxed), Relaxed);
            self.before.store(peak, Relaxed);
        }
        KEPT.max(self.peak.load(Relaxed)).max(self.before.load(Relaxed))
    }

    /// Takes an M that is ready, if it is not the last. It is not out: [`put_bare`](Self::put_bare)
    /// comes next.
    pub(crate) fn take_spare(&self) -> Option<&'static mut T> {
        self.ready.take_spare()
    }

    /// Keeps an M that is bare from here on. Allocates.
    pub(crate) fn put_bare(&self, node: &'static mut T) {
        self.whole.fetch_sub(1, Relaxed);
        let node = self.bare.know(node);
        self.bare.put(node);
    }

    /// Takes an M that is bare. It is out.
    pub(crate) fn take_bare(&self) -> Option<&'static mut T> {
        let (Take::One(node) | Take::Last(node)) = self.bare.take() else { return None };
        self.whole.fetch_add(1, Relaxed);
        self.goes_out();
        Some(node)
    }

    /// Puts an M back that was bare, and is.
    pub(crate) fn put_bare_back(&self, node: &'static mut T) {
        self.out.fetch_sub(1, Relaxed);
        self.put_bare(node);
    }
}

#[cfg(all(test, not(gosched_loom)))]
mod tests {
    use super::*;
    use crate::extra::list::tests::Numbered;

    /// So many go out at once and come back.
    fn burst(stock: &Stock<Numbered>, size: u32) {
        let get = || match stock.take() {
            Take::One(node) | Take::Last(node) => node,
            Take::Empty => {
                stock.take_bare().unwrap_or_else(|| stock.adopt(Numbered::new()).expect("a number"))
            }
        };
        let out: Vec<_> = (0..size).map(|_| get()).collect();
        out.into_iter().for_each(|node| stock.put(node));
    }

    fn strip(stock: &Stock<Numbered>, now: u64) -> u32 {
        let surplus = stock.surplus(|| now);
        for _ in 0..surplus {
            let spare = stock.take_spare().expect("they lie there");
            stock.put_bare(spare);
        }
        surplus
    }

    #[test]
    fn what_was_not_needed_lately_is_surplus() {
        let stock = Stock::new();
        burst(&stock, KEPT);
        assert_eq!(stock.surplus(|| unreachable!("nobody asks for the time")), 0);
        burst(&stock, 100);
        let mut now = 10 * PERIOD;
        assert_eq!(stock.surplus(|| now), 0, "the burst counts in its period");
        burst(&stock, 90);
        now += PERIOD;
        assert_eq!(stock.surplus(|| now), 100 - 90 - 1, "and this one in the next");
        burst(&stock, 30);
        now += PERIOD - 1;
        assert_eq!(stock.surplus(|| now), 100 - 90 - 1);
        now += 1;
        assert_eq!(strip(&stock, now), 100 - 30 - 1, "then what thirty need is left, and one more");
        assert_eq!(strip(&stock, now), 0);
        now += 2 * PERIOD;
        strip(&stock, now);
        now += PERIOD;
        strip(&stock, now);
        assert_eq!(stock.whole.load(Relaxed), KEPT + 1);
        burst(&stock, 100);
        assert_eq!(stock.whole.load(Relaxed), 100, "bare ones are used before new ones are made");
        assert!(stock.take_bare().is_none());
    }

    #[test]
    fn the_last_one_is_not_spare() {
        let stock = Stock::new();
        burst(&stock, 2);
        assert!(stock.take_spare().is_some());
        assert!(stock.take_spare().is_none());
        assert!(matches!(stock.take(), Take::Last(_)));
        assert!(stock.take_spare().is_none());
    }
}
