//! Many stacks in one reservation: which of them are idle, which are yet to be opened.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use super::{Guards, Memory, Shape, Stack};
use crate::memory::reservation::{MAX_RANGES, Reservation};

/// At most so many stacks are opened ahead.
const MAX_AHEAD: u32 = 256;

/// From so many of a slab's stacks on, the first page of each is in memory when it is opened. A
/// fault for each takes 0.35 us more, of 2.9 for a fresh stack; a small program would have pages
/// that nobody touches.
const POPULATE_FROM: u32 = 64;

/// A stack's place in a slab's list of idle ones: its index, and whether opening it failed.
#[derive(Clone, Copy, Debug)]
struct IdleStack {
    index: u32,
    open: bool,
}

/// Many stacks in one reservation, and which of them are idle. But for [`StackSlab::reserve`] and
/// the drop, the functions neither allocate nor call the system; [`StackSlab::take_unopened`] does now and
/// then, for half a microsecond.
#[derive(Debug)]
pub struct StackSlab {
    memory: Arc<Memory>,
    count: u32,
    /// Idle ones, last used on top. Has room for all.
    idle: Vec<IdleStack>,
    /// How many of those could not be opened.
    closed: u32,
    /// From here on none was ever given out.
    fresh: u32,
    /// Up to here the memory is open, guards included. It is opened in order, by whoever claims,
    /// and several at a time: pieces that are opened apart and used before they meet stay mappings
    /// of their own for good.
    opened: u32,
}

/// Stacks of a slab that are yet to be opened.
#[derive(Debug)]
pub struct Unopened {
    memory: Arc<Memory>,
    indices: Range<u32>,
    /// The memory is open, and only the guards are to be made.
    open: bool,
    /// Many are in use before these: so will they be.
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

    /// The idle stack that was used last.
    pub fn pop(&mut self) -> Option<Stack> {
        let IdleStack { index, .. } = self.idle.pop_if(|last| last.open)?;
        Some(Stack::new(self.memory.clone(), index))
    }

    /// Up to `most` stacks that are not open. [`Unopened::open`] makes stacks of them, outside of
    /// any lock.
    pub fn take_unopened(&mut self, most: u32) -> Option<Unopened> {
        let memory = self.memory.clone();
        if self.fresh < self.count {
            let start = self.fresh;
            self.fresh = self.count.min(start.saturating_add(most));
            self.open_ahead();
            let (open, populate) = (self.fresh <= self.opened, start >= POPULATE_FROM);
            return Some(Unopened { memory, indices: start..self.fresh, open, populate });
        }
        // Those that could not be opened lie at the bottom.
        let closed = self.idle.first().filter(|first| !first.open)?.index;
        self.idle.remove(0);
        self.closed -= 1;
        Some(Unopened { memory, indices: closed..closed + 1, open: false, populate: false })
    }

    /// Opens as many again as are open. If so much memory is not to be had, each is opened by
    /// itself.
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

    /// Takes a stack of this slab back; gives one of another slab back to the caller.
    pub fn push(&mut self, stack: Stack) -> Result<(), Stack> {
        if !self.owns(&stack) {
            return Err(stack);
        }
        self.idle.push(IdleStack { index: stack.index, open: true });
        Ok(())
    }

    /// Takes back what could not be opened; it is claimed again when nothing else is left.
    pub fn put_back(&mut self, unopened: &mut Unopened) {
        if Arc::ptr_eq(&self.memory, &unopened.memory) {
            let indices = std::mem::replace(&mut unopened.indices, 0..0);
            self.closed += indices.len() as u32;
            indices.for_each(|index| self.idle.insert(0, IdleStack { index, open: false }));
        }
    }

    /// Whether the stack is one of this slab's.
    pub fn owns(&self, stack: &Stack) -> bool {
        Arc::ptr_eq(&self.memory, &stack.memory)
    }

    /// Whether all of its stacks are here.
    pub fn is_whole(&self) -> bool {
        self.out() == 0
    }

    /// How many of its stacks are elsewhere.
    pub fn out(&self) -> u32 {
        self.fresh - self.idle.len() as u32
    }

    /// The addresses of the stack, without its guard, that the address lies in, whoever has it.
    pub fn stack_at(&self, address: usize) -> Option<Range<usize>> {
        let offset = address.checked_sub(self.base())?;
        let index = u32::try_from(offset / self.memory.shape.stride())
            .ok()
            .filter(|index| *index < self.count)?;
        let Range { start, end } = self.memory.range_of(index);
        let low = start + self.memory.shape.guard;
        (low..end).contains(&offset).then(|| self.base() + low..self.base() + end)
    }

    /// How many idle ones it has.
    pub fn idle(&self) -> u32 {
        self.idle.len() as u32 - self.closed
    }

    /// Bytes of address space.
    pub fn reserved(&self) -> usize {
        self.memory.reservation.size()
    }

    /// The lowest address.
    pub fn base(&self) -> usize {
        self.memory.reservation.base().addr().get()
    }
}

impl Unopened {
    /// Opens them, in order, into `stacks`. On an error, those that are left stay here.
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
