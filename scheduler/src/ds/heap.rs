//! A heap of deadlines, from which any entry can be removed at any time.
//!
//! # What the outside needs
//!
//! The earliest entry comes out first; equals come out in the order in which they came. Insertion
//! and removal take logarithmic time, also in the middle: most time limits never pass, and an entry
//! that stayed until its time would be kept, and sifted past, for nothing. The heap lies under a
//! lock, so no memory is allocated or freed inside: [`insert`](Heap::insert) reports that there is
//! no room, and the caller brings more ([`Room`]) with its next attempt.
//!
//! # How
//!
//! Each node has four children: half the levels of a binary heap, and the children of one node are
//! 64 bytes, a cache line. The entries that are sifted are small and carry their deadline, so a
//! comparison follows no pointer. An entry knows its *slot*, and the slot knows where the entry is;
//! so a removal from the middle finds its entry. Only [`remove`](Heap::remove) gives the
//! [`TimerId`] of a slot back, whether the entry has come out already or not. So a slot is not
//! reused while somebody may still ask for it.
//!
//! # Rejected
//!
//! - Nodes on the waiting stacks that know their place, instead of slots: each step of a sift would
//!   write into another goroutine's stack, which is a page of its own, and each of these writes
//!   would go through a raw pointer.
//! - Leaving removed entries in until they come to the top, as Go does: with a time limit of an
//!   hour on each of a million requests a second, the heap would be too large to sift.
//! - A timing wheel: constant time, but it rounds, and needs a tick or a search to find out when to
//!   wake up next.

use std::fmt;
use std::ops::Range;
use std::ptr;

use gosched_runtime_sys::memory::prefetch;

/// Marks the end of the list of vacant slots, and a slot whose entry has come out.
const NOWHERE: u32 = u32::MAX;

/// What is sifted: a deadline, the order among equals, and the slot.
#[derive(Clone, Copy)]
struct Entry {
    at: u64,
    /// Counts up and wraps. It orders equals as long as fewer than half of all numbers lie between
    /// them.
    order: u32,
    slot: u32,
}

impl Entry {
    fn before(&self, other: &Entry) -> bool {
        let later = other.order.wrapping_sub(self.order);
        (self.at, 0) < (other.at, i32::from(0 < later && later <= u32::MAX / 2))
    }
}

/// An item and where its entry is; or, if vacant, the next vacant slot.
struct Slot<K> {
    place: u32,
    item: Option<K>,
}

/// Items by deadline; see the head of this file.
pub(crate) struct Heap<K> {
    entries: Vec<Entry>,
    slots: Vec<Slot<K>>,
    /// The first vacant slot.
    vacant: u32,
    order: u32,
}

/// The right to one slot of one heap. Forgetting it loses the slot.
#[must_use = "a slot that is not given back is lost"]
#[derive(Debug)]
pub(crate) struct TimerId(u32);

/// Memory for a heap to grow into; after [`move_into`](Heap::move_into), what the heap has
/// outgrown.
pub(crate) struct Room<K> {
    entries: Vec<Entry>,
    slots: Vec<Slot<K>>,
}

impl<K> fmt::Debug for Heap<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Heap").field("len", &self.entries.len()).finish_non_exhaustive()
    }
}

impl<K> Room<K> {
    /// No room yet. Allocates nothing.
    pub(crate) const fn none() -> Self {
        Self { entries: Vec::new(), slots: Vec::new() }
    }

    /// Returns room for `wanted` entries, or `None` if there is no memory for it.
    pub(crate) fn of(wanted: usize) -> Option<Self> {
        let mut room = Self::none();
        room.entries.try_reserve_exact(wanted).ok()?;
        room.slots.try_reserve_exact(wanted).ok()?;
        Some(room)
    }
}

impl<K> Heap<K> {
    pub(crate) const fn new() -> Self {
        Self { entries: Vec::new(), slots: Vec::new(), vacant: NOWHERE, order: 0 }
    }

    /// Returns the first deadline.
    pub(crate) fn first(&self) -> Option<u64> {
        self.entries.first().map(|entry| entry.at)
    }

    /// Returns how many deadlines are not later than `until`, if they are fewer than `most`, and
    /// else `most`. Looks at some entries for each that it counts.
    pub(crate) fn count_by(&self, until: u64, most: usize) -> usize {
        self.count_from(0, until, most)
    }

    /// Counts at `place` and below.
    fn count_from(&self, place: usize, until: u64, most: usize) -> usize {
        if most == 0 || self.entries.get(place).is_none_or(|entry| entry.at > until) {
            return 0;
        }
        children(place).fold(1, |count, below| count + self.count_from(below, until, most - count))
    }

    /// Returns the number of items.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Returns how much room the caller must bring if [`insert`](Self::insert) had none.
    pub(crate) fn wanted(&self) -> usize {
        (2 * self.slots.len()).max(16)
    }

