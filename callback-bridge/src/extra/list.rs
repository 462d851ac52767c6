//! The extra-M list: Ms that wait for a thread that gosched did not create.
//!
//! # The rule
//!
//! *The list always has one more M than is needed.* A thread that takes the last M makes another,
//! once it is inside, as a goroutine with its signals restored. In the gap between the thread's own
//! world and ours all signals are blocked, and nothing is allocated there.
//!
//! A thread that finds the list empty leaves the gap again and makes an M for itself, with its own
//! mask. No thread waits for another one here: not for a lock, and not for an M.
//!
//! # The words
//!
//! `head` is the number of the first M and a tag. Taking an M exchanges the head for the number in
//! that M's slot; a slot is read before the exchange, and another thread may have taken the M by
//! then. The tag makes that exchange fail: each M that is put back moves the tag, so a head never
//! has an earlier value again while the M in it was away. The tag has 40 bits. For a wrong exchange
//! a thread would have to stand still between two instructions while others put back a multiple of
//! 2^40 Ms, which takes them hours, and the last of those Ms would have to be the same one.
//!
//! Numbers are indexes into [`slots`](ExtraList::slots), which grow and never move. What a late
//! reader reads lies in the slot. The M itself is reached only by its owner.
//!
//! `owed` is true while a thread makes an M for the list. It saves memory and nothing else: threads
//! that take the last M at the same time would each make one. It is cleared before the M is put on
//! the list. So a thread that takes this M, and finds it to be the last, owes another.
//!
//! A signal handler may interrupt an operation of the list anywhere, and begin another one. The
//! deadlock of golang/go#42207 cannot come back.
//!
//! # Rejected
//!
//! - *A locked value of the head*: a real-time thread that preempts the holder on the same
//!   processor spins until the kernel throttles it, for a second.
//! - *Waiting for the debtor*: the same thread would sleep until the normal thread that owes has
//!   the processor, in the middle of an allocation. And the wake-ups had to be got right.
//! - *A pointer and a tag in one word*: an address leaves 17 bits, or 22 with aligned Ms. A busy
//!   list puts back 2^22 Ms within a second.
//! - *The link inside the M*: a late reader would read from an M to which another thread has the
//!   only reference.
//! - *Polling with a short sleep, as Go does*: a hundred threads that arrive together would wake a
//!   hundred times each.
//!
//! # Safety
//!
//! A slot's pointer is a leaked box's. Only one thread has a reference to a node: the thread that
//! made it, until it puts the node on the list, and then the thread that took the node off.
#![expect(unsafe_code, reason = "hands out the nodes of a lock-free list")]

use gosched_runtime_sys::sync::primitive::{
    AtomicBool, AtomicPtr, AtomicU32, AtomicU64, Ordering, mutated,
};
use std::cell::Cell;
use std::ptr;
use std::sync::OnceLock;

/// A node of the list.
///
/// # Safety
///
/// `number` returns the same place at every call, and a place belongs to one node.
pub(crate) unsafe trait Node: Sized + Send + 'static {
    /// Returns the place where the list keeps the node's number.
    fn number(&self) -> &Number;
}

/// A node's number in its list, from 1; 0 before the node has one.
#[derive(Debug, Default)]
pub(crate) struct Number(Cell<u32>);

impl Number {
    /// Returns a place without a number.
    #[inline]
    pub(crate) const fn new() -> Self {
        Self(Cell::new(0))
    }
}

/// The number that stands for no node.
const NONE: u32 = 0;

/// How many bits of the head are the first node's number.
const NUMBER_BITS: u32 = 24;

/// The greatest number: more than the threads that a kernel of 2026 can have.
const MOST: u32 = (1 << NUMBER_BITS) - 1;

/// The number in a head.
fn first(head: u64) -> u32 {
    (head & u64::from(MOST)) as u32
}

/// The head after `node` was put in front: its tag has moved.
fn with_pushed(head: u64, node: u32) -> u64 {
    let tag = head & !u64::from(MOST);
    let step = if mutated("extra.tag_stays") { 0 } else { 1 << NUMBER_BITS };
    tag.wrapping_add(step) | u64::from(node)
}

/// The head after its first node was taken off. The tag stays.
#[inline]
fn with_popped(head: u64, next: u32) -> u64 {
    (head & !u64::from(MOST)) | u64::from(next)
}

/// What is known of the node with one number.
struct Slot<T> {
    /// The node; null before there is one. Written before the node is put on the list.
    node: AtomicPtr<T>,
    /// The number behind the node on the list. Written while the node is not listed; a late reader
    /// may read it at any time, and does not use what it read.
    next: AtomicU32,
}

impl<T> Slot<T> {
    fn vacant() -> Self {
        Self { node: AtomicPtr::new(ptr::null_mut()), next: AtomicU32::new(NONE) }
    }
}

/// How many slots the first chunk has. Each further chunk has twice as many as the one before it.
const FIRST_CHUNK: usize = 8;

/// Enough chunks for [`MOST`] slots.
const CHUNKS: usize = 22;

