//! Where a G may run, and how it gives its M back.

use std::ptr::NonNull;

use gosched_runtime_sys::memory::context::{Context, Suspender};

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
    /// The same, and a cancel does not end the wait.
    ParkShielded,
}

/// The M a G belongs to, opaque at this level (M is made of Gs, not the other way round); see
/// `M::of`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Home(pub(crate) NonNull<()>);

/// The `Current` of the M that resumes a G, opaque at this level.
pub(crate) type Resumed = NonNull<()>;
/// The context of a stackful G.
pub(crate) type GContext = Context<Resumed, Switch>;
/// What such a G suspends itself with.
pub(crate) type GSuspender = Suspender<Resumed, Switch>;
