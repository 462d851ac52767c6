//! Sched: one runtime. What its Ms and Ps share, and nothing of what they do; that is `proc`.
//!
//! Every M holds an `Arc` of it while it belongs to the runtime. G, M and P hold no pointer to it: whoever acts brings it
//! along (`proc::current`).
//!
//! # Safety
//!
//! A `Sched` is only ever made inside an `Arc` ([`Sched::new`]), which is what `arc` and `proc` rely on.
#![expect(unsafe_code, reason = "turns a reference back into the Arc it came from")]

use std::sync::Arc;
use std::sync::atomic::{
    AtomicPtr, AtomicU32, AtomicU64, AtomicUsize,
    Ordering::{Acquire, Relaxed, Release},
};

use gosched_runtime_sys::fork;
use gosched_runtime_sys::note::Note;
use gosched_runtime_sys::primitive::Mutex;
use gosched_runtime_sys::thread::{monotonic_ns, usable_cpus};

use crate::blocking_pool::BlockingPool;
use crate::dispatch::{Dispatch, Seat};
use crate::ds::grow;
use crate::ds::idle::Idle;
use crate::ds::timekeeper::Timekeeper;
use crate::ds::timers::NEVER;
use crate::g::Runnable;
use crate::g_queue::Queue;
use crate::m::M;
use crate::mode::Mode;
use crate::p::{self, P, Shared};
use crate::policy::{self, Machine, Patience};
use crate::slab::Slab;
use crate::stack_pool::StackPool;
use crate::thread_pool::ThreadPool;

/// Whether a runtime takes new goroutines and callbacks.
const OPEN: u32 = 0;
/// It cancels what there is.
const CLOSING: u32 = 1;

/// How a runtime is built.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    pub(crate) mode: Mode,
    pub(crate) procs: usize,
    pub(crate) stack_size: usize,
    pub(crate) name: String,
    /// The most threads that `blocking` may make.
    pub(crate) max_blocking: usize,
}

/// The Ms of a runtime, and what those did that have left it.
struct Ms {
    list: Vec<&'static M>,
    spawned: u64,
    ended: u64,
}

/// One runtime.
pub(crate) struct Sched {
    /// What a thread made for an M runs. A pointer, because it is above the code that makes such threads.
    pub(crate) m_main: fn(&Sched, &'static M),
    pub(crate) config: Config,
    pub(crate) machine: Machine,
    /// The shared half of each P.
    pub(crate) shared: Box<[Shared]>,
    pub(crate) idle: Idle,
    pub(crate) dispatch: Dispatch<P, &'static Seat<P>>,
    pub(crate) timekeeper: Timekeeper,
    global: Mutex<Queue>,
    global_len: AtomicUsize,
    pub(crate) slab: Slab,
    pub(crate) stacks: StackPool,
    /// The threads of `Mode::threads`.
    pub(crate) threads: ThreadPool,
    /// The threads behind `blocking`.
    pub(crate) blocking: BlockingPool,
    ms: Mutex<Ms>,
    /// The first `procs` Ms.
    home: Box<[AtomicPtr<M>]>,
    /// Gs made by threads that are no M of ours.
    spawned_outside: AtomicU64,
    state: AtomicU32,
    /// The process it was made in, counted in forks.
    pub(crate) generation: u32,
    /// What shutdown sleeps on; woken by every G that ends while the runtime closes.
    pub(crate) drained: Note,
    /// OS threads made for Ms, to be joined.
    pub(crate) joins: Mutex<Vec<std::thread::JoinHandle<()>>>,
}

impl std::fmt::Debug for Sched {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sched").field("config", &self.config).finish_non_exhaustive()
    }
}

