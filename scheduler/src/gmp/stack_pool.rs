//! Idle stacks: a cache per P and slabs per runtime, last in first out.
//!
//! A fresh stack costs an opening, a guard and a page fault, some 3 us; a used one costs nothing.
//! Caches move stacks to and from the slabs in batches. So one P may only start Gs and another only
//! end them, without a lock per G.
//!
//! # What idle stacks cost
//!
//! Three rules keep the cost small:
//!
//! - A stack that goes from a cache to its slab gives its deep pages back: all pages but the upper
//!   [`KEEP`] bytes. The stacks in a cache do so when their P runs out of work, and, in the cache
//!   of a busy P, at every [`TIDY_EVERY`]th stack that comes back.
//! - Stacks come from the oldest slab that has one. So the younger, larger slabs empty after a
//!   peak.
//! - A slab that was whole for [`IDLE_NS`] is unmapped, with its page tables. The timekeeper wakes
//!   for that, once, unless another M does it before.
//!
//! Under the lock nothing is allocated or freed, and the system is not called. An allocator that
//! spawns goroutines enters this code again, and every P takes the lock.
//!
//! # Rejected
//!
//! - Looking first whether deep pages were used at all. `mincore` takes 1.1 us for the default
//!   stack, `MADV_DONTNEED` without anything to give back 0.4 us.
//! - Slabs of one size. A program with ten goroutines would reserve as much as one with a million
//!   needs, or the larger program would have thousands of mappings.

use std::fmt;
use std::io;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};

use gosched_runtime_sys::clock::monotonic_ns;
use gosched_runtime_sys::memory::stack::{Guards, Shape, Stack, StackSlab, Unopened};
use gosched_runtime_sys::sync::lock::Mutex;

use crate::ds::grow;
use crate::ds::timers::NEVER;

/// The most stacks in a P's cache. Half of them move at a time.
const CACHE: usize = 64;

/// How many fresh stacks are opened at a time.
const OPEN: u32 = 16;

/// Bytes at its upper end that an idle stack keeps in memory: as many as a goroutine that formats
/// and prints uses. Giving a page back and touching it again costs 1.5 us.
const KEEP: usize = 16 << 10;

/// After how many returned stacks a busy P gives the deep pages of its idle stacks back.
///
/// That costs at most [`CACHE`] times 0.4 us, so 25 ns for each returned stack, and much less if
/// the same few stacks are used again and again.
const TIDY_EVERY: u32 = 1024;

/// A slab that was whole for so long is unmapped.
const IDLE_NS: u64 = 1_000_000_000;

/// Bytes of the first slab, and of the largest. Each new slab is as large as all before it.
const SLAB_BYTES: std::ops::RangeInclusive<usize> = (64 << 20)..=(16 << 30);

/// The stacks of one P, all of the usual size.
pub(crate) struct StackCache {
    stacks: Vec<Stack>,
    /// The first `tidy` stacks, as far as they are still here, have given their deep pages back and
    /// were not used since.
    tidy: usize,
    /// How many stacks came back to this cache.
    came_back: u32,
}

/// The stacks of a runtime that no P holds.
pub(crate) struct StackPool {
    usual: SizeClass,
    /// The classes of other sizes, in the order in which they were first asked for.
    others: Mutex<Vec<Arc<SizeClass>>>,
    unmapped: AtomicU64,
    /// When to look for slabs to unmap; [`NEVER`] while none is whole.
    due: AtomicU64,
}

/// The stacks of one size.
struct SizeClass {
    shape: Shape,
    /// The oldest first.
    slabs: Mutex<Vec<Slab>>,
    /// The addresses of the first slab, which is never unmapped.
    first_slab: OnceLock<Range<usize>>,
}

struct Slab {
    stacks: StackSlab,
    /// When the slab became whole; `None` while some of its stacks are elsewhere.
    whole_since: Option<u64>,
}

/// What the stacks of a runtime take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct StackStats {
    /// Bytes of address space, guards included. Memory is what was touched of it.
    pub reserved: usize,
    /// Reservations, which are mappings or parts of one.
    pub slabs: usize,
    /// Stacks with a goroutine on them, or in the cache of a P, where it keeps up to 64 for its
    /// next ones.
    pub taken: usize,
    /// Stacks that wait in their slabs.
    pub idle: usize,
    /// Slabs that were unmapped because nobody needed them any more.
    pub unmapped: u64,
    /// Whether guards cost no mapping (`MADV_GUARD_INSTALL`). If not, each stack costs two.
    pub light_guards: bool,
}

