//! Sched: one runtime. What its Ms and Ps share, and nothing of what they do; that is `proc`.
//!
//! Every M holds an `Arc` of it while it belongs to the runtime. G, M and P hold no pointer to it:
//! whoever acts brings it along (`proc::current`).
//!
//! # Safety
//!
//! A `Sched` is only ever made inside an `Arc` ([`Sched::new`]), which is what `arc` and `proc`
//! rely on.
//!
//! An M's pulse points to the record of the G that it runs; see `running_on`.
#![expect(
    unsafe_code,
    reason = "turns a reference back into the Arc it came from, follows an M's pulse"
)]

mod counts;
pub(crate) mod deadlocks;
mod global;
mod residents;

use std::panic::Location;
use std::sync::Arc;
use std::sync::atomic::{
    AtomicBool, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize,
    Ordering::{Acquire, Relaxed, Release},
};

use gosched_runtime_sys::clock::monotonic_ns;
use gosched_runtime_sys::memory::stack::Shape;
use gosched_runtime_sys::sync::lock::Mutex;
use gosched_runtime_sys::sync::note::Note;
use gosched_runtime_sys::thread::fork;
use gosched_runtime_sys::thread::usable_cpus;

use crate::carry::SwitchHooks;
use crate::ds::grow;
use crate::ds::idle::Idle;
use crate::ds::revocable::Observed;
use crate::ds::sysmon_note::SysmonNote;
use crate::ds::timekeeper::Timekeeper;
use crate::ds::timers::NEVER;
use crate::gmp::admission::StartGate;
use crate::gmp::all_ps::AllPs;
use crate::gmp::blocking_pool::BlockingPool;
use crate::gmp::dispatch::{Dispatch, Remote};
use crate::gmp::g::Runnable;
use crate::gmp::m::M;
use crate::gmp::names::Names;
use crate::gmp::p::{self, MAX_PROCS, P, PShared};
use crate::gmp::sched::deadlocks::Deadlocks;
use crate::gmp::slab::Slab;
use crate::gmp::stack_pool::StackPool;
use crate::gmp::thread_pool::ThreadPool;
use crate::mode::{Deadlock, Mode};
use crate::policy::{self, Cpus, SpinBudget};
use counts::Counts;
use global::Global;

/// Whether a runtime takes new goroutines and callbacks.
const OPEN: u32 = 0;
/// It cancels what there is.
const CLOSING: u32 = 1;

/// How a runtime is built.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    pub(crate) mode: Mode,
    /// How many Ps it begins with.
    pub(crate) procs: usize,
    /// What stacks are like, unless a goroutine asks for another size.
    pub(crate) stack: Shape,
    /// The most Ms it makes threads for.
    pub(crate) max_threads: usize,
    /// The most threads that `blocking` may make.
    pub(crate) max_blocking: usize,
    pub(crate) deadlock: Deadlock,
    pub(crate) carried: SwitchHooks,
    pub(crate) name: String,
}

/// The Ms of a runtime, and what those did that have left it.
struct Ms {
    list: Vec<&'static M>,
    spawned: u64,
    ended: u64,
    stolen: u64,
}

impl Ms {
    fn has(&self, m: &M) -> bool {
        self.list.iter().any(|other| std::ptr::eq(*other, m))
    }

    /// Takes an M off the list, if it is still there, and its counts over.
    fn leave(&mut self, m: &'static M) {
        if let Some(at) = self.list.iter().position(|other| std::ptr::eq(*other, m)) {
            self.list.swap_remove(at);
            self.spawned += m.spawned();
            self.ended += m.ended();
            self.stolen += m.stolen();
        }
    }
}

