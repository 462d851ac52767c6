//! Building, entering and ending a runtime.
//!
//! # Safety
//!
//! `run` lends its closure, which borrows from the caller, to a goroutine; it returns only after
//! that has ended. A new packet is filled with its closure.
#![expect(unsafe_code, reason = "lends a borrowed closure to a goroutine, fills new packets")]

use std::any::Any;
use std::cell::Cell;
use std::io;
use std::mem;
use std::panic::{AssertUnwindSafe, Location, catch_unwind, resume_unwind};
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;
use std::time::Duration;

use gosched_runtime_sys::thread::{fork, last_code, spawn_thread};

use crate::dump::Dump;
use crate::gmp::body::{Begin, Body, Entry, SharedBody};
use crate::gmp::current::{self, Current};
use crate::gmp::g::{CancelScope, Cancelled, Kind};
use crate::gmp::m::M;
use crate::gmp::sched::Sched;
use crate::gmp::stack_pool::StackStats;
use crate::gmp::thread_g::{self, ThreadG};
use crate::go::spawn_in;
use crate::join::{JoinHandle, filled_pair};
use crate::mode::{Deadlock, Mode};
use crate::proc::refuse::refuse_unstarted;
use crate::proc::run::{self, LentThread};
use crate::proc::sysmon;
use crate::proc::{
    attach, check_dead, events, locals, no_wait, promises, shutdown, thread_backed, wake,
};
use crate::scope::{Group, JoinSet, Scope, TryScope, scope_in, scope_try_in};

mod builder;
mod error;
mod short;

pub(crate) use builder::check_stack_size;
pub use builder::{Builder, DEFAULT_MAX_THREADS, DEFAULT_STACK_SIZE};
pub use error::ShutdownError;

/// How long a runtime that is dropped waits for goroutines that are running. See
/// [`Runtime::shutdown`].
pub const DROP_GRACE: Duration = Duration::from_secs(10);

/// A scheduler with its threads. Dropping it shuts it down with [`DROP_GRACE`].
///
/// Dropped by one of its own goroutines, or by one of its threads with a thread-local, it shuts
/// down all the same: goroutines are cancelled at once, a thread made for it waits for their ends,
/// and a warning says so.
#[doc(alias("scheduler", "executor"))]
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

impl Builder {
    /// Builds the runtime. It makes no thread until there is something to run.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for a value that is out of its range or a name with a NUL in it; what the
    /// system says if a signal handler cannot be installed.
    pub fn build(self) -> io::Result<Runtime> {
        let config = self.config()?;
        let sched =
            Sched::new(config, run::m_main, sysmon::main, refuse_unstarted, check_dead::act);
        Ok(Runtime { handle: Handle { sched } })
    }
}

impl Runtime {
    /// How a runtime with goroutines of this mode is to be built.
    #[must_use]
    pub fn builder(mode: Mode) -> Builder {
        Builder::new(mode)
    }

    /// Runs `f` as a goroutine on the calling thread, which lends itself to the runtime meanwhile:
    /// what must run on the main thread can. Returns what `f` returned, after `f` and every
    /// goroutine that settled on this thread have ended; goroutines elsewhere go on. The wait for
    /// those that settled on this thread has no time limit.
    ///
    /// # Panics
    ///
    /// With `f`'s payload if it panicked. If the calling thread is in a runtime already, if this
    /// one was shut down before or is shut down while `f` waits, or if there is no memory for a
    /// signal stack or for the stack of `f`'s goroutine.
    #[doc(alias("block_on", "main"))]
    #[track_caller]
    pub fn run<R>(&self, f: impl FnOnce() -> R) -> R {
        self.run_then(f, || ())
    }

