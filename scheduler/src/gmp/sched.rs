//! Sched: one runtime. It holds the state that the runtime's Ms and Ps share. The actions on that
//! state are in `proc`.
//!
//! Every M's thread holds an `Arc` of the `Sched` while the M belongs to the runtime. G, M and P
//! hold no pointer to it: the caller passes it along, from `gmp::current`.
//!
//! # Safety
//!
//! A `Sched` is only ever made inside an `Arc` ([`Sched::new`]); `arc` and `proc` rely on that.
#![expect(unsafe_code, reason = "turns a reference back into the Arc it came from")]

mod config;
mod counts;
mod deadlines;
pub(crate) mod deadlocks;
mod global;
mod holders;
mod locked;
mod ms;
mod residents;
mod view;

use std::sync::Arc;
use std::sync::atomic::{
    AtomicBool, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize,
    Ordering::{Acquire, Relaxed, Release},
};

use gosched_runtime_sys::clock::monotonic_ns;
use gosched_runtime_sys::sync::lock::Mutex;
use gosched_runtime_sys::sync::note::Note;
use gosched_runtime_sys::thread::fork;
use gosched_runtime_sys::thread::usable_cpus;

use crate::ds::grow;
use crate::ds::idle::Idle;
use crate::ds::revocable::Observed;
use crate::ds::sysmon_note::SysmonNote;
use crate::ds::timekeeper::Timekeeper;
use crate::gmp::admission::StartGate;
use crate::gmp::all_ps::AllPs;
use crate::gmp::apart::Apart;
use crate::gmp::blocking_pool::BlockingPool;
use crate::gmp::call_sites::CallSites;
use crate::gmp::dispatch::{Dispatch, Remote};
use crate::gmp::g::Runnable;
use crate::gmp::m::M;
use crate::gmp::names::Names;
use crate::gmp::p::{self, MAX_PROCS, P, PShared};
use crate::gmp::sched::deadlocks::{Deadlocks, Standstill};
use crate::gmp::slab::Slab;
use crate::gmp::stack_pool::StackPool;
use crate::gmp::thread_maker::ThreadMaker;
use crate::gmp::thread_pool::ThreadPool;
use crate::gmp::wait_ages::WaitAges;
use crate::policy::{self, Cpus, SpinBudget};
pub(crate) use config::Config;
use counts::Counts;
use global::Global;
use holders::Holders;
use ms::Ms;

/// `Sched::state`: the runtime takes new goroutines and callbacks.
const OPEN: u32 = 0;
/// `Sched::state`: the runtime cancels its goroutines and takes no new ones.
const CLOSING: u32 = 1;

