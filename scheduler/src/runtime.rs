//! Building, entering and ending a runtime.
//!
//! # Safety
//!
//! `run` lends its closure, which borrows from the caller, to a goroutine; it returns only after
//! that has ended.
#![expect(unsafe_code, reason = "lends a borrowed closure to a goroutine")]

use std::cell::Cell;
use std::io;
use std::mem;
use std::panic::{AssertUnwindSafe, Location, catch_unwind, resume_unwind};
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;
use std::time::Duration;

use gosched_runtime_sys::memory::stack::{Guards, Shape};
use gosched_runtime_sys::thread::fork;
use gosched_runtime_sys::thread::usable_cpus;

use crate::carry::SwitchHooks;
use crate::dump::Dump;
use crate::gmp::body::{Begin, Body, Entry};
use crate::gmp::current::{self, Current};
use crate::gmp::g::{CancelScope, Cancelled, Kind};
use crate::gmp::m::M;
use crate::gmp::p::{MAX_PROCS, check_number};
use crate::gmp::sched::{Config, Sched};
use crate::gmp::stack_pool::StackStats;
use crate::gmp::thread_g::{self, ThreadG};
use crate::go::go_in;
use crate::join::JoinHandle;
use crate::mode::{Deadlock, Mode};
use crate::policy;
use crate::proc::run::{self, LentThread};
use crate::proc::sysmon;
use crate::proc::{attach, locals, shutdown, thread_backed};
use crate::scope::{Scope, scope_in};
use crate::signal;

mod error;
mod knobs;

pub use error::ShutdownError;

/// Bytes of a goroutine's stack, unless the builder says otherwise: with its guard, 256 KiB of
/// address space. One page of it is touched at first.
pub const DEFAULT_STACK_SIZE: usize = 192 * 1024;

/// How long a runtime that is dropped waits for goroutines that are running. See
/// [`Runtime::shutdown`].
pub const DROP_GRACE: Duration = Duration::from_secs(10);

/// The most threads a runtime makes to run goroutines, unless the builder says otherwise: as many
/// as Go's runtime may have.
pub const DEFAULT_MAX_THREADS: usize = 10_000;

/// What the builder may say of them.
const THREADS: std::ops::RangeInclusive<usize> = 1..=100_000;

/// The smallest and the largest stack, in bytes. `go` may have to make a thread for an M, on the
/// stack of the goroutine that calls it: in a debug build that does not fit into 16 KiB.
const STACK_SIZES: std::ops::RangeInclusive<usize> = (32 * 1024)..=(1 << 40);

/// A scheduler with its threads. Dropping it shuts it down with [`DROP_GRACE`].
#[derive(Debug)]
pub struct Runtime {
    handle: Handle,
}

/// A reference to a runtime: makes goroutines in it from any thread. It does not keep the runtime
/// running.
#[derive(Clone, Debug)]
pub struct Handle {
    sched: Arc<Sched>,
}

/// How a runtime is to be built. See [`Runtime::builder`].
#[derive(Clone, Debug)]
pub struct Builder {
    mode: Mode,
    procs: Option<usize>,
    stack_size: usize,
    name: String,
    max_threads: Option<usize>,
    max_blocking: usize,
    deadlock: Deadlock,
    carried: SwitchHooks,
}

impl Builder {
    /// How many goroutines run at the same time, 1 to 1024; [`Runtime::set_procs`] changes it.
    /// Unless set: the CPUs this process may use, by affinity and by its cgroup's quota.
    #[must_use]
    pub fn procs(mut self, n: usize) -> Self {
        self.procs = Some(n);
        self
    }

    /// Bytes of stack for each goroutine, 32 KiB to 1 TiB, rounded up to pages. A guard of 64 KiB
    /// comes on top. Address space only: memory is taken as it is used. Unless set:
    /// [`DEFAULT_STACK_SIZE`].
    ///
    /// On Linux before 6.13 each stack takes two mappings, and the kernel's limit
    /// (`vm.max_map_count`, 65,530 unless somebody raised it) ends that near 32,000: a goroutine
    /// beyond is not started, see [`NotStarted`](crate::NotStarted). With
    /// `GOSCHED_STACK_GUARDS=closed` in the environment it is so on newer ones, too.
    #[must_use]
    pub fn stack_size(mut self, bytes: usize) -> Self {
        self.stack_size = bytes;
        self
    }