/// One runtime.
pub(crate) struct Sched {
    /// What a thread made for an M runs. A pointer, because it is above the code that makes such
    /// threads.
    pub(crate) m_main: fn(&Sched, &'static M),
    /// What sysmon's thread runs, likewise.
    pub(crate) sysmon_main: fn(&Sched),
    pub(crate) config: Config,
    pub(crate) cpus: Cpus,
    /// The shared half of each P that there ever was.
    pub(crate) all_ps: AllPs,
    pub(crate) idle: Idle,
    pub(crate) dispatch: Dispatch<P, &'static Remote<P>>,
    pub(crate) timekeeper: Timekeeper,
    /// Gs that have not started, and migratory ones that have, which no P holds.
    global_unstarted: Global,
    global_migratory: Global,
    /// How new Gs are let in.
    pub(crate) start_gate: StartGate,
    /// What sysmon sleeps on.
    pub(crate) sysmon_note: SysmonNote,
    /// When its thread may be tried to be made again, on the monotonic clock.
    pub(crate) sysmon_not_before: AtomicU64,
    /// Sysmon's thread runs, and will until no goroutine is left.
    pub(crate) has_sysmon: AtomicBool,
    /// What sysmon counted.
    pub(crate) counts: Counts,
    pub(crate) slab: Slab,
    /// What those of its goroutines are called that have a name.
    pub(crate) names: Arc<Names>,
    pub(crate) stacks: StackPool,
    /// The threads of `Mode::threads`.
    pub(crate) threads: ThreadPool,
    /// The threads behind `blocking`.
    pub(crate) blocking: BlockingPool,
    ms: Mutex<Ms>,
    /// How many of the Ms are threads that lend themselves.
    pub(crate) lent_threads: AtomicUsize,
    /// How many are about to end, with others in their place.
    pub(crate) exiting: AtomicUsize,
    /// The home Ms, in the first `procs` places; changed under the lock of `ms`.
    residents: Box<[AtomicPtr<M>]>,
    /// Gs made by threads that are no M of ours.
    spawned_outside: AtomicU64,
    state: AtomicU32,
    /// The process it was made in, counted in forks.
    pub(crate) generation: u32,
    /// What shutdown sleeps on; woken by every G that ends while the runtime closes.
    pub(crate) drained: Note,
    pub(crate) deadlocks: Deadlocks,
    /// OS threads made for Ms, to be joined.
    pub(crate) threads_to_join: Mutex<Vec<std::thread::JoinHandle<()>>>,
}

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
            cpus: Cpus { count: cpus.count, quota_limited: cpus.quota_limited },
            all_ps,
            idle,
            dispatch,
            timekeeper: Timekeeper::new(),
            global_unstarted: Global::new(),
            global_migratory: Global::new(),
            start_gate: StartGate::new(),
            sysmon_note: SysmonNote::new(),
            sysmon_not_before: AtomicU64::new(0),
            has_sysmon: AtomicBool::new(false),
            counts: Counts::default(),
            slab: Slab::new(),
            names: Arc::new(Names::new()),
            stacks: StackPool::new(config.stack),
            threads: ThreadPool::new(),
            blocking: BlockingPool::new(config.max_blocking),
            ms: Mutex::new(Ms { list: Vec::new(), spawned: 0, ended: 0, stolen: 0 }),
            lent_threads: AtomicUsize::new(0),
            exiting: AtomicUsize::new(0),
            residents: (0..MAX_PROCS).map(|_| AtomicPtr::default()).collect(),
            spawned_outside: AtomicU64::new(0),
            state: AtomicU32::new(OPEN),
            generation: fork::generation(),
            drained: Note::new(),
            deadlocks: Deadlocks::default(),
            threads_to_join: Mutex::new(Vec::new()),
            config,
        })
    }

    /// How many Ps it has, or is about to have.
    #[inline]
    pub(crate) fn procs(&self) -> usize {
        self.dispatch.procs()
    }

    /// Another owner of this runtime.
    pub(crate) fn arc(&self) -> Arc<Sched> {
        // SAFETY: every `Sched` lies in an `Arc`, and `self` keeps it alive during this call.
        unsafe { Arc::increment_strong_count(self) };
        // SAFETY: this is the count just added.
        unsafe { Arc::from_raw(self) }
    }

    /// Queues a G that has not started for whichever M comes first. The caller then submits.
    pub(crate) fn push_unstarted(&self, g: Runnable) {
        self.global_unstarted.push(g);
    }

    /// Queues a migratory G that has started, likewise.
    pub(crate) fn push_migratory(&self, g: Runnable) {
        self.global_migratory.push(g);
    }

    /// The unstarted G that waits longest in the global queue.
    #[inline]
    pub(crate) fn pop_unstarted(&self) -> Option<Runnable> {
        self.global_unstarted.pop()
    }

    /// Whether there is one.
    #[inline]
    pub(crate) fn has_global_unstarted(&self) -> bool {
        self.global_unstarted.len() > 0
    }

    /// Changes with the identity of the one that waits longest.
    pub(crate) fn global_head(&self) -> u32 {
        self.global_unstarted.head()
    }

    /// The migratory G that waits longest there.
    #[inline]
    pub(crate) fn pop_migratory(&self) -> Option<Runnable> {
        self.global_migratory.pop()
    }

    /// Whether some queue holds a G that any M may take now. Who asks before sleeping has fenced
    /// since it was counted idle.
    pub(crate) fn has_free_work(&self) -> bool {
        self.has_migratory() || self.start_gate.admits() && self.has_unstarted()
    }

    /// Whether some queue holds such a G, but for those of that P.
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

    /// Whether some queue holds a migratory G that has started.
    pub(crate) fn has_migratory(&self) -> bool {
        self.global_migratory.len() > 0 || self.all_ps.iter().any(PShared::has_migratory)
    }

    /// Whether some queue holds a G that has not started.
    pub(crate) fn has_unstarted(&self) -> bool {
        self.global_unstarted.len() > 0 || self.all_ps.iter().any(PShared::has_unstarted)
    }

    /// When the first timer of any P is due, or idle stacks are to be looked at, in nanoseconds on
    /// the monotonic clock; [`NEVER`] if there is none. A hint, but for who follows the rules of
    /// `ds::timekeeper`.
    pub(crate) fn first_timer(&self) -> u64 {
        self.all_ps
            .iter()
            .map(|shared| shared.timers.first())
            .min()
            .unwrap_or(NEVER)
            .min(self.stacks.due())
    }

    /// The first deadline that no sleeping M keeps. In nanoseconds on the monotonic clock. A hint,
    /// to be looked at again.
    pub(crate) fn unkept_deadline(&self) -> Option<u64> {
        Some(self.first_timer()).filter(|first| *first < self.timekeeper.until())
    }

    /// How many Gs lie in queues from which any M may take them.
    pub(crate) fn free_work(&self) -> usize {
        let (new, woken) = self.queued();
        new + woken
    }

    /// An M joins the runtime; among the first `procs` it is a home M.
    pub(crate) fn add_m(&self, m: &'static M) {
        grow::push(|| self.ms.lock(), |ms| &mut ms.list, m);
        self.dispatch.make_room(self.m_count());
        self.make_resident(m);
    }

    /// Whether there are more Ms than are kept when there is nothing to do.
    pub(crate) fn has_surplus(&self) -> bool {
        policy::is_surplus(self.m_count(), self.procs())
    }

    /// An M that nobody needed for a while asks whether it may end; if so, it is one of the
    /// runtime's no more.
    pub(crate) fn try_remove_idle_m(&self, m: &'static M) -> bool {
        let mut ms = self.ms.lock();
        let surplus = policy::is_surplus(ms.list.len(), self.procs());
        if surplus {
            ms.leave(m);
        }
        surplus
    }

    /// An M leaves, and its record with it.
    pub(crate) fn remove_m(&self, m: &'static M) {
        let _was_home = self.leave_residents(m);
        self.ms.lock().leave(m);
        if m.set_exiting(false) {
            self.exiting.fetch_sub(1, Relaxed);
        }
        m.release();
    }

    /// How long an M of this runtime, or a thread waiting in a callback, looks before it sleeps.
    pub(crate) fn spin_budget(&self) -> SpinBudget {
        let searching = self.idle.searching();
        let busy = self.procs().saturating_sub(self.idle.idle_ps()).saturating_sub(searching);
        policy::spin_budget(self.cpus, busy)
    }

    /// A G was made by a thread that is no M of ours.
    pub(crate) fn count_spawned_outside(&self) {
        self.spawned_outside.fetch_add(1, Relaxed);
    }

    /// A G ended on a thread that is no M of ours.
    pub(crate) fn count_ended_outside(&self) {
        self.ms.lock().ended += 1;
        if self.closing() {
            self.drained.wake();
        }
    }

    /// Gs made and not ended; exact once nothing makes new ones.
    pub(crate) fn live(&self) -> u64 {
        let ms = self.ms.lock();
        // Ends first: each end counted was made before, so the difference is never too small.
        let ended = ms.ended + ms.list.iter().map(|m| m.ended()).sum::<u64>();
        let spawned = ms.spawned + ms.list.iter().map(|m| m.spawned()).sum::<u64>();
        spawned + self.spawned_outside.load(Relaxed) - ended
    }

    /// Gs that Ms took from the Ps of others.
    pub(crate) fn stolen(&self) -> u64 {
        let ms = self.ms.lock();
        ms.stolen + ms.list.iter().map(|m| m.stolen()).sum::<u64>()
    }

    /// How many Gs have not started, and how many migratory ones wait for an M.
    pub(crate) fn queued(&self) -> (usize, usize) {
        let shared = |count: fn(&PShared) -> usize| self.all_ps.iter().map(count).sum::<usize>();
        (
            self.global_unstarted.len() + shared(PShared::unstarted),
            self.global_migratory.len() + shared(PShared::migratory),
        )
    }

    /// Takes the judged P from the table of `m`, if that is still an M of this runtime: its record
    /// may have gone to another one since it was listed, and what lies on its table then is that
    /// one's.
    pub(crate) fn take_from(&self, m: &M, observed: &Observed) -> Option<Box<P>> {
        let ms = self.ms.lock();
        if ms.has(m) { m.p.revoke(observed) } else { None }
    }

    /// The number of the G that runs on `m`, and where it was made, if that is still an M of this
    /// runtime.
    pub(crate) fn running_on(&self, m: &M) -> Option<(u64, Option<&'static Location<'static>>)> {
        let ms = self.ms.lock();
        if !ms.has(m) {
            return None;
        }
        // SAFETY: who is on the list runs Gs of this runtime's slab, and cannot leave the list
        // while it is locked.
        unsafe { m.progress.running() }.map(|g| (g.id(), g.made_at())).filter(|(id, _)| *id != 0)
    }

    /// Fills `ms` with the runtime's Ms. Allocates only with the lock free.
    pub(crate) fn list_ms(&self, ms: &mut Vec<&'static M>) {
        loop {
            let wanted = self.m_count();
            ms.clear();
            ms.reserve(wanted);
            let list = self.ms.lock();
            if list.list.len() <= ms.capacity() {
                ms.extend_from_slice(&list.list);
                return;
            }
        }
    }

    /// How many Ms the runtime has.
    pub(crate) fn m_count(&self) -> usize {
        self.ms.lock().list.len()
    }

    /// Whether the runtime cancels what runs in it.
    #[inline]
    pub(crate) fn closing(&self) -> bool {
        // ORDERING[sched.closing]: pairs with `close`; a G made afterwards is cancelled by whoever
        // starts it.
        self.state.load(Acquire) != OPEN
    }

    /// From here on nothing new starts. True for the first caller.
    pub(crate) fn close(&self) -> bool {
        // ORDERING[sched.closing]: pairs with `closing`.
        self.state.compare_exchange(OPEN, CLOSING, Release, Relaxed).is_ok()
    }

    /// The time that the line is measured by; not read when nobody stands in it.
    pub(crate) fn line_now(&self) -> u64 {
        if self.dispatch.line_len() == 0 { 0 } else { monotonic_ns() }
    }
}