/// One runtime.
pub(crate) struct Sched {
    /// The function that the thread of an M runs. A pointer, because that function lies above the
    /// code that makes such threads.
    pub(crate) m_main: fn(&Sched, &'static M),
    /// The function that sysmon's thread runs; a pointer for the same reason.
    pub(crate) sysmon_main: fn(&Sched),
    /// The function that ends what has not begun, if no M is left and none can be made; a pointer
    /// for the same reason.
    pub(crate) refuse: fn(&Sched, &std::io::Error),
    /// The function that acts on a standstill; a pointer for the same reason. True if it woke the
    /// goroutines.
    pub(crate) stands_still: fn(&Sched, Standstill) -> bool,
    pub(crate) config: Config,
    pub(crate) cpus: Cpus,
    /// The shared half of each P that there ever was.
    pub(crate) all_ps: AllPs,
    pub(crate) idle: Idle,
    pub(crate) dispatch: Dispatch<P, &'static Remote<P>>,
    pub(crate) timekeeper: Timekeeper,
    /// Unstarted Gs that no P holds.
    global_unstarted: Global,
    /// Migratory Gs that have started and that no P holds.
    global_migratory: Global,
    /// Unstarted Gs that are to begin apart from those that have settled.
    pub(crate) apart: Apart,
    /// What is known of the places where goroutines are made.
    pub(crate) call_sites: CallSites,
    /// Limits the start of new Gs.
    pub(crate) start_gate: StartGate,
    /// The note that sysmon sleeps on.
    pub(crate) sysmon_note: SysmonNote,
    /// The earliest time at which to try again to make sysmon's thread, on the monotonic clock.
    pub(crate) sysmon_not_before: AtomicU64,
    /// Sysmon's thread was made, and will run until no goroutine is left.
    pub(crate) has_sysmon: AtomicBool,
    /// The counts for `stats`.
    pub(crate) counts: Counts,
    pub(crate) slab: Slab,
    /// The names of those goroutines that have one.
    pub(crate) names: Arc<Names>,
    pub(crate) stacks: StackPool,
    /// The threads of `Mode::threads`.
    pub(crate) threads: ThreadPool,
    /// Makes threads for those that may have tainted theirs.
    pub(crate) thread_maker: ThreadMaker,
    /// A thread for a P could not be made, and nobody has tried again.
    pub(crate) thread_missing: AtomicBool,
    /// The threads behind `blocking`.
    pub(crate) blocking: BlockingPool,
    ms: Mutex<Ms>,
    /// How many of the Ms are lent threads.
    pub(crate) lent_threads: AtomicUsize,
    /// How many Ms are about to end, each with another M that replaces it.
    pub(crate) exiting: AtomicUsize,
    /// How many Ms, of those that are not lent and not about to end, have a locked thread.
    locked_ms: AtomicUsize,
    /// The resident Ms, in the first `procs` places. Changed under the lock of `ms`.
    residents: Box<[AtomicPtr<M>]>,
    pub(crate) holders: Holders,
    /// Gs spawned by threads that are no M of this runtime.
    spawned_outside: AtomicU64,
    /// `OPEN` or `CLOSING`.
    state: AtomicU32,
    /// The fork generation of the process that made the runtime.
    pub(crate) generation: u32,
    /// The note that shutdown sleeps on. Every G that ends while the runtime closes wakes it.
    pub(crate) drained: Note,
    pub(crate) deadlocks: Deadlocks,
    pub(crate) wait_ages: WaitAges,
    /// The OS threads that were made for Ms, to be joined.
    pub(crate) threads_to_join: Mutex<Vec<std::thread::JoinHandle<()>>>,
}

// A panic of the user's passes through no change of the scheduler's state.
impl std::panic::RefUnwindSafe for Sched {}

impl std::fmt::Debug for Sched {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sched").field("config", &self.config).finish_non_exhaustive()
    }
}

