//! `blocking`: a call that blocks its thread, without its thread's other goroutines waiting for it.
//!
//! A goroutine shares its thread with those that have settled there, so the call is made elsewhere:
//! on a helper, a thread of the runtime's pool. The goroutine is parked meanwhile, and its M runs
//! the siblings. The helper acts for the goroutine, as a thread-backed one with the same number.
//!
//! In three cases the closure runs in place: no goroutine has settled on the thread (the thread is
//! the goroutine's own, or the goroutine is migratory and among its like); the goroutine must not
//! switch; or no helper can be had. Then the M hands its P off first. Afterwards the M takes an
//! idle P; if none is idle, it waits for its turn when its goroutine next suspends.
//!
//! *Rejected.* Running `f` on a thread that is no goroutine. `go` and `current_id` would then work
//! in place and not on a helper, as the pool's load decides. Shutdown could not end a wait in `f`.
//!
//! # Safety
//!
//! The closure may borrow from the goroutine's frames, as in `std::thread::scope`.
//! [`run_on_helper`] returns or unwinds only after the helper has said that it will not touch them
//! any more. So the wait can be neither cancelled nor unwound. It is in a drop, so that no failure
//! between lending and waiting skips it.
#![expect(unsafe_code, reason = "lends a borrowed closure to a thread")]

use std::cell::Cell;
use std::mem;
use std::panic::resume_unwind;
use std::ptr::{self, NonNull};
use std::sync::Arc;
use std::thread;
use std::time::Instant;

use gosched_runtime_sys::sync::lock::Mutex;

use crate::ds::slot::Slot;
use crate::gmp::blocking_pool::{BlockingCall, CallWaiter, Helper, Job, Runner};
use crate::gmp::current::{self, Current};
use crate::gmp::names::Name;
use crate::gmp::progress::Keeps;
use crate::gmp::sched::Sched;
use crate::gmp::thread_g::ThreadG;
use crate::gmp::wait_reason::WaitReason;
use crate::proc::attach;
use crate::proc::cancel::{self, undisturbed};
use crate::proc::carried;
use crate::proc::in_place::Blocked;
use crate::proc::locals;
use crate::proc::new_thread;
use crate::proc::park::{self, Parking};
use crate::proc::standstill;
use crate::proc::target::Target;
use crate::proc::yield_now::preempt_point;
use crate::wait::park::Park;
use crate::wait::parked;
use crate::wait::waiter::{Popped, WaitList};

/// Runs `f`, which may block the thread for long - a file, a C library, a `std` lock,
/// `std::thread::sleep` - without holding other goroutines up.
///
/// Parks the goroutine if any have settled on its thread, and runs `f` on another thread, of a pool
/// of at most [`max_blocking_threads`](crate::Builder::max_blocking_threads). At that limit, or
/// when no thread can be made, and in goroutines that do not share their thread (callbacks,
/// [`Mode::threads`](crate::Mode::threads), migratory ones where none has settled), `f` runs on the
/// calling thread; goroutines elsewhere go on then, while those that settled on this thread wait
/// for it. On a plain thread it is just
/// called.
///
/// `f` may borrow: this returns after it has ended. Wherever it runs, it runs as the calling
/// goroutine: `current_id`, `go`, channels and signal handlers see that one. Thread-locals are
/// those of whichever thread it is, so `f` cannot expect to find there what the goroutine has left;
/// that it brings nothing along that is bound to a thread is what `Send` says.
///
/// # Panics
///
/// With what `f` panicked with. Unwinds with [`Cancelled`](crate::Cancelled), before `f` has begun,
/// if the goroutine was cancelled by then. A cancel that comes later, or a time limit around the
/// call that passes, ends no wait of `f`, wherever `f` runs: it stays pending for the goroutine's
/// next operation. A [`timeout`](crate::time::timeout) or token that `f` enters itself does end
/// `f`'s waits. When the runtime shuts down, what `f` waits for unwinds as the goroutine would.
///
/// ```
/// use gosched::{Mode, blocking, run};
///
/// let lines = run(Mode::threads(), || {
///     let text = String::from("one\ntwo");
///     blocking(|| text.lines().count())
/// });
/// assert_eq!(lines, 2);
/// ```
#[doc(alias("spawn_blocking", "block_in_place", "unblock"))]
pub fn blocking<F, R>(f: F) -> R
where
    F: FnOnce() -> R + Send,
    R: Send,
{
    preempt_point();
    park::raise_if_cancelled();
    // The runtime and the number stay valid after this read: a goroutine stays in its runtime.
    let lends =
        current::with(|cx| cx.filter(|cx| park::may_leave_thread(cx)).map(Current::arc_and_id));
    let slot = Slot::<F, R>::empty();
    // SAFETY: the slot is empty.
    unsafe { ptr::write(slot.closure().as_ptr(), f) };
    let outcome = match lends {
        Some((sched, id)) => run_on_helper(&sched, id, &slot),
        None => {
            let _blocked = Blocked::begin(Keeps::Blocks);
            // SAFETY: the closure lies there, and this frame is the slot's owner.
            undisturbed(|| unsafe { slot.call() })
        }
    };
    match outcome {
        // SAFETY: the closure has returned, and its result is read once.
        Ok(()) => unsafe { ptr::read(slot.value().as_ptr()) },
        Err(payload) => resume_unwind(payload),
    }
}

