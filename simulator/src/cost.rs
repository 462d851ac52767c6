//! What things cost, in nanoseconds: the simulated machine's only claim to be like a real one.
//!
//! Figures of the scheduler are from `docs/performance.md`, those marked (m) from the models that
//! the design was decided by; both from virtual machines with 2 CPUs. What is said here about 128
//! Ps assumes that a core costs the same however many there are: no memory bandwidth, no caches
//! that are far away, no lock that is fought for.

/// One round of an M's loop, with the switch to a G and back.
pub(crate) const ROUND: u64 = 30;
/// An operation on a channel that does not wait.
pub(crate) const CHANNEL: u64 = 45;
/// Making a goroutine; what its beginning and its end take besides.
pub(crate) const SPAWN: u64 = 120;
/// See [`SPAWN`].
pub(crate) const BEGIN: u64 = 100;
/// See [`SPAWN`].
pub(crate) const END: u64 = 60;
/// Into a callback and out of it, for a thread that is bound.
pub(crate) const ENTER: u64 = 43;

/// `FUTEX_WAKE`, for who calls it (m).
pub(crate) const WAKE: u64 = 4_500;
/// Until a thread runs that was woken on a core that sleeps: half of the round trip of 57 us (m).
pub(crate) const WOKEN: u64 = 28_000;
/// Until a spinning thread has seen what another one wrote: half of a round trip between two Ms,
/// less what they do (m).
pub(crate) const SEEN: u64 = 300;
/// `sched_yield`, and the switch to another thread and back.
pub(crate) const YIELDED: u64 = 1_000;
/// A look at all queues.
pub(crate) const LOOK: u64 = 150;
/// Making a thread, for who makes it, and until it runs (m).
pub(crate) const THREAD_MADE: u64 = 15_000;
/// See [`THREAD_MADE`].
pub(crate) const THREAD_STARTED: u64 = 50_000;
/// How much later than asked for a sleeping thread's timer fires: Linux's default slack.
pub(crate) const TIMER_SLACK: u64 = 50_000;
/// A look of sysmon's.
pub(crate) const SYSMON_LOOK: u64 = 5_000;

/// What the kernel lets a thread run before others on its core, and before one that has just been
/// woken.
pub(crate) const QUANTUM: u64 = 3_000_000;
/// See [`QUANTUM`].
pub(crate) const WAKEUP_GRANULARITY: u64 = 1_000_000;