    /// What its threads are called: `name-m1`, those of [`blocking`](crate::blocking) `name-b1`,
    /// ... Unless set: `gosched`. Linux shows 15 bytes of a thread's name.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// The most threads it makes to run goroutines, 1 to 100,000; not counted are those that lend
    /// themselves ([`Runtime::run`]) or are about to end ([`lock_thread`](crate::lock_thread)), its
    /// overseer, those of [`blocking`](crate::blocking) and of `Mode::threads`. A runtime has about
    /// as many as it has Ps; more while goroutines block or compute for long, whose Ps others then
    /// run. At the limit nobody takes over: what waits behind such goroutines waits for them.
    /// Unless set: [`DEFAULT_MAX_THREADS`], or twice the number of Ps if that is more.
    #[must_use]
    pub fn max_threads(mut self, n: usize) -> Self {
        self.max_threads = Some(n);
        self
    }

    /// The most threads that [`blocking`](crate::blocking) runs closures on; beyond, they run where
    /// they are called, and with 0 all do. A thread is made when one is needed, and ends after half
    /// a second without work. Unless set: 512.
    #[must_use]
    pub fn max_blocking_threads(mut self, n: usize) -> Self {
        self.max_blocking = n;
        self
    }

    /// Builds the runtime. It makes no thread until there is something to run.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for a value that is out of its range or a name with a NUL in it; what the
    /// system says if a signal handler cannot be installed.
    pub fn build(self) -> io::Result<Runtime> {
        let procs = self.procs.unwrap_or_else(|| usable_cpus().count.clamp(1, MAX_PROCS));
        check_number(procs)?;
        check_stack_size(Some(self.stack_size))?;
        if let Some(n) = self.max_threads.filter(|n| !THREADS.contains(n)) {
            return Err(invalid(format!(
                "max_threads must be {} to {}, not {n}",
                THREADS.start(),
                THREADS.end()
            )));
        }
        if self.name.contains('\0') {
            return Err(invalid("a runtime's name cannot contain NUL".to_owned()));
        }
        fork::register_hook()?;
        signal::install()?;
        let stack = Shape::new(self.stack_size, guards())?;
        let config = Config {
            mode: self.mode,
            procs,
            stack,
            name: self.name,
            max_threads: self.max_threads.unwrap_or(DEFAULT_MAX_THREADS.max(2 * procs)),
            max_blocking: self.max_blocking,
            deadlock: self.deadlock,
            carried: self.carried,
        };
        Ok(Runtime { handle: Handle { sched: Sched::new(config, run::m_main, sysmon::main) } })
    }
}

/// How stacks are guarded: as well as the kernel can, or as on an old one, if the environment says
/// so.
fn guards() -> Guards {
    match std::env::var_os("GOSCHED_STACK_GUARDS") {
        Some(kind) if kind == "closed" => Guards::Closed,
        _ => Guards::available(),
    }
}

/// Whether a goroutine may have a stack of so many bytes.
pub(crate) fn check_stack_size(bytes: Option<usize>) -> io::Result<()> {
    let (least, most) = (STACK_SIZES.start(), STACK_SIZES.end());
    match bytes {
        Some(bytes) if !STACK_SIZES.contains(&bytes) => {
            Err(invalid(format!("stack_size must be {least} to {most} bytes, not {bytes}")))
        }
        _ => Ok(()),
    }
}

fn invalid(message: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, message)
}

impl Runtime {
    /// How a runtime with goroutines of this mode is to be built.
    #[must_use]
    pub fn builder(mode: Mode) -> Builder {
        Builder {
            mode,
            procs: None,
            stack_size: DEFAULT_STACK_SIZE,
            name: "gosched".to_owned(),
            max_threads: None,
            max_blocking: policy::MAX_HELPERS,
            deadlock: Deadlock::default(),
            carried: SwitchHooks::default(),
        }
    }

    /// Runs `f` as a goroutine on the calling thread, which lends itself to the runtime meanwhile:
    /// what must run on the main thread can. Returns what `f` returned, after `f` and every
    /// goroutine that settled on this thread have ended; goroutines elsewhere go on.
    ///
    /// # Panics
    ///
    /// With `f`'s payload if it panicked. If the calling thread is in a runtime already, if this
    /// one was shut down, or if there is no memory for a signal stack.
    #[track_caller]
    pub fn run<R>(&self, f: impl FnOnce() -> R) -> R {
        self.run_then(f, || ())
    }

