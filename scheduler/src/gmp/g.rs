//! G: one goroutine.
//!
//! # Invariants
//!
//! - Exactly one party *owns* a G at any time: the M that runs it, or the queue that holds it.
//!   While the G is parked, the queues that it waits in own it jointly, until one claimer wins it
//!   from its [`Parker`]. Ownership is a value, [`Runnable`]; the fields in [`GOwned`] are
//!   reachable through it alone.
//! - G records are type-stable: they are carved from the runtime's slab, recycled, and freed with
//!   the runtime. A late reader of `parker` or `id` reads some G's word, never unmapped memory.
//! - A settled G that has started stays with its `home` M until it ends. So does a migratory G
//!   while it is locked to its thread.
//!
//! # Two parts
//!
//! A blocked goroutine costs one page of stack, its share of the page tables, and its data outside
//! of that page, times a million. So [`G`] is small. It holds the fields that other threads read,
//! perhaps late, and those that a G needs before it has a stack.
//!
//! Everything else is in [`GOwned`], at the top of the G's stack, in a page that is in use anyway.
//! It exists while the stack does. Only the owner reads it, so no late reader can miss it. The
//! `GOwned` of a thread-backed G lies in a box of its own. New fields belong into `GOwned`.
//!
//! # Safety
//!
//! `G` is `Sync` although it and `GOwned` have plain cells: see `Runnable`. `G::owned` is null or
//! points to a `GOwned` that stays until the pointer is null again. Only the G's owner changes the
//! pointer, and only the owner follows it; the exceptions are `unsafe` and say why.
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
use crate::policy::behaviour::Behaviour;

mod kind;
mod owned;
pub(crate) mod view;

pub(crate) use kind::{GContext, GSuspender, Home, Kind, Resumed, Switch};
pub(crate) use owned::{GOwned, LocalValue, StackRange};

/// Bytes below the `GOwned` that hold the frames of a parked goroutine that has called little else.
const FRAMES: usize = 512;

/// How many bits of [`G::wait_reason`] are the reason.
const REASON_BITS: u32 = 4;

/// The part of a goroutine that exists without a stack. Every thread may read the atomic fields.
pub(crate) struct G {
    link: Link,
    /// The word that the G parks on.
    pub(crate) parker: Parker,
    kind: Cell<Kind>,
    /// The number of the M that the G has settled on; zero if it has not. For reports. Before the G
    /// begins: the number of the burst in which it was made; zero if it begins beside any other.
    settled_on: AtomicU16,
    /// The `WaitReason` of the G's present or last wait, and above its `REASON_BITS` the mark of
    /// that wait. For reports.
    wait_reason: AtomicU8,
    /// The goroutine's number; zero for a vacant record. A signal handler reads it.
    id: AtomicU64,
    /// The body that the G is to run; `None` once the G has begun.
    entry: Cell<Option<Entry>>,
    /// The owned half; null before the G begins.
    owned: AtomicPtr<GOwned>,
    /// Where in the program the G was spawned; null if that is not known. A signal handler reads
    /// it.
    made_at: AtomicPtr<Location<'static>>,
    /// The stack on which the G was spawned, as its number there; zero if that is not known.
    #[cfg(all(feature = "check-promises", debug_assertions))]
    made_on: AtomicU64,
}

// SAFETY: `link`, `kind`, `entry` and the target of `owned` are not `Sync`. Only the G's owner
// touches them, and there is one. Ownership moves between threads through a queue's lock or the
// parker's word, both acquire/release.
unsafe impl Sync for G {}
// SAFETY: as above; a record is handed between threads only together with its ownership.
unsafe impl Send for G {}

// SAFETY: the link is this G's own field, and nothing else gives it out.
unsafe impl Linked for G {
    fn link(&self) -> &Link {
        &self.link
    }
}

impl G {
    /// Returns a record that is not in use.
    pub(crate) fn vacant() -> G {
        G {
            link: Link::new(),
            parker: Parker::new(),
            kind: Cell::new(Kind::Settled),
            settled_on: AtomicU16::new(0),
            wait_reason: AtomicU8::new(WaitReason::Unsaid as u8),
            id: AtomicU64::new(0),
            entry: Cell::new(None),
            owned: AtomicPtr::new(ptr::null_mut()),
            made_at: AtomicPtr::new(ptr::null_mut()),
            #[cfg(all(feature = "check-promises", debug_assertions))]
            made_on: AtomicU64::new(0),
        }
    }

    /// Returns the goroutine's number; zero if the record is vacant.
    #[inline]
    pub(crate) fn id(&self) -> u64 {
        self.id.load(Relaxed)
    }

    /// Sets the goroutine's number. Called by the thread of a thread-backed G.
    #[inline]
    pub(crate) fn set_id(&self, id: u64) {
        self.id.store(id, Relaxed);
    }

    /// Returns the home of a settled G; `None` for a G of another kind.
    ///
    /// # Safety
    ///
    /// The G has begun and does not end during the call. The caller sees all writes from before it
    /// began.
    pub(crate) unsafe fn settled_home(&self) -> Option<Home> {
        if self.kind.get() != Kind::Settled {
            return None;
        }
        // SAFETY: a G that has begun has its owned half until it ends. The home of a settled G does
        // not change in between.
        unsafe { &*self.owned.load(Relaxed) }.home.get()
    }

