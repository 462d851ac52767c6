//! Memory for goroutines' stacks: slabs of many, each stack with a guard below it.
//!
//! ```text
//!   one reservation
//!   | guard |         stack 0     head| guard |         stack 1   head .| guard |        stack 2  head ..| closed ...
//!           ^ limit            top ^  ^ end                            ^ the offset: index mod 16, times 64 bytes
//! ```
//!
//! One mapping and one `mprotect` per stack end at 32,748 stacks with Linux's usual limit on
//! mappings. A guard by `madvise` (Linux 6.13) is a mark in the page table, and takes no mapping: a
//! slab is one, and slabs side by side are one together. Where the kernel has no such guards, each
//! is a closed piece of the slab, two mappings for each stack again, and at the limit there is an
//! error.
//!
//! The guard is [`GUARD`] wide. Rust code touches every page of a frame in order, so one page would
//! do for it; code in C that is built without such probes (`-fstack-clash-protection`) and has a
//! frame of several pages must not step over.
//!
//! All tops at the same place of their pages would fall into the same few sets of the first cache,
//! so they are spread over a kilobyte. From top to top it is an odd number of pages: 80 of them,
//! say, and the tops share a sixteenth of the sets of the translation buffer (a yield among 1000
//! goroutines of one M took 60 ns, and takes 35).
//!
//! Who owns what: a [`Stack`] is the right to one piece of memory, and shares the reservation with
//! its [`StackSlab`] and the other stacks. The last of them unmaps it. So a stack that is leaked,
//! with the frames of a goroutine that never ends on it, stays mapped whatever becomes of its slab,
//! and nothing here is unsafe to call.
//!
//! Rejected: links of the idle list in the stacks themselves, which would keep a page of each in
//! memory for them.
//!
//! # Safety
//!
//! A slab gives each index out once until it comes back, in a `Stack`, which cannot be copied.
#![expect(unsafe_code, reason = "gives pages of stacks back")]

mod slab;

pub use slab::{StackSlab, Unopened};

use crate::memory::mapping::{page_size, round_to_pages};
use crate::memory::reservation::{Reservation, has_light_guards, lowest_resident};
use std::io;
use std::ops::Range;
use std::ptr::NonNull;
use std::sync::Arc;

/// Less than this does not carry a panic's message to the terminal.
const MINIMUM: usize = 16 << 10;

/// Bytes of guard below each stack at least, in whole pages whatever their size.
pub const GUARD: usize = 64 << 10;

/// Bytes at the upper end of each stack that belong to its owner, not to what runs on it: in the
/// page that is touched anyhow.
pub const HEAD: usize = 256;

/// How a head is aligned.
pub const HEAD_ALIGN: usize = 64;

/// Over how many places, [`HEAD_ALIGN`] apart, the tops are spread.
const OFFSETS: u32 = 16;

/// How guards are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guards {
    /// By a mark in the page table.
    Light,
    /// By a closed piece, which takes a mapping.
    Closed,
}

impl Guards {
    /// The best that this kernel has.
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
    /// Stacks of at least `size` bytes, and at least 16 KiB, in whole pages; the guard comes on
    /// top. `InvalidInput` if there are no addresses for that.
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

    /// Bytes between the guard and the end, the head included.
    pub fn size(&self) -> usize {
        self.size
    }

    /// Bytes from one stack to the next.
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
    /// The place of a stack in the reservation, its guard first.
    fn range_of(&self, index: u32) -> Range<usize> {
        let start = index as usize * self.shape.stride();
        start..start + self.shape.stride()
    }

    /// Opens one stack, for the first time or again. `open`: all of it is, its guard included.
    fn open(&self, index: u32, open: bool) -> io::Result<()> {
        let Range { start, end } = self.range_of(index);
        let guard = start..start + self.shape.guard;
        if self.shape.guards == Guards::Closed {
            return self.reservation.open(guard.end..end);
        }
        if !open {
            self.reservation.open(start..end)?;
        }
        // SAFETY: a guard is used by nobody.
        unsafe { self.reservation.guard(guard) }
    }

    /// Opens up to `reservation::MAX_RANGES` stacks whose memory is open, by one system call. False: one
    /// by one, then.
    fn open_all(&self, indices: Range<u32>) -> bool {
        if self.shape.guards == Guards::Closed {
            return false;
        }
        let guards = indices.map(|index| {
            let start = self.range_of(index).start;
            start..start + self.shape.guard
        });
        // SAFETY: guards are used by nobody.
        unsafe { self.reservation.guard_all(guards) }
    }

    /// Has the first page of each of them in memory, which whatever runs on it touches.
    fn populate_tops(&self, indices: Range<u32>) {
        let tops = indices.map(|index| {
            let end = self.range_of(index).end;
            end - page_size()..end
        });
        self.reservation.populate_all(tops);
    }
}

/// A stack that nobody runs on, or that its owner keeps alive while somebody does.
#[derive(Debug)]
pub struct Stack {
    memory: Arc<Memory>,
    index: u32,
    /// Kept here because each switch asks for it.
    head: NonNull<u8>,
}

// SAFETY: the pointer is what is neither; it leads into memory of the handle's own, and is only
// handed out.
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

    /// A stack by itself, with a reservation of its own.
    pub fn single(size: usize) -> io::Result<Self> {
        let mut stacks = Vec::with_capacity(1);
        let mut slab = StackSlab::reserve(Shape::new(size, Guards::available())?, 1)?;
        slab.take_unopened(1).expect("nobody else has it").open(&mut stacks)?;
        Ok(stacks.pop().expect("it was opened"))
    }

    /// One past the highest usable address: where the stack begins.
    #[inline]
    pub fn top(&self) -> usize {
        self.head().addr().get()
    }

    /// [`HEAD`] bytes for the owner of the stack, above its top; what they hold at first is not
    /// defined.
    #[inline]
    pub fn head(&self) -> NonNull<u8> {
        self.head
    }

    /// The lowest usable address.
    #[inline]
    pub fn limit(&self) -> usize {
        self.end() - self.size()
    }

    /// One past the highest address.
    #[inline]
    pub fn end(&self) -> usize {
        self.memory.reservation.base().addr().get() + self.memory.range_of(self.index).end
    }

    /// The guard below [`Stack::limit`]: a fault at one of these addresses is an overflow of this
    /// stack.
    #[inline]
    pub fn guard(&self) -> Range<usize> {
        self.limit() - self.memory.shape.guard..self.limit()
    }

    /// Bytes between the guard and the end, the head included.
    #[inline]
    pub fn size(&self) -> usize {
        self.memory.shape.size
    }

    /// How much of it was used, see [`used`].
    pub fn depth(&self) -> usize {
        used(self.limit()..self.end())
    }

    /// Gives the memory of all pages back but those of the upper `keep` bytes. One system call.
    pub fn discard_below(&mut self, keep: usize) {
        let range = self.memory.range_of(self.index);
        let (low, high) = (
            range.start + self.memory.shape.guard,
            range.end.saturating_sub(keep) / page_size() * page_size(),
        );
        if low < high {
            // SAFETY: the stack is this handle's, and nobody runs on it: who does has it.
            unsafe { self.memory.reservation.discard(low..high) };
        }
    }
}

/// Bytes from the deepest page of a stack that is in memory to its end: how much of it was used
/// since its pages were given back last. Asks the kernel, and touches none of it: any addresses may
/// be asked for, whoever they belong to and whether or not anything is there. Pages that were
/// swapped out do not count.
pub fn used(stack: Range<usize>) -> usize {
    stack.end - lowest_resident(stack.clone())
}

#[cfg(test)]
mod tests;