impl Sched {
    pub(crate) fn new(config: Config, m_main: fn(&Sched, &'static M)) -> Arc<Sched> {
        let (ps, shared): (Vec<_>, Vec<_>) = (0..config.procs).map(p::new).unzip();
        let idle = Idle::new();
        let dispatch = Dispatch::new(ps, &idle);
        let cpus = usable_cpus();
        Arc::new(Sched {
            m_main,
            machine: Machine { cpus: cpus.count, quota_limited: cpus.quota_limited },
            shared: shared.into(),
            idle,
            dispatch,
            timekeeper: Timekeeper::new(),
            global: Mutex::new(Queue::new()),
            global_len: AtomicUsize::new(0),
            slab: Slab::new(),
            stacks: StackPool::new(config.stack_size),
            threads: ThreadPool::new(),
            blocking: BlockingPool::new(config.max_blocking),
            ms: Mutex::new(Ms { list: Vec::new(), spawned: 0, ended: 0 }),
            home: (0..config.procs).map(|_| AtomicPtr::default()).collect(),
            spawned_outside: AtomicU64::new(0),
            state: AtomicU32::new(OPEN),
            generation: fork::generation(),
            drained: Note::new(),
            joins: Mutex::new(Vec::new()),
            config,
        })
    }

    /// Another owner of this runtime.
    pub(crate) fn arc(&self) -> Arc<Sched> {
        // SAFETY: every `Sched` lies in an `Arc`, and `self` keeps it alive during this call.
        unsafe { Arc::increment_strong_count(self) };
        // SAFETY: this is the count just added.
        unsafe { Arc::from_raw(self) }
    }

    /// Queues a G for whichever M comes first. The caller then submits.
    pub(crate) fn push_global(&self, g: Runnable) {
        let mut queue = self.global.lock();
        queue.push_back(g);
        self.global_len.store(queue.len(), Relaxed);
    }

    /// The G that waits longest in the global queue.
    #[inline]
    pub(crate) fn pop_global(&self) -> Option<Runnable> {
        if self.global_len.load(Relaxed) == 0 {
            return None;
        }
        let mut queue = self.global.lock();
        let g = queue.pop_front();
        self.global_len.store(queue.len(), Relaxed);
        g
    }

    /// Whether some queue holds a G that any M may take. Who asks before sleeping has fenced since it was counted idle.
    pub(crate) fn has_free_work(&self) -> bool {
        self.global_len.load(Relaxed) > 0 || self.shared.iter().any(|s| s.has_unstarted() || s.has_migratory())
    }

    /// When the first timer of any P is due, in nanoseconds on the monotonic clock; [`NEVER`] if there is none. A hint, but
    /// for who follows the rules of `ds::timekeeper`.
    pub(crate) fn first_timer(&self) -> u64 {
        self.shared.iter().map(|shared| shared.timers.first()).min().unwrap_or(NEVER)
    }

    /// The first deadline that no sleeping M keeps, for who watches over Ms that are in user code: if it passes, that one
    /// calls `proc::timers::fire_all`. In nanoseconds on the monotonic clock. A hint, to be looked at again.
    #[cfg_attr(not(test), expect(dead_code, reason = "nobody watches over the Ms yet; the tests do"))]
    pub(crate) fn unkept_deadline(&self) -> Option<u64> {
        Some(self.first_timer()).filter(|first| *first < self.timekeeper.until())
    }

    /// An M joins the runtime; among the first `procs` it is a home M.
    pub(crate) fn add_m(&self, m: &'static M) {
        grow::push(|| self.ms.lock(), |ms| &mut ms.list, m);
        self.dispatch.make_room(self.m_count());
        for slot in &self.home {
            // ORDERING[sched.home]: the record is whole for who finds it in `least_home`.
            if slot.compare_exchange(std::ptr::null_mut(), std::ptr::from_ref(m).cast_mut(), Release, Relaxed).is_ok() {
                break;
            }
        }
    }

    /// An M leaves, and its record with it.
    pub(crate) fn remove_m(&self, m: &'static M) {
        for slot in &self.home {
            let _not_home =
                slot.compare_exchange(std::ptr::from_ref(m).cast_mut(), std::ptr::null_mut(), Relaxed, Relaxed);
        }
        let mut ms = self.ms.lock();
        ms.list.retain(|other| !std::ptr::eq(*other, m));
        ms.spawned += m.spawned();
        ms.ended += m.ended();
        drop(ms);
        m.release();
    }

    /// The home M that owns the fewest settled Gs, with that count; `None` in place of an M whose thread is yet to be made.
    pub(crate) fn least_home(&self) -> (Option<&'static M>, usize) {
        let mut least = (None, usize::MAX);
        for slot in &self.home {
            // ORDERING[sched.home]: pairs with `add_m`.
            let m = slot.load(Acquire);
            if m.is_null() {
                return (None, 0);
            }
            // SAFETY: only `M` records are stored, and they are never freed.
            let m: &'static M = unsafe { &*m };
            if m.settled() < least.1 {
                least = (Some(m), m.settled());
            }
        }
        least
    }

    /// How long an M of this runtime, or a thread waiting in a callback, looks before it sleeps.
    pub(crate) fn patience(&self) -> Patience {
        let searching = self.idle.searching();
        let busy = self.config.procs.saturating_sub(self.idle.idle_ps()).saturating_sub(searching);
        policy::patience(self.machine, busy)
    }

    /// A G was made by a thread that is no M of ours.
    pub(crate) fn count_outside(&self) {
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

    /// How many Ms the runtime has.
    pub(crate) fn m_count(&self) -> usize {
        self.ms.lock().list.len()
    }

    /// Whether the runtime cancels what runs in it.
    #[inline]
    pub(crate) fn closing(&self) -> bool {
        // ORDERING[sched.closing]: pairs with `close`; a G made afterwards is cancelled by whoever starts it.
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
