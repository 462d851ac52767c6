//! Many stacks in one reservation: which are idle, and which are not open yet.
//!
//! # Safety
//!
//! [`ColdStacks`] has the indices that it was given, and no `Stack` of them exists.
#![expect(unsafe_code, reason = "gives page tables of stacks back")]

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

/// The fewest stacks in a row of which page tables are given back. At the ends of a run, a table
/// stays that is shared with other stacks.
const RUN: u32 = 16;

/// The most such stacks at a time, some 100 us.
const MAX_RUN: usize = 256;

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
    /// The indices of idle stacks of which nothing is in memory. Has room for all.
    cold: Vec<u32>,
    /// Stacks in a row whose memory is open, and whose guards are gone.
    reset: Vec<Range<u32>>,
    /// Stacks have become cold since [`StackSlab::take_cold`] last brought nothing to reset.
    has_new_cold: bool,
    /// A stack came or went since the last [`StackSlab::is_quiet`].
    busy: bool,
    /// How many of the idle stacks could not be opened.
    closed: u32,
    /// No stack from this index on was ever given out.
    fresh: u32,
    /// Up to this index the memory is open, guards included. `take_unopened` opens it in order and
    /// several stacks at a time. Pieces that are opened apart and used before they meet stay
    /// mappings of their own for good.
    opened: u32,
}

/// Stacks of a slab that are idle, and of which nothing is in memory but page tables.
#[derive(Debug)]
pub struct ColdStacks {
    memory: Arc<Memory>,
    indices: Vec<u32>,
    /// A run of them that has no page tables any more, and no guards.
    reset: Option<Range<u32>>,
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
            cold: Vec::with_capacity(count as usize),
            reset: Vec::with_capacity(count.div_ceil(RUN) as usize),
            has_new_cold: false,
            busy: false,
            closed: 0,
            fresh: 0,
            opened: 0,
        })
    }

    /// Takes the idle stack that was used last.
    pub fn pop(&mut self) -> Option<Stack> {
        let last = self.idle.pop_if(|last| last.open).map(|last| last.index);
        let index = last.or_else(|| self.cold.pop())?;
        self.busy = true;
        Some(Stack::new(self.memory.clone(), index))
    }

    /// Takes an idle stack that may have memory.
    pub fn pop_warm(&mut self) -> Option<Stack> {
        let IdleStack { index, .. } = self.idle.pop_if(|last| last.open)?;
        Some(Stack::new(self.memory.clone(), index))
    }

    /// Takes a stack of this slab back, all of whose memory was given back. Returns a stack of
    /// another slab to the caller.
    pub fn push_cold(&mut self, stack: Stack) -> Result<(), Stack> {
        if !self.owns(&stack) {
            return Err(stack);
        }
        self.cold.push(stack.index);
        self.has_new_cold = true;
        Ok(())
    }

    /// True if [`take_cold`](Self::take_cold) may bring something to reset.
    pub fn has_new_cold(&self) -> bool {
        self.has_new_cold && self.cold.len() >= RUN as usize
    }

    /// Returns how many stacks the list for [`take_cold`](Self::take_cold) has room for.
    pub fn room_for_cold(&self) -> usize {
        self.count as usize
    }

    /// Takes all stacks of which nothing is in memory. `room` is an empty list with room for all.
    pub fn take_cold(&mut self, room: Vec<u32>) -> ColdStacks {
        debug_assert!(room.capacity() >= self.count as usize, "there is room");
        let indices = std::mem::replace(&mut self.cold, room);
        ColdStacks { memory: self.memory.clone(), indices, reset: None }
    }

    /// Takes the stacks back, if they are this slab's. The list that is left over is to be dropped
    /// without the lock.
    pub fn put_cold_back(&mut self, cold: &mut ColdStacks) -> Option<Vec<u32>> {
        if !Arc::ptr_eq(&self.memory, &cold.memory) {
            return None;
        }
        self.has_new_cold = cold.reset.is_some();
        self.reset.extend(cold.reset.take());
        std::mem::swap(&mut self.cold, &mut cold.indices);
        // What became cold meanwhile.
        self.cold.append(&mut cold.indices);
        Some(std::mem::take(&mut cold.indices))
    }

    /// True if an idle stack may have memory.
    pub fn is_warm(&self) -> bool {
        self.idle.last().is_some_and(|last| last.open)
    }

    /// True if no stack came or went since the last call.
    pub fn is_quiet(&mut self) -> bool {
        !std::mem::replace(&mut self.busy, false)
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
        if let Some(run) = self.reset.pop() {
            let split = run.end.min(run.start.saturating_add(most));
            if split < run.end {
                self.reset.push(split..run.end);
            }
            self.busy = true;
            let indices = run.start..split;
            return Some(Unopened { memory, indices, open: true, populate: true });
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
        self.busy = true;
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
        let reset: u32 = self.reset.iter().map(|run| run.end - run.start).sum();
        self.fresh - self.idle.len() as u32 - self.cold.len() as u32 - reset
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
        self.idle.len() as u32 + self.cold.len() as u32 - self.closed
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

impl ColdStacks {
    /// Gives the page tables of one run of stacks back, as far as there is one. Without a lock.
    pub fn reset_one(&mut self) {
        if self.memory.shape.guards != Guards::Light {
            return;
        }
        self.indices.sort_unstable();
        let indices = &self.indices;
        let continues = |at: usize| at < indices.len() && indices[at] == indices[at - 1] + 1;
        let mut from = 0;
        while from + (RUN as usize) <= indices.len() {
            let mut to = from + 1;
            while continues(to) && to - from < MAX_RUN {
                to += 1;
            }
            if to - from < RUN as usize {
                from = to;
                continue;
            }
            let run = indices[from]..indices[to - 1] + 1;
            let bytes = self.memory.range_of(run.start).start..self.memory.range_of(run.end).start;
            // SAFETY: these stacks belong to this handle, and nothing runs on them.
            if unsafe { self.memory.reservation.reset(bytes) } {
                self.reset = Some(run);
                self.indices.drain(from..to);
            }
            return;
        }
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