/// The error of a stack that could not be had.
#[derive(Debug)]
struct NoStack {
    size: usize,
    taken: usize,
    guards: Guards,
    error: io::Error,
}

impl fmt::Display for NoStack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "no memory for a stack of {} bytes beside {} others: {}",
            self.size, self.taken, self.error
        )?;
        match self.guards {
            Guards::Light => Ok(()),
            Guards::Closed => {
                f.write_str(" (each takes two of the mappings that vm.max_map_count limits)")
            }
        }
    }
}

impl std::error::Error for NoStack {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.error)
    }
}

impl StackCache {
    pub(crate) fn new() -> Self {
        Self { stacks: Vec::new(), tidy: 0, came_back: 0 }
    }

    /// Returns a stack of `size` bytes, or of the usual size: from this cache, or an idle one from
    /// a slab, or a fresh one.
    #[inline]
    pub(crate) fn get(&mut self, pool: &StackPool, size: Option<usize>) -> io::Result<Stack> {
        match size.filter(|size| *size != pool.usual.shape.size()) {
            Some(size) => pool.get_unusual(size),
            None => match self.stacks.pop() {
                Some(stack) => Ok(stack),
                None => self.refill(pool),
            },
        }
    }

    #[cold]
    fn refill(&mut self, pool: &StackPool) -> io::Result<Stack> {
        self.tidy = 0;
        self.stacks.reserve(CACHE + 1);
        pool.usual.take(&mut self.stacks, CACHE / 2)?;
        Ok(self.stacks.pop().expect("taking brings one, or an error"))
    }

    /// Keeps a stack for the next G.
    #[inline]
    pub(crate) fn put(&mut self, pool: &StackPool, stack: Stack) {
        if stack.size() != pool.usual.shape.size() {
            return pool.put(stack);
        }
        self.tidy = self.tidy.min(self.stacks.len());
        self.stacks.push(stack);
        self.came_back = self.came_back.wrapping_add(1);
        if self.stacks.len() > CACHE || self.came_back.is_multiple_of(TIDY_EVERY) {
            self.make_room(pool);
        }
    }

    #[cold]
    fn make_room(&mut self, pool: &StackPool) {
        self.tidy();
        if self.stacks.len() > CACHE {
            self.tidy -= CACHE / 2;
            pool.give(&pool.usual, self.stacks.drain(..CACHE / 2));
            pool.tidy(monotonic_ns());
        }
    }

    /// Gives all stacks back to their slabs. Called when the P retires.
    pub(crate) fn empty(&mut self, pool: &StackPool) {
        self.tidy();
        self.tidy = 0;
        pool.usual.give(self.stacks.drain(..));
    }

    /// Gives the deep pages of idle stacks back, and all stacks but those of the first slab: one
    /// that stayed here would keep a whole slab mapped. Called when the P runs out of work.
    pub(crate) fn come_to_rest(&mut self, pool: &StackPool) {
        self.tidy();
        let first = pool.usual.first_slab.get().cloned().unwrap_or_default();
        let is_other = |stack: &mut Stack| !first.contains(&stack.limit());
        if self.stacks.iter_mut().any(is_other) {
            pool.give(&pool.usual, self.stacks.extract_if(.., is_other));
            self.tidy = self.stacks.len();
        }
    }

    /// Gives the deep pages of idle stacks back.
    fn tidy(&mut self) {
        let tidy = self.tidy.min(self.stacks.len());
        self.stacks[tidy..].iter_mut().for_each(|stack| stack.discard_below(KEEP));
        self.tidy = self.stacks.len();
    }
}

impl StackPool {
    /// Makes a pool whose stacks have the shape `shape`, unless another size is asked for.
    pub(crate) fn new(shape: Shape) -> Self {
        Self {
            usual: SizeClass::new(shape),
            others: Mutex::new(Vec::new()),
            unmapped: AtomicU64::new(0),
            due: AtomicU64::new(NEVER),
        }
    }

