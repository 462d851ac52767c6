//! The buffer of a channel: a ring of values that come from a [`Place`] and go to one, without a
//! copy on the stack.
//!
//! # Safety
//!
//! The `len` slots from `head` on, around the end, hold values; the others hold nothing.

#![expect(unsafe_code, reason = "a ring of slots that may hold nothing")]

use std::mem::{self, MaybeUninit};
use std::ptr;

use super::place::Place;
use crate::wait::owed::Panics;

/// The values that a channel holds.
pub(crate) struct Buffer<T> {
    slots: Box<[MaybeUninit<T>]>,
    head: usize,
    len: usize,
}

impl<T> Buffer<T> {
    /// Returns an empty buffer, with room for so many values.
    pub(crate) fn with_capacity(capacity: usize) -> Self {
        Self { slots: Box::new_uninit_slice(capacity), head: 0, len: 0 }
    }

    #[inline(always)]
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    #[inline(always)]
    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    #[inline(always)]
    pub(super) fn has_room(&self) -> bool {
        self.len < self.slots.len()
    }

    pub(super) fn capacity(&self) -> usize {
        self.slots.len()
    }

    /// Returns the slot that is `n` behind the head; `n` is less than the capacity.
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
        assert!(place.is_full() && self.has_room(), "a value, and room for it");
        let slot = self.slot(self.len);
        // SAFETY: the place is full, and the slot behind the last value holds nothing.
        unsafe { place.move_out(slot) };
        self.len += 1;
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

    /// Gives the oldest value up. It is in the slot that is returned.
    #[inline(always)]
    fn oldest_out(&mut self) -> Option<*mut T> {
        if self.len == 0 {
            return None;
        }
        let slot = self.slot(0);
        let next = self.head + 1;
        self.head = if next == self.slots.len() { 0 } else { next };
        self.len -= 1;
        Some(slot)
    }

    /// Moves all values into `larger`, which is empty and has the room, and changes places with it.
    pub(super) fn move_to(&mut self, larger: &mut Self) {
        assert!(larger.is_empty() && larger.capacity() >= self.len, "room for all");
        for n in 0..self.len {
            let (from, to) = (self.slot(n), larger.slot(n));
            // SAFETY: a value, and a slot of another buffer that holds nothing.
            unsafe { ptr::copy_nonoverlapping(from, to, 1) };
        }
        larger.len = mem::take(&mut self.len);
        self.head = 0;
        mem::swap(self, larger);
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
    fn values_come_out_in_order_around_the_end_and_across_a_move() {
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
            if round % 16 == 15 {
                let mut larger = Buffer::with_capacity(buffer.capacity() + 2);
                buffer.move_to(&mut larger);
                assert_eq!(larger.len(), 0);
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
