//! What a runtime stores for its deadlock check: what was told, the report, and who may still wake
//! a goroutine.

use std::mem;
use std::sync::OnceLock;
use std::sync::atomic::{
    AtomicBool, AtomicUsize,
    Ordering::{Acquire, Relaxed, Release},
};

use gosched_runtime_sys::thread::fork::PerProcess;

use crate::ds::agents::Agents;
use crate::ds::grow;
use crate::gmp::own_threads::OwnThreads;

/// What there is to do about a runtime that stands still.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standstill {
    /// Somebody outside may wake a goroutine: list them, for those who listen.
    Listed,
    /// A deadlock: say so.
    Told,
    /// A deadlock: end the runtime.
    Ended,
    /// The runtime was ended for a deadlock, and what is left does not unwind.
    Stuck,
}

/// The number of cancels that the process's clock has yet to make.
static COMING: AtomicUsize = AtomicUsize::new(0);

/// A runtime that would stand still but for these.
struct Vetoed {
    /// Its address. No other runtime has it meanwhile: `check` knows this one weakly.
    runtime: usize,
    /// Looks at it again, if it is still there.
    check: Box<dyn FnOnce() + Send>,
}

/// All such runtimes.
static VETOED: PerProcess<Vec<Vetoed>> = PerProcess::new(Vec::new);

/// A cancel that comes from outside of all runtimes, at its time: while there is one, no runtime
/// stands still. It may reach goroutines of any, so it is not known of which.
#[derive(Debug)]
#[must_use = "the cancel counts until this is dropped"]
pub(crate) struct Comes(());

impl Comes {
    pub(crate) fn begin() -> Self {
        COMING.fetch_add(1, Relaxed);
        Self(())
    }

    /// True if one is to come. Then `check` is called for the runtime when none is to come any
    /// more: perhaps the last one wakes nobody. Whoever was made ready by one that does not count
    /// any more is seen after this.
    ///
    /// The runtime is listed before the count is read again, and the list is taken after the last
    /// one was subtracted. Both happen under the list's lock, so one side sees the other.
    pub(crate) fn vetoes(runtime: usize, check: impl FnOnce() + Send + 'static) -> bool {
        if !Self::any() {
            return false;
        }
        let mut listed = Some(Vetoed { runtime, check: Box::new(check) });
        grow::with_room(
            || VETOED.lock(),
            |vetoed| vetoed,
            |vetoed| {
                if vetoed.iter().all(|other| other.runtime != runtime) {
                    vetoed.extend(listed.take());
                }
            },
        );
        Self::any()
    }

    fn any() -> bool {
        // ORDERING[deadlocks.coming]: pairs with the subtraction in the drop.
        COMING.load(Acquire) > 0
    }
}

impl Drop for Comes {
    fn drop(&mut self) {
        // ORDERING[deadlocks.coming]: pairs with the load in `any`: who was woken comes before.
        if COMING.fetch_sub(1, Release) > 1 {
            return;
        }
        let vetoed = mem::take(&mut *VETOED.lock());
        vetoed.into_iter().for_each(|one| (one.check)());
    }
}

/// The state of a runtime's deadlock check.
#[derive(Debug)]
pub(crate) struct Deadlocks {
    /// Threads that may wake a goroutine, and goroutines that keep their threads while they wait.
    pub(crate) agents: Agents,
    /// Threads of the process from which nothing comes that the runtime does not know of.
    pub(crate) own_threads: OwnThreads,
    listed: AtomicBool,
    told: AtomicBool,
    stuck: AtomicBool,
    report: OnceLock<String>,
    bridges: AtomicUsize,
}

impl Deadlocks {
    pub(crate) fn new() -> Self {
        Self {
            agents: Agents::new(),
            own_threads: OwnThreads::new(),
            listed: AtomicBool::new(false),
            told: AtomicBool::new(false),
            stuck: AtomicBool::new(false),
            report: OnceLock::new(),
            bridges: AtomicUsize::new(0),
        }
    }

    /// True if it was emitted that all goroutines wait.
    pub(crate) fn is_listed(&self) -> bool {
        self.listed.load(Relaxed)
    }

    /// True for the first caller, which emits that all goroutines wait.
    pub(crate) fn list_first(&self) -> bool {
        !self.listed.swap(true, Relaxed)
    }

    /// True if a deadlock was reported.
    pub(crate) fn is_told(&self) -> bool {
        self.told.load(Relaxed)
    }

    /// True for the first caller, which reports the deadlock.
    pub(crate) fn tell_first(&self) -> bool {
        !self.told.swap(true, Relaxed)
    }

    /// True for the first caller that finds all goroutines waiting again, after they were
    /// cancelled.
    pub(crate) fn stuck_first(&self) -> bool {
        !self.stuck.swap(true, Relaxed)
    }

    /// True if that was found.
    pub(crate) fn is_stuck(&self) -> bool {
        self.stuck.load(Relaxed)
    }

    /// Stores the report of a deadlock. Called before the runtime is closed for it.
    pub(crate) fn declare(&self, text: String) {
        let _once = self.report.set(text);
    }

    /// Returns the report of the deadlock for which the runtime was closed.
    pub(crate) fn report(&self) -> Option<&str> {
        self.report.get().map(String::as_str)
    }

    /// Counts a bridge that leads into the runtime: any foreign thread may come through it.
    pub(crate) fn add_bridge(&self) {
        self.bridges.fetch_add(1, Relaxed);
    }

    /// Uncounts a bridge. The caller then checks for a deadlock.
    pub(crate) fn remove_bridge(&self) {
        self.bridges.fetch_sub(1, Relaxed);
    }

    /// Returns how many bridges lead into the runtime.
    pub(crate) fn bridges(&self) -> usize {
        self.bridges.load(Relaxed)
    }
}
