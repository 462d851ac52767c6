//! The part of an M that other threads use: its status, its next P, and the note that its thread
//! sleeps on.
//!
//! A [`Remote`] outlives every use of it, because M records are never freed. So a late waker may
//! wake the note of an M that has long gone on. A thread that sleeps on a note checks its condition
//! again after each wake.

use std::fmt;
use std::time::Instant;

use gosched_runtime_sys::sync::lock::Mutex;
use gosched_runtime_sys::sync::note::Note;
use gosched_runtime_sys::sync::primitive::{
    AtomicBool, AtomicU32,
    Ordering::{Acquire, Relaxed, Release, SeqCst},
    fence, mutated,
};

/// The M has a P, acquired or in its revocable slot, or had one: a revocation of the P leaves the
/// status as it is.
pub(super) const HAS_P: u32 = 0;
/// As `HAS_P`; the M was woken to look for work and counts as searching.
pub(super) const HAS_P_SEARCHING: u32 = 1;
/// The M has no P and is awake.
const NO_P: u32 = 2;
/// The M owns ready Gs and waits for a P.
pub(super) const IN_LINE: u32 = 3;
/// The M has nothing to do.
pub(super) const ASLEEP: u32 = 4;

/// The part of an M that other threads use to hand it a P and to wake it.
pub(crate) struct Remote<P> {
    pub(super) status: AtomicU32,
    /// The P on its way to this M. Written under the dispatch's lock, or before the M has a thread;
    /// in both cases before `status` says so.
    pub(super) next_p: Mutex<Option<Box<P>>>,
    /// The note that the M's thread sleeps on.
    pub(crate) note: Note,
    /// The M looks into its inbox again and again, and once more before it does anything else.
    watches: AtomicBool,
    /// The M is resident, or its thread is a lent one.
    resident: AtomicBool,
    /// The claimer of the G for which the M's thread sleeps in place has given the G back.
    ///
    /// The flag is here because the record of an M always exists. The record of the G may be gone
    /// as soon as its thread goes on.
    resumed: AtomicBool,
}

impl<P> fmt::Debug for Remote<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remote").field("status", &self.status).finish_non_exhaustive()
    }
}

/// A P that was handed to an M.
pub(crate) struct NextP<P> {
    pub(crate) p: Box<P>,
    /// The M was woken to look for work: it counts as searching.
    pub(crate) searching: bool,
}

impl<P> Remote<P> {
    pub(crate) fn new() -> Self {
        Self {
            status: AtomicU32::new(NO_P),
            next_p: Mutex::new(None),
            note: Note::new(),
            watches: AtomicBool::new(false),
            resident: AtomicBool::new(false),
            resumed: AtomicBool::new(false),
        }
    }

    /// Notes that the M has nothing to run, and looks into its inbox again and again: whatever it
    /// does, it looks before it runs user code, and before it sleeps.
    #[inline]
    pub(crate) fn begin_watch(&self) {
        self.watches.store(true, Relaxed);
    }

    /// Ends what [`begin_watch`](Self::begin_watch) began. The caller then looks into the inbox,
    /// before it runs user code.
    #[inline]
    pub(crate) fn end_watch(&self) {
        self.watches.store(false, Relaxed);
        if !mutated("dispatch.watch_unfenced") {
            // ORDERING[dispatch.watch]: before the last look; pairs with the fence in
            // `Dispatch::kick`: a waker sees that the M watches no more, or its push is seen.
            fence(SeqCst);
        }
    }

    /// True if the M looks into its inbox before it does anything else. The caller has pushed, and
    /// made the fence of [`Dispatch::kick`](super::Dispatch::kick).
    pub(super) fn watches(&self) -> bool {
        self.watches.load(Relaxed)
    }

    /// Sets whether the M is resident. A lent thread counts as resident: it was not made as a spare
    /// M.
    pub(crate) fn set_resident(&self, resident: bool) {
        self.resident.store(resident, Relaxed);
    }

    /// True if the M is resident.
    #[inline]
    pub(crate) fn is_resident(&self) -> bool {
        self.resident.load(Relaxed)
    }

    /// True if the M works, as far as the dispatch knows: it has a P, or had one that was revoked.
    pub(crate) fn works(&self) -> bool {
        matches!(self.status.load(Relaxed), HAS_P | HAS_P_SEARCHING)
    }

    /// True if the M has nothing to do. A hint.
    pub(crate) fn sleeps(&self) -> bool {
        self.status.load(Relaxed) == ASLEEP
    }

    /// Notes that the M has given its P away, or never had one.
    pub(crate) fn without_p(&self) {
        self.status.store(NO_P, Relaxed);
    }

    /// Notes that the M has a P.
    pub(crate) fn with_p(&self) {
        self.status.store(HAS_P, Relaxed);
    }

    /// Leaves a P for an M whose thread is about to be made.
    pub(crate) fn start_with(&self, p: Box<P>, searching: bool) {
        self.hand(p, if searching { HAS_P_SEARCHING } else { HAS_P });
    }

    /// Takes the P that was handed to the M, if there is one.
    pub(crate) fn take_next_p(&self) -> Option<NextP<P>> {
        let p = self.next_p.lock().take()?;
        Some(NextP { p, searching: self.status.load(Relaxed) == HAS_P_SEARCHING })
    }

    /// Hands `p` to the M. The caller then wakes the note.
    pub(super) fn hand(&self, p: Box<P>, status: u32) {
        if mutated("dispatch.status_before_p") {
            self.status.store(status, Release);
        }
        *self.next_p.lock() = Some(p);
        // ORDERING[dispatch.status]: publishes all that the giver did before; pairs with the load
        // in `wait`.
        self.status.store(status, Release);
    }

    /// Gives the G for which this M's thread sleeps back to that thread. The caller claimed the G,
    /// and touches it no more.
    pub(crate) fn resume(&self) {
        let order = if mutated("dispatch.resume_relaxed") { Relaxed } else { Release };
        // ORDERING[dispatch.resumed]: pairs with the swap in `sleep_until_resumed`: the claimer's
        // last access to the G comes before the thread's next.
        let _not_yet = self.resumed.swap(true, order);
        self.note.wake();
    }

    /// Sleeps until the claimer of this thread's G has given the G back. False if the deadline
    /// passed before.
    ///
    /// The claim itself does not suffice, because the claimer still reads the G. After a false, a
    /// claimed G will still be given back.
    #[must_use]
    pub(crate) fn sleep_until_resumed(&self, deadline: Option<Instant>) -> bool {
        let mut in_time = true;
        loop {
            // ORDERING[dispatch.resumed]: pairs with the swap in `resume`. Each claim is followed
            // by one `resume`.
            if self.resumed.swap(false, Acquire) {
                return true;
            }
            if !in_time {
                return false;
            }
            match deadline {
                Some(deadline) => in_time = self.note.sleep_until(deadline),
                None => self.note.sleep(),
            }
        }
    }
}