    /// Moves into `room` if `room` is larger. The outgrown memory is left in `room`, to be freed
    /// with the lock free.
    pub(crate) fn move_into(&mut self, room: &mut Room<K>) {
        if room.slots.capacity() > self.slots.capacity()
            && room.entries.capacity() > self.entries.capacity()
        {
            room.entries.append(&mut self.entries);
            room.slots.append(&mut self.slots);
            std::mem::swap(&mut room.entries, &mut self.entries);
            std::mem::swap(&mut room.slots, &mut self.slots);
        }
    }

    /// Inserts `item`, due at `at`. Gives the item back if there is no room.
    pub(crate) fn insert(&mut self, at: u64, item: K) -> Result<TimerId, K> {
        if self.entries.len() == self.entries.capacity() {
            return Err(item);
        }
        let slot = match self.vacant {
            NOWHERE
                if self.slots.len() == self.slots.capacity()
                    || self.slots.len() >= NOWHERE as usize =>
            {
                return Err(item);
            }
            NOWHERE => {
                self.slots.push(Slot { place: NOWHERE, item: Some(item) });
                self.slots.len() as u32 - 1
            }
            vacant => {
                let slot = &mut self.slots[vacant as usize];
                self.vacant = slot.place;
                slot.item = Some(item);
                vacant
            }
        };
        self.order = self.order.wrapping_add(1);
        let entry = Entry { at, order: self.order, slot };
        self.entries.push(entry);
        self.sift_up(self.entries.len() - 1, entry);
        Ok(TimerId(slot))
    }

    /// Takes the first item out, if it is due at `now`. Its slot stays taken until
    /// [`remove`](Self::remove).
    pub(crate) fn pop_due(&mut self, now: u64) -> Option<K> {
        let first = *self.entries.first().filter(|first| first.at <= now)?;
        self.take_out(0);
        let slot = &mut self.slots[first.slot as usize];
        slot.place = NOWHERE;
        slot.item.take()
    }

    /// Gives the slot back. Returns the item if it was still in.
    pub(crate) fn remove(&mut self, TimerId(number): TimerId) -> Option<K> {
        let slot = &mut self.slots[number as usize];
        let (place, item) = (slot.place, slot.item.take());
        slot.place = std::mem::replace(&mut self.vacant, number);
        if item.is_some() {
            self.take_out(place as usize);
        }
        item
    }

    /// Replaces the item, which keeps its deadline. Gives the new one back if the old one has come
    /// out.
    pub(crate) fn replace(&mut self, TimerId(number): &TimerId, item: K) -> Result<K, K> {
        match &mut self.slots[*number as usize].item {
            Some(there) => Ok(std::mem::replace(there, item)),
            None => Err(item),
        }
    }

    /// Takes an entry out of the heap. Its slot is for the caller to update.
    fn take_out(&mut self, place: usize) {
        let last = self.entries.pop().expect("there is an entry at `place`");
        if place == self.entries.len() {
            return;
        }
        if place > 0 && last.before(&self.entries[parent(place)]) {
            self.sift_up(place, last);
        } else {
            self.sift_down(place, last);
        }
    }

    fn put(&mut self, place: usize, entry: Entry) {
        self.entries[place] = entry;
        self.slots[entry.slot as usize].place = place as u32;
    }

    /// Moves `entry` from `place`, which is free, towards the root, and puts it where it belongs.
    fn sift_up(&mut self, mut place: usize, entry: Entry) {
        while place > 0 {
            let above = self.entries[parent(place)];
            if !entry.before(&above) {
                break;
            }
            self.put(place, above);
            place = parent(place);
        }
        self.put(place, entry);
    }

    /// Moves `entry` from `place`, which is free, towards the leaves, and puts it where it belongs.
    fn sift_down(&mut self, mut place: usize, entry: Entry) {
        loop {
            self.fetch_from(16 * place + 5);
            let below = children(place).start..children(place).end.min(self.entries.len());
            let least =
                below.reduce(|a, b| if self.entries[b].before(&self.entries[a]) { b } else { a });
            let Some(least) = least.filter(|least| self.entries[*least].before(&entry)) else {
                break;
            };
            self.put(place, self.entries[least]);
            place = least;
        }
        self.put(place, entry);
    }

    /// Prefetches the sixteen entries from `place` on, which are the grandchildren of a node.
    ///
    /// In a large heap they are in no cache, and the comparison of the children decides late which
    /// of them is needed.
    fn fetch_from(&self, place: usize) {
        if let Some(first) = self.entries.get(place) {
            let first = ptr::from_ref(first).addr();
            (0..16 * size_of::<Entry>())
                .step_by(prefetch::LINE)
                .for_each(|line| prefetch::line(first.wrapping_add(line)));
        }
    }
}

fn parent(place: usize) -> usize {
    (place - 1) / 4
}

