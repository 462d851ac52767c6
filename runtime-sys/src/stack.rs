//! Memory for goroutines' stacks: slabs of many, each stack with a guard below it.
//!
//! ```text
//!   one reservation
//!   | guard |         stack 0     head| guard |         stack 1   head .| guard |        stack 2  head ..| closed ...
//!           ^ limit            top ^  ^ end                            ^ the offset: index mod 16, times 64 bytes
//! ```
//!
//! One mapping and one `mprotect` per stack end at 32,748 stacks with Linux's usual limit on mappings. A guard by
//! `madvise` (Linux 6.13) is a mark in the page table, and takes no mapping: a slab is one, and slabs side by side are one
//! together. Where the kernel has no such guards, each is a closed piece of the slab, two mappings for each stack again,
//! and at the limit there is an error.
//!
//! The guard is [`GUARD`] wide. Rust code touches every page of a frame in order, so one page would do for it; code in C
//! that is built without such probes (`-fstack-clash-protection`) and has a frame of several pages must not step over.
//!
//! All tops at the same place of their pages would fall into the same few sets of the first cache, so they are spread over
//! a kilobyte. From top to top it is an odd number of pages: 80 of them, say, and the tops share a sixteenth of the sets of the
//! translation buffer (a yield among 1000 goroutines of one M took 60 ns, and takes 35).
//!
//! Who owns what: a [`Stack`] is the right to one piece of memory, and shares the reservation with its [`StackSlab`] and the
//! other stacks. The last of them unmaps it. So a stack that is leaked, with the frames of a goroutine that never ends on
//! it, stays mapped whatever becomes of its slab, and nothing here is unsafe to call.
//!
//! Rejected: links of the idle list in the stacks themselves, which would keep a page of each in memory for them.
//!
//! # Safety
//!
//! A slab gives each index out once until it comes back, in a `Stack`, which cannot be copied.
#![expect(unsafe_code, reason = "gives pages of stacks back")]

use crate::mapping::{page_size, round_to_pages};
use crate::reservation::{Reservation, has_light_guards, lowest_resident};
use std::io;
use std::ops::Range;
use std::ptr::NonNull;
use std::sync::Arc;

/// Less than this does not carry a panic's message to the terminal.
const MINIMUM: usize = 16 << 10;

/// Bytes of guard below each stack at least, in whole pages whatever their size.
pub const GUARD: usize = 64 << 10;

/// Bytes at the upper end of each stack that belong to its owner, not to what runs on it: in the page that is touched anyhow.
pub const HEAD: usize = 256;

/// How a head is aligned.
pub const HEAD_ALIGN: usize = 64;

/// Over how many places, [`HEAD_ALIGN`] apart, the tops are spread.
const OFFSETS: u32 = 16;

