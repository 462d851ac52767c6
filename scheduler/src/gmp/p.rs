//! P: the right to run Gs, and the queues that go with it.
//!
//! Two halves. [`P`] is a box that somebody has or has not: having it is the lock, its fields need
//! no atomics. [`PShared`] is what thieves look at; it never moves, and stays when the P is retired.
//!
//! This is the only file that names crossbeam-deque.
//!
//! # Safety
//!
//! The deques carry G pointers; pushing gives the G's ownership to the queue, popping takes it.
#![expect(unsafe_code, reason = "takes ownership of the Gs that come out of a deque")]

use std::io;
use std::ops::Range;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};

use crossbeam_deque::{Steal, Stealer, Worker};

use crate::ds::timers::Timers;
use crate::gmp::g::{G, Runnable};
use crate::gmp::stack_pool::StackCache;
use crate::policy::oldest::Oldest;

/// The most Ps a runtime may have.
pub(crate) const MAX_PROCS: usize = 1024;

/// Whether a runtime may have `procs` Ps.
pub(crate) fn check_number(procs: usize) -> io::Result<()> {
    if (1..=MAX_PROCS).contains(&procs) {
        return Ok(());
    }
    Err(io::Error::new(
        io::ErrorKind::InvalidInput,
        format!("procs must be 1 to {MAX_PROCS}, not {procs}"),
    ))
}

/// A G on its way through a deque.
struct Queued(NonNull<G>);

// SAFETY: the pointer carries the ownership of its G, as `Runnable` does.
unsafe impl Send for Queued {}

impl From<Runnable> for Queued {
    fn from(g: Runnable) -> Self {
        Queued(g.into_raw())
    }
}

impl Queued {
    fn runnable(self) -> Runnable {
        // SAFETY: it was pushed by its owner, and a deque gives every element out once.
        unsafe { Runnable::from_raw(self.0) }
    }
}

/// A G that waits until a certain time, in the hands of the timers.
pub(crate) struct Sleeper(pub(crate) NonNull<G>);

// SAFETY: the pointer is what is not `Send`; it is there only while the G waits, and reaches its
// park word alone.
unsafe impl Send for Sleeper {}

/// The owned half.
pub(crate) struct P {
    /// Its number in [`AllPs`](super::all_ps::AllPs).
    pub(crate) index: usize,
    pub(crate) shared: Arc<PShared>,
    unstarted: Worker<Queued>,
    migratory: Worker<Queued>,
    /// Vacant G records, last used on top.
    pub(crate) vacant: Vec<NonNull<G>>,
    /// Goroutine numbers reserved for the next ones made here.
    pub(crate) ids: Range<u64>,
    /// Stacks, last used on top.
    pub(crate) stacks: StackCache,
    /// How long the oldest unstarted G has waited.
    oldest: Oldest,
}

// SAFETY: the record pointers in `vacant` are what is not `Send`; a vacant record belongs to
// whoever has the P.
unsafe impl Send for P {}

/// What others may look at.
pub(crate) struct PShared {
    unstarted: Stealer<Queued>,
    migratory: Stealer<Queued>,
    head: Head,
    /// The M that has the P, or had it last, has its share of settled Gs: who has less may take an
    /// unstarted one at once.
    offers: AtomicBool,
    /// What was put in by goroutines that ran with this P, and is due at some time.
    pub(crate) timers: Timers<Sleeper>,
}

/// Changes whenever another G becomes the oldest unstarted one: a thief compares two looks. On a
/// line of its own: it is written with most Gs that are made, where they are made one by one, and
/// those who search read what lies beside it.
#[derive(Default)]
#[repr(align(128))]
struct Head(AtomicU32);

/// Which end of the unstarted queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Newest,
    Oldest,
}

/// A P and its shared half.
pub(crate) fn new(index: usize) -> (Box<P>, Arc<PShared>) {
    let unstarted = Worker::new_lifo();
    let migratory = Worker::new_fifo();
    let shared = Arc::new(PShared {
        unstarted: unstarted.stealer(),
        migratory: migratory.stealer(),
        head: Head::default(),
        offers: AtomicBool::new(false),
        timers: Timers::new(),
    });
    let (vacant, stacks) = (Vec::new(), StackCache::new());
    let p = P {
        index,
        shared: shared.clone(),
        unstarted,
        migratory,
        vacant,
        ids: 0..0,
        stacks,
        oldest: Oldest::default(),
    };
    (Box::new(p), shared)
}

