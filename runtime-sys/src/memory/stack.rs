//! Memory for goroutines' stacks: slabs of many, each stack with a guard below it.
//!
//! ```text
//!   one reservation
//!   | guard |   stack 0   head| guard |   stack 1   head .| guard |   stack 2   head ..| closed
//!           ^ limit   top ^   ^ end                      ^ offset: index mod 16, times 64 bytes
//! ```
//!
//! With one mapping and one `mprotect` per stack, Linux's usual limit on mappings is reached at
//! 32,748 stacks. A guard by `madvise` (Linux 6.13) is a mark in the page table and takes no
//! mapping. So a slab is one mapping, and slabs side by side are one together. Where the kernel has
//! no such guards, each guard is a closed piece of the slab. Then each stack takes two mappings
//! again, and at the limit there is an error.
//!
//! The guard is [`GUARD`] wide. Rust code touches every page of a frame in order, so one page would
//! do for Rust. C code that is built without such probes (`-fstack-clash-protection`) may have a
//! frame of several pages; it must not step over the guard.
//!
//! If all tops lay at the same place in their pages, they would fall into the same few sets of the
//! first cache. So the tops are spread over a kilobyte. The distance from top to top is an odd
//! number of pages. At 80 pages, say, the tops share a sixteenth of the sets of the translation
//! buffer. A yield among 1000 goroutines of one M takes 60 ns there, and 35 with an odd number.
//!
//! Ownership: a [`Stack`] is the right to one piece of memory. It shares the reservation with its
//! [`StackSlab`] and the other stacks, and the last of them unmaps it. So a leaked stack, with the
//! frames of a goroutine that never ends, stays mapped whatever becomes of its slab. Therefore
//! nothing here is unsafe to call.
//!
//! Rejected: an idle list whose links lie in the stacks themselves. It would keep a page of each
//! stack in memory.
//!
//! # Safety
//!
//! A slab gives an index out once, in a `Stack`, which cannot be copied; the index is free again
//! when that `Stack` comes back.
#![expect(unsafe_code, reason = "gives pages of stacks back")]

mod slab;

pub use slab::{ColdStacks, StackSlab, Unopened};

use crate::memory::mapping::{page_size, round_to_pages};
use crate::memory::reservation::{Reservation, discard_all, has_light_guards, lowest_resident};
use crate::sys::{self, Piece};
use std::io;
use std::ops::Range;
use std::ptr::{NonNull, null_mut};
use std::sync::Arc;

/// The smallest stack on which a panic's message still reaches the terminal.
const MINIMUM: usize = 16 << 10;

/// The least number of bytes of guard below each stack. The guard is whole pages, whatever their
/// size.
pub const GUARD: usize = 64 << 10;

/// Bytes at the upper end of each stack that belong to the stack's owner, not to the code that runs
/// on it. They lie in a page that is touched anyhow.
pub const HEAD: usize = 256;

/// How a head is aligned.
pub const HEAD_ALIGN: usize = 64;

/// Over how many offsets, [`HEAD_ALIGN`] apart, the tops are spread.
const OFFSETS: u32 = 16;

/// Of how many stacks the memory goes back at a time.
const DISCARDED: usize = 32;

/// How guards are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guards {
    /// By a mark in the page table.
    Light,
    /// By a closed piece of the slab, which takes a mapping.
    Closed,
}

impl Guards {
    /// Returns the best kind that this kernel has.
    pub fn available() -> Self {
        if has_light_guards() { Self::Light } else { Self::Closed }
    }
}

/// What the stacks of a slab are like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    size: usize,
    guard: usize,
    guards: Guards,
}

impl Shape {
    /// Returns the shape of stacks of at least `size` bytes and at least 16 KiB, in whole pages;
    /// the guard comes on top. `InvalidInput` if there are not enough addresses.
    pub fn new(size: usize, guards: Guards) -> io::Result<Self> {
        let size = round_to_pages(size.max(MINIMUM));
        let guard = round_to_pages(GUARD);
        let too_large = || io::Error::new(io::ErrorKind::InvalidInput, "stack size too large");
        let (size, guard) = size.zip(guard).ok_or_else(too_large)?;
        // An odd number of pages from top to top: see the module's head.
        let even =
            (size / page_size()).is_multiple_of(2) == (guard / page_size()).is_multiple_of(2);
        let guard = guard + if even { page_size() } else { 0 };
        size.checked_add(guard)
            .filter(|stride| *stride <= isize::MAX as usize)
            .ok_or_else(too_large)?;
        Ok(Self { size, guard, guards })
    }

    /// Returns the bytes between the guard and the end, the head included.
    pub fn size(&self) -> usize {
        self.size
    }

    /// Returns the bytes from one stack to the next.
    pub fn stride(&self) -> usize {
        self.guard + self.size
    }

    /// How guards are made.
    pub fn guards(&self) -> Guards {
        self.guards
    }
}

/// What a slab and its stacks share.
#[derive(Debug)]
struct Memory {
    reservation: Reservation,
    shape: Shape,
}

impl Memory {
    /// Returns the stack's range in the reservation, its guard first.
    fn range_of(&self, index: u32) -> Range<usize> {
        let start = index as usize * self.shape.stride();
        start..start + self.shape.stride()
    }

