//! Idle stacks: a cache per P and slabs per runtime, last in first out.
//!
//! A fresh stack costs an opening, a guard and a page fault, some 3 us; a used one costs nothing.
//! Caches move stacks to and from the slabs in batches. So one P may only start Gs and another only
//! end them, without a lock per G.
//!
//! # What idle stacks cost
//!
//! Five rules keep the cost small:
//!
//! - A stack that goes from a cache to its slab gives its deep pages back: all pages but the upper
//!   [`KEEP`] bytes. The stacks in a cache do so when their P runs out of work, and, in the cache
//!   of a busy P, at every [`TIDY_EVERY`]th stack that comes back.
//! - Stacks come from the oldest slab that has one. So the younger, larger slabs empty after a
//!   peak.
//! - A slab that was whole for [`IDLE_NS`] is unmapped, with its page tables. The timekeeper wakes
//!   for that, once, unless another M does it before.
//! - A slab that is not whole, and from which no stack came or went for as long, gives all pages of
//!   its idle stacks back, a few stacks at a time. One goroutine that lives on keeps its slab, and
//!   not the memory of those that ended beside it.
//! - The stacks in the caches go back to such slabs, too: those of an idle P at once, those of a
//!   busy P in one of its next 61 rounds ([`StackCache::rest_if_asked`]).
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

use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

use gosched_runtime_sys::clock::monotonic_ns;
use gosched_runtime_sys::memory::stack::{Guards, Shape, Stack};
use gosched_runtime_sys::sync::lock::Mutex;

use crate::ds::grow;
use crate::ds::timers::NEVER;

mod size_class;

pub use size_class::StackStats;
use size_class::{IDLE_NS, OPEN, SizeClass};

/// The most stacks in a P's cache. Half of them move at a time.
const CACHE: usize = 64;

/// Bytes at its upper end that an idle stack keeps in memory: as many as a goroutine that formats
/// and prints uses. Giving a page back and touching it again costs 1.5 us.
const KEEP: usize = 16 << 10;

/// After how many returned stacks a busy P gives the deep pages of its idle stacks back.
///
/// That costs at most [`CACHE`] times 0.4 us, so 25 ns for each returned stack, and much less if
/// the same few stacks are used again and again.
const TIDY_EVERY: u32 = 1024;

/// The stacks of one P, all of the usual size.
pub(crate) struct StackCache {
    stacks: Vec<Stack>,
    /// The first `tidy` stacks, as far as they are still here, have given their deep pages back and
    /// were not used since.
    tidy: usize,
    /// How many stacks came back to this cache.
    came_back: u32,
    /// The last request to come to rest that this cache has heard of.
    asked: u32,
}

/// The stacks of a runtime that no P holds.
pub(crate) struct StackPool {
    usual: SizeClass,
    /// The classes of other sizes, in the order in which they were first asked for.
    others: Mutex<Vec<Arc<SizeClass>>>,
    unmapped: AtomicU64,
    /// When to look for slabs to unmap or to cool; [`NEVER`] while there are none.
    due: AtomicU64,
    /// How many times the caches were asked to come to rest, and when last.
    asked: AtomicU32,
    asked_at: AtomicU64,
}

impl StackCache {
    pub(crate) fn new() -> Self {
        Self { stacks: Vec::new(), tidy: 0, came_back: 0, asked: 0 }
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

    /// Comes to rest if the pool has asked for it. Called by a busy P now and then: it may not run
    /// out of work for long, and start nothing.
    #[inline]
    pub(crate) fn rest_if_asked(&mut self, pool: &StackPool) {
        let asked = pool.asked.load(Relaxed);
        if self.asked != asked {
            self.asked = asked;
            self.come_to_rest(pool);
        }
    }

    /// Gives the deep pages of idle stacks back.
    fn tidy(&mut self) {
        let tidy = self.tidy.min(self.stacks.len());
        Stack::discard_below(self.stacks[tidy..].iter_mut(), KEEP);
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
            asked: AtomicU32::new(0),
            asked_at: AtomicU64::new(0),
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
        Stack::discard_below(std::iter::once(&mut stack), KEEP);
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

    /// Unmaps slabs that were whole for a while, and cools those that nobody used. Cheap if nothing
    /// is due.
    pub(crate) fn tidy(&self, now: u64) {
        if now < self.due() {
            return;
        }
        self.due.store(NEVER, Relaxed);
        if now.saturating_sub(self.asked_at.load(Relaxed)) >= IDLE_NS && self.usual.is_pinned() {
            // By what lives, or by what lies in the caches.
            self.asked_at.store(now, Relaxed);
            self.asked.fetch_add(1, Relaxed);
        }
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

#[cfg(all(test, not(gosched_loom)))]
mod tests;
