//! The buffer of a channel: values that come from a [`Place`] and go to one, without a copy on the
//! stack.
//!
//! A bounded channel has one block of slots, and uses it as a ring. So does an unbounded one that
//! has little to hold. What does not fit lies in further [`blocks`](super::blocks), each twice as
//! large as the one before, up to [`BLOCK_BYTES`]. The oldest block is read; when it is empty, the
//! next one takes its place. So a channel that has held much gives the memory back as it is read.
//!
//! # Who allocates
//!
//! Nothing is allocated or freed here, because the buffer lies under the channel's lock. A new
//! block is [adopted](Buffer::adopt); a block that is read goes to `retired`, which the caller
//! takes away and drops without the lock. One such block is kept as the `spare`, so that a channel
//! whose load goes up and down at the end of a block does not allocate each time.
//!
//! # Rejected
//!
//! A ring that grows by moving: the move is under the lock, 125 ms for a million of large values,
//! and the largest ring stays.
//!
//! # Safety
//!
//! The slots of the ring from `head` on, around the end, hold all values but those of `more`; the
//! others hold nothing. While `more` has blocks, nothing is added to the ring.

#![expect(unsafe_code, reason = "slots that may hold nothing")]

use std::mem::{self, MaybeUninit};
use std::ptr;

use super::blocks::{Block, Row};
use super::place::Place;
use crate::wait::owed::Panics;

/// Slots of the first block of an unbounded channel.
const FIRST: usize = 4;

/// Bytes of the slots of a large block. It has at least [`FIRST`] slots all the same.
const BLOCK_BYTES: usize = 4096;

/// The values that a channel holds.
pub(crate) struct Buffer<T> {
    slots: Box<[MaybeUninit<T>]>,
    head: usize,
    /// How many values there are in all.
    len: usize,
    /// What does not fit into `slots`: later values.
    more: Row<T>,
    /// How many values are in `more`.
    len_of_more: usize,
    spare: Option<Box<Block<T>>>,
    /// Empty blocks, to be freed.
    retired: Row<T>,
}

impl<T> Buffer<T> {
    /// Returns an empty buffer, with room for so many values.
    pub(crate) fn with_capacity(capacity: usize) -> Self {
        Self {
            slots: Box::new_uninit_slice(capacity),
            head: 0,
            len: 0,
            more: Row::default(),
            len_of_more: 0,
            spare: None,
            retired: Row::default(),
        }
    }

    #[inline(always)]
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    #[inline(always)]
    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// True if there is room for another value. If only the spare block has any, it is added.
    #[inline(always)]
    pub(super) fn has_room(&mut self) -> bool {
        (self.more.is_empty() && self.len < self.slots.len()) || self.has_more_room()
    }

    #[cold]
    #[inline(never)]
    fn has_more_room(&mut self) -> bool {
        if self.more.last().is_some_and(|last| last.len < last.slots.len()) {
            return true;
        }
        let Some(spare) = self.spare.take() else { return false };
        self.more.push(spare);
        true
    }

    /// Returns how many slots the next block is to have.
    pub(super) fn next_block(&mut self) -> usize {
        let last = self.more.last().map_or(self.slots.len(), |last| last.slots.len());
        let most = BLOCK_BYTES / size_of::<T>().max(1);
        last.saturating_mul(2).min(most).max(FIRST)
    }

    /// Adds an empty block, if there is no room. Returns what is to be freed.
    pub(super) fn adopt(&mut self, mut block: Box<Block<T>>) -> Option<Box<Block<T>>> {
        if self.has_room() {
            return Some(block);
        }
        if self.slots.is_empty() {
            mem::swap(&mut self.slots, &mut block.slots);
            return Some(block);
        }
        self.more.push(block);
        None
    }

    /// True if [`take_retired`](Self::take_retired) has something to take.
    #[inline(always)]
    pub(super) fn has_retired(&self) -> bool {
        !self.retired.is_empty()
    }

    /// Returns the blocks that are to be freed.
    pub(super) fn take_retired(&mut self) -> Row<T> {
        mem::take(&mut self.retired)
    }

    /// Returns the slot of the ring that is `n` behind the head; `n` is less than the capacity.
    #[inline(always)]
    fn slot(&mut self, n: usize) -> *mut T {
        let until_end = self.slots.len() - self.head;
        let index = if n < until_end { self.head + n } else { n - until_end };
        debug_assert!(index < self.slots.len(), "there is such a slot");
        // SAFETY: the callers have looked at `len`: it is a slot of the buffer.
        unsafe { self.slots.as_mut_ptr().add(index) }.cast()
    }

