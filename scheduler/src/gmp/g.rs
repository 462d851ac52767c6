//! G: one goroutine.
//!
//! # Invariants
//!
//! - Exactly one party *owns* a G at any time: the M that runs it, the queue that holds it, or -
//!   while it is parked - the queues it waits in, jointly, until one claimer wins it from its
//!   [`Parker`]. Ownership is a value, [`Runnable`]; the fields in [`GOwned`] are reachable through
//!   it alone.
//! - G records are type-stable: they are carved from the runtime's slab, recycled, and freed with
//!   the runtime. A late look at `parker` or `id` reads some G's word, never unmapped memory.
//! - A G that has started and is settled stays with its `home` M until it ends.
//!
//! # Two parts
//!
//! A blocked goroutine costs one page of stack, its share of the page tables, and what lies outside
//! of that page, times a million. So [`G`] is small: what others look at, perhaps late, and what a
//! G needs before it has a stack. All else is [`GOwned`], which begins with the G, lies in the page
//! that its stack touches anyhow, and goes with that stack: only the owner reaches it, so nobody is
//! late there. (A thread-backed G has its own beside it.) New fields belong into `GOwned`.
//!
//! # Safety
//!
//! `G` is `Sync` although it and `GOwned` have plain cells: see `Runnable`. `G::own` is null or
//! points to an `GOwned` that stays until it is null again; only the G's owner changes it, and
//! follows it.
#![expect(unsafe_code, reason = "ownership of a G is a token that moves between threads")]

use std::cell::Cell;
use std::panic::Location;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicPtr, AtomicU8, AtomicU16, AtomicU64, Ordering::Relaxed};

use gosched_runtime_sys::memory::prefetch;

pub use crate::cancelled::{CancelScope, Cancelled};
use crate::ds::list::{Link, Linked};
use crate::ds::parker::Parker;
use crate::gmp::body::Entry;
use crate::gmp::wait_reason::WaitReason;

mod kind;
mod owned;
pub(crate) mod view;

pub(crate) use kind::{GContext, GSuspender, Home, Kind, Resumed, Switch};
pub(crate) use owned::{GOwned, LocalValue, StackRange};

/// Bytes at the upper end of a stack that hold the frames of a goroutine which sleeps and has
/// called little else.
const FRAMES: usize = 512;

/// One goroutine, as far as it is needed without a stack. What every thread may look at are
/// `parker` and `id`.
pub(crate) struct G {
    link: Link,
    /// The word a G parks on.
    pub(crate) parker: Parker,
    kind: Cell<Kind>,
    /// The number of the M it has settled on, for who looks from outside; zero if it has not.
    settled_on: AtomicU16,
    /// What it waits for, or last waited for: a `WaitReason`, for who looks from outside.
    why: AtomicU8,
    /// Zero for a record that is not in use. A signal handler reads it.
    id: AtomicU64,
    /// What it runs; gone once it has begun.
    entry: Cell<Option<Entry>>,
    /// The owner's part; null before the G begins.
    owned: AtomicPtr<GOwned>,
    /// Where in the program it was made; null if nobody knows. A signal handler reads it.
    made: AtomicPtr<Location<'static>>,
}

// SAFETY: `link`, `kind`, `entry` and what `own` points to are what is not `Sync`; they are touched
// only by the G's owner, of which there is one, and ownership moves between threads through a
// queue's lock or the parker's word, both acquire/release.
unsafe impl Sync for G {}
// SAFETY: as above; a record is handed between threads only together with its ownership.
unsafe impl Send for G {}

// SAFETY: the link is this G's own field and is reachable from nowhere else.
unsafe impl Linked for G {
    fn link(&self) -> &Link {
        &self.link
    }
}

impl G {
    /// A record that is not in use.
    pub(crate) fn vacant() -> G {
        G {
            link: Link::new(),
            parker: Parker::new(),
            kind: Cell::new(Kind::Settled),
            settled_on: AtomicU16::new(0),
            why: AtomicU8::new(WaitReason::Unsaid as u8),
            id: AtomicU64::new(0),
            entry: Cell::new(None),
            owned: AtomicPtr::new(ptr::null_mut()),
            made: AtomicPtr::new(ptr::null_mut()),
        }
    }