impl Sched {
    pub(crate) fn new(
        config: Config,
        m_main: fn(&Sched, &'static M),
        sysmon_main: fn(&Sched),
        refuse: fn(&Sched, &std::io::Error),
        stands_still: fn(&Sched, Standstill) -> bool,
    ) -> Arc<Sched> {
        let all_ps = AllPs::new();
        let make = |index| {
            let (p, half) = p::new(index);
            all_ps.add(index, half);
            p
        };
        let ps = (0..config.procs).map(make).collect();
        let idle = Idle::new();
        let dispatch = Dispatch::new(ps, &idle);
        let cpus = usable_cpus();
        Arc::new(Sched {
            m_main,
            sysmon_main,
            refuse,
            stands_still,
            cpus: Cpus { count: cpus.count, quota_limited: cpus.quota_limited },
            all_ps,
            idle,
            dispatch,
            timekeeper: Timekeeper::new(),
            global_unstarted: Global::new(),
            global_migratory: Global::new(),
            apart: Apart::new(),
            call_sites: CallSites::new(),
            start_gate: StartGate::new(),
            sysmon_note: SysmonNote::new(),
            sysmon_not_before: AtomicU64::new(0),
            has_sysmon: AtomicBool::new(false),
            counts: Counts::default(),
            slab: Slab::new(),
            names: Arc::new(Names::new()),
            stacks: StackPool::new(config.stack),
            threads: ThreadPool::new(),
            thread_maker: ThreadMaker::new(),
            thread_missing: AtomicBool::new(false),
            blocking: BlockingPool::new(config.max_blocking),
            ms: Mutex::new(Ms::new()),
            lent_threads: AtomicUsize::new(0),
            exiting: AtomicUsize::new(0),
            locked_ms: AtomicUsize::new(0),
            residents: (0..MAX_PROCS).map(|_| AtomicPtr::default()).collect(),
            holders: Holders::new(),
            spawned_outside: AtomicU64::new(0),
            state: AtomicU32::new(OPEN),
            generation: fork::generation(),
            drained: Note::new(),
            deadlocks: Deadlocks::new(),
            wait_ages: WaitAges::new(),
            threads_to_join: Mutex::new(Vec::new()),
            config,
        })
    }

    /// Returns how many Ps are asked for.
    #[inline]
    pub(crate) fn procs(&self) -> usize {
        self.dispatch.procs()
    }

    /// Returns a new `Arc` of this runtime.
    pub(crate) fn arc(&self) -> Arc<Sched> {
        // SAFETY: every `Sched` lies in an `Arc`, and `self` keeps it alive during this call.
        unsafe { Arc::increment_strong_count(self) };
        // SAFETY: this is the count just added.
        unsafe { Arc::from_raw(self) }
    }

    /// Pushes an unstarted G to the global queue. The caller then submits (`Idle::submit`).
    pub(crate) fn push_unstarted(&self, g: Runnable) {
        debug_assert!(!g.is_new_root(), "it begins on its own thread");
        self.global_unstarted.push(g);
    }

    /// Pushes a started migratory G to the global queue. The caller then submits.
    pub(crate) fn push_migratory(&self, g: Runnable) {
        self.global_migratory.push(g);
    }

    /// Takes the unstarted G that has waited longest in the global queue.
    #[inline]
    pub(crate) fn pop_unstarted(&self) -> Option<Runnable> {
        self.global_unstarted.pop()
    }

    /// True if the global queue holds an unstarted G.
    #[inline]
    pub(crate) fn has_global_unstarted(&self) -> bool {
        self.global_unstarted.len() > 0
    }

    /// Returns a number that changes whenever another unstarted G is the oldest in the global
    /// queue.
    pub(crate) fn global_head(&self) -> u32 {
        self.global_unstarted.head()
    }

    /// Takes the migratory G that has waited longest in the global queue.
    #[inline]
    pub(crate) fn pop_migratory(&self) -> Option<Runnable> {
        self.global_migratory.pop()
    }

    /// Returns how many migratory Gs the global queue holds.
    #[inline]
    pub(crate) fn global_migratory(&self) -> usize {
        self.global_migratory.len()
    }

    /// True if a global queue holds a G.
    #[inline]
    pub(crate) fn has_global_work(&self) -> bool {
        self.global_migratory() > 0 || self.has_global_unstarted()
    }

    /// True if some queue holds a G that any M may take now.
    ///
    /// An M that is about to sleep calls this after the fence that follows its being counted idle.
    pub(crate) fn has_free_work(&self) -> bool {
        self.has_migratory() || self.start_gate.admits() && self.has_unstarted()
    }

    /// True if some queue holds a G that any M may take now, and that is not left to the M whose P
    /// it lies in.
    pub(crate) fn has_work_for_others(&self) -> bool {
        self.global_migratory.len() > 0
            || self.all_ps.iter().any(|p| p.has_migratory() && !p.keeps_up())
            || self.start_gate.admits() && self.has_unstarted()
    }

    /// True if some queue but those of the P with the number `p` holds a migratory or unstarted G.
    pub(crate) fn has_free_work_beside(&self, p: usize) -> bool {
        let others = || {
            (0..self.all_ps.len())
                .filter(|other| *other != p)
                .filter_map(|other| self.all_ps.get(other))
        };
        self.global_migratory.len() > 0
            || self.global_unstarted.len() > 0
            || others().any(|other| other.has_migratory() || other.has_unstarted())
    }

    /// True if some queue holds a started migratory G.
    pub(crate) fn has_migratory(&self) -> bool {
        self.global_migratory.len() > 0 || self.all_ps.iter().any(PShared::has_migratory)
    }

    /// True if some queue holds an unstarted G that any M may start.
    pub(crate) fn has_unstarted(&self) -> bool {
        self.global_unstarted.len() > 0
            || self.apart.is_open()
            || self.all_ps.iter().any(PShared::has_unstarted)
    }

    /// Returns how many Gs lie in queues from which any M may take them.
    pub(crate) fn free_work(&self) -> usize {
        let (unstarted, migratory) = self.queued();
        unstarted + migratory
    }

    /// Adds an M to the runtime. It becomes resident if a place is free.
    pub(crate) fn add_m(&self, m: &'static M) {
        grow::with_room(|| self.ms.lock(), |ms| &mut ms.list, |ms| ms.join(m));
        self.dispatch.make_room(self.m_count());
        self.make_resident(m);
    }

    /// True if there are more Ms than the runtime keeps when there is nothing to do.
    pub(crate) fn has_surplus(&self) -> bool {
        policy::is_surplus(self.m_count(), self.procs())
    }

    /// Removes an M that was not needed for a while from the runtime, if there are more Ms than the
    /// runtime keeps. True if it was removed: its thread may end.
    pub(crate) fn try_remove_idle_m(&self, m: &'static M) -> bool {
        let mut ms = self.ms.lock();
        let surplus = policy::is_surplus(ms.list.len(), self.procs());
        if surplus {
            ms.leave(m);
        }
        surplus
    }

    /// Removes an M from the runtime, and puts its record on the free list.
    pub(crate) fn remove_m(&self, m: &'static M) {
        let _was_resident = self.leave_residents(m);
        self.ms.lock().leave(m);
        if m.set_exiting(false) {
            self.exiting.fetch_sub(1, Relaxed);
        }
        m.release();
    }

    /// Returns how long an M of this runtime, or a thread that waits in a callback, looks before it
    /// sleeps.
    pub(crate) fn spin_budget(&self) -> SpinBudget {
        let searching = self.idle.searching();
        let busy = self.procs().saturating_sub(self.idle.idle_ps()).saturating_sub(searching);
        policy::spin_budget(self.cpus, busy)
    }

    /// Counts a G that was spawned by a thread that is no M of this runtime.
    pub(crate) fn count_spawned_outside(&self) {
        self.spawned_outside.fetch_add(1, Relaxed);
    }

    /// Counts a G that ended on a thread that is no M of this runtime.
    pub(crate) fn count_ended_outside(&self) {
        self.ms.lock().ended += 1;
        if self.closing() {
            self.drained.wake();
        }
    }

    /// Returns how many Gs were spawned and have not ended. Exact once no thread spawns new ones.
    pub(crate) fn live(&self) -> u64 {
        let ms = self.ms.lock();
        // Ends are read first. Each G whose end is counted was spawned before, so the difference is
        // never too small.
        let ended = ms.ended + ms.list.iter().map(|m| m.ended()).sum::<u64>();
        let spawned = ms.spawned + ms.list.iter().map(|m| m.spawned()).sum::<u64>();
        spawned + self.spawned_outside.load(Relaxed) - ended
    }

    /// Returns how many Gs were taken from other Ms' Ps.
    pub(crate) fn stolen(&self) -> u64 {
        let ms = self.ms.lock();
        ms.stolen + ms.list.iter().map(|m| m.stolen()).sum::<u64>()
    }

    /// Returns how many unstarted Gs are queued, and how many migratory ones.
    pub(crate) fn queued(&self) -> (usize, usize) {
        let shared = |count: fn(&PShared) -> usize| self.all_ps.iter().map(count).sum::<usize>();
        (
            self.global_unstarted.len() + self.apart.len() + shared(PShared::unstarted),
            self.global_migratory.len() + shared(PShared::migratory),
        )
    }

    /// Revokes the observed P of `m`, if `m` is still an M of this runtime.
    ///
    /// M records are reused: without the check, the P could be another runtime's.
    pub(crate) fn revoke_p(&self, m: &M, observed: &Observed) -> Option<Box<P>> {
        let ms = self.ms.lock();
        if ms.has(m) { m.p.revoke(observed) } else { None }
    }

    /// Does the same for a waker, unless too many Ms are without theirs. The lock is kept all the
    /// while: an M that went to another runtime would take itself off that one's count.
    pub(crate) fn take_over_p(&self, m: &M, observed: &Observed) -> Option<Box<P>> {
        let ms = self.ms.lock();
        // Counted before the P is gone, so that the M which finds it gone finds this as well.
        if !ms.has(m) || !self.holders.count(m, self.procs()) {
            return None;
        }
        let taken = m.p.revoke(observed);
        if taken.is_none() {
            self.holders.noticed(m);
        }
        taken
    }

    /// Returns how many Ms the runtime has.
    pub(crate) fn m_count(&self) -> usize {
        self.ms.lock().list.len()
    }

    /// True if the runtime closes: it cancels its goroutines.
    #[inline]
    pub(crate) fn closing(&self) -> bool {
        // ORDERING[sched.closing]: pairs with `close`. The M that starts a G spawned afterwards
        // cancels it.
        self.state.load(Acquire) != OPEN
    }

    /// Closes the runtime: from here on no goroutine starts. True for the first caller.
    pub(crate) fn close(&self) -> bool {
        // ORDERING[sched.closing]: pairs with `closing`.
        self.state.compare_exchange(OPEN, CLOSING, Release, Relaxed).is_ok()
    }

    /// Returns the time for the calls on the line. The clock is read only if the line is not empty.
    pub(crate) fn line_now(&self) -> u64 {
        if self.dispatch.line_len() == 0 { 0 } else { monotonic_ns() }
    }
}
