//! The queue of Gs that are to begin apart: on an M on which no others have settled.
//!
//! `policy::behaviour` says which Gs those are, and which Ms may take one. `proc::apart` puts them
//! in, brings an M and takes them out.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering::Relaxed};

use gosched_runtime_sys::sync::lock::Mutex;

use crate::ds::pending::Pending;
use crate::gmp::g::Runnable;
use crate::gmp::g_queue::Queue;

/// Number of Gs that one look skips.
const SKIPPED: usize = 64;

/// The queue, and who is on the way to it.
pub(crate) struct Apart {
    line: Mutex<Line>,
    /// The number of Gs in `line`, for readers without the lock.
    len: AtomicUsize,
    /// Changes whenever another G becomes the oldest.
    head: AtomicU32,
    /// The burst of the oldest; 0 if it has none. A hint.
    head_burst: AtomicU32,
    /// The burst of which an M last took the first G; that M looks here for the others.
    served: AtomicU32,
    /// An M was brought, and has not looked yet.
    pub(crate) coming: Pending,
    /// No M could be brought: any M may take the oldest.
    open: AtomicBool,
    /// The number of bursts so far.
    bursts: AtomicU32,
}

/// The Gs. The oldest is apart from the others: it is looked at before it is taken.
struct Line {
    oldest: Option<Runnable>,
    others: Queue,
}

impl Apart {
    pub(crate) fn new() -> Self {
        Self {
            line: Mutex::new(Line { oldest: None, others: Queue::new() }),
            len: AtomicUsize::new(0),
            head: AtomicU32::new(0),
            head_burst: AtomicU32::new(0),
            served: AtomicU32::new(0),
            coming: Pending::new(),
            open: AtomicBool::new(false),
            bursts: AtomicU32::new(0),
        }
    }

    /// Returns the number of Gs in the queue. A hint.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.len.load(Relaxed)
    }

    /// True if the queue holds Gs.
    #[inline]
    pub(crate) fn waits(&self) -> bool {
        self.len() > 0
    }

    /// Queues a G.
    pub(crate) fn push(&self, g: Runnable) {
        let mut line = self.line.lock();
        if line.oldest.is_none() {
            line.oldest = Some(g);
            self.head_changed(&line);
        } else {
            line.others.push_back(g);
        }
        self.len.store(line.len(), Relaxed);
    }

    /// Takes the oldest G if `wants` it. Takes the lock however long the queue seems, as a helper
    /// must (`ds::pending`).
    pub(crate) fn pop_if(&self, wants: impl FnOnce(&Runnable) -> bool) -> Option<Runnable> {
        let mut line = self.line.lock();
        let next = line.oldest.take_if(|g| wants(g))?;
        line.oldest = line.others.pop_front();
        self.open.store(false, Relaxed);
        self.head_changed(&line);
        self.len.store(line.len(), Relaxed);
        Some(next)
    }

    /// Puts Gs that are not `wanted` behind the others until the oldest is, [`SKIPPED`] at most.
    /// True if it is.
    pub(crate) fn skip_to(&self, wanted: impl Fn(&Runnable) -> bool) -> bool {
        let mut line = self.line.lock();
        for _ in 0..line.len().min(SKIPPED) {
            if line.oldest.as_ref().is_some_and(&wanted) {
                return true;
            }
            let Some(next) = line.others.pop_front() else { break };
            if let Some(skipped) = line.oldest.replace(next) {
                line.others.push_back(skipped);
            }
            self.head_changed(&line);
        }
        line.oldest.as_ref().is_some_and(wanted)
    }

    /// Returns the numbers of the Gs in the queue, in ascending order. Allocates nothing under the
    /// lock.
    pub(crate) fn ids(&self) -> Vec<u64> {
        let mut ids = Vec::new();
        loop {
            ids.reserve(self.len());
            let mut line = self.line.lock();
            if line.len() <= ids.capacity() {
                ids.extend(line.oldest.as_ref().map(|g| g.g().id()));
                for _ in 0..line.others.len() {
                    let Some(g) = line.others.pop_front() else { break };
                    ids.push(g.g().id());
                    line.others.push_back(g);
                }
                break;
            }
        }
        ids.sort_unstable();
        ids
    }

    fn head_changed(&self, line: &Line) {
        let burst = line.oldest.as_ref().map_or(0, |g| g.g().burst());
        self.head_burst.store(burst.into(), Relaxed);
        self.head.store(self.head.load(Relaxed).wrapping_add(1), Relaxed);
    }

    /// Returns a number that changes whenever another G becomes the oldest.
    pub(crate) fn head(&self) -> u32 {
        self.head.load(Relaxed)
    }

    /// Returns the burst of the oldest G; 0 if it has none. A hint.
    #[inline]
    pub(crate) fn head_burst(&self) -> u16 {
        self.head_burst.load(Relaxed) as u16
    }

    /// Notes that an M has taken a G of this burst, and looks for the others.
    pub(crate) fn serve(&self, burst: u16) {
        self.served.store(burst.into(), Relaxed);
    }

    /// True if the oldest G is of the burst that an M has begun last. A hint.
    pub(crate) fn head_is_served(&self) -> bool {
        let burst = self.head_burst();
        burst != 0 && u32::from(burst) == self.served.load(Relaxed)
    }

    /// True if there is an oldest G, and it is `wanted`.
    pub(crate) fn oldest_is(&self, wanted: impl Fn(&Runnable) -> bool) -> bool {
        self.line.lock().oldest.as_ref().is_some_and(wanted)
    }

    /// Returns the number of a new burst, never 0. Numbers repeat after 65,535 bursts.
    pub(crate) fn new_burst(&self) -> u16 {
        (self.bursts.fetch_add(1, Relaxed) % u32::from(u16::MAX) + 1) as u16
    }

    /// Notes that no M comes, and lets any M take the oldest G. The caller then submits
    /// (`Idle::submit`).
    pub(crate) fn open(&self) {
        self.coming.look(|| {
            let line = self.line.lock();
            self.open.store(line.oldest.is_some(), Relaxed);
        });
    }

    /// True if any M may take the oldest G.
    #[inline]
    pub(crate) fn is_open(&self) -> bool {
        self.open.load(Relaxed) && self.waits()
    }
}

impl Line {
    fn len(&self) -> usize {
        usize::from(self.oldest.is_some()) + self.others.len()
    }
}