    /// The goroutine's number; zero when the record is not in use.
    #[inline]
    pub(crate) fn id(&self) -> u64 {
        self.id.load(Relaxed)
    }

    /// Where it has settled, if it is settled.
    ///
    /// # Safety
    ///
    /// It has begun, does not end meanwhile, and what was written before it began is seen.
    pub(crate) unsafe fn settled_home(&self) -> Option<Home> {
        if self.kind.get() != Kind::Settled {
            return None;
        }
        // SAFETY: what has begun has its part until it ends; the home of a settled G does not
        // change in between.
        unsafe { &*self.owned.load(Relaxed) }.home.get()
    }

    /// Where in the program it was made, if that is known. Async-signal-safe.
    pub(crate) fn made(&self) -> Option<&'static Location<'static>> {
        // SAFETY: null, or from a reference for ever: see `made_at`.
        unsafe { self.made.load(Relaxed).as_ref() }
    }

    /// Says where in the program it was made.
    pub(crate) fn made_at(&self, place: Option<&'static Location<'static>>) {
        self.made
            .store(place.map_or(ptr::null_mut(), |place| ptr::from_ref(place).cast_mut()), Relaxed);
    }

    /// Notes what the running goroutine begins to wait for.
    #[inline]
    pub(crate) fn set_wait_reason(&self, why: WaitReason) {
        self.why.store(why as u8, Relaxed);
    }

    /// What it waits for, or last waited for. A hint.
    #[inline]
    pub(crate) fn wait_reason(&self) -> WaitReason {
        WaitReason::of(self.why.load(Relaxed))
    }

    /// Notes that the goroutine is to end. Its park word is cancelled after this.
    ///
    /// # Safety
    ///
    /// It has begun, and does not end meanwhile.
    pub(crate) unsafe fn request_cancel(&self) {
        // SAFETY: what has begun has its part until it ends.
        let owned = unsafe { &*self.owned.load(Relaxed) };
        owned.cancel_requested.store(true, Relaxed);
    }

    /// The number of the M it has settled on; zero if it has not.
    pub(crate) fn settled_on(&self) -> u16 {
        self.settled_on.load(Relaxed)
    }
}

/// The right to a G, and the duty to run it: whoever holds this owns the G. Dropping it would lose
/// the goroutine, so it is only ever moved: into a queue, onto an M, or back to the slab.
#[must_use = "a G that is dropped never runs again"]
pub(crate) struct Runnable(NonNull<G>);

// SAFETY: the pointer is what is not `Send`; the G is reached by the one holder of this token.
unsafe impl Send for Runnable {}

impl Runnable {
    /// # Safety
    ///
    /// The caller has just become the owner of `g` (took it from a queue, or its parker said so),
    /// and the record outlives the token.
    #[inline(always)]
    pub(crate) unsafe fn from_raw(g: NonNull<G>) -> Self {
        Self(g)
    }

    /// Gives the ownership up to whoever the pointer is given to.
    #[inline(always)]
    pub(crate) fn into_raw(self) -> NonNull<G> {
        self.0
    }

    /// The record's address; the ownership stays here.
    #[inline(always)]
    pub(crate) fn as_raw(&self) -> NonNull<G> {
        self.0
    }

    /// The record.
    #[inline(always)]
    pub(crate) fn g(&self) -> &G {
        // SAFETY: `from_raw`'s contract: the record outlives the token.
        unsafe { self.0.as_ref() }
    }

    /// Where the G may run.
    #[inline(always)]
    pub(crate) fn kind(&self) -> Kind {
        self.g().kind.get()
    }

    /// Has the processor fetch what the G's next resume reads first, if it has begun: the owner's
    /// part, and the frames below it on its stack.
    #[inline]
    pub(crate) fn fetch(&self) {
        let owned = self.g().owned.load(Relaxed).addr();
        for line in (0..size_of::<GOwned>()).step_by(prefetch::LINE) {
            prefetch::line(owned.wrapping_add(line));
        }
        for line in (0..FRAMES).step_by(prefetch::LINE) {
            prefetch::line(owned.wrapping_sub(prefetch::LINE + line));
        }
    }