/// At most so many stacks are opened ahead.
const AHEAD: u32 = 256;

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
    /// Stacks of at least `size` bytes, and at least 16 KiB, in whole pages; the guard comes on top. `InvalidInput` if there
    /// are no addresses for that.
    pub fn new(size: usize, guards: Guards) -> io::Result<Self> {
        let size = round_to_pages(size.max(MINIMUM));
        let guard = round_to_pages(GUARD);
        let too_large = || io::Error::new(io::ErrorKind::InvalidInput, "stack size too large");
        let (size, guard) = size.zip(guard).ok_or_else(too_large)?;
        // An odd number of pages from top to top: see the module's head.
        let even = (size / page_size()).is_multiple_of(2) == (guard / page_size()).is_multiple_of(2);
        let guard = guard + if even { page_size() } else { 0 };
        // An odd number of pages from top to top: see the module's head.
        let even = (size / page_size()).is_multiple_of(2) == (guard / page_size()).is_multiple_of(2);
        let guard = guard + if even { page_size() } else { 0 };
        size.checked_add(guard).filter(|stride| *stride <= isize::MAX as usize).ok_or_else(too_large)?;
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
    fn place(&self, index: u32) -> Range<usize> {
        let start = index as usize * self.shape.stride();
        start..start + self.shape.stride()
    }

    /// Opens one stack, for the first time or again. `open`: all of it is, its guard included.
    fn open(&self, index: u32, open: bool) -> io::Result<()> {
        let Range { start, end } = self.place(index);
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
}

/// A stack that nobody runs on, or that its owner keeps alive while somebody does.
#[derive(Debug)]
pub struct Stack {
    memory: Arc<Memory>,
    index: u32,
    /// Kept here because each switch asks for it.
    head: NonNull<u8>,
}

// SAFETY: the pointer is what is neither; it leads into memory of the handle's own, and is only handed out.
unsafe impl Send for Stack {}
// SAFETY: as above.
unsafe impl Sync for Stack {}

impl Stack {
    fn new(memory: Arc<Memory>, index: u32) -> Self {
        let offset = (index % OFFSETS) as usize * HEAD_ALIGN;
        let head = memory.place(index).end - offset - HEAD;
        // SAFETY: inside the reservation, which is one piece of memory.
        let head = unsafe { memory.reservation.base().byte_add(head) };
        Self { memory, index, head }
    }

    /// A stack by itself, with a reservation of its own.
    pub fn single(size: usize) -> io::Result<Self> {
        let mut stacks = Vec::with_capacity(1);
        let mut slab = StackSlab::reserve(Shape::new(size, Guards::available())?, 1)?;
        slab.claim(1).expect("nobody else has it").open(&mut stacks)?;
        Ok(stacks.pop().expect("it was opened"))
    }

    /// One past the highest usable address: where the stack begins.
    #[inline]
    pub fn top(&self) -> usize {
        self.head().addr().get()
    }

    /// [`HEAD`] bytes for the owner of the stack, above its top; what they hold at first is not defined.
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
        self.memory.reservation.base().addr().get() + self.memory.place(self.index).end
    }

    /// The guard below [`Stack::limit`]: a fault at one of these addresses is an overflow of this stack.
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
        let place = self.memory.place(self.index);
        let (low, high) =
            (place.start + self.memory.shape.guard, place.end.saturating_sub(keep) / page_size() * page_size());
        if low < high {
            // SAFETY: the stack is this handle's, and nobody runs on it: who does has it.
            unsafe { self.memory.reservation.discard(low..high) };
        }
    }
}

/// Bytes from the deepest page of a stack that is in memory to its end: how much of it was used since its pages were given back
/// last. Asks the kernel, and touches none of it: any addresses may be asked for, whoever they belong to and whether or not anything
/// is there. Pages that were swapped out do not count.
pub fn used(stack: Range<usize>) -> usize {
    stack.end - lowest_resident(stack.clone())
}

/// A stack's place in a slab's list of idle ones: its index, and whether opening it failed.
#[derive(Clone, Copy, Debug)]
struct Idle {
    index: u32,
    open: bool,
}

/// Many stacks in one reservation, and which of them are idle. But for [`StackSlab::reserve`] and the drop, the functions
/// neither allocate nor call the system; [`StackSlab::claim`] does now and then, for half a microsecond.
#[derive(Debug)]
pub struct StackSlab {
    memory: Arc<Memory>,
    count: u32,
    /// Idle ones, last used on top. Has room for all.
    idle: Vec<Idle>,
    /// How many of those could not be opened.
    closed: u32,
    /// From here on none was ever given out.
    fresh: u32,
    /// Up to here the memory is open, guards included. It is opened in order, by whoever claims, and several at a time: pieces
    /// that are opened apart and used before they meet stay mappings of their own for good.
    open: u32,
}

/// Stacks of a slab that are yet to be opened.
#[derive(Debug)]
pub struct Unopened {
    memory: Arc<Memory>,
    indices: Range<u32>,
    /// The memory is open, and only the guards are to be made.
    open: bool,
}

impl StackSlab {
    /// Reserves room for `count` stacks, at least one.
    pub fn reserve(shape: Shape, count: u32) -> io::Result<Self> {
        let count = count.max(1);
        let too_large = || io::Error::new(io::ErrorKind::InvalidInput, "stack size too large");
        let bytes = shape.stride().checked_mul(count as usize).ok_or_else(too_large)?;
        let reservation = Reservation::new(bytes)?;
        let idle = Vec::with_capacity(count as usize);
        Ok(Self { memory: Arc::new(Memory { reservation, shape }), count, idle, closed: 0, fresh: 0, open: 0 })
    }

    /// The idle stack that was used last.
    pub fn pop(&mut self) -> Option<Stack> {
        let Idle { index, .. } = self.idle.pop_if(|last| last.open)?;
        Some(Stack::new(self.memory.clone(), index))
    }

