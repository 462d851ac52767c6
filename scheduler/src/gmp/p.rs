//! P: the right to run Gs, and the queues that go with it.
//!
//! A P has two halves. [`P`] is a box with one owner; owning the box is the lock, so its fields
//! need no atomics. Thieves read [`PShared`]; it never moves, and stays when the P is retired.
//!
//! This is the only file that names crossbeam-deque.
//!
//! # Safety
//!
//! The queues carry G pointers. A push gives the G's ownership to the queue; a pop takes it.
#![expect(unsafe_code, reason = "takes ownership of the Gs that come out of a queue")]

use std::cell::Cell;
use std::io;
use std::ops::Range;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};

use crossbeam_deque::{Steal, Stealer, Worker};
use gosched_runtime_sys::clock::monotonic_ns;

use crate::ds::run_next::RunNext;
use crate::ds::timers::Timers;
use crate::gmp::g::{G, Runnable};
use crate::gmp::stack_pool::StackCache;
use crate::policy;
use crate::policy::look_everywhere::LookEverywhere;
use crate::policy::oldest::Oldest;

/// The most Ps that a runtime may have.
pub(crate) const MAX_PROCS: usize = 1024;

/// Returns an error unless a runtime may have `procs` Ps.
pub(crate) fn check_number(procs: usize) -> io::Result<()> {
    if (1..=MAX_PROCS).contains(&procs) {
        return Ok(());
    }
    Err(io::Error::new(
        io::ErrorKind::InvalidInput,
        format!("procs must be 1 to {MAX_PROCS}, not {procs}"),
    ))
}

/// A G on its way through a queue.
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
        // SAFETY: the G's owner pushed the pointer, and a queue gives out every element once.
        unsafe { Runnable::from_raw(self.0) }
    }
}

/// A G that waits for a deadline, as the timers refer to it.
pub(crate) struct Sleeper(pub(crate) NonNull<G>);

// SAFETY: only the pointer is not `Send`. It is in the timers only while the G waits, and is used
// to reach the G's park word alone.
unsafe impl Send for Sleeper {}

/// The owned half of a P: its holder may run Gs.
pub(crate) struct P {
    /// The P's number in [`AllPs`](super::all_ps::AllPs).
    pub(crate) index: usize,
    pub(crate) shared: Arc<PShared>,
    unstarted: Worker<Queued>,
    /// Woken migratory Gs.
    migratory: Worker<Queued>,
    /// Migratory Gs that have had a turn: they have yielded, or their chain has ended.
    yielded: Worker<Queued>,
    /// Vacant G records; the one used last is the next.
    pub(crate) vacant: Vec<NonNull<G>>,
    /// Goroutine numbers reserved for the next goroutines that are spawned with this P.
    pub(crate) ids: Range<u64>,
    /// Idle stacks; the one used last is the next.
    pub(crate) stacks: StackCache,
    /// Decides when the oldest unstarted G goes before newer ones.
    oldest: Oldest,
    /// Since when the M with the P leaves its unstarted Gs to others, in ns; 0: not yet.
    spreads_since: Cell<u64>,
    /// Decides when what is otherwise looked at last goes first.
    pub(crate) look_everywhere: LookEverywhere,
}

// SAFETY: only the record pointers in `vacant` are not `Send`. A vacant record belongs to the owner
// of the P.
unsafe impl Send for P {}

/// The shared half of a P: every thread may read it, and steal from it.
pub(crate) struct PShared {
    unstarted: Stealer<Queued>,
    migratory: Stealer<Queued>,
    yielded: Stealer<Queued>,
    /// The migratory G that was woken last.
    next: RunNext<G>,
    head: Head,
    /// The M that has the P, or had it last, owns its share of settled Gs. So an M that owns fewer
    /// may take an unstarted G at once.
    offers: AtomicBool,
    /// The unstarted Gs are spread evenly over the Ms.
    spreads: AtomicBool,
    /// How many migratory Gs the M that has the P has taken. The count wraps around.
    taken: Head,
    /// That M gets through the migratory Gs by itself, as a thief has found.
    keeps_up: AtomicBool,
    /// The deadlines of goroutines that began to wait with this P.
    pub(crate) timers: Timers<Sleeper>,
}

/// A counter that changes whenever the M has taken a migratory G, or another G becomes the oldest
/// unstarted one. A thief compares two reads of it.
///
/// It has its own cache line. The M writes the counter for nearly each G, and searching Ms read the
/// fields beside it.
#[derive(Default)]
#[repr(align(128))]
struct Head(AtomicU32);

