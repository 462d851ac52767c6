//! What operations cost, in nanoseconds. Only these figures tie the simulated machine to a real
//! one.
//!
//! Figures of the scheduler are from `docs/performance.md`. Figures marked (m) are from the models
//! by which the design was decided. Both are from virtual machines with 2 CPUs. Results for 128 Ps
//! assume that a core costs the same however many cores there are: no memory bandwidth, no distant
//! caches, no contended lock.

/// One round of an M's loop, with the switch to a G and back.
pub(crate) const ROUND: u64 = 30;
/// An operation on a channel that does not wait.
pub(crate) const CHANNEL: u64 = 45;
/// Spawning a goroutine; what its start and its end take besides.
pub(crate) const SPAWN: u64 = 120;
/// See [`SPAWN`].
pub(crate) const BEGIN: u64 = 100;
/// See [`SPAWN`].
pub(crate) const END: u64 = 60;
/// Entering and leaving a callback, for a bound thread.
pub(crate) const ENTER: u64 = 43;

/// `FUTEX_WAKE`, for the caller (m).
pub(crate) const WAKE: u64 = 4_500;
/// From the wake-up until a thread runs, on a core that slept: half of the round trip of 57 us (m).
pub(crate) const WOKEN: u64 = 28_000;
/// Until a spinning thread has seen the store of another: half of a round trip between two Ms, less
/// what the Ms do (m).
pub(crate) const SEEN: u64 = 300;
/// `sched_yield`, and the switch to another thread and back.
pub(crate) const YIELDED: u64 = 1_000;
/// A look at all queues.
pub(crate) const LOOK: u64 = 150;
/// Making a thread: for the caller, and until the thread runs (m).
pub(crate) const THREAD_MADE: u64 = 15_000;
/// See [`THREAD_MADE`].
pub(crate) const THREAD_STARTED: u64 = 50_000;
/// How much later than asked for a sleeping thread's timer fires: Linux's default slack.
pub(crate) const TIMER_SLACK: u64 = 50_000;
/// A look of sysmon.
pub(crate) const SYSMON_LOOK: u64 = 5_000;

/// How long the kernel lets a thread run before other threads of its core, and before a thread that
/// was just woken.
pub(crate) const QUANTUM: u64 = 3_000_000;
/// See [`QUANTUM`].
pub(crate) const WAKEUP_GRANULARITY: u64 = 1_000_000;