/// A closure whose frame is on the stack of the goroutine that waits for it.
struct BorrowedCall<'a, F, R> {
    /// Holds the closure, and is the runner's until the call is done.
    slot: &'a Slot<F, R>,
    outcome: Cell<Option<thread::Result<()>>>,
    /// The goroutine's name, in a frame that is older than this.
    name: Option<NonNull<Name>>,
    /// The goroutine is in a shield.
    shielded: bool,
}

/// The state that the goroutine and the helper share.
///
/// Each side holds a share until it is through: when the helper releases the lock, the goroutine
/// may have gone on already.
struct Done(Mutex<State>);

struct State {
    done: bool,
    waiter: WaitList<(), Target>,
}

impl<R, F: FnOnce() -> R> BlockingCall for BorrowedCall<'_, F, R> {
    fn run(&self) {
        let owned = current::with(|cx| cx.and_then(Current::owned).map(NonNull::from));
        // SAFETY: the closure lies there, and `run` is called once, while the slot is the runner's.
        let call = || unsafe { self.slot.call() };
        let run = || if self.shielded { cancel::shielded(call) } else { call() };
        let outcome = match self.name.zip(owned) {
            Some((name, owned)) => {
                // SAFETY: the running goroutine's own part stays while it runs.
                let owned = unsafe { owned.as_ref() };
                // SAFETY: the goroutine that lent it waits until the call is done.
                owned.with_name(unsafe { name.as_ref() }, run)
            }
            None => run(),
        };
        self.outcome.set(Some(outcome));
    }
}

impl CallWaiter for Done {
    #[inline]
    fn call_done(&self) {
        let mut state = self.0.lock();
        state.done = true;
        let wake = state.waiter.pop().map(Popped::finish);
        drop(state);
        // GONE: the goroutine, and with it the call.
        if let Some(wake) = wake {
            wake.now();
        }
    }
}

/// Runs the closure in `slot` on a helper, and waits for it. Runs it in place if there is no
/// helper.
fn run_on_helper<F, R>(sched: &Arc<Sched>, id: u64, slot: &Slot<F, R>) -> thread::Result<()>
where
    F: FnOnce() -> R + Send,
    R: Send,
{
    let done = Arc::new(Done(Mutex::new(State { done: false, waiter: WaitList::new() })));
    let (name, shielded) = current::with(|cx| {
        let owned = cx.and_then(Current::owned).expect("only a goroutine lends");
        (owned.lent_name(), owned.shields.get() > 0)
    });
    let lent = BorrowedCall { slot, outcome: Cell::new(None), name, shielded };
    let until_done = UntilDone(&done);
    sched.deadlocks.agents.add();
    if !submit(sched, Job { call: erase(&lent), waiter: done.clone(), g: id }) {
        sched.deadlocks.agents.remove();
        let blocked = Blocked::begin(Keeps::Blocks);
        undisturbed(|| lent.run());
        drop(blocked);
        done.call_done();
    }
    drop(until_done);
    lent.outcome.take().expect("it was run before it was done")
}

/// Erases the lifetime of a call. The caller waits until the call is done.
#[inline]
fn erase<'a>(call: &'a (dyn BlockingCall + 'a)) -> NonNull<dyn BlockingCall> {
    let raw = NonNull::from(call);
    // SAFETY: only the lifetime changes. `run_on_helper`, which owns the call, waits until it is
    // done, and nothing follows the pointer after that.
    unsafe {
        mem::transmute::<NonNull<dyn BlockingCall + 'a>, NonNull<dyn BlockingCall + 'static>>(raw)
    }
}

