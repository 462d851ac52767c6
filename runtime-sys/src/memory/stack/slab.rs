//! Many stacks in one reservation: which are idle, and which are not open yet.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use super::{Guards, Memory, Shape, Stack};
use crate::memory::reservation::{MAX_RANGES, Reservation};

/// The most stacks that are opened ahead.
const MAX_AHEAD: u32 = 256;

/// From this index on, a stack's first page is brought into memory when the stack is opened.
///
/// A fault for each page takes 0.35 us more, of 2.9 us for a fresh stack. In a small program, pages
/// that nothing touches would be in memory.
const POPULATE_FROM: u32 = 64;

/// An entry of a slab's idle list: the stack's index, and whether it is open. A stack is not open
/// if opening it failed.
#[derive(Clone, Copy, Debug)]
struct IdleStack {
    index: u32,
    open: bool,
}

/// Many stacks in one reservation, and which of them are idle.
///
/// Except for [`StackSlab::reserve`] and the drop, the functions neither allocate nor call the
/// system. [`StackSlab::take_unopened`] makes a system call now and then, of half a microsecond.
#[derive(Debug)]
pub struct StackSlab {
    memory: Arc<Memory>,
    count: u32,
    /// The idle stacks, last used on top. Has room for all.
    idle: Vec<IdleStack>,
    /// How many of the idle stacks could not be opened.
    closed: u32,
    /// No stack from this index on was ever given out.
    fresh: u32,
    /// Up to this index the memory is open, guards included. `take_unopened` opens it in order and
    /// several stacks at a time. Pieces that are opened apart and used before they meet stay
    /// mappings of their own for good.
    opened: u32,
}

/// Stacks of a slab that are not open yet.
#[derive(Debug)]
pub struct Unopened {
    memory: Arc<Memory>,
    indices: Range<u32>,
    /// The memory is open; only the guards are missing.
    open: bool,
    /// Many stacks are in use already, so these will be used, too: their first pages are brought
    /// into memory.
    populate: bool,
}

impl StackSlab {
    /// Reserves room for `count` stacks, at least one.
    pub fn reserve(shape: Shape, count: u32) -> io::Result<Self> {
        let count = count.max(1);
        let too_large = || io::Error::new(io::ErrorKind::InvalidInput, "stack size too large");
        let bytes = shape.stride().checked_mul(count as usize).ok_or_else(too_large)?;
        let reservation = Reservation::new(bytes)?;
        let idle = Vec::with_capacity(count as usize);
        Ok(Self {
            memory: Arc::new(Memory { reservation, shape }),
            count,
            idle,
            closed: 0,
            fresh: 0,
            opened: 0,
        })
    }

    /// Takes the idle stack that was used last.
    pub fn pop(&mut self) -> Option<Stack> {
        let IdleStack { index, .. } = self.idle.pop_if(|last| last.open)?;
        Some(Stack::new(self.memory.clone(), index))
    }

    /// Takes up to `most` stacks that are not open. [`Unopened::open`] opens them, outside of any
    /// lock.
    pub fn take_unopened(&mut self, most: u32) -> Option<Unopened> {
        let memory = self.memory.clone();
        if self.fresh < self.count {
            let start = self.fresh;
            self.fresh = self.count.min(start.saturating_add(most));
            self.open_ahead();
            let (open, populate) = (self.fresh <= self.opened, start >= POPULATE_FROM);
            return Some(Unopened { memory, indices: start..self.fresh, open, populate });
        }
        // The stacks that could not be opened lie at the bottom.
        let closed = self.idle.first().filter(|first| !first.open)?.index;
        self.idle.remove(0);
        self.closed -= 1;
        Some(Unopened { memory, indices: closed..closed + 1, open: false, populate: false })
    }

    /// Opens as many stacks again as are open. If that much memory is not to be had, each stack is
    /// opened by itself later.
    fn open_ahead(&mut self) {
        if self.memory.shape.guards != Guards::Light || self.fresh <= self.opened {
            return;
        }
        let ahead = self.opened.min(MAX_AHEAD);
        let to = self.count.min(self.fresh.saturating_add(ahead));
        let range = self.memory.range_of(self.opened).start..self.memory.range_of(to).start;
        if self.memory.reservation.open(range).is_ok() {
            self.opened = to;
        }
    }

    /// Takes a stack of this slab back; returns a stack of another slab to the caller.
    pub fn push(&mut self, stack: Stack) -> Result<(), Stack> {
        if !self.owns(&stack) {
            return Err(stack);
        }
        self.idle.push(IdleStack { index: stack.index, open: true });
        Ok(())
    }

    /// Takes back the stacks that could not be opened. They are taken again when no other stack is
    /// left.
    pub fn put_back(&mut self, unopened: &mut Unopened) {
        if Arc::ptr_eq(&self.memory, &unopened.memory) {
            let indices = std::mem::replace(&mut unopened.indices, 0..0);
            self.closed += indices.len() as u32;
            indices.for_each(|index| self.idle.insert(0, IdleStack { index, open: false }));
        }
    }

    /// True if the stack belongs to this slab.
    pub fn owns(&self, stack: &Stack) -> bool {
        Arc::ptr_eq(&self.memory, &stack.memory)
    }

    /// True if all of its stacks are here.
    pub fn is_whole(&self) -> bool {
        self.out() == 0
    }

    /// Returns how many of its stacks are in other hands.
    pub fn out(&self) -> u32 {
        self.fresh - self.idle.len() as u32
    }

    /// Returns the range of the stack that contains `address`, its guard excluded, whoever has that
    /// stack.
    pub fn stack_at(&self, address: usize) -> Option<Range<usize>> {
        let offset = address.checked_sub(self.base())?;
        let index = u32::try_from(offset / self.memory.shape.stride())
            .ok()
            .filter(|index| *index < self.count)?;
        let Range { start, end } = self.memory.range_of(index);
        let low = start + self.memory.shape.guard;
        (low..end).contains(&offset).then(|| self.base() + low..self.base() + end)
    }

    /// Returns how many of its stacks are idle and open.
    pub fn idle(&self) -> u32 {
        self.idle.len() as u32 - self.closed
    }

    /// Returns the bytes of address space it reserves.
    pub fn reserved(&self) -> usize {
        self.memory.reservation.size()
    }

    /// Returns the lowest address.
    pub fn base(&self) -> usize {
        self.memory.reservation.base().addr().get()
    }
}

impl Unopened {
    /// Opens the stacks, in order, into `stacks`. On an error, the stacks that are left stay here.
    pub fn open(&mut self, stacks: &mut Vec<Stack>) -> io::Result<()> {
        while self.open && self.indices.len() >= MAX_RANGES {
            let many = self.indices.start..self.indices.start + MAX_RANGES as u32;
            if !self.memory.open_all(many.clone()) {
                break;
            }
            if self.populate {
                self.memory.populate_tops(many.clone());
            }
            self.indices.start = many.end;
            stacks.extend(many.map(|index| Stack::new(self.memory.clone(), index)));
        }
        for index in self.indices.clone() {
            self.memory.open(index, self.open)?;
            self.indices.start = index + 1;
            stacks.push(Stack::new(self.memory.clone(), index));
        }
        Ok(())
    }
}