    /// `then` is called once `f` has ended, on its goroutine, before the wait for those that
    /// settled here.
    #[track_caller]
    fn run_then<R>(&self, f: impl FnOnce() -> R, then: impl FnOnce()) -> R {
        let sched = &*self.handle.sched;
        let inside = current::with(|cx| cx.is_some());
        assert!(!inside, "Runtime::run was called on a thread that is in a runtime already");
        assert!(!sched.closing(), "Runtime::run was called after the runtime was shut down");
        let outcome = Cell::new(None);
        let root = Root {
            f: Cell::new(Some(|| {
                let result = catch_unwind(AssertUnwindSafe(f));
                then();
                result
            })),
            outcome: &outcome,
        };
        let entry = Entry::Borrowed(erase(&root));
        if sched.config.mode.is_threads() {
            run_on_thread(sched, entry, Location::caller())
        } else {
            lend(sched, entry, Location::caller())
        };
        let outcome = outcome.take().expect("the root goroutine has ended");
        match (outcome, sched.deadlocks.report()) {
            (Ok(result), None) => result,
            (Err(payload), Some(report))
                if payload.downcast_ref::<String>().is_none_or(|said| said != report) =>
            {
                panic!("{report}")
            }
            // What it waited for may have been cancelled first, and its wait be over in the usual
            // way.
            (Ok(_), Some(report)) => panic!("{report}"),
            (Err(payload), _) => resume_unwind(payload),
        }
    }

    /// A reference to this runtime.
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Every goroutine, what it does, where it was made, and how much of its stack it has used.
    /// From any thread; stops nobody.
    #[must_use]
    pub fn dump(&self) -> Dump {
        Dump::with_stacks(&self.handle.sched)
    }

    /// What the stacks of its goroutines take. Cheap, and from any thread; figures of other threads
    /// may be a moment old.
    #[must_use]
    pub fn stack_stats(&self) -> StackStats {
        self.handle.sched.stacks.stats()
    }

    /// Ends the runtime: nothing new starts, every goroutine and every thread that waits in a
    /// callback is cancelled - it unwinds with [`Cancelled`] from the call it waits in, or from the
    /// next one - and their ends are awaited, up to `grace`. Blocks the calling thread until then.
    /// Shutting down again waits again. They are cancelled one after the other, all before any is
    /// waited for: what one does as it unwinds may reach another one before its cancel does.
    ///
    /// With `panic = "abort"` nothing can unwind: goroutines that wait for something that never
    /// comes do not end.
    ///
    /// # Errors
    ///
    /// [`ShutdownError::Running`] if something has not ended in time: it is left alone and may
    /// still end by itself. [`ShutdownError::Inside`] if the caller is in this runtime.
    /// [`ShutdownError::Forked`] in a forked child.
    pub fn shutdown(&self, grace: Duration) -> Result<(), ShutdownError> {
        if self.handle.sched.generation != fork::generation() {
            return Err(ShutdownError::Forked);
        }
        if self.handle.is_inside() {
            return Err(ShutdownError::Inside);
        }
        shutdown::shut_down(&self.handle.sched, grace)
            .map_err(|(goroutines, callbacks)| ShutdownError::Running { goroutines, callbacks })
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        let Err(error) = self.shutdown(DROP_GRACE) else { return };
        // What waits elsewhere for a goroutine that has not ended points into this memory, which
        // its Ms may all have left.
        mem::forget(self.handle.sched.clone());
        // In a forked child there is nothing to end and nothing to say.
        if error != ShutdownError::Forked {
            tracing::warn!(%error, "gosched: a runtime was dropped and left running");
        }
    }
}

impl Handle {
    /// The runtime that the calling goroutine or callback is in.
    #[must_use]
    pub fn try_current() -> Option<Handle> {
        current::with(|cx| Some(Handle { sched: cx?.sched().arc() }))
    }

