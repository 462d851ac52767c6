//! Stacks that wait for their next goroutine: a cache per P, a list per runtime, last in first out.
//!
//! A fresh stack costs a mapping and a page fault, a used one nothing. Caches move stacks in batches, so that a P that
//! only starts Gs and one that only ends them meet in the list without a lock per G.

use std::io;

use gosched_runtime_sys::primitive::Mutex;
use gosched_runtime_sys::stack::Stack;

/// A P's cache holds at most this many; half of it moves at a time.
const CACHE: usize = 64;

/// The stacks of one P.
pub(crate) struct StackCache(Vec<Stack>);

/// The stacks of a runtime that no P holds.
pub(crate) struct StackPool {
    size: usize,
    idle: Mutex<Vec<Stack>>,
}

impl StackCache {
    pub(crate) fn new() -> Self {
        Self(Vec::new())
    }

    /// A stack from here, from the pool, or a new one.
    #[inline]
    pub(crate) fn get(&mut self, pool: &StackPool) -> io::Result<Stack> {
        match self.0.pop() {
            Some(stack) => Ok(stack),
            None => self.refill(pool),
        }
    }

    #[cold]
    fn refill(&mut self, pool: &StackPool) -> io::Result<Stack> {
        let mut idle = pool.idle.lock();
        let keep = idle.len().saturating_sub(CACHE / 2);
        self.0.extend(idle.drain(keep..));
        drop(idle);
        match self.0.pop() {
            Some(stack) => Ok(stack),
            None => Stack::new(pool.size),
        }
    }

    /// Keeps a stack for the next G.
    #[inline]
    pub(crate) fn put(&mut self, pool: &StackPool, stack: Stack) {
        self.0.push(stack);
        if self.0.len() > CACHE {
            pool.idle.lock().extend(self.0.drain(..CACHE / 2));
        }
    }
}

impl StackPool {
    /// A pool of stacks of `size` bytes.
    pub(crate) fn new(size: usize) -> Self {
        Self { size, idle: Mutex::new(Vec::new()) }
    }

    /// Keeps a stack for whichever P needs one.
    pub(crate) fn put(&self, stack: Stack) {
        self.idle.lock().push(stack);
    }
}