    /// The owner's part of a G that has begun.
    #[inline(always)]
    pub(crate) fn owned(&self) -> &GOwned {
        let owned = self.g().owned.load(Relaxed);
        // SAFETY: null, or what `attach_owned`'s caller keeps until `detach_owned`, which takes the
        // G by its one token, too.
        unsafe { owned.as_ref() }.expect("only what has begun is asked for its owner's part")
    }

    /// Whether the G has begun.
    #[inline(always)]
    pub(crate) fn has_begun(&self) -> bool {
        !self.g().owned.load(Relaxed).is_null()
    }

    /// How large a stack was asked for, of a G that has not begun.
    pub(crate) fn stack_size(&self) -> Option<usize> {
        // SAFETY: the owner's, as this token is; nobody changes it meanwhile.
        match unsafe { &*self.g().entry.as_ptr() } {
            Some(Entry::Built(built)) => built.stack_size,
            _ => None,
        }
    }

    /// What the G is to run.
    pub(crate) fn take_entry(&self) -> Entry {
        self.g().entry.take().expect("a goroutine begins once")
    }

    /// The context of a started stackful G.
    #[inline(always)]
    pub(crate) fn context(&mut self) -> &mut Option<GContext> {
        let cell = self.owned().context.get();
        // SAFETY: only the owner reaches the cell, through `&mut` of the one token, and a running
        // context does not touch its own handle.
        unsafe { &mut *cell }
    }

    /// Turns a vacant record into a new goroutine.
    pub(crate) fn init(&self, id: u64, kind: Kind, entry: Option<Entry>) {
        let g = self.g();
        g.parker.reset();
        g.made_at(None);
        g.kind.set(kind);
        if let Some(Entry::Built(built)) = &entry
            && let Some(name_entry) = &built.name_entry
        {
            name_entry.name().set_id(id);
        }
        g.entry.set(entry);
        g.id.store(id, Relaxed);
    }

    /// The G has begun on the M at `home`, whose number is `number`, and stays there.
    pub(crate) fn settle(&self, home: Home, number: u16) {
        self.owned().home.set(Some(home));
        self.g().settled_on.store(number, Relaxed);
    }

    /// Makes the record vacant. Its own part, if it had one, was taken.
    pub(crate) fn vacate(&self) {
        self.g().id.store(0, Relaxed);
        self.g().settled_on.store(0, Relaxed);
    }

    /// The G begins: `own` is its part from here on.
    ///
    /// # Safety
    ///
    /// `own` stays where it is, and is reached through this G alone, until `detach_owned`.
    pub(crate) unsafe fn attach_owned(&self, owned: NonNull<GOwned>) {
        self.g().owned.store(owned.as_ptr(), Relaxed);
    }

    /// The G has ended, and nothing of it runs any more: its own part belongs to the caller.
    pub(crate) fn detach_owned(&mut self) -> Option<NonNull<GOwned>> {
        NonNull::new(self.g().owned.load(Relaxed))
            .inspect(|_| self.g().owned.store(ptr::null_mut(), Relaxed))
    }
}

/// The running G's own view of its owner's part.
///
/// # Safety
///
/// The caller runs on the G's stack (or, thread-backed, on its thread), or is a signal handler that
/// interrupted such code.
#[inline(always)]
pub(crate) unsafe fn running_owned(g: &G) -> &GOwned {
    // SAFETY: a G that runs has begun, and its part stays until it has ended.
    unsafe { &*g.owned.load(Relaxed) }
}

/// Where the running G may run.
///
/// # Safety
///
/// As [`running_owned`].
pub(crate) unsafe fn running_kind(g: &G) -> Kind {
    g.kind.get()
}

#[cfg(all(test, not(gosched_loom)))]
mod tests {
    use super::*;

    /// A million of them are counted in docs/performance.md.
    #[test]
    fn what_lies_outside_of_the_stack_is_small() {
        assert!(size_of::<G>() <= 64, "{} bytes", size_of::<G>());
    }
}