    /// Up to `most` stacks that are not open. [`Unopened::open`] makes stacks of them, outside of any lock.
    pub fn claim(&mut self, most: u32) -> Option<Unopened> {
        let memory = self.memory.clone();
        if self.fresh < self.count {
            let start = self.fresh;
            self.fresh = self.count.min(start.saturating_add(most));
            self.open_ahead();
            return Some(Unopened { memory, indices: start..self.fresh, open: self.fresh <= self.open });
        }
        // Those that could not be opened lie at the bottom.
        let closed = self.idle.first().filter(|first| !first.open)?.index;
        self.idle.remove(0);
        self.closed -= 1;
        Some(Unopened { memory, indices: closed..closed + 1, open: false })
    }

    /// Opens as many again as are open. If so much memory is not to be had, each is opened by itself.
    fn open_ahead(&mut self) {
        if self.memory.shape.guards != Guards::Light || self.fresh <= self.open {
            return;
        }
        let ahead = self.open.min(AHEAD);
        let to = self.count.min(self.fresh.saturating_add(ahead));
        let range = self.memory.place(self.open).start..self.memory.place(to).start;
        if self.memory.reservation.open(range).is_ok() {
            self.open = to;
        }
    }

    /// Takes a stack of this slab back; gives one of another slab back to the caller.
    pub fn push(&mut self, stack: Stack) -> Result<(), Stack> {
        if !self.owns(&stack) {
            return Err(stack);
        }
        self.idle.push(Idle { index: stack.index, open: true });
        Ok(())
    }