/// The chunk that a number lies in, and its place there.
fn locate(number: u32) -> (usize, usize) {
    let index = number as usize - 1;
    let chunk = (index / FIRST_CHUNK + 1).ilog2() as usize;
    (chunk, index - FIRST_CHUNK * ((1 << chunk) - 1))
}

/// The list.
pub(crate) struct ExtraList<T> {
    head: AtomicU64,
    owed: AtomicBool,
    /// How many numbers were given out.
    numbers: AtomicU32,
    slots: [OnceLock<Box<[Slot<T>]>>; CHUNKS],
}

/// The debt of one more node. There is one at a time. Dropped, it is written off.
#[must_use = "the list has one node fewer than it should"]
pub(crate) struct Owed<'a, T>(&'a ExtraList<T>);

impl<T: Node> Owed<'_, T> {
    /// Pays the debt with `node`.
    pub(crate) fn pay(self, node: &'static mut T) {
        let list = self.0;
        if mutated("extra.clear_after_put") {
            list.put(node);
            return;
        }
        drop(self);
        list.put(node);
    }
}

impl<T> Drop for Owed<'_, T> {
    fn drop(&mut self) {
        // Relaxed: `pay` puts a node on the list afterwards, which the thread that takes it
        // acquires.
        self.0.owed.store(false, Ordering::Relaxed);
    }
}

/// The outcome of [`ExtraList::take`].
#[must_use = "a node that is dropped here is lost"]
pub(crate) enum Take<T: 'static> {
    /// One of several nodes.
    One(&'static mut T),
    /// The last node: see to another one, once inside.
    Last(&'static mut T),
    /// None: leave the gap and make one.
    Empty,
}

impl<T: Node> ExtraList<T> {
    /// Returns an empty list without a debt.
    pub(crate) fn new() -> Self {
        Self {
            head: AtomicU64::new(0),
            owed: AtomicBool::new(false),
            numbers: AtomicU32::new(0),
            slots: [const { OnceLock::new() }; CHUNKS],
        }
    }

    /// Makes `node` one of the list's. It is the caller's until it is [put](Self::put) on the list.
    /// None, if there are as many as there can be; then `node` is dropped. Allocates.
    pub(crate) fn adopt(&self, node: Box<T>) -> Option<&'static mut T> {
        let number = self.numbers.fetch_add(1, Ordering::Relaxed) + 1;
        if number > MOST {
            self.numbers.store(MOST, Ordering::Relaxed);
            return None;
        }
        node.number().0.set(number);
        let node = Box::into_raw(node);
        // Relaxed: `put` releases it.
        self.slot(number).node.store(node, Ordering::Relaxed);
        // SAFETY: a leaked box, and nobody takes it from a list that it was never put on.
        Some(unsafe { &mut *node })
    }

    /// Makes a node of another list one that this list may have, with the same number. All nodes of
    /// this list are from that one. Allocates.
    pub(crate) fn know(&self, node: &'static mut T) -> &'static mut T {
        let number = node.number().0.get();
        let node = ptr::from_mut(node);
        // Relaxed, as in `adopt`. The address is the same each time; it was made anew from the
        // owner's reference.
        self.slot(number).node.store(node, Ordering::Relaxed);
        // SAFETY: from that reference, which is not used any more.
        unsafe { &mut *node }
    }

    /// Takes a node.
    pub(crate) fn take(&self) -> Take<T> {
        self.take_if(|_next| true)
    }

    /// Takes a node that is not the last. The last one does not leave the list, not even for a
    /// moment in which another thread would find nothing.
    pub(crate) fn take_spare(&self) -> Option<&'static mut T> {
        match self.take_if(|next| next != NONE || mutated("extra.spare_last")) {
            Take::One(node) => Some(node),
            Take::Last(node) => {
                self.put(node);
                None
            }
            Take::Empty => None,
        }
    }

    /// Takes the first node, if there is one, and if `wanted` says so of the number behind it.
    #[inline]
    fn take_if(&self, wanted: impl Fn(u32) -> bool) -> Take<T> {
        let order =
            if mutated("extra.take_relaxed") { Ordering::Relaxed } else { Ordering::Acquire };
        // ORDERING[extra.listed]: partner is the exchange in `put`. Every later value of the head
        // was made by an exchange, too, so it carries that one's release along: the slots and nodes
        // of all that are listed are visible.
        let mut head = self.head.load(order);
        loop {
            if first(head) == NONE {
                return Take::Empty;
            }
            let slot = self.slot(first(head));
            let next = slot.next.load(Ordering::Relaxed);
            if !wanted(next) {
                return Take::Empty;
            }
            // ORDERING[extra.listed]: as above, for the next round. A success is Relaxed: the same
            // value was acquired before.
            match self.head.compare_exchange(
                head,
                with_popped(head, next),
                Ordering::Relaxed,
                order,
            ) {
                Ok(_) => {
                    let node = slot.node.load(Ordering::Relaxed);
                    // SAFETY: a leaked box that was put on the list; the exchange took it off, and
                    // only one exchange does.
                    let node = unsafe { &mut *node };
                    return if next == NONE { Take::Last(node) } else { Take::One(node) };
                }
                Err(changed) => head = changed,
            }
        }
    }

    /// Puts a node on the list. From here on another thread may take it.
    pub(crate) fn put(&self, node: &'static mut T) {
        let number = node.number().0.get();
        let slot = self.slot(number);
        let mut head = self.head.load(Ordering::Relaxed);
        loop {
            slot.next.store(first(head), Ordering::Relaxed);
            // ORDERING[extra.listed]: partner is the load in `take`: what was done with the node,
            // and what its slot says.
            let order =
                if mutated("extra.put_relaxed") { Ordering::Relaxed } else { Ordering::Release };
            let pushed = with_pushed(head, number);
            match self.head.compare_exchange(head, pushed, order, Ordering::Relaxed) {
                Ok(_) => return,
                Err(changed) => head = changed,
            }
        }
    }

    /// Takes on the debt of an empty list. None in every other case, and where a thread owes
    /// already.
    pub(crate) fn owe(&self) -> Option<Owed<'_, T>> {
        // Relaxed, both: nothing is done with what others wrote. A thread that took a node of the
        // list has acquired the end of the debt that the node paid.
        let is_empty = first(self.head.load(Ordering::Relaxed)) == NONE;
        (is_empty && !self.owed.swap(true, Ordering::Relaxed)).then(|| Owed(self))
    }

    /// The slot of a number that was given out.
    fn slot(&self, number: u32) -> &Slot<T> {
        let (chunk, place) = locate(number);
        let chunk = &self.slots[chunk];
        // Two threads may both make it. Neither waits for the other's allocation.
        let slots = chunk.get().unwrap_or_else(|| {
            let size = FIRST_CHUNK << locate(number).0;
            let _the_other_ones_serve = chunk.set((0..size).map(|_| Slot::vacant()).collect());
            chunk.get().expect("it was set")
        });
        &slots[place]
    }
}

