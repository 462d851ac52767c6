//! The global queues: of Gs that no P holds.

use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering::Relaxed};

use gosched_runtime_sys::sync::lock::Mutex;

use crate::gmp::g::Runnable;
use crate::gmp::g_queue::Queue;

/// A FIFO of Gs that any M may take.
pub(super) struct Global {
    queue: Mutex<Queue>,
    /// The length of `queue`, for readers without the lock.
    len: AtomicUsize,
    /// Changes whenever another G becomes the oldest. An M that leaves the oldest to another M
    /// compares two reads.
    head: AtomicU32,
}

impl Global {
    pub(super) fn new() -> Self {
        Self { queue: Mutex::new(Queue::new()), len: AtomicUsize::new(0), head: AtomicU32::new(0) }
    }

    pub(super) fn push(&self, g: Runnable) {
        let mut queue = self.queue.lock();
        queue.push_back(g);
        if queue.len() == 1 {
            self.head.fetch_add(1, Relaxed);
        }
        self.len.store(queue.len(), Relaxed);
    }

    #[inline]
    pub(super) fn pop(&self) -> Option<Runnable> {
        if self.len() == 0 {
            return None;
        }
        let mut queue = self.queue.lock();
        let g = queue.pop_front();
        self.head.fetch_add(1, Relaxed);
        self.len.store(queue.len(), Relaxed);
        g
    }

    /// Returns a number that changes whenever another G becomes the oldest.
    pub(super) fn head(&self) -> u32 {
        self.head.load(Relaxed)
    }

    #[inline]
    pub(super) fn len(&self) -> usize {
        self.len.load(Relaxed)
    }
}