    /// Opens one stack, for the first time or again. `open` says that all of its memory is open,
    /// the guard included.
    fn open(&self, index: u32, open: bool) -> io::Result<()> {
        let Range { start, end } = self.range_of(index);
        let guard = start..start + self.shape.guard;
        if self.shape.guards == Guards::Closed {
            self.reservation.make_handler_room(guard.end)?;
            return self.reservation.open(guard.end..end);
        }
        if !open {
            self.reservation.open(start..end)?;
        }
        // SAFETY: nobody uses a guard.
        unsafe { self.reservation.guard(guard) }
    }

    /// Opens up to `reservation::MAX_RANGES` stacks whose memory is open, by one system call. False
    /// if the caller has to open them one by one.
    fn open_all(&self, indices: Range<u32>) -> bool {
        if self.shape.guards == Guards::Closed {
            return false;
        }
        let guards = indices.map(|index| {
            let start = self.range_of(index).start;
            start..start + self.shape.guard
        });
        // SAFETY: nobody uses a guard.
        unsafe { self.reservation.guard_all(guards) }
    }

    /// Brings the first page of each stack into memory: whatever runs there touches it.
    fn populate_tops(&self, indices: Range<u32>) {
        let tops = indices.map(|index| {
            let end = self.range_of(index).end;
            end - page_size()..end
        });
        self.reservation.populate_all(tops);
    }
}

/// A stack. Nothing runs on it, or its owner keeps it alive while something does.
#[derive(Debug)]
pub struct Stack {
    memory: Arc<Memory>,
    index: u32,
    /// Kept here because each switch asks for it.
    head: NonNull<u8>,
}

// SAFETY: only the pointer is neither `Send` nor `Sync`. It leads into memory that belongs to this
// handle, and is only handed out.
unsafe impl Send for Stack {}
// SAFETY: as above.
unsafe impl Sync for Stack {}

impl Stack {
    fn new(memory: Arc<Memory>, index: u32) -> Self {
        let offset = (index % OFFSETS) as usize * HEAD_ALIGN;
        let head = memory.range_of(index).end - offset - HEAD;
        // SAFETY: inside the reservation, which is one piece of memory.
        let head = unsafe { memory.reservation.base().byte_add(head) };
        Self { memory, index, head }
    }

    /// Returns a stack with a reservation of its own.
    pub fn single(size: usize) -> io::Result<Self> {
        let mut stacks = Vec::with_capacity(1);
        let mut slab = StackSlab::reserve(Shape::new(size, Guards::available())?, 1)?;
        slab.take_unopened(1).expect("nobody else has it").open(&mut stacks)?;
        Ok(stacks.pop().expect("it was opened"))
    }

    /// Returns one past the highest usable address: the stack begins there.
    #[inline]
    pub fn top(&self) -> usize {
        self.head().addr().get()
    }

    /// Returns the [`HEAD`] bytes above the top, which belong to the stack's owner. At first their
    /// content is not defined.
    #[inline]
    pub fn head(&self) -> NonNull<u8> {
        self.head
    }

    /// Returns the lowest usable address.
    #[inline]
    pub fn limit(&self) -> usize {
        self.end() - self.size()
    }

    /// Returns one past the highest address.
    #[inline]
    pub fn end(&self) -> usize {
        self.memory.reservation.base().addr().get() + self.memory.range_of(self.index).end
    }

    /// Returns the guard below [`Stack::limit`]: a fault at one of these addresses is an overflow
    /// of this stack.
    #[inline]
    pub fn guard(&self) -> Range<usize> {
        self.limit() - self.memory.shape.guard..self.limit()
    }

    /// Returns the bytes between the guard and the end, the head included.
    #[inline]
    pub fn size(&self) -> usize {
        self.memory.shape.size
    }

    /// Returns how many bytes of it were used, see [`used`].
    pub fn depth(&self) -> usize {
        used(self.limit()..self.end())
    }

    /// Gives the memory of all pages of these stacks back, except for the upper `keep` bytes of
    /// each. One system call for 32 stacks, where the system has that.
    pub fn discard_below<'a>(stacks: impl Iterator<Item = &'a mut Self>, keep: usize) {
        let mut pieces = [sys::piece(null_mut(), 0); DISCARDED];
        let mut count = 0;
        let mut stacks = stacks.filter_map(|stack| stack.below(keep)).peekable();
        while let Some(piece) = stacks.next() {
            pieces[count] = piece;
            count += 1;
            if count == DISCARDED || stacks.peek().is_none() {
                // SAFETY: the stacks belong to these handles, which nobody else has meanwhile, and
                // nothing runs on them: code that runs on a stack has the handle.
                unsafe { discard_all(&pieces[..count]) };
                count = 0;
            }
        }
    }

    /// Returns the pages but those with the upper `keep` bytes, if there are any.
    fn below(&mut self, keep: usize) -> Option<Piece> {
        let range = self.memory.range_of(self.index);
        let low = range.start + self.memory.shape.guard;
        let high = range.end.saturating_sub(keep) / page_size() * page_size();
        (low < high).then(|| self.memory.reservation.piece(low..high))
    }
}

/// Returns the bytes from the deepest page of a stack that is in memory to the stack's end. That
/// much was used since the pages were last given back.
///
/// Asks the kernel and touches none of the memory. So any addresses may be asked for, whoever owns
/// them, and whether or not anything is mapped there. Pages that were swapped out do not count.
pub fn used(stack: Range<usize>) -> usize {
    stack.end - lowest_resident(stack.clone())
}

#[cfg(all(test, any(unix, windows)))]
mod tests;