    /// `then` is called once `f` has ended, on its goroutine, before the wait for those that
    /// settled here.
    #[track_caller]
    pub(crate) fn run_then<R>(&self, f: impl FnOnce() -> R, then: impl FnOnce()) -> R {
        no_wait::check();
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
            (Err(payload), None) if ended_by_shutdown(&*payload) => {
                panic!("gosched: the runtime was shut down while `run` was waiting for its closure")
            }
            (Err(payload), _) => match payload.downcast::<RootNotStarted>() {
                Ok(why) => panic!("gosched: the root goroutine could not be started: {}", why.0),
                Err(payload) => resume_unwind(payload),
            },
        }
    }

    /// A reference to this runtime.
    #[must_use]
    #[inline]
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Every goroutine, what it does, where it was made, and how much of its stack it has used.
    /// From any thread; stops nobody.
    #[must_use]
    #[inline]
    pub fn dump(&self) -> Dump {
        Dump::with_stacks(&self.handle.sched)
    }

    /// What the stacks of its goroutines take. Cheap, and from any thread; figures of other threads
    /// may be a moment old.
    #[must_use]
    #[inline]
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
    #[doc(alias = "shutdown_timeout")]
    pub fn shutdown(&self, grace: Duration) -> Result<(), ShutdownError> {
        if self.handle.sched.generation != fork::generation() {
            return Err(ShutdownError::Forked);
        }
        if self.handle.is_inside() {
            return Err(ShutdownError::Inside);
        }
        no_wait::check();
        shutdown::shut_down(&self.handle.sched, grace)
            .map_err(|(goroutines, callbacks)| ShutdownError::Running { goroutines, callbacks })
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        if no_wait::forbidden_at().is_some() && self.handle.sched.generation == fork::generation() {
            // Its end is not skipped, and is waited for by nobody here.
            end_from_inside(&self.handle.sched);
            no_wait::check();
        }
        let Err(error) = self.shutdown(DROP_GRACE) else { return };
        if error == ShutdownError::Inside {
            return end_from_inside(&self.handle.sched);
        }
        // What waits elsewhere for a goroutine that has not ended points into this memory, which
        // its Ms may all have left.
        mem::forget(self.handle.sched.clone());
        // In a forked child there is nothing to end and nothing to say.
        if error != ShutdownError::Forked {
            events::left_running(self.handle.sched.config.warnings, &error);
        }
    }
}

/// Begins the shutdown of a runtime that is dropped inside itself, where nobody can wait for it. A
/// thread made for it does.
fn end_from_inside(sched: &Arc<Sched>) {
    shutdown::cancel_all(sched);
    events::dropped_inside(sched.config.warnings);
    let theirs = sched.clone();
    let made = spawn_thread(format!("{}-end", sched.config.name), move || {
        if let Err((goroutines, callbacks)) = shutdown::shut_down(&theirs, DROP_GRACE) {
            let left = ShutdownError::Running { goroutines, callbacks };
            events::left_running(theirs.config.warnings, &left);
            mem::forget(theirs);
        }
    });
    if made.is_err() {
        // What was cancelled ends all the same. The threads stay, and so does the memory.
        mem::forget(sched.clone());
    }
}

impl Handle {
    /// The runtime that the calling goroutine or callback is in, if it is in one.
    #[must_use]
    #[inline]
    pub fn try_current() -> Option<Handle> {
        current::with(|cx| Some(Handle { sched: cx?.sched().arc() }))
    }

    /// Runs `f` as a new goroutine of this runtime; from any thread. Never blocks. After the
    /// runtime was shut down the closure is dropped and `join` gives [`Cancelled`].
    #[doc(alias = "spawn")]
    #[track_caller]
    pub fn go<F, T>(&self, f: F) -> JoinHandle<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        let [body, packet] = filled_pair!(f, ());
        JoinHandle::new(packet, spawn_in(&self.sched, Entry::Shared(SharedBody::new(body))))
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