    /// Runs `f` as a new goroutine of this runtime; from any thread. Never blocks. After the
    /// runtime was shut down the closure is dropped and `join` gives [`Cancelled`].
    #[track_caller]
    pub fn go<F, T>(&self, f: F) -> JoinHandle<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        go_in(&self.sched, f)
    }

    /// As [`scope`](crate::scope()), with goroutines of this runtime; from any thread, which waits
    /// for them.
    ///
    /// # Panics
    ///
    /// With what `f` panicked with, or if a goroutine panicked whose handle was not joined.
    pub fn scope<'env, F, T>(&self, f: F) -> T
    where
        F: for<'scope> FnOnce(&'scope Scope<'scope, 'env>) -> T,
    {
        scope_in(self.sched.clone(), f)
    }

    pub(crate) fn sched(&self) -> &Arc<Sched> {
        &self.sched
    }

    fn is_inside(&self) -> bool {
        current::with(|cx| {
            let mut place = cx;
            while let Some(cx) = place {
                if std::ptr::eq(cx.sched(), &*self.sched) {
                    return true;
                }
                place = cx.prev();
            }
            false
        })
    }
}

/// Builds a runtime with default settings, runs `f` in it as [`Runtime::run`] does, cancels what is
/// left when `f` has ended, and shuts the runtime down with [`DROP_GRACE`].
///
/// # Panics
///
/// As [`Runtime::run`], or if the runtime cannot be built.
///
/// ```
/// use gosched_scheduler::{Mode, go, run};
///
/// assert_eq!(run(Mode::threads(), || go(|| 6 * 7).join().unwrap()), 42);
/// ```
#[track_caller]
pub fn run<R>(mode: Mode, f: impl FnOnce() -> R) -> R {
    let runtime = Runtime::builder(mode).build().expect("gosched: a runtime could not be built");
    let sched = runtime.handle.sched.clone();
    runtime.run_then(f, move || shutdown::cancel_all(&sched))
}

type Outcome<R> = Cell<Option<thread::Result<R>>>;

/// The body of a root goroutine: on the stack of the thread that waits for it.
struct Root<'a, F, R> {
    f: Cell<Option<F>>,
    outcome: &'a Outcome<R>,
}

impl<R, F: FnOnce() -> thread::Result<R>> Body for Root<'_, F, R> {
    fn run(&self, id: u64, begin: Begin) {
        let Some(f) = self.f.take() else { return };
        let outcome = match begin {
            Begin::Run => f(),
            Begin::Cancelled => {
                Err(Box::new(Cancelled { g: id, scope: CancelScope::Runtime }) as _)
            }
            Begin::Failed(error) => {
                Err(Box::new(format!("gosched: the root goroutine could not be started: {error}"))
                    as _)
            }
        };
        locals::end(id);
        self.outcome.set(Some(outcome));
    }
}

/// A root's body without its lifetime; `Entry::Borrowed` is for callers that wait until it has
/// ended.
fn erase<'a>(root: &'a (dyn Body + 'a)) -> NonNull<dyn Body> {
    let raw = NonNull::from(root);
    // SAFETY: only the lifetime changes. The pointer is followed while `run_then`, which has the
    // body, waits for its G.
    unsafe { mem::transmute::<NonNull<dyn Body + 'a>, NonNull<dyn Body + 'static>>(raw) }
}

/// `Mode::threads`: the calling thread is the goroutine.
fn run_on_thread(sched: &Sched, entry: Entry, made_at: &'static Location<'static>) {
    sched.count_spawned_outside();
    let place = ThreadG::acquire();
    place.renew(thread_g::reserve_ids(1));
    place.g().made_at(Some(made_at));
    thread_backed::run_as(sched, place, entry);
    place.release();
    sched.count_ended_outside();
}

/// The calling thread becomes an M with the root goroutine settled on it.
fn lend(sched: &Sched, entry: Entry, made_at: &'static Location<'static>) {
    let m = M::acquire();
    if let Err(error) = attach::prepare(m) {
        m.release();
        panic!("gosched: no signal stack for this thread: {error}");
    }
    sched.add_m(m);
    m.remote.set_resident(true);
    sched.lent_threads.fetch_add(1, Relaxed);
    m.count_spawned();
    let root = sched.slab.take();
    root.init(thread_g::reserve_ids(1), Kind::Settled, Some(entry));
    root.g().made_at(Some(made_at));
    let cx = Current::new(m);
    attach::attached(&cx, sched, || {
        let lent = LentThread { root: root.as_raw() };
        let mut hand = cx.enter_with_p().expect("the thread has just become an M");
        hand.owned().push_woken(root);
        drop(hand);
        run::run(&cx, None, Some(lent));
    });
    sched.lent_threads.fetch_sub(1, Relaxed);
    sched.remove_m(m);
}
