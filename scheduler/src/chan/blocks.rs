//! Blocks of slots in a row: what an unbounded buffer holds beyond its first block.
//!
//! A row owns its blocks. Values are added to the last block and never taken here: a block leaves
//! the row whole, and its reader knows how many values it has.
//!
//! # Invariants
//!
//! - `first` and `last` are both null, or lead to the ends of a list of blocks from
//!   `Box::into_raw`, linked by `next`.
//! - The first `len` slots of a block in a row hold values.
//!
//! # Safety
//!
//! A row is the only one to follow its pointers, and gives a block out only after it has unlinked
//! it.

#![expect(unsafe_code, reason = "a list of blocks with a pointer to its end")]

use std::mem::{self, MaybeUninit};
use std::ptr;

/// Slots for values, in a piece.
pub(super) struct Block<T> {
    pub(super) slots: Box<[MaybeUninit<T>]>,
    /// How many of the slots, from the first one on, hold values.
    pub(super) len: usize,
    next: *mut Block<T>,
}

impl<T> Block<T> {
    /// Allocates an empty block.
    pub(super) fn new(capacity: usize) -> Box<Self> {
        Box::new(Self { slots: Box::new_uninit_slice(capacity), len: 0, next: ptr::null_mut() })
    }
}

/// Blocks in a row. Dropping it frees the blocks, and not the values in them.
pub(super) struct Row<T> {
    first: *mut Block<T>,
    last: *mut Block<T>,
}

// SAFETY: only the pointers are not `Send`, and the row owns what they lead to.
unsafe impl<T: Send> Send for Row<T> {}
// SAFETY: only the pointer is not `Send`. It is null in a block that is in no row.
unsafe impl<T: Send> Send for Block<T> {}

impl<T> Default for Row<T> {
    fn default() -> Self {
        Self { first: ptr::null_mut(), last: ptr::null_mut() }
    }
}

impl<T> Row<T> {
    #[inline(always)]
    pub(super) fn is_empty(&self) -> bool {
        self.first.is_null()
    }

    /// Returns the block at the end.
    #[inline]
    pub(super) fn last(&mut self) -> Option<&mut Block<T>> {
        // SAFETY: null, or a block that the row owns; `&mut self` excludes another reference.
        unsafe { self.last.as_mut() }
    }

    /// Adds a block at the end.
    pub(super) fn push(&mut self, block: Box<Block<T>>) {
        let block = Box::into_raw(block);
        match self.last() {
            Some(last) => last.next = block,
            None => self.first = block,
        }
        self.last = block;
    }

    /// Takes the first block out.
    pub(super) fn pop(&mut self) -> Option<Box<Block<T>>> {
        if self.first.is_null() {
            return None;
        }
        // SAFETY: it comes from `Box::into_raw`, and is unlinked below.
        let mut block = unsafe { Box::from_raw(self.first) };
        self.first = mem::replace(&mut block.next, ptr::null_mut());
        if self.first.is_null() {
            self.last = ptr::null_mut();
        }
        Some(block)
    }
}

impl<T> Drop for Row<T> {
    /// One after the other: a row may have millions.
    fn drop(&mut self) {
        while let Some(block) = self.pop() {
            drop(block);
        }
    }
}