    #[cold]
    fn get_unusual(&self, size: usize) -> io::Result<Stack> {
        let shape = Shape::new(size, self.usual.shape.guards())?;
        if shape == self.usual.shape {
            return self.take_one(&self.usual);
        }
        let class = self.other(shape.size()).unwrap_or_else(|| {
            // Two concurrent callers add two classes. From then on every caller finds the first.
            grow::push(|| self.others.lock(), |others| others, Arc::new(SizeClass::new(shape)));
            self.other(shape.size()).expect("it was just added")
        });
        self.take_one(&class)
    }

    fn take_one(&self, class: &SizeClass) -> io::Result<Stack> {
        let mut stacks = Vec::with_capacity(OPEN as usize);
        class.take(&mut stacks, 1)?;
        let stack = stacks.pop().expect("taking brings one, or an error");
        // The others of the batch that was opened.
        self.give(class, stacks.into_iter());
        Ok(stack)
    }

    /// Returns the class of an unusual size.
    fn other(&self, size: usize) -> Option<Arc<SizeClass>> {
        self.others.lock().iter().find(|class| class.shape.size() == size).cloned()
    }

    /// Keeps a stack for any P that needs one.
    #[cold]
    pub(crate) fn put(&self, mut stack: Stack) {
        stack.discard_below(KEEP);
        if stack.size() == self.usual.shape.size() {
            self.give(&self.usual, std::iter::once(stack));
        } else {
            let class = self.other(stack.size()).expect("it came from there");
            self.give(&class, std::iter::once(stack));
        }
    }

    fn give(&self, class: &SizeClass, stacks: impl Iterator<Item = Stack>) {
        let due = class.give(stacks);
        if due < self.due() {
            self.due.fetch_min(due, Relaxed);
        }
    }

    /// Returns when [`tidy`](Self::tidy) has something to do, on the monotonic clock; [`NEVER`] if
    /// it has nothing to do. A hint.
    pub(crate) fn due(&self) -> u64 {
        self.due.load(Relaxed)
    }

    /// Unmaps slabs that were whole for a while. Cheap if nothing is due.
    pub(crate) fn tidy(&self, now: u64) {
        if now < self.due() {
            return;
        }
        self.due.store(NEVER, Relaxed);
        let mut unmapped = 0;
        let mut due = self.usual.tidy(now, &mut unmapped);
        let mut at = 0;
        // The classes are looked up one by one, so that none is tidied under the list's lock.
        while let Some(class) = { self.others.lock().get(at).cloned() } {
            due = due.min(class.tidy(now, &mut unmapped));
            at += 1;
        }
        self.unmapped.fetch_add(unmapped, Relaxed);
        // A slab that became whole meanwhile is covered: `give` has lowered `due` after the store
        // above, or before it, and then the class's own `tidy` has seen the slab.
        self.due.fetch_min(due, Relaxed);
    }

    /// Returns the addresses of the stack that contains `address`, if it is one of this pool's at
    /// the moment.
    pub(crate) fn stack_at(&self, address: usize) -> Option<Range<usize>> {
        let mut at = 0;
        let mut found = self.usual.stack_at(address);
        // One by one, as in `tidy`.
        while found.is_none()
            && let Some(class) = { self.others.lock().get(at).cloned() }
        {
            found = class.stack_at(address);
            at += 1;
        }
        found
    }

    /// Returns what the stacks take. Reads each slab; there are some dozens at most.
    pub(crate) fn stats(&self) -> StackStats {
        let mut stats = StackStats {
            unmapped: self.unmapped.load(Relaxed),
            light_guards: self.usual.shape.guards() == Guards::Light,
            ..StackStats::default()
        };
        self.usual.count(&mut stats);
        self.others.lock().iter().for_each(|class| class.count(&mut stats));
        stats
    }
}

impl SizeClass {
    fn new(shape: Shape) -> Self {
        Self { shape, slabs: Mutex::new(Vec::new()), first_slab: OnceLock::new() }
    }

    /// Moves up to `most` idle stacks into `into`; if none is idle, opens fresh ones. Brings at
    /// least one stack, or an error.
    fn take(&self, into: &mut Vec<Stack>, most: usize) -> io::Result<()> {
        loop {
            let mut slabs = self.slabs.lock();
            for slab in slabs.iter_mut() {
                while into.len() < most
                    && let Some(stack) = slab.stacks.pop()
                {
                    slab.whole_since = None;
                    into.push(stack);
                }
            }
            if !into.is_empty() {
                return Ok(());
            }
            let claimed = slabs.iter_mut().find_map(|slab| {
                slab.stacks.take_unopened(OPEN).inspect(|_| slab.whole_since = None)
            });
            drop(slabs);
            match claimed {
                Some(unopened) => return self.open(unopened, into),
                None => self.add_slab()?,
            }
        }
    }