    /// As [`scope_try`](crate::scope_try()), with goroutines of this runtime; from any thread,
    /// which waits for them. On a thread that is no goroutine no waits of `f` itself are ended.
    ///
    /// # Errors
    ///
    /// The error that was returned first, by `f` or by a goroutine.
    ///
    /// # Panics
    ///
    /// As [`scope_try`](crate::scope_try()).
    pub fn scope_try<'env, F, R, E>(&self, f: F) -> Result<R, E>
    where
        F: for<'scope> FnOnce(&'scope TryScope<'scope, 'env, E>) -> Result<R, E>,
        E: 'env,
    {
        scope_try_in(self.sched.clone(), f)
    }

    /// A [`Group`] whose goroutines are of this runtime, from whatever thread they are made.
    #[must_use]
    pub fn group<E>(&self) -> Group<E> {
        Group::of(Some(self.sched.clone()))
    }

    /// A [`JoinSet`] whose goroutines are of this runtime, from whatever thread they are made.
    #[must_use]
    pub fn join_set<T>(&self) -> JoinSet<T> {
        JoinSet::of(Some(self.sched.clone()))
    }

    #[inline]
    pub(crate) fn sched(&self) -> &Arc<Sched> {
        &self.sched
    }

    /// True if the calling thread is in this runtime, or is one of its threads: such a one would
    /// wait for itself. The second shows in the destructor of a thread-local.
    fn is_inside(&self) -> bool {
        if last_code::made_for() == Arc::as_ptr(&self.sched).addr() {
            return true;
        }
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
/// left when `f` has ended, and shuts the runtime down with [`DROP_GRACE`]. That grace is for
/// goroutines on other threads: as [`Runtime::run`], it waits without a limit for those that
/// settled on the calling thread.
///
/// # Panics
///
/// As [`Runtime::run`], or if the runtime cannot be built. With a list of the goroutines if all of
/// them wait for each other, and the process has no other thread:
/// [`Deadlock::PanicIfProven`].
///
/// ```
/// use gosched::{Mode, go, run};
///
/// assert_eq!(run(Mode::threads(), || go(|| 6 * 7).join().unwrap()), 42);
/// ```
#[doc(alias("block_on", "main"))]
#[track_caller]
pub fn run<R>(mode: Mode, f: impl FnOnce() -> R) -> R {
    let builder = Runtime::builder(mode).deadlock(Deadlock::PanicIfProven);
    let runtime = builder.build().expect("gosched: a runtime could not be built");
    let sched = runtime.handle.sched.clone();
    runtime.run_then(f, move || shutdown::cancel_all(&sched))
}

/// Why a root goroutine has not begun. Becomes a panic with a message on the caller's thread.
struct RootNotStarted(io::Error);

/// True if a root goroutine unwound because its runtime ended.
fn ended_by_shutdown(payload: &(dyn Any + Send)) -> bool {
    payload
        .downcast_ref::<Cancelled>()
        .is_some_and(|cancelled| cancelled.scope == CancelScope::Runtime)
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
            Begin::Failed(error) => Err(Box::new(RootNotStarted(error)) as _),
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
    sched.deadlocks.own_threads.enter();
    sched.deadlocks.agents.add();
    sched.count_spawned_outside();
    let place = ThreadG::acquire();
    place.renew(thread_g::reserve_ids(1));
    place.g().set_made_at(Some(made_at));
    thread_backed::run_as(sched, place, entry);
    place.release();
    sched.count_ended_outside();
    sched.deadlocks.own_threads.remove();
    sched.deadlocks.agents.remove();
}

/// The calling thread becomes an M with the root goroutine settled on it.
fn lend(sched: &Sched, entry: Entry, made_at: &'static Location<'static>) {
    let m = M::acquire();
    if let Err(error) = attach::prepare(m) {
        m.release();
        panic!("gosched: no signal stack for this thread: {error}");
    }
    m.locks.set_lent();
    sched.deadlocks.own_threads.enter();
    sched.add_m(m);
    m.remote.set_resident(true);
    sched.lent_threads.fetch_add(1, Relaxed);
    m.count_spawned();
    let root = sched.slab.take();
    root.init(thread_g::reserve_ids(1), Kind::Settled, Some(entry));
    root.g().set_made_at(Some(made_at));
    promises::maker(sched, None).made(root.g());
    let cx = Current::new(m);
    attach::attached(&cx, sched, || {
        let lent = LentThread { root: root.as_raw() };
        let mut inside = cx.enter_with_p().expect("the thread has just become an M");
        inside.owned().begin_with_root(root);
        drop(inside);
        run::run(&cx, None, Some(lent));
    });
    sched.lent_threads.fetch_sub(1, Relaxed);
    sched.deadlocks.own_threads.remove();
    sched.remove_m(m);
    if sched.m_count() == 0 {
        // What this thread left behind has no other M. One is made, or it ends.
        wake::wake_p_if_work(sched);
    }
}