    /// Returns where in the program the G was spawned, if that is known. Async-signal-safe.
    pub(crate) fn made_at(&self) -> Option<&'static Location<'static>> {
        // SAFETY: the pointer is null or comes from a `'static` reference: see `set_made_at`.
        unsafe { self.made_at.load(Relaxed).as_ref() }
    }

    /// Sets where in the program the G was spawned.
    pub(crate) fn set_made_at(&self, place: Option<&'static Location<'static>>) {
        self.made_at
            .store(place.map_or(ptr::null_mut(), |place| ptr::from_ref(place).cast_mut()), Relaxed);
    }

    /// Returns the number of the stack on which the G was spawned.
    #[cfg(all(feature = "check-promises", debug_assertions))]
    pub(crate) fn made_on(&self) -> u64 {
        self.made_on.load(Relaxed)
    }

    /// Sets the number of the stack on which the G was spawned.
    #[cfg(all(feature = "check-promises", debug_assertions))]
    pub(crate) fn set_made_on(&self, stack: u64) {
        self.made_on.store(stack, Relaxed);
    }

    /// Sets the reason of the wait that the running goroutine begins.
    #[inline]
    pub(crate) fn set_wait_reason(&self, reason: WaitReason) {
        self.wait_reason.store(reason as u8, Relaxed);
    }

    /// Returns the reason of the G's present or last wait. A hint.
    #[inline]
    pub(crate) fn wait_reason(&self) -> WaitReason {
        WaitReason::of(self.wait_reason.load(Relaxed) & ((1 << REASON_BITS) - 1))
    }

    /// Returns the mark of the G's present or last wait; zero without one.
    pub(crate) fn wait_mark(&self) -> u8 {
        self.wait_reason.load(Relaxed) >> REASON_BITS
    }

    /// Exchanges the mark `from` of the G's wait for `to`. Does nothing if a wait has begun since
    /// the mark was read: a wait begins without one.
    pub(crate) fn mark_wait(&self, from: u8, to: u8) {
        let why = self.wait_reason() as u8;
        let word = |mark: u8| mark << REASON_BITS | why;
        let _a_new_wait = self.wait_reason.compare_exchange(word(from), word(to), Relaxed, Relaxed);
    }

    /// Notes that the goroutine's handle cancels it. The caller then cancels the G's park word.
    ///
    /// # Safety
    ///
    /// The G has begun, and does not end during the call.
    pub(crate) unsafe fn request_cancel(&self) {
        // SAFETY: a G that has begun has its owned half until it ends.
        let owned = unsafe { &*self.owned.load(Relaxed) };
        owned.cancel_requested.store(true, Relaxed);
    }

    /// Returns the number of the M that the G has settled on; zero if it has not.
    pub(crate) fn settled_on(&self) -> u16 {
        if self.owned.load(Relaxed).is_null() { 0 } else { self.settled_on.load(Relaxed) }
    }

    /// Notes that the G, which has not begun, was made in `burst`.
    pub(crate) fn set_burst(&self, burst: u16) {
        self.settled_on.store(burst, Relaxed);
    }

    /// Returns the burst in which the G was made, of one that has not begun.
    pub(crate) fn burst(&self) -> u16 {
        self.settled_on.load(Relaxed)
    }

    /// Sets what [`settled_on`](Self::settled_on) returns. Called by the G, when it is migratory
    /// and begins or ends to be locked to its thread.
    pub(crate) fn set_settled_on(&self, number: u16) {
        self.settled_on.store(number, Relaxed);
    }
}

/// The right to a G, and the duty to run it: the holder of this token owns the G.
///
/// A dropped token would lose the goroutine. So a token is only ever moved: into a queue, onto an
/// M, or back to the slab.
#[must_use = "a G that is dropped never runs again"]
pub(crate) struct Runnable(NonNull<G>);

// SAFETY: only the pointer is not `Send`. The one holder of this token reaches the G.
unsafe impl Send for Runnable {}

impl Runnable {
    /// Makes the token of a G.
    ///
    /// # Safety
    ///
    /// The caller has just become the owner of `g`: it took `g` from a queue, or claimed `g` from
    /// its parker. The record outlives the token.
    #[inline(always)]
    pub(crate) unsafe fn from_raw(g: NonNull<G>) -> Self {
        Self(g)
    }

    /// Returns the record's address. The ownership goes to the receiver of the pointer.
    #[inline(always)]
    pub(crate) fn into_raw(self) -> NonNull<G> {
        self.0
    }

    /// Returns the record's address. The ownership stays here.
    #[inline(always)]
    pub(crate) fn as_raw(&self) -> NonNull<G> {
        self.0
    }

    /// Returns the record.
    #[inline(always)]
    pub(crate) fn g(&self) -> &G {
        // SAFETY: `from_raw`'s contract: the record outlives the token.
        unsafe { self.0.as_ref() }
    }