    /// Moves the value of a full place in. There is room.
    #[inline(always)]
    pub(crate) fn push(&mut self, place: &mut Place<T>) {
        assert!(place.is_full(), "a value");
        let slot = if self.more.is_empty() {
            assert!(self.len < self.slots.len(), "and room for it");
            self.len += 1;
            self.slot(self.len - 1)
        } else {
            self.next_of_more()
        };
        // SAFETY: the place is full, and the slot behind the last value holds nothing.
        unsafe { place.move_out(slot) };
    }

    /// Counts another value of the last block, and returns its slot.
    #[cold]
    #[inline(never)]
    fn next_of_more(&mut self) -> *mut T {
        let last = self.more.last().expect("the caller has looked");
        let slot = last.slots[last.len].as_mut_ptr();
        last.len += 1;
        self.len += 1;
        self.len_of_more += 1;
        slot
    }

    /// Moves the oldest value into an empty place. False: there is none.
    #[inline(always)]
    pub(crate) fn pop(&mut self, place: &mut Place<T>) -> bool {
        debug_assert!(!place.is_full(), "the value there would be leaked");
        let Some(oldest) = self.oldest_out() else { return false };
        // SAFETY: a value, which is none of the buffer's any more.
        unsafe { place.move_in(oldest) };
        true
    }

    /// Gives the oldest value up. It is in the slot that is returned, until this is called again.
    #[inline(always)]
    fn oldest_out(&mut self) -> Option<*mut T> {
        if self.len == 0 {
            return None;
        }
        if self.len == self.len_of_more {
            self.replace_ring();
        }
        let slot = self.slot(0);
        let next = self.head + 1;
        self.head = if next == self.slots.len() { 0 } else { next };
        self.len -= 1;
        Some(slot)
    }

    /// Has the next block take the place of the ring, which is empty.
    #[cold]
    #[inline(never)]
    fn replace_ring(&mut self) {
        let mut next = self.more.pop().expect("there are values, and not in the ring");
        debug_assert!(next.len > 0, "a block was added for a value");
        mem::swap(&mut self.slots, &mut next.slots);
        self.head = 0;
        self.len_of_more -= mem::take(&mut next.len);
        // Of two that are empty the larger one stays.
        let smaller = match self.spare.take() {
            Some(spare) if spare.slots.len() >= next.slots.len() => {
                self.spare = Some(spare);
                Some(next)
            }
            spare => {
                self.spare = Some(next);
                spare
            }
        };
        if let Some(smaller) = smaller {
            self.retired.push(smaller);
        }
    }
}

impl<T> Drop for Buffer<T> {
    /// Drops every value, whichever of them unwind; then the first panic goes on.
    fn drop(&mut self) {
        if !mem::needs_drop::<T>() {
            return;
        }
        let mut panics = Panics::none();
        while let Some(value) = self.oldest_out() {
            // SAFETY: a value, which is none of the buffer's any more.
            panics.catch(|| unsafe { ptr::drop_in_place(value) });
        }
        panics.go_on();
    }
}

#[cfg(all(test, not(gosched_loom)))]
mod tests {
    use std::cell::Cell;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;

    fn popped<T>(buffer: &mut Buffer<T>) -> Option<T> {
        let mut place = Place::Empty;
        assert_eq!(buffer.pop(&mut place), place.is_full());
        place.take()
    }

    #[test]
    fn values_come_out_in_order_around_the_end() {
        let mut buffer = Buffer::with_capacity(3);
        let (mut pushed, mut taken) = (0_u32, 0);
        for round in 0..50 {
            while buffer.has_room() {
                buffer.push(&mut Place::Full(pushed.to_string()));
                pushed += 1;
            }
            for _ in 0..=round % 3 {
                assert_eq!(popped(&mut buffer), Some(taken.to_string()));
                taken += 1;
            }
        }
        while let Some(value) = popped(&mut buffer) {
            assert_eq!(value, taken.to_string());
            taken += 1;
        }
        assert_eq!((taken, buffer.len()), (pushed, 0));
        let mut none = Buffer::<()>::with_capacity(usize::MAX);
        none.push(&mut Place::Full(()));
        assert_eq!((popped(&mut none), popped(&mut none)), (Some(()), None));
    }

