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
    /// The G is a thread: it has no stack of its own and needs no P.
    ThreadBacked,
}

/// Why a G gave its M back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Switch {
    /// The G is ready again at once, behind others.
    Yield,
    /// The G parks. The M commits on the G's parker once the G is switched out.
    Park,
    /// The G parks, and a cancel does not end the wait.
    ParkShielded,
}

/// The M that a G settled on; see `M::of`. Opaque here, because `m` is built on `g` and not the
/// other way round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Home(pub(crate) NonNull<()>);

/// The `Current` of the M that resumes a G. Opaque here.
pub(crate) type Resumed = NonNull<()>;
/// The context of a stackful G.
pub(crate) type GContext = Context<Resumed, Switch>;
/// The handle by which a stackful G suspends itself.
pub(crate) type GSuspender = Suspender<Resumed, Switch>;
