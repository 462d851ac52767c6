//! The timers of one P: a heap under a lock, and the first deadline, which is read without the
//! lock.
//!
//! # What the outside needs
//!
//! An owner that is about to wait puts a timer in ([`add`](Timers::add)). Any thread may take out
//! what is due ([`pop_due`](Timers::pop_due)). When the owner's wait is over for whatever reason,
//! the owner removes its own timer ([`remove`](Timers::remove)). One promise: **after `remove` has
//! returned, nothing that `pop_due` does reaches the owner any more**, so a time limit never ends a
//! later wait.
//!
//! # Why it holds
//!
//! Only the function that `pop_due` is given acts on the owner. It runs under the lock, in the
//! critical section in which the entry comes out. So `remove` either comes first, and there is no
//! entry to come out; or it comes later, and everything has been done before. The wake-up of a
//! claimed owner comes after the lock, and that is safe: a claimed owner still waits. Where several
//! entries come out at a time, all of that is one critical section.
//!
//! `remove` always locks, also when the timer has fired. A flag in the owner's frame, which the
//! firing thread stores last, would avoid the lock. It would save some 10 ns once in a wait that
//! took microseconds at least, and it would put a raw pointer to the owner's stack into the heap.
//!
//! # The hint
//!
//! `first` is written under the lock and read without it, so it may just have changed. An M that
//! looks at it in every round sees the change soon. An M that looks for the last time before it
//! sleeps follows `timekeeper`'s rules.

use std::array;

use gosched_runtime_sys::sync::lock::{Mutex, MutexGuard};
use gosched_runtime_sys::sync::primitive::{AtomicU64, Ordering::Relaxed, mutated};

use super::heap::{Heap, Room, TimerId};

/// Later than any deadline; the first deadline of an empty heap.
pub(crate) const NEVER: u64 = u64::MAX;

/// The timers of one P.
///
/// They have their own cache lines: the P's M reads `first` in every round, and the Ms of other Ps
/// look seldom.
#[derive(Debug)]
#[repr(align(128))]
pub(crate) struct Timers<K> {
    first: AtomicU64,
    heap: Mutex<Heap<K>>,
}

impl<K> Timers<K> {
    pub(crate) fn new() -> Self {
        Self { first: AtomicU64::new(NEVER), heap: Mutex::new(Heap::new()) }
    }

    /// Returns the first deadline, [`NEVER`] if there is none. A hint.
    #[inline]
    pub(crate) fn first(&self) -> u64 {
        self.first.load(Relaxed)
    }

    /// Returns how many deadlines are not later than `until`; `most` if they are more.
    pub(crate) fn count_by(&self, until: u64, most: usize) -> usize {
        if self.first() <= until { self.heap.lock().count_by(until, most) } else { 0 }
    }

    /// Puts `item` in, due at `at`. Returns `None` if there is no memory for it. Allocates, with
    /// the lock free.
    pub(crate) fn add(&self, at: u64, item: K) -> Option<TimerId> {
        let (mut item, mut room) = (item, Room::none());
        loop {
            let mut heap = self.heap.lock();
            heap.move_into(&mut room);
            match heap.insert(at, item) {
                Ok(timer) => {
                    self.publish(&heap);
                    // The lock is dropped before the outgrown memory.
                    drop(heap);
                    return Some(timer);
                }
                Err(back) => item = back,
            }
            let wanted = heap.wanted();
            drop(heap);
            drop(room);
            room = Room::of(wanted)?;
        }
    }

    /// Takes the first item out, if it is due at `now`, and calls `fire` with it under the lock.
    pub(crate) fn pop_due<R>(&self, now: u64, fire: impl FnMut(K) -> R) -> Option<R> {
        let [due] = self.pop_several(now, |_| (), fire);
        due
    }

