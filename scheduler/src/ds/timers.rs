//! The timers of one P: a heap under a lock, and when the first of them is due, to be read without
//! it.
//!
//! # What the outside needs
//!
//! An owner that is about to wait puts in what has to be woken ([`add`](Timers::add)); anybody may
//! take out what is due ([`pop_due`](Timers::pop_due)); the owner, when its wait is over for
//! whatever reason, takes its own out ([`remove`](Timers::remove)). One promise: **after `remove`
//! has returned, nothing that `pop_due` does reaches the owner any more**, so a time limit never
//! ends a later wait.
//!
//! # Why it holds
//!
//! What is done to the owner is done by the function that `pop_due` is given, and that runs under
//! the lock, in the same critical section in which the entry comes out. So `remove` either comes
//! first, and there is no entry to come out; or it comes later, and all was done before. What wakes
//! the owner, once it was claimed, comes after the lock: it reaches an owner that was claimed,
//! which is one that still waits. Where several come out at a time, all of that is one critical
//! section.
//!
//! `remove` always locks, also when the timer has fired. A flag in the owner's frame that the one
//! who fires stores last would spare that, some 10 ns once in a wait that took microseconds at
//! least; and it would put a raw pointer to the owner's stack into the heap.
//!
//! # The hint
//!
//! `first` is written under the lock and read without: what it says may just have changed. Who
//! looks at it round by round sees it soon; who looks for the last time before it sleeps follows
//! `timekeeper`'s rules.

use std::array;

use gosched_runtime_sys::sync::lock::{Mutex, MutexGuard};
use gosched_runtime_sys::sync::primitive::{AtomicU64, Ordering::Relaxed, mutated};

use super::heap::{Heap, Room, TimerId};

/// Later than anything: when the first timer of none is due.
pub(crate) const NEVER: u64 = u64::MAX;

/// The timers of one P. On lines of its own: its M reads `first` in every round, and those of other
/// Ps look seldom.
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

    /// When the first one is due, [`NEVER`] if there is none. A hint.
    #[inline]
    pub(crate) fn first(&self) -> u64 {
        self.first.load(Relaxed)
    }

    /// Puts `what` in, due at `at`. None if there is no memory for it. Allocates, with the lock
    /// free.
    pub(crate) fn add(&self, at: u64, what: K) -> Option<TimerId> {
        let (mut what, mut room) = (what, Room::none());
        loop {
            let mut heap = self.heap.lock();
            heap.move_into(&mut room);
            match heap.insert(at, what) {
                Ok(timer) => {
                    self.publish(&heap);
                    // The lock goes before what the heap has outgrown.
                    drop(heap);
                    return Some(timer);
                }
                Err(back) => what = back,
            }
            let wanted = heap.wanted();
            drop(heap);
            drop(room);
            room = Room::of(wanted)?;
        }
    }

    /// Takes what is due first, if it is at `now`, and calls `fire` with it under the lock.
    pub(crate) fn pop_due<R>(&self, now: u64, fire: impl FnMut(K) -> R) -> Option<R> {
        let [due] = self.pop_several(now, |_| (), fire);
        due
    }

    /// Takes up to `N` out that are due at `now`, the first first, and calls `fire` with each,
    /// under the lock. `seen` is called with all of them before: what it fetches is there when they
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

    /// Gives the ticket back, by whoever got it. False: the timer has fired.
    pub(crate) fn remove(&self, timer: TimerId) -> bool {
        let mut heap = self.heap.lock();
        let what = heap.remove(timer);
        self.publish(&heap);
        drop(heap);
        what.is_some()
    }

    /// Not written if nothing changes: every M reads the line.
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
        assert_eq!(timers.pop_due(9, |what| what), None);
        assert_eq!(timers.pop_due(10, |what| what), Some("early"));
        assert_eq!(timers.first(), 20);
        assert!(!timers.remove(early));
        assert!(timers.remove(late));
        assert_eq!(timers.first(), NEVER);
    }

    #[test]
    fn several_come_out_in_their_order_and_none_before_its_time() {
        let timers = Timers::new();
        let tickets = [30, 10, 20, 40].map(|at| timers.add(at, at).expect("memory"));
        let pop = |now| -> Vec<u64> {
            timers.pop_several::<_, 2>(now, |_| (), |at| at).into_iter().flatten().collect()
        };
        assert_eq!([pop(30), pop(30), pop(30)], [vec![10, 20], vec![30], vec![]]);
        assert_eq!(timers.first(), 40);
        assert_eq!(tickets.map(|timer| timers.remove(timer)), [false, false, false, true]);
    }

    #[test]
    fn it_grows_as_needed() {
        let timers = Timers::new();
        let tickets: Vec<_> = (0..1000).map(|n| timers.add(1000 - n, n).expect("memory")).collect();
        assert_eq!(timers.first(), 1);
        let order: Vec<_> = std::iter::from_fn(|| timers.pop_due(1000, |n| n)).collect();
        assert!(order.into_iter().eq((0..1000).rev()));
        assert!(tickets.into_iter().all(|timer| !timers.remove(timer)));
    }
}