impl P {
    /// Queues a G that has not started. Thieves may see it at once.
    #[inline]
    pub(crate) fn push_unstarted(&self, g: Runnable) {
        if self.unstarted.is_empty() {
            self.shared.head_changed();
        }
        self.unstarted.push(g.into());
    }

    /// Takes an unstarted G.
    #[inline]
    pub(crate) fn pop_unstarted(&self, end: End) -> Option<Runnable> {
        match end {
            End::Newest => self.unstarted.pop().map(Queued::runnable),
            End::Oldest => self.shared.steal_unstarted(),
        }
    }

    /// Takes the oldest unstarted G, if `take` does, and it has waited for long enough to go before
    /// newer ones.
    pub(crate) fn take_if_due(
        &mut self,
        now: u64,
        take: impl FnOnce(&Self) -> Option<Runnable>,
    ) -> Option<Runnable> {
        if !self.oldest.is_due(self.unstarted.len(), now) {
            return None;
        }
        take(self).inspect(|_| self.oldest.went_first())
    }

    /// Whether unstarted Gs are queued.
    #[inline]
    pub(crate) fn has_unstarted(&self) -> bool {
        !self.unstarted.is_empty()
    }

    /// Says whether the M that has this P leaves what has not started to others.
    #[inline]
    pub(crate) fn offer(&self, offers: bool) {
        // Others read the line; it is written when it changes.
        if self.shared.offers() != offers {
            self.shared.offers.store(offers, Relaxed);
        }
    }

    /// Queues a woken or yielded migratory G.
    #[inline]
    pub(crate) fn push_migratory(&self, g: Runnable) {
        self.migratory.push(g.into());
    }

    /// The migratory G that waits longest.
    #[inline]
    pub(crate) fn pop_migratory(&self) -> Option<Runnable> {
        self.migratory.pop().map(Queued::runnable)
    }

    /// How many Gs are queued here.
    #[inline]
    pub(crate) fn queued(&self) -> usize {
        self.unstarted.len() + self.migratory.len()
    }

    /// Whether any G is queued here.
    pub(crate) fn has_work(&self) -> bool {
        self.has_unstarted() || !self.migratory.is_empty()
    }
}

impl PShared {
    fn head_changed(&self) {
        self.head.0.fetch_add(1, Relaxed);
    }

    /// Changes with the identity of the oldest unstarted G.
    pub(crate) fn head(&self) -> u32 {
        self.head.0.load(Relaxed)
    }

    /// Whether unstarted Gs are queued.
    pub(crate) fn has_unstarted(&self) -> bool {
        !self.unstarted.is_empty()
    }

    /// Whether those are for whoever has room for them. A hint.
    #[inline]
    pub(crate) fn offers(&self) -> bool {
        self.offers.load(Relaxed)
    }

    /// Whether migratory Gs are queued.
    pub(crate) fn has_migratory(&self) -> bool {
        !self.migratory.is_empty()
    }

    /// How many Gs are queued that have not started.
    pub(crate) fn unstarted(&self) -> usize {
        self.unstarted.len()
    }

    /// How many migratory ones are.
    pub(crate) fn migratory(&self) -> usize {
        self.migratory.len()
    }

    /// Takes the oldest unstarted G.
    pub(crate) fn steal_unstarted(&self) -> Option<Runnable> {
        let g = steal(&self.unstarted)?;
        self.head_changed();
        Some(g)
    }

    /// Takes the migratory G that waits longest.
    pub(crate) fn steal_migratory(&self) -> Option<Runnable> {
        steal(&self.migratory)
    }
}

fn steal(from: &Stealer<Queued>) -> Option<Runnable> {
    loop {
        match from.steal() {
            Steal::Success(g) => return Some(g.runnable()),
            Steal::Empty => return None,
            Steal::Retry => std::hint::spin_loop(),
        }
    }
}