#[cfg(all(test, not(gosched_loom)))]
pub(crate) mod tests {
    use super::*;
    use std::collections::HashSet;
    use std::thread::scope;

    /// A node for tests.
    pub(crate) struct Numbered {
        number: Number,
        users: AtomicU32,
    }

    impl Numbered {
        pub(crate) fn new() -> Box<Self> {
            Box::new(Self { number: Number::new(), users: AtomicU32::new(0) })
        }
    }

    // SAFETY: one place each.
    unsafe impl Node for Numbered {
        fn number(&self) -> &Number {
            &self.number
        }
    }

    fn adopt(list: &ExtraList<Numbered>) -> &'static mut Numbered {
        list.adopt(Numbered::new()).expect("a number")
    }

    fn numbers(list: &ExtraList<Numbered>) -> Vec<u32> {
        let mut numbers = Vec::new();
        while let Take::One(node) | Take::Last(node) = list.take() {
            numbers.push(node.number.0.get());
        }
        numbers
    }

    #[test]
    fn last_in_first_out() {
        let list = ExtraList::new();
        assert!(matches!(list.take(), Take::Empty));
        let nodes: Vec<_> = (0..3).map(|_| adopt(&list)).collect();
        nodes.into_iter().for_each(|node| list.put(node));
        let Take::One(node) = list.take() else { panic!("three nodes") };
        assert_eq!(node.number.0.get(), 3);
        list.put(node);
        assert_eq!(numbers(&list), [3, 2, 1]);
    }

    #[test]
    fn one_owes_at_a_time_and_only_for_an_empty_list() {
        let list = ExtraList::new();
        let owed = list.owe().expect("it is empty");
        assert!(list.owe().is_none(), "one debtor at a time");
        owed.pay(adopt(&list));
        assert!(list.owe().is_none(), "there is one");
        let Take::Last(_taken) = list.take() else { panic!("one node") };
        drop(list.owe().expect("it is empty again"));
        assert!(list.owe().is_some(), "the debt was written off");
    }

    #[test]
    fn each_number_has_a_place_of_its_own() {
        let mut seen = HashSet::new();
        let mut sizes = [0; CHUNKS];
        for number in (1..200_000).chain([MOST]) {
            let (chunk, place) = locate(number);
            assert!(place < FIRST_CHUNK << chunk && seen.insert((chunk, place)), "{number}");
            sizes[chunk] += 1;
        }
        assert_eq!(sizes[..3], [8, 16, 32]);
    }

    #[test]
    fn a_node_has_one_owner_at_a_time() {
        let list = ExtraList::new();
        (0..3).for_each(|_| list.put(adopt(&list)));
        scope(|scope| {
            for _ in 0..6 {
                scope.spawn(|| {
                    for _ in 0..20_000 {
                        let node = match list.take() {
                            Take::One(node) | Take::Last(node) => node,
                            Take::Empty => continue,
                        };
                        assert_eq!(node.users.fetch_add(1, Ordering::Relaxed), 0);
                        node.users.fetch_sub(1, Ordering::Relaxed);
                        list.put(node);
                    }
                });
            }
        });
        let mut left = numbers(&list);
        left.sort_unstable();
        assert_eq!(left, [1, 2, 3]);
    }
}