    /// Returns where the G may run.
    #[inline(always)]
    pub(crate) fn kind(&self) -> Kind {
        self.g().kind.get()
    }

    /// Returns where a G that has begun may resume: as its [`kind`](Self::kind) says, but a
    /// migratory G that is locked to its thread is settled there.
    #[inline(always)]
    pub(crate) fn resumes(&self) -> Kind {
        match self.kind() {
            Kind::Migratory if self.owned().locks.get() > 0 => Kind::Settled,
            kind => kind,
        }
    }

    /// Prefetches the memory that the next resume of a begun G reads first: its owned half, and the
    /// frames below that on its stack.
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

    /// Returns the owned half of a G that has begun.
    #[inline(always)]
    pub(crate) fn owned(&self) -> &GOwned {
        let owned = self.g().owned.load(Relaxed);
        // SAFETY: the pointer is null, or `attach_owned`'s caller keeps its target until
        // `detach_owned`, which takes the G by its one token, too.
        unsafe { owned.as_ref() }.expect("only a G that has begun is asked for its owned half")
    }

    /// True if the G has begun.
    #[inline(always)]
    pub(crate) fn has_begun(&self) -> bool {
        !self.g().owned.load(Relaxed).is_null()
    }

    /// Returns the stack size that was asked for, of a G that has not begun.
    pub(crate) fn stack_size(&self) -> Option<usize> {
        // SAFETY: the entry is the owner's, as this token is, so nothing changes it during the
        // call.
        match unsafe { &*self.g().entry.as_ptr() } {
            Some(Entry::Built(built)) => built.stack_size,
            _ => None,
        }
    }

    /// Returns the behaviour that the program said to expect, of a G that has not begun.
    pub(crate) fn expected_behaviour(&self) -> Option<Behaviour> {
        // SAFETY: as in `stack_size`.
        unsafe { &*self.g().entry.as_ptr() }.as_ref().and_then(Entry::expected_behaviour)
    }

    /// True if the G has not begun, and is a lent thread's root: it begins on that thread alone.
    pub(crate) fn is_new_root(&self) -> bool {
        // SAFETY: as in `stack_size`.
        matches!(unsafe { &*self.g().entry.as_ptr() }, Some(Entry::Borrowed(_)))
    }

    /// Takes the body that the G is to run.
    pub(crate) fn take_entry(&self) -> Entry {
        self.g().entry.take().expect("a goroutine begins once")
    }

    /// Returns the context of a started stackful G.
    #[inline(always)]
    pub(crate) fn context(&mut self) -> &mut Option<GContext> {
        let cell = self.owned().context.get();
        // SAFETY: only the owner reaches the cell, through `&mut` of the one token. A running
        // context does not touch its own handle.
        unsafe { &mut *cell }
    }

    /// Turns a vacant record into a new goroutine.
    pub(crate) fn init(&self, id: u64, kind: Kind, entry: Option<Entry>) {
        let g = self.g();
        g.parker.reset();
        g.set_made_at(None);
        #[cfg(all(feature = "check-promises", debug_assertions))]
        g.set_made_on(0);
        g.kind.set(kind);
        if let Some(Entry::Built(built)) = &entry
            && let Some(name_entry) = &built.name_entry
        {
            name_entry.name().set_id(id);
        }
        g.entry.set(entry);
        g.id.store(id, Relaxed);
    }

    /// Settles the G on the M at `home`, whose number is `number`.
    pub(crate) fn settle(&self, home: Home, number: u16) {
        self.owned().home.set(Some(home));
        self.g().settled_on.store(number, Relaxed);
    }

    /// Makes the record vacant. The caller has detached the owned half, if there was one.
    pub(crate) fn vacate(&self) {
        self.g().id.store(0, Relaxed);
        self.g().settled_on.store(0, Relaxed);
    }

    /// Begins the G: `owned` is its owned half from here on.
    ///
    /// # Safety
    ///
    /// `owned` stays where it is, and is reached through this G alone, until `detach_owned`.
    pub(crate) unsafe fn attach_owned(&self, owned: NonNull<GOwned>) {
        self.g().owned.store(owned.as_ptr(), Relaxed);
    }

    /// Takes the owned half of a G that has ended, and of which nothing runs any more.
    pub(crate) fn detach_owned(&mut self) -> Option<NonNull<GOwned>> {
        NonNull::new(self.g().owned.load(Relaxed))
            .inspect(|_| self.g().owned.store(ptr::null_mut(), Relaxed))
    }
}

/// Returns the owned half of the running G.
///
/// # Safety
///
/// The caller runs on the G's stack, or on the thread of a thread-backed G, or is a signal handler
/// that interrupted such code.
#[inline(always)]
pub(crate) unsafe fn running_owned(g: &G) -> &GOwned {
    // SAFETY: a G that runs has begun, and its owned half stays until it has ended.
    unsafe { &*g.owned.load(Relaxed) }
}

/// Returns where the running G may run.
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

    /// docs/performance.md counts a million of these records.
    #[test]
    fn what_lies_outside_of_the_stack_is_small() {
        assert!(size_of::<G>() <= 64, "{} bytes", size_of::<G>());
    }
}
