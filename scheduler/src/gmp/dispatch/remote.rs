//! An M's place in the dispatch: its standing, what is handed to it, and what its thread sleeps on.
//!
//! A seat outlives every use of it: the record of an M is never freed. So who was late may wake the
//! note of a seat whose M has long gone on, and whoever sleeps on one looks again at what it waits
//! for.

use std::fmt;
use std::time::Instant;

use gosched_runtime_sys::sync::lock::Mutex;
use gosched_runtime_sys::sync::note::Note;
use gosched_runtime_sys::sync::primitive::{
    AtomicBool, AtomicU32,
    Ordering::{Acquire, Relaxed, Release},
    mutated,
};

/// The M has a P, in hand or on its table - or had: a P that was taken out of the table leaves the
/// word as it is.
pub(super) const HAS_P: u32 = 0;
/// As `HAS_P`; it was woken to look for work and counts as searching.
pub(super) const HAS_P_SEARCHING: u32 = 1;
/// It has none and is awake.
const NO_P: u32 = 2;
/// It owns ready Gs and waits for a P.
pub(super) const IN_LINE: u32 = 3;
/// It has nothing to do.
pub(super) const ASLEEP: u32 = 4;

/// An M's place in the dispatch: what others need of it to bring it a P.
pub(crate) struct Remote<P> {
    pub(super) status: AtomicU32,
    /// The P on its way to this M. Written under the dispatch's lock, before the word says so.
    pub(super) next_p: Mutex<Option<Box<P>>>,
    /// What the M's thread sleeps on.
    pub(crate) note: Note,
    /// It is one of the runtime's home Ms, or a thread that lent itself.
    resident: AtomicBool,
    /// Whoever claimed the G for which the M's thread sleeps in place has given it back. Here,
    /// because the record of an M is always there, and that of the G may be gone as soon as its
    /// thread goes on.
    resumed: AtomicBool,
}

impl<P> fmt::Debug for Remote<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Seat").field("word", &self.status).finish_non_exhaustive()
    }
}

/// A P that came to a waiting M.
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
            resident: AtomicBool::new(false),
            resumed: AtomicBool::new(false),
        }
    }

    /// The M is, or is no longer, one of the home Ms. A thread that lent itself counts as one: it
    /// was not made to help out.
    pub(crate) fn set_resident(&self, resident: bool) {
        self.resident.store(resident, Relaxed);
    }

    /// Whether it is one of the home Ms.
    #[inline]
    pub(crate) fn is_resident(&self) -> bool {
        self.resident.load(Relaxed)
    }

    /// Whether the M works, as far as the dispatch knows: it has a P, or had one that was taken
    /// from its table.
    pub(crate) fn works(&self) -> bool {
        matches!(self.status.load(Relaxed), HAS_P | HAS_P_SEARCHING)
    }

    /// Whether the M has nothing to do; a hint.
    pub(crate) fn sleeps(&self) -> bool {
        self.status.load(Relaxed) == ASLEEP
    }

    /// The M has given its P away or never had one.
    pub(crate) fn without_p(&self) {
        self.status.store(NO_P, Relaxed);
    }

    /// The M starts with a P.
    pub(crate) fn with_p(&self) {
        self.status.store(HAS_P, Relaxed);
    }

    /// An M that is about to be made finds its P here.
    pub(crate) fn start_with(&self, p: Box<P>, searching: bool) {
        self.hand(p, if searching { HAS_P_SEARCHING } else { HAS_P });
    }

    /// The P that was handed over, if one was.
    pub(crate) fn take_next_p(&self) -> Option<NextP<P>> {
        let p = self.next_p.lock().take()?;
        Some(NextP { p, searching: self.status.load(Relaxed) == HAS_P_SEARCHING })
    }

    pub(super) fn hand(&self, p: Box<P>, status: u32) {
        if mutated("dispatch.status_before_p") {
            self.status.store(status, Release);
        }
        *self.next_p.lock() = Some(p);
        // ORDERING[dispatch.status]: what the giver did before is seen by the M that reads the word
        // in `wait`.
        self.status.store(status, Release);
    }

    /// Gives the G that this M's thread sleeps for back to it: the caller claimed it and touches it
    /// no more.
    pub(crate) fn resume(&self) {
        let order = if mutated("dispatch.resume_relaxed") { Relaxed } else { Release };
        // ORDERING[dispatch.resumed]: pairs with the swap in `sleep_until_resumed`: the claimer's
        // last look at the G comes before the thread's next.
        let _not_yet = self.resumed.swap(true, order);
        self.note.wake();
    }

    /// Sleeps until the claimer of the G for which this thread sleeps has given it back. That the G
    /// was claimed is not enough: the claimer still reads it. False: the deadline passed, and it
    /// has not been given back; if it was claimed it will be.
    #[must_use]
    pub(crate) fn sleep_until_resumed(&self, deadline: Option<Instant>) -> bool {
        let mut in_time = true;
        loop {
            // ORDERING[dispatch.resumed]: pairs with the swap in `resume`. Each claim is answered
            // once.
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