    /// Takes back what could not be opened; it is claimed again when nothing else is left.
    pub fn put_back(&mut self, unopened: &mut Unopened) {
        if Arc::ptr_eq(&self.memory, &unopened.memory) {
            let indices = std::mem::replace(&mut unopened.indices, 0..0);
            self.closed += indices.len() as u32;
            indices.for_each(|index| self.idle.insert(0, Idle { index, open: false }));
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
        let index = u32::try_from(offset / self.memory.shape.stride()).ok().filter(|index| *index < self.count)?;
        let Range { start, end } = self.memory.place(index);
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
        for index in self.indices.clone() {
            self.memory.open(index, self.open)?;
            self.indices.start = index + 1;
            stacks.push(Stack::new(self.memory.clone(), index));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Child, permissions_at};

    fn shape(size: usize) -> Shape {
        Shape::new(size, Guards::available()).expect("a shape")
    }

    fn slab(shape: Shape, count: u32) -> (StackSlab, Vec<Stack>) {
        let mut slab = StackSlab::reserve(shape, count).expect("a slab");
        let mut stacks = Vec::new();
        slab.claim(count).expect("a fresh slab has some").open(&mut stacks).expect("stacks");
        (slab, stacks)
    }

    fn each_kind(body: impl Fn(Guards)) {
        [Guards::available(), Guards::Closed].into_iter().for_each(body);
    }

    #[test]
    fn sizes_are_rounded_up() {
        assert_eq!(shape(0).size(), MINIMUM.next_multiple_of(page_size()));
        let (_slab, stacks) = slab(shape((256 << 10) + 1), 1);
        assert_eq!(stacks[0].size(), (256 << 10) + page_size());
        assert_eq!(stacks[0].end() - stacks[0].limit(), stacks[0].size());
    }

    #[test]
    fn stacks_lie_side_by_side_with_their_guards_between() {
        each_kind(|guards| {
            let (_slab, stacks) = slab(Shape::new(64 << 10, guards).expect("a shape"), 3);
            for pair in stacks.windows(2) {
                assert_eq!(pair[1].guard(), pair[0].end()..pair[1].limit());
                assert!(pair[1].guard().len() >= GUARD);
                assert!(
                    !((pair[1].end() - pair[0].end()) / page_size()).is_multiple_of(2),
                    "tops share sets of the TLB"
                );
            }
        });
    }

    #[test]
    fn tops_are_spread_and_heads_are_above_them() {
        let (_slab, stacks) = slab(shape(64 << 10), 17);
        let distance = |stack: &Stack| stack.end() - stack.top();
        for (index, stack) in stacks.iter().enumerate() {
            assert_eq!(distance(stack), HEAD + index % 16 * 64);
            assert_eq!((stack.top() % 64, stack.head().addr().get()), (0, stack.top()));
            assert!(distance(stack) < page_size(), "the head is in the page that is touched anyhow");
        }
    }

    #[test]
    fn light_guards_take_no_mapping_and_closed_ones_two_per_stack() {
        let (_slab, stacks) = slab(shape(64 << 10), 4);
        let permissions = |stack: &Stack| [stack.guard().start, stack.limit(), stack.end() - 1].map(permissions_at);
        if Guards::available() == Guards::Light {
            assert!(stacks.iter().all(|stack| permissions(stack) == ["rw-p"; 3]));
        }
        let (_slab, stacks) = slab(Shape::new(64 << 10, Guards::Closed).expect("a shape"), 4);
        assert!(stacks.iter().all(|stack| permissions(stack) == ["---p", "rw-p", "rw-p"]));
    }

    /// The deepest byte of the guard and the one right below the stack: a store there ends the process.
    fn guards_kill(name: &str, guards: Guards) {
        let at = std::env::var("GOSCHED_TEST_AT").ok().and_then(|at| at.parse::<usize>().ok());
        for below in [1, GUARD] {
            let child = Child::run_with(name, ("GOSCHED_TEST_AT", &below.to_string()), || {
                let (_slab, stacks) = slab(Shape::new(64 << 10, guards).expect("a shape"), 3);
                let limit: *mut u8 = std::ptr::with_exposed_provenance_mut(stacks[1].limit());
                // SAFETY: the stack's lowest byte.
                unsafe { limit.write_volatile(1) };
                let beyond = limit.wrapping_sub(at.expect("set by the parent"));
                // SAFETY: none; the guard ends the process here, which is what the parent waits for.
                unsafe { beyond.write_volatile(1) };
            });
            child.assert_killed_by(libc::SIGSEGV);
        }
    }

    #[test]
    fn light_guards_kill_at_both_ends() {
        guards_kill("stack::tests::light_guards_kill_at_both_ends", Guards::available());
    }

    #[test]
    fn closed_guards_kill_at_both_ends() {
        guards_kill("stack::tests::closed_guards_kill_at_both_ends", Guards::Closed);
    }

    #[test]
    fn the_one_used_last_comes_first_and_each_once() {
        let (mut slab, stacks) = slab(shape(64 << 10), 3);
        assert!(slab.claim(1).is_none() && slab.pop().is_none() && slab.out() == 3);
        let ends: Vec<_> = stacks.iter().map(Stack::end).collect();
        stacks.into_iter().for_each(|stack| slab.push(stack).expect("its own"));
        assert!(slab.is_whole() && slab.idle() == 3);
        let again: Vec<_> = std::iter::from_fn(|| slab.pop()).map(|stack| stack.end()).collect();
        assert!(again.iter().eq(ends.iter().rev()));
    }

    #[test]
    fn a_slab_takes_no_others_stack() {
        let (mut one, mut stacks) = slab(shape(64 << 10), 1);
        let (mut other, _) = slab(shape(64 << 10), 1);
        let stack = other.push(stacks.pop().expect("one")).expect_err("not its own");
        one.push(stack).expect("its own");
    }

    #[test]
    fn a_stack_outlives_its_slab() {
        Child::run("stack::tests::a_stack_outlives_its_slab", || {
            let (slab, mut stacks) = slab(shape(64 << 10), 2);
            let (first, last) = (stacks[0].limit(), stacks.pop().expect("two"));
            drop((slab, stacks));
            assert_eq!(permissions_at(first), "rw-p");
            drop(last);
            assert_eq!(permissions_at(first), "");
        })
        .assert_success();
    }

    #[test]
    fn deep_pages_are_given_back_and_the_rest_stays() {
        let (_slab, mut stacks) = slab(shape(256 << 10), 1);
        let stack = &mut stacks[0];
        assert_eq!(stack.depth(), 0);
        let at = |below: usize| std::ptr::with_exposed_provenance_mut::<u8>(stack.end() - below);
        for below in [1, 200 << 10] {
            // SAFETY: inside the test's own stack.
            unsafe { at(below).write_volatile(7) };
        }
        let (deep, top) = (at(200 << 10), at(1));
        assert_eq!(stack.depth(), 200 << 10);
        stack.discard_below(16 << 10);
        assert_eq!(stack.depth(), page_size());
        // SAFETY: as above.
        assert_eq!([top, deep].map(|byte| unsafe { byte.read_volatile() }), [7, 0]);
    }

    #[test]
    fn absurd_sizes_are_errors() {
        for size in [usize::MAX, usize::MAX - page_size(), usize::MAX / 2] {
            assert!(Shape::new(size, Guards::Light).is_err(), "{size:#x}");
        }
        assert!(StackSlab::reserve(shape(1 << 40), u32::MAX).is_err());
    }

    #[test]
    fn running_out_of_address_space_is_an_error() {
        Child::run("stack::tests::running_out_of_address_space_is_an_error", || {
            crate::testing::limit_address_space(64 << 20);
            let error = StackSlab::reserve(shape(1 << 30), 1).expect_err("more than there is");
            assert_eq!(error.raw_os_error(), Some(libc::ENOMEM));
            drop(slab(shape(64 << 10), 2));
        })
        .assert_success();
    }

    #[test]
    fn running_out_of_memory_to_open_is_an_error_and_the_place_is_kept() {
        Child::run("stack::tests::running_out_of_memory_to_open_is_an_error_and_the_place_is_kept", || {
            let mut slab = StackSlab::reserve(shape(1 << 20), 256).expect("closed, it counts as no memory");
            // What strict accounting refuses, this limit refuses at the same place.
            crate::testing::limit_data(64 << 20);
            let mut stacks = Vec::with_capacity(256);
            let mut unopened = slab.claim(256).expect("a fresh slab");
            let error = unopened.open(&mut stacks).expect_err("more than there is");
            assert_eq!(error.raw_os_error(), Some(libc::ENOMEM));
            assert!((1..100).contains(&stacks.len()), "{}", stacks.len());
            slab.put_back(&mut unopened);
            assert_eq!((slab.out() as usize, slab.idle()), (stacks.len(), 0));
            let first = stacks.pop().expect("some");
            slab.push(first).expect("its own");
            assert!(slab.pop().is_some() && slab.pop().is_none(), "what is closed does not come out as a stack");
            let mut again = slab.claim(16).expect("it was put back");
            assert!(again.open(&mut stacks).is_err());
            slab.put_back(&mut again);
        })
        .assert_success();
    }

    #[test]
    fn closed_guards_end_at_the_limit_of_mappings_with_an_error() {
        Child::run("stack::tests::closed_guards_end_at_the_limit_of_mappings_with_an_error", || {
            // More than the usual limit on mappings has room for.
            let mut slab = StackSlab::reserve(Shape::new(0, Guards::Closed).expect("a shape"), 40_000).expect("a slab");
            let mut stacks = Vec::with_capacity(40_000);
            let mut unopened = slab.claim(40_000).expect("a fresh slab");
            let outcome = unopened.open(&mut stacks);
            let limit = std::fs::read_to_string("/proc/sys/vm/max_map_count").expect("limit");
            let expect_error = limit.trim().parse::<usize>().expect("number") < 2 * stacks.capacity();
            assert_eq!(outcome.err().and_then(|error| error.raw_os_error()), expect_error.then_some(libc::ENOMEM));
            slab.put_back(&mut unopened);
        })
        .assert_success();
    }

    #[test]
    fn with_all_future_memory_locked_only_what_is_touched_is_memory() {
        Child::run("stack::tests::with_all_future_memory_locked_only_what_is_touched_is_memory", || {
            // SAFETY: concerns this process, a child.
            assert_eq!(unsafe { libc::mlockall(libc::MCL_FUTURE) }, 0);
            let before = crate::testing::resident();
            match StackSlab::reserve(shape(1 << 20), 64) {
                Ok(mut slab) => {
                    let mut stacks = Vec::new();
                    slab.claim(64).expect("a fresh slab").open(&mut stacks).expect("guards, too");
                    let grown = crate::testing::resident() - before;
                    assert!(grown < 8 << 20, "{grown} bytes");
                    assert_eq!(stacks[0].depth(), 0);
                }
                // Without the right to lock as much, the system says so.
                Err(error) => assert_eq!(error.raw_os_error(), Some(libc::EAGAIN)),
            }
        })
        .assert_success();
    }
}