fn children(place: usize) -> Range<usize> {
    4 * place + 1..4 * place + 5
}

#[cfg(test)]
mod tests {
    use super::{Heap, Room, TimerId};

    fn insert<K>(heap: &mut Heap<K>, at: u64, item: K) -> TimerId {
        heap.insert(at, item).unwrap_or_else(|item| {
            heap.move_into(&mut Room::of(heap.wanted()).expect("memory"));
            heap.insert(at, item).ok().expect("room was just made")
        })
    }

    #[test]
    fn what_is_due_early_is_counted_up_to_a_limit() {
        let mut heap = Heap::new();
        let deadlines: Vec<u64> = (0..1_000).map(|n| n * 7919 % 499).collect();
        deadlines.iter().for_each(|at| _ = insert(&mut heap, *at, ()));
        for until in [0, 1, 7, 100, 498, 1_000] {
            let all = deadlines.iter().filter(|at| **at <= until).count();
            for most in [0, 1, 2, 8, 100, 1_001] {
                assert_eq!(heap.count_by(until, most), all.min(most), "{until}, {most}");
            }
        }
        assert_eq!(Heap::<()>::new().count_by(1, 1), 0);
    }

    #[test]
    fn the_earliest_comes_first_and_equals_in_their_order() {
        let mut heap = Heap::new();
        let timers: Vec<_> = [5, 3, 5, 1, 3]
            .into_iter()
            .enumerate()
            .map(|(n, at)| insert(&mut heap, at, n))
            .collect();
        assert_eq!(heap.first(), Some(1));
        assert_eq!(heap.pop_due(0), None);
        let order: Vec<_> = std::iter::from_fn(|| heap.pop_due(5)).collect();
        assert_eq!(order, [3, 1, 4, 0, 2]);
        assert!(timers.into_iter().all(|timer| heap.remove(timer).is_none()), "all have come out");
    }

    #[test]
    fn the_order_of_equals_goes_round() {
        let mut heap = Heap::new();
        heap.order = u32::MAX - 2;
        let timers: Vec<_> = (0..6).map(|n| insert(&mut heap, 7, n)).collect();
        let order: Vec<_> = std::iter::from_fn(|| heap.pop_due(7)).collect();
        assert_eq!(order, [0, 1, 2, 3, 4, 5]);
        timers.into_iter().for_each(|timer| assert!(heap.remove(timer).is_none()));
    }

    #[test]
    fn a_slot_is_not_used_again_before_its_timer_id_is_back() {
        let mut heap = Heap::new();
        let first = insert(&mut heap, 1, "first");
        assert_eq!(heap.pop_due(1), Some("first"));
        let second = insert(&mut heap, 2, "second");
        assert_eq!(heap.remove(first), None);
        assert_eq!(heap.len(), 1, "the second is in its own slot");
        assert_eq!(heap.remove(second), Some("second"));
        assert_eq!((heap.len(), heap.first()), (0, None));
        assert_eq!(heap.slots.len(), 2);
        let _third = insert(&mut heap, 3, "third");
        assert_eq!(heap.slots.len(), 2, "a vacant slot is used first");
    }

    #[test]
    fn without_room_nothing_is_put_in() {
        let mut heap = Heap::new();
        assert_eq!(heap.insert(1, 7).err(), Some(7));
        assert!(Room::<u64>::of(usize::MAX).is_none());
        assert_eq!(heap.len(), 0);
    }

    /// Random insertions, removals from the middle and times that pass, against a sorted map.
    #[test]
    fn as_a_sorted_map_does() {
        let mut seed = 0x2545_f491_4f6c_dd1d_u64;
        let mut random = move |below: u64| {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            seed % below
        };
        let (mut heap, mut map, mut timers) =
            (Heap::new(), std::collections::BTreeMap::new(), Vec::new());
        for n in 0..20_000_u64 {
            match random(10) {
                0..5 => {
                    let at = random(200) + n / 50;
                    timers.push((insert(&mut heap, at, n), (at, n)));
                    map.insert((at, n), n);
                }
                5..8 if !timers.is_empty() => {
                    let (timer, key) = timers.swap_remove(random(timers.len() as u64) as usize);
                    assert_eq!(heap.remove(timer), map.remove(&key));
                }
                _ => {
                    let now = n / 50 + random(20);
                    let due =
                        map.first_key_value().filter(|(key, _)| key.0 <= now).map(|(key, _)| *key);
                    assert_eq!(heap.pop_due(now), due.and_then(|key| map.remove(&key)));
                }
            }
            assert_eq!(heap.first(), map.first_key_value().map(|(key, _)| key.0));
            assert_eq!(heap.len(), map.len());
        }
        for (timer, key) in timers {
            assert_eq!(heap.remove(timer), map.remove(&key));
        }
        assert_eq!(heap.len(), 0);
    }
}