/// An end of the unstarted queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Newest,
    Oldest,
}

/// Makes the P with the number `index`. Returns its two halves.
pub(crate) fn new(index: usize) -> (Box<P>, Arc<PShared>) {
    let unstarted = Worker::new_lifo();
    let [migratory, yielded] = [(); 2].map(|()| Worker::new_fifo());
    let shared = Arc::new(PShared {
        unstarted: unstarted.stealer(),
        migratory: migratory.stealer(),
        yielded: yielded.stealer(),
        next: RunNext::new(),
        head: Head::default(),
        offers: AtomicBool::new(false),
        spreads: AtomicBool::new(false),
        taken: Head::default(),
        keeps_up: AtomicBool::new(false),
        timers: Timers::new(),
    });
    let (vacant, stacks) = (Vec::new(), StackCache::new());
    let p = P {
        index,
        shared: shared.clone(),
        unstarted,
        migratory,
        yielded,
        vacant,
        ids: 0..0,
        stacks,
        oldest: Oldest::default(),
        spreads_since: Cell::new(0),
        look_everywhere: LookEverywhere::default(),
    };
    (Box::new(p), shared)
}

impl P {
    /// Queues an unstarted G. Thieves may see it at once.
    #[inline]
    pub(crate) fn push_unstarted(&self, g: Runnable) {
        if self.unstarted.is_empty() {
            self.shared.head_changed();
            if self.shared.spreads() {
                self.shared.spreads.store(false, Relaxed);
            }
        }
        self.unstarted.push(g.into());
    }

    /// Has the unstarted Gs that are queued now spread evenly over the Ms.
    pub(crate) fn spread(&self) {
        self.spreads_since.set(0);
        self.shared.spreads.store(true, Relaxed);
    }

    /// True if the unstarted Gs are spread evenly over the Ms. They are no more when others have
    /// had the time to come for them.
    #[inline]
    pub(crate) fn spreads(&self) -> bool {
        self.shared.spreads() && self.still_spreads(monotonic_ns())
    }

    #[cold]
    fn still_spreads(&self, now: u64) -> bool {
        if self.spreads_since.get() == 0 {
            self.spreads_since.set(now);
        }
        let spreads = policy::is_left_to_others(self.spreads_since.get(), now);
        self.shared.spreads.store(spreads, Relaxed);
        spreads
    }

    /// Takes the unstarted G at one end of the queue.
    #[inline]
    pub(crate) fn pop_unstarted(&self, end: End) -> Option<Runnable> {
        match end {
            End::Newest => self.unstarted.pop().map(Queued::runnable),
            End::Oldest => self.shared.steal_unstarted(),
        }
    }

    /// Calls `take`, which takes the oldest unstarted G, if that G has waited long enough to go
    /// before newer ones.
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

    /// True if unstarted Gs are queued.
    #[inline]
    pub(crate) fn has_unstarted(&self) -> bool {
        !self.unstarted.is_empty()
    }

    /// Sets whether the M that has this P leaves its unstarted Gs to other Ms.
    #[inline]
    pub(crate) fn offer(&self, offers: bool) {
        // Other Ms read this cache line, so it is written only when the value changes.
        if self.shared.offers() != offers {
            self.shared.offers.store(offers, Relaxed);
        }
    }

    /// Queues a woken migratory G.
    #[inline]
    pub(crate) fn push_migratory(&self, g: Runnable) {
        self.migratory.push(g.into());
    }

    /// Queues a migratory G that has had a turn.
    #[inline]
    pub(crate) fn push_yielded(&self, g: Runnable) {
        self.yielded.push(g.into());
    }

    /// Makes a woken migratory G the next one to run. The one that was to run next is queued.
    #[inline]
    pub(crate) fn push_woken(&self, g: Runnable) {
        if let Some(before) = self.shared.next.put(g.into_raw()) {
            self.migratory.push(Queued(before));
        }
    }

    /// Takes the migratory G that was woken last.
    #[inline]
    pub(crate) fn pop_next(&self) -> Option<Runnable> {
        let g = self.shared.next.take()?;
        self.shared.count_taken();
        Some(Queued(g).runnable())
    }