    /// Pushes as a channel does: with a new block where there is no room. True if it needed one.
    fn pushed<T>(buffer: &mut Buffer<T>, value: T) -> bool {
        let grows = !buffer.has_room();
        if grows {
            let wanted = buffer.next_block();
            drop(buffer.adopt(Block::new(wanted)));
        }
        buffer.push(&mut Place::Full(value));
        grows
    }

    #[test]
    fn values_come_out_in_order_from_block_to_block() {
        let mut buffer = Buffer::with_capacity(0);
        let (mut sent, mut taken) = (0_u64, 0_u64);
        for round in 1..200 {
            // Now more than before, now less.
            for _ in 0..round * 7919 % 3001 {
                pushed(&mut buffer, Box::new(sent));
                sent += 1;
            }
            for _ in 0..round * 7907 % 3011 {
                let Some(value) = popped(&mut buffer) else { break };
                assert_eq!(*value, taken);
                taken += 1;
            }
            assert_eq!(buffer.len() as u64, sent - taken);
            drop(buffer.take_retired());
        }
        while popped(&mut buffer).is_some() {
            taken += 1;
        }
        assert_eq!((taken, buffer.is_empty()), (sent, true));
    }

    #[test]
    fn what_is_read_is_retired_and_one_block_is_kept() {
        let mut buffer = Buffer::with_capacity(0);
        let blocks = (0..100_000).filter(|n| pushed(&mut buffer, *n)).count();
        assert!(blocks > 100_000 * size_of::<i32>() / BLOCK_BYTES, "{blocks}");
        while popped(&mut buffer).is_some() {}
        let mut retired = buffer.take_retired();
        let retired = std::iter::from_fn(|| retired.pop()).count();
        // All but the ring, the spare one, and the husk of the first.
        assert!(retired + 3 >= blocks, "{retired} of {blocks}");
        assert_eq!(buffer.slots.len(), BLOCK_BYTES / size_of::<i32>());
        // Up and down at the end of a block.
        let grown = (0..10_000)
            .filter(|n| {
                let grows = pushed(&mut buffer, *n);
                if n % 1500 > 700 {
                    let _two = (popped(&mut buffer), popped(&mut buffer));
                }
                grows
            })
            .count();
        assert!(grown <= 8, "{grown}");
    }

    #[test]
    fn a_buffer_of_many_blocks_is_dropped_one_after_the_other() {
        let drops = Cell::new(0);
        let mut buffer = Buffer::with_capacity(0);
        for _ in 0..100_000 {
            let _grown = pushed(&mut buffer, Counts(&drops, None));
        }
        drop(buffer);
        assert_eq!(drops.get(), 100_000);
    }

    /// Counts its drop, which unwinds with a number if there is one.
    struct Counts<'a>(&'a Cell<u32>, Option<u8>);

    impl Drop for Counts<'_> {
        fn drop(&mut self) {
            self.0.set(self.0.get() + 1);
            if let Some(n) = self.1 {
                std::panic::resume_unwind(Box::new(n));
            }
        }
    }

    #[test]
    fn each_value_is_dropped_once_whichever_of_them_unwind() {
        let drops = Cell::new(0);
        let mut buffer = Buffer::with_capacity(4);
        for n in 0..4 {
            let unwinds = (n % 2 == 1).then_some(n);
            buffer.push(&mut Place::Full(Counts(&drops, unwinds)));
        }
        drop(popped(&mut buffer));
        let payload = catch_unwind(AssertUnwindSafe(|| drop(buffer))).expect_err("it unwinds");
        assert_eq!(payload.downcast_ref(), Some(&1_u8), "the first panic goes on");
        assert_eq!(drops.get(), 4);
    }

    #[test]
    fn on_a_thread_that_unwinds_the_panics_of_drops_are_given_up() {
        let drops = Cell::new(0);
        let mut buffer = Buffer::with_capacity(2);
        buffer.push(&mut Place::Full(Counts(&drops, Some(1))));
        buffer.push(&mut Place::Full(Counts(&drops, Some(2))));
        let payload = catch_unwind(AssertUnwindSafe(|| {
            let _dropped_while_it_unwinds = buffer;
            std::panic::resume_unwind(Box::new(0_u8));
        }));
        assert_eq!(payload.expect_err("it unwinds").downcast_ref(), Some(&0_u8));
        assert_eq!(drops.get(), 2);
    }
}