/// Waits in its drop until the call is done.
struct UntilDone<'a>(&'a Done);

impl Drop for UntilDone<'_> {
    #[inline]
    fn drop(&mut self) {
        let state = self.0.0.lock();
        if state.done {
            return;
        }
        let parking = Parking::begin_at_once().expect("only a goroutine lends");
        parking.set_wait_reason(WaitReason::Blocking);
        let parking = Shielded(parking);
        // SAFETY: the guard is of this lock. Its one list lives in the `Done` that the caller
        // holds.
        let _served =
            unsafe { parked::wait(&self.0.0, state, |state| &mut state.waiter, None, &parking) };
    }
}

/// A parking that no cancel ends.
struct Shielded(Parking);

// SAFETY: parking suspends and returns.
unsafe impl Park for Shielded {
    type Target = Target;

    #[inline]
    fn renew(&self) {
        self.0.renew();
    }

    #[inline]
    fn target(&self) -> Target {
        self.0.target()
    }

    #[inline]
    fn park_until(&self, deadline: Option<Instant>) {
        assert!(deadline.is_none(), "a call is waited for until it is done");
        self.0.park_shielded();
    }

    #[inline]
    fn cancelled(&self) -> bool {
        false
    }

    #[inline]
    fn raise(&self) -> ! {
        unreachable!("it is never cancelled")
    }
}

/// Gives `job` to a helper, if need be a new one. False if there is none.
#[inline]
fn submit(sched: &Arc<Sched>, job: Job) -> bool {
    match sched.blocking.submit(job) {
        Runner::Helper => true,
        Runner::New(helper, job) => start(sched, helper, job),
        Runner::Nobody => false,
    }
}

/// Makes the thread of a new helper. False if it cannot be made.
#[inline]
fn start(sched: &Arc<Sched>, helper: Helper, job: Job) -> bool {
    let number = helper.number;
    let thread_g = ThreadG::acquire();
    let made = attach::prepare(thread_g.current().m).and_then(|()| {
        let owner = sched.clone();
        let name = format!("{}-b{number}", sched.config.name);
        new_thread::make(sched, name, move || helper_main(&owner, thread_g, &helper, job))
    });
    match made {
        Ok(thread) => {
            sched.blocking.keep_handle(number, thread);
            true
        }
        Err(_) => {
            thread_g.release();
            sched.blocking.helper_not_made();
            false
        }
    }
}

/// The main function of a helper's thread.
fn helper_main(sched: &Sched, thread_g: &'static ThreadG, helper: &Helper, first: Job) {
    // Between two jobs the thread runs no goroutine, as a signal handler sees it.
    thread_g.current().set_g(None);
    attach::attached(thread_g.current(), sched, || {
        let mut next = Some(first);
        while let Some(job) = next {
            next = if run(sched, thread_g, job) {
                // The thread is of no use to others.
                sched.blocking.helper_retires();
                None
            } else {
                sched.blocking.next(helper)
            };
        }
    });
    thread_g.current().set_g(Some(thread_g.g()));
    thread_g.release();
    new_thread::count_to_the_end(sched);
    sched.blocking.helper_ends(helper.number);
}

/// Runs one job as the goroutine that waits for it. True if the job ended locked to the thread.
fn run(sched: &Sched, thread_g: &'static ThreadG, job: Job) -> bool {
    // SAFETY: the call is not done yet, so the goroutine that lent it waits.
    let call = unsafe { job.call.as_ref() };
    thread_g.renew(job.g);
    if thread_g.register(sched).is_err() {
        // The goroutine was spawned before the runtime closed, and its call may run to the end. But
        // shutdown, which cancels the runtime's threads, may have missed this one.
        let _it_runs = thread_g.g().parker.cancel();
    }
    thread_g.current().set_g(Some(thread_g.g()));
    thread_g.count_as_agent();
    call.run();
    locals::end(thread_g.g().id());
    thread_g.current().set_g(None);
    carried::drop_left(sched);
    thread_g.unregister(sched);
    let locked = thread_g.ended_locked();
    job.waiter.call_done();
    if locked {
        new_thread::stay_counted();
    } else {
        sched.deadlocks.agents.remove();
        standstill::check(sched);
    }
    locked
}