    /// Takes up to `N` items out that are due at `now`, the earliest first, and calls `fire` with
    /// each, under the lock.
    ///
    /// `seen` is called with all of them before: the memory that it prefetches is there when they
    /// are fired.
    pub(crate) fn pop_several<R, const N: usize>(
        &self,
        now: u64,
        seen: impl Fn(&K),
        mut fire: impl FnMut(K) -> R,
    ) -> [Option<R>; N] {
        let mut heap = self.heap.lock();
        let due: [Option<K>; N] = array::from_fn(|_| heap.pop_due(now).inspect(&seen));
        self.publish(&heap);
        if mutated("timers.fires_unlocked") {
            drop(heap);
        }
        due.map(|due| due.map(&mut fire))
    }

    /// Gives the timer id back, by the owner that got it. False: the timer has fired.
    pub(crate) fn remove(&self, timer: TimerId) -> bool {
        let mut heap = self.heap.lock();
        let item = heap.remove(timer);
        self.publish(&heap);
        drop(heap);
        item.is_some()
    }

    /// Replaces the item, by the owner that got the timer; the deadline stays. Gives the new item
    /// back if the timer has fired.
    pub(crate) fn replace(&self, timer: &TimerId, item: K) -> Result<K, K> {
        self.heap.lock().replace(timer, item)
    }

    /// Stores the first deadline, if it changed: every M reads the line.
    fn publish(&self, heap: &MutexGuard<'_, Heap<K>>) {
        let first = heap.first().unwrap_or(NEVER);
        if self.first.load(Relaxed) != first {
            self.first.store(first, Relaxed);
        }
    }
}

#[cfg(all(test, not(gosched_loom)))]
mod tests {
    use super::{NEVER, Timers};

    #[test]
    fn the_hint_follows_the_heap() {
        let timers = Timers::new();
        assert_eq!(timers.first(), NEVER);
        let late = timers.add(20, "late").expect("memory");
        let early = timers.add(10, "early").expect("memory");
        assert_eq!(timers.first(), 10);
        assert_eq!(timers.pop_due(9, |item| item), None);
        assert_eq!(timers.pop_due(10, |item| item), Some("early"));
        assert_eq!(timers.first(), 20);
        assert!(!timers.remove(early));
        assert!(timers.remove(late));
        assert_eq!(timers.first(), NEVER);
    }

    #[test]
    fn several_come_out_in_their_order_and_none_before_its_time() {
        let timers = Timers::new();
        let ids = [30, 10, 20, 40].map(|at| timers.add(at, at).expect("memory"));
        let pop = |now| -> Vec<u64> {
            timers.pop_several::<_, 2>(now, |_| (), |at| at).into_iter().flatten().collect()
        };
        assert_eq!([pop(30), pop(30), pop(30)], [vec![10, 20], vec![30], vec![]]);
        assert_eq!(timers.first(), 40);
        assert_eq!(ids.map(|timer| timers.remove(timer)), [false, false, false, true]);
    }

    #[test]
    fn what_is_replaced_keeps_its_time() {
        let timers = Timers::new();
        let [early, late] = [10, 20].map(|at| timers.add(at, "before").expect("memory"));
        assert_eq!(timers.replace(&early, "after"), Ok("before"));
        assert_eq!(timers.pop_due(15, |item| item), Some("after"));
        assert_eq!(timers.replace(&early, "too late"), Err("too late"));
        assert_eq!((timers.pop_due(15, |item| item), timers.first()), (None, 20));
        assert_eq!([early, late].map(|timer| timers.remove(timer)), [false, true]);
    }

    #[test]
    fn it_grows_as_needed() {
        let timers = Timers::new();
        let ids: Vec<_> = (0..1000).map(|n| timers.add(1000 - n, n).expect("memory")).collect();
        assert_eq!(timers.first(), 1);
        let order: Vec<_> = std::iter::from_fn(|| timers.pop_due(1000, |n| n)).collect();
        assert!(order.into_iter().eq((0..1000).rev()));
        assert!(ids.into_iter().all(|timer| !timers.remove(timer)));
    }
}