    /// Opens fresh stacks. Fails only if none could be opened; those that could not are put back.
    fn open(&self, mut unopened: Unopened, into: &mut Vec<Stack>) -> io::Result<()> {
        let outcome = unopened.open(into);
        if outcome.is_err() {
            let now = monotonic_ns();
            for slab in self.slabs.lock().iter_mut() {
                slab.stacks.put_back(&mut unopened);
                slab.whole_since = slab.whole_since.or(slab.stacks.is_whole().then_some(now));
            }
        }
        if into.is_empty() { outcome.map_err(|error| self.no_stack(error)) } else { Ok(()) }
    }

    fn no_stack(&self, error: io::Error) -> io::Error {
        let taken = self.slabs.lock().iter().map(|slab| slab.stacks.out() as usize).sum();
        let none = NoStack { size: self.shape.size(), taken, guards: self.shape.guards(), error };
        io::Error::new(io::ErrorKind::OutOfMemory, none)
    }

    /// Reserves as many bytes again as there are; fewer if the system refuses that many.
    fn add_slab(&self) -> io::Result<()> {
        let present: usize = self.slabs.lock().iter().map(|slab| slab.stacks.reserved()).sum();
        let bytes = present.clamp(*SLAB_BYTES.start(), *SLAB_BYTES.end());
        let mut count = u32::try_from(bytes / self.shape.stride()).unwrap_or(u32::MAX).max(1);
        let stacks = loop {
            match StackSlab::reserve(self.shape, count) {
                Ok(stacks) => break stacks,
                Err(error) if count == 1 => return Err(self.no_stack(error)),
                Err(_) => count /= 2,
            }
        };
        grow::push(|| self.slabs.lock(), |slabs| slabs, Slab { stacks, whole_since: None });
        let first = self.slabs.lock().first().map(|slab| {
            let base = slab.stacks.base();
            base..base + slab.stacks.reserved()
        });
        // The same for whoever comes here.
        let _known = first.map(|first| self.first_slab.set(first));
        Ok(())
    }

    /// Gives stacks back to their slabs. Returns when a slab that became whole is to be unmapped;
    /// [`NEVER`] if none is.
    fn give(&self, stacks: impl Iterator<Item = Stack>) -> u64 {
        let now = monotonic_ns();
        let mut slabs = self.slabs.lock();
        let (mut at, mut due) = (0, NEVER);
        for stack in stacks {
            // Several stacks in a row are mostly of one slab.
            if slabs.get(at).is_none_or(|slab| !slab.stacks.owns(&stack)) {
                at = slabs
                    .iter()
                    .position(|slab| slab.stacks.owns(&stack))
                    .expect("a slab stays until it is whole");
            }
            slabs[at].stacks.push(stack).expect("just looked");
            if slabs[at].stacks.is_whole() {
                slabs[at].whole_since = Some(now);
                due = if at > 0 { now + IDLE_NS } else { due };
            }
        }
        due
    }

    /// Unmaps the slabs that were whole for a while, except the first slab, and counts them.
    /// Returns when the next one is due.
    fn tidy(&self, now: u64, unmapped: &mut u64) -> u64 {
        loop {
            let mut slabs = self.slabs.lock();
            let due = |slab: &Slab| slab.whole_since.map_or(NEVER, |since| since + IDLE_NS);
            let Some(at) = slabs.iter().skip(1).position(|slab| due(slab) <= now) else {
                return slabs.iter().skip(1).map(due).min().unwrap_or(NEVER);
            };
            let slab = slabs.remove(at + 1);
            drop(slabs);
            drop(slab);
            *unmapped += 1;
        }
    }

    fn stack_at(&self, address: usize) -> Option<Range<usize>> {
        self.slabs.lock().iter().find_map(|slab| slab.stacks.stack_at(address))
    }

    fn count(&self, stats: &mut StackStats) {
        for slab in self.slabs.lock().iter() {
            stats.reserved += slab.stacks.reserved();
            stats.slabs += 1;
            stats.taken += slab.stacks.out() as usize;
            stats.idle += slab.stacks.idle() as usize;
        }
    }
}

#[cfg(all(test, not(gosched_loom)))]
mod tests;