    /// Queues the G that was woken last behind the others, for an M that is given the P. A chain of
    /// wakes that went on with each M that comes would hold up those in the queue for ever.
    pub(crate) fn queue_next(&self) {
        self.rest();
        if let Some(next) = self.pop_next() {
            self.push_migratory(next);
        }
    }

    /// Takes the woken migratory G that has waited longest.
    #[inline]
    pub(crate) fn pop_migratory(&self) -> Option<Runnable> {
        let Some(g) = self.migratory.pop() else { return self.pop_next() };
        self.shared.count_taken();
        Some(g.runnable())
    }

    /// Takes the migratory G that has had its turn before the others.
    #[inline]
    pub(crate) fn pop_yielded(&self) -> Option<Runnable> {
        let g = self.yielded.pop()?;
        self.shared.count_taken();
        Some(g.runnable())
    }

    /// Notes that the M which has this P has nothing to run, or that another M gets it: what a
    /// thief has found of the M is over.
    #[inline]
    pub(crate) fn rest(&self) {
        self.shared.set_keeps_up(false);
    }

    /// Returns the number of Gs that are ready here.
    #[inline]
    pub(crate) fn queued(&self) -> usize {
        // A thief's view of the queues takes a full fence for each.
        let next = usize::from(!self.shared.next.is_empty());
        self.unstarted.len() + self.migratory.len() + self.yielded.len() + next
    }

    /// True if a G is ready here.
    pub(crate) fn has_work(&self) -> bool {
        self.has_unstarted() || self.has_woken() || !self.yielded.is_empty()
    }

    /// True if a woken migratory G is ready here.
    pub(crate) fn has_woken(&self) -> bool {
        !self.shared.next.is_empty() || !self.migratory.is_empty()
    }
}

impl PShared {
    fn head_changed(&self) {
        self.head.0.fetch_add(1, Relaxed);
    }

    /// Counts a G that the M which has the P took. No other M counts.
    #[inline]
    fn count_taken(&self) {
        self.taken.0.store(self.taken.0.load(Relaxed).wrapping_add(1), Relaxed);
    }

    /// Returns how many migratory Gs the M that has the P has taken.
    pub(crate) fn taken(&self) -> u32 {
        self.taken.0.load(Relaxed)
    }

    /// True if the M that has the P gets through the migratory Gs by itself. A hint.
    #[inline]
    pub(crate) fn keeps_up(&self) -> bool {
        self.keeps_up.load(Relaxed)
    }

    /// Sets whether that M does so.
    #[inline]
    pub(crate) fn set_keeps_up(&self, keeps_up: bool) {
        if self.keeps_up() != keeps_up {
            self.keeps_up.store(keeps_up, Relaxed);
        }
    }

    /// Returns a number that changes whenever another G becomes the oldest unstarted one.
    pub(crate) fn head(&self) -> u32 {
        self.head.0.load(Relaxed)
    }

    /// True if unstarted Gs are queued.
    pub(crate) fn has_unstarted(&self) -> bool {
        !self.unstarted.is_empty()
    }

    /// True if the M that has this P leaves its unstarted Gs to other Ms. A hint.
    #[inline]
    pub(crate) fn offers(&self) -> bool {
        self.offers.load(Relaxed)
    }

    /// True if the unstarted Gs are spread evenly over the Ms. A hint.
    #[inline]
    pub(crate) fn spreads(&self) -> bool {
        self.spreads.load(Relaxed)
    }

    /// True if migratory Gs are ready here.
    pub(crate) fn has_migratory(&self) -> bool {
        !self.next.is_empty() || !self.migratory.is_empty() || !self.yielded.is_empty()
    }

    /// Returns the number of queued unstarted Gs.
    pub(crate) fn unstarted(&self) -> usize {
        self.unstarted.len()
    }

    /// Returns the number of migratory Gs that are ready here.
    pub(crate) fn migratory(&self) -> usize {
        self.migratory.len() + self.yielded.len() + usize::from(!self.next.is_empty())
    }

    /// Takes the oldest unstarted G.
    pub(crate) fn steal_unstarted(&self) -> Option<Runnable> {
        let g = steal(&self.unstarted)?;
        self.head_changed();
        Some(g)
    }

    /// Takes a migratory G: the woken one that has waited longest, else one that has had a turn,
    /// else the one that was woken last.
    pub(crate) fn steal_migratory(&self) -> Option<Runnable> {
        steal(&self.migratory)
            .or_else(|| steal(&self.yielded))
            .or_else(|| self.next.take().map(|g| Queued(g).runnable()))
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
