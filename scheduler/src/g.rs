//! G: one goroutine.
//!
//! # Invariants
//!
//! - Exactly one party *owns* a G at any time: the M that runs it, the queue that holds it, or - while it is parked - the
//!   queues it waits in, jointly, until one claimer wins it from its [`Parker`]. Ownership is a value, [`Runnable`]; the
//!   fields in [`Own`] are reachable through it alone.
//! - G records are type-stable: they are carved from the runtime's slab, recycled, and freed with the runtime. A late
//!   look at `parker` or `id` reads some G's word, never unmapped memory.
//! - A G that has started and is settled stays with its `home` M until it ends.
//!
//! # Safety
//!
//! `G` is `Sync` although `Own` is made of plain cells: see `Runnable`.
#![expect(unsafe_code, reason = "ownership of a G is a token that moves between threads")]

use std::cell::{Cell, UnsafeCell};
use std::fmt;
use std::io;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

use gosched_runtime_sys::context::{Context, Suspender};

use crate::ds::list::{Link, Linked};
use crate::ds::parker::Parker;

/// Where a G may run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Anywhere until it has started, then on the M that started it.
    Settled,
    /// Resumes on any M.
    Migratory,
    /// It is its thread: it has no stack of its own and needs no P.
    ThreadBacked,
}

/// Why a G gave its M back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Switch {
    /// It can go on at once, after others.
    Yield,
    /// It waits. The M commits on the G's parker once the G is switched out.
    Park,
}

/// The M a G belongs to, opaque at this level (M is made of Gs, not the other way round); see `M::of`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Home(pub(crate) NonNull<()>);

/// The `Current` of the M that resumes a G, opaque at this level.
pub(crate) type Resumed = NonNull<()>;
/// The context of a stackful G.
pub(crate) type GContext = Context<Resumed, Switch>;
/// What such a G suspends itself with.
pub(crate) type GSuspender = Suspender<Resumed, Switch>;

/// The payload a cancelled goroutine unwinds with. It comes back from `join` as any panic does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Cancelled {
    /// The goroutine's number.
    pub g: u64,
}

impl fmt::Display for Cancelled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "goroutine {} was cancelled", self.g)
    }
}

impl std::error::Error for Cancelled {}

/// What a G runs.
pub(crate) trait Body {
    /// Runs the closure, or drops it if `begin` says so, keeps the outcome for the joiner and wakes it. Catches every panic
    /// of the closure. A second call does nothing.
    fn run(&self, id: u64, begin: Begin);
}

/// How a G's life begins.
#[derive(Debug)]
pub(crate) enum Begin {
    /// It runs.
    Run,
    /// It was cancelled before.
    Cancelled,
    /// There was no stack for it.
    Failed(io::Error),
}

/// A body and how it is kept.
pub(crate) enum Entry {
    /// Shared with a `JoinHandle`.
    Shared(Arc<dyn Body + Send + Sync>),
    /// On the stack of a caller that waits until the G has ended (`run`).
    Borrowed(NonNull<dyn Body>),
}

/// One goroutine. What every thread may look at is here; what its owner alone may touch is in [`Own`].
pub(crate) struct G {
    link: Link,
    /// The word a G parks on.
    pub(crate) parker: Parker,
    /// Zero for a record that is not in use. A signal handler reads it.
    id: AtomicU64,
    /// Lowest address of the stack's guard and of the stack, and its end, for the fault handler; zero when thread-backed.
    guard: AtomicUsize,
    low: AtomicUsize,
    high: AtomicUsize,
    own: Own,
}

/// The part of a G that belongs to its owner.
pub(crate) struct Own {
    pub(crate) kind: Cell<Kind>,
    pub(crate) home: Cell<Option<Home>>,
    /// The G's thread sleeps for it (thread-backed, pinned, or panicking): waking it is a note, not a queue.
    pub(crate) in_place: Cell<bool>,
    /// How many frames on its stack forbid to run a sibling above them (nested entries).
    pub(crate) pins: Cell<u32>,
    pub(crate) suspender: Cell<Option<GSuspender>>,
    pub(crate) entry: Cell<Option<Entry>>,
    context: UnsafeCell<Option<GContext>>,
}

// SAFETY: `own` and `link` are what is not `Sync`; both are touched only by the G's owner, of which there is one, and
// ownership moves between threads through a queue's lock or the parker's word, both acquire/release.
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
            id: AtomicU64::new(0),
            guard: AtomicUsize::new(0),
            low: AtomicUsize::new(0),
            high: AtomicUsize::new(0),
            own: Own {
                kind: Cell::new(Kind::Settled),
                home: Cell::new(None),
                in_place: Cell::new(false),
                pins: Cell::new(0),
                suspender: Cell::new(None),
                entry: Cell::new(None),
                context: UnsafeCell::new(None),
            },
        }
    }

    /// The goroutine's number; zero when the record is not in use.
    #[inline]
    pub(crate) fn id(&self) -> u64 {
        self.id.load(Relaxed)
    }

    /// The guard's lowest address, the stack's lowest and its end. Async-signal-safe.
    pub(crate) fn stack_range(&self) -> (usize, usize, usize) {
        (self.guard.load(Relaxed), self.low.load(Relaxed), self.high.load(Relaxed))
    }
}

/// The right to a G, and the duty to run it: whoever holds this owns the G. Dropping it would lose the goroutine, so it
/// is only ever moved: into a queue, onto an M, or back to the slab.
#[must_use = "a G that is dropped never runs again"]
pub(crate) struct Runnable(NonNull<G>);

// SAFETY: the pointer is what is not `Send`; the G is reached by the one holder of this token.
unsafe impl Send for Runnable {}

impl Runnable {
    /// # Safety
    ///
    /// The caller has just become the owner of `g` (took it from a queue, or its parker said so), and the record outlives
    /// the token.
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

    /// The owner's part.
    #[inline(always)]
    pub(crate) fn own(&self) -> &Own {
        &self.g().own
    }

    /// The context of a started stackful G.
    #[inline(always)]
    pub(crate) fn context(&mut self) -> &mut Option<GContext> {
        let cell = self.g().own.context.get();
        // SAFETY: only the owner reaches the cell, through `&mut` of the one token, and a running context does not touch
        // its own handle.
        unsafe { &mut *cell }
    }

    /// Turns a vacant record into a new goroutine.
    pub(crate) fn init(&self, id: u64, kind: Kind, entry: Option<Entry>) {
        self.g().parker.reset();
        let own = self.own();
        own.kind.set(kind);
        own.home.set(None);
        own.in_place.set(kind == Kind::ThreadBacked);
        own.pins.set(0);
        own.suspender.set(None);
        own.entry.set(entry);
        self.g().id.store(id, Relaxed);
    }

    /// Makes the record vacant.
    pub(crate) fn retire(&self) {
        self.g().id.store(0, Relaxed);
        self.set_stack(0, 0, 0);
    }

    /// Publishes the bounds of the G's own stack to the fault handler.
    pub(crate) fn set_stack(&self, guard: usize, low: usize, high: usize) {
        self.g().guard.store(guard, Relaxed);
        self.g().low.store(low, Relaxed);
        self.g().high.store(high, Relaxed);
    }
}

/// The running G's own view of its owner's part.
///
/// # Safety
///
/// The caller runs on the G's stack (or, thread-backed, on its thread).
#[inline(always)]
pub(crate) unsafe fn running_own(g: &G) -> &Own {
    &g.own
}
