//! `blocking`: a call that blocks its thread, without its thread's other goroutines waiting for it.
//!
//! A settled goroutine shares its thread, so the call is made elsewhere: on a helper, a thread of
//! the runtime's pool that acts for the goroutine meanwhile - as a thread-backed one with the same
//! number - while the goroutine itself is parked and its M runs the siblings. Where the goroutine
//! has no siblings to think of (its thread is its own, or it is migratory and leaves none behind),
//! where it must not switch, and where no helper is to be had, the closure runs where it is, and
//! its M gives its P to others first. Afterwards it takes an idle one; if none is, it waits for its
//! turn when its goroutine next suspends.
//!
//! *Rejected.* A thread that is no goroutine for `f`: `go` and `current_id` would work where it
//! runs in place and not elsewhere, as the pool's load decides; and a wait in `f` would be out of
//! shutdown's reach.
//!
//! # Safety
//!
//! The closure may borrow from the goroutine's frames, as in `std::thread::scope`:
//! [`run_on_helper`] returns, or unwinds, only after the helper has told that it will not touch
//! them any more. So the wait can be neither cancelled nor unwound, and it is in a drop: nothing
//! that goes wrong between lending and waiting gets around it.
#![expect(unsafe_code, reason = "lends a borrowed closure to a thread")]

use std::cell::Cell;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::ptr::NonNull;
use std::sync::Arc;
use std::thread;
use std::time::Instant;

use gosched_runtime_sys::sync::lock::Mutex;
use gosched_runtime_sys::thread::spawn_thread;

use crate::gmp::blocking_pool::{Client, Errand, Helper, Job, Runner};
use crate::gmp::current;
use crate::gmp::sched::Sched;
use crate::gmp::thread_g::ThreadG;
use crate::gmp::wait_reason::WaitReason;
use crate::proc::attach;
use crate::proc::in_place::Blocked;
use crate::proc::locals;
use crate::proc::park::{self, Parking};
use crate::proc::target::Target;
use crate::wait::park::Park;
use crate::wait::parked;
use crate::wait::waiter::{Popped, WaitList};

/// Runs `f`, which may block the thread for long - a file, a C library, a `std` lock,
/// `std::thread::sleep` - without holding other goroutines up.
///
/// Parks a settled goroutine and runs `f` on another thread, of a pool of at most
/// [`max_blocking_threads`](crate::Builder::max_blocking_threads). At that limit, or when no thread
/// can be made, and in goroutines that do not share their thread (migratory ones, callbacks,
/// [`Mode::threads`](crate::Mode::threads)), `f` runs on the calling thread; goroutines elsewhere
/// go on then, while those that settled on this thread wait for it. On a plain thread it is just
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
/// if the goroutine was cancelled by then; a cancel that comes later waits for the goroutine's next
/// operation. When the runtime shuts down, what `f` waits for unwinds as the goroutine would.
///
/// ```
/// use gosched_scheduler::{Mode, blocking, run};
///
/// let lines = run(Mode::threads(), || {
///     let text = String::from("one\ntwo");
///     blocking(|| text.lines().count())
/// });
/// assert_eq!(lines, 2);
/// ```
pub fn blocking<F, R>(f: F) -> R
where
    F: FnOnce() -> R + Send,
    R: Send,
{
    park::raise_if_cancelled();
    // What is read off the thread here may be kept: a settled goroutine stays on it, and so does
    // its runtime.
    match current::with(|cx| {
        cx.filter(|cx| park::may_leave_thread(cx)).map(current::Current::arc_and_id)
    }) {
        Some((sched, id)) => run_on_helper(&sched, id, f),
        None => {
            let _blocked = Blocked::begin();
            f()
        }
    }
}

/// A closure on the stack of the goroutine that waits for it.
struct BorrowedCall<F, R> {
    f: Cell<Option<F>>,
    outcome: Cell<Option<thread::Result<R>>>,
}

/// Where the goroutine waits. Both sides hold it until each is through with it: the helper lets go
/// of the lock when the goroutine may have gone on already.
struct Done(Mutex<State>);

struct State {
    done: bool,
    waiter: WaitList<(), Target>,
}

impl<R, F: FnOnce() -> R> Errand for BorrowedCall<F, R> {
    fn run(&self) {
        if let Some(f) = self.f.take() {
            self.outcome.set(Some(catch_unwind(AssertUnwindSafe(f))));
        }
    }
}

impl Client for Done {
    fn tell(&self) {
        let mut state = self.0.lock();
        state.done = true;
        let wake = state.waiter.pop().map(Popped::finish);
        drop(state);
        // GONE: the goroutine, and with it the errand.
        if let Some(wake) = wake {
            wake.now();
        }
    }
}

/// Has a helper run `f` and waits for it; runs it here if there is no helper.
fn run_on_helper<F, R>(sched: &Arc<Sched>, id: u64, f: F) -> R
where
    F: FnOnce() -> R + Send,
    R: Send,
{
    let done = Arc::new(Done(Mutex::new(State { done: false, waiter: WaitList::new() })));
    let lent = BorrowedCall { f: Cell::new(Some(f)), outcome: Cell::new(None) };
    let until_done = UntilDone(&done);
    if !submit(sched, Job { errand: erase(&lent), client: done.clone(), g: id }) {
        let blocked = Blocked::begin();
        lent.run();
        drop(blocked);
        done.tell();
    }
    drop(until_done);
    match lent.outcome.take().expect("it was run before it was done") {
        Ok(value) => value,
        Err(payload) => resume_unwind(payload),
    }
}

/// An errand without its lifetime, for who waits until it is done.
fn erase<'a>(errand: &'a (dyn Errand + 'a)) -> NonNull<dyn Errand> {
    let raw = NonNull::from(errand);
    // SAFETY: only the lifetime changes. `run_on_helper`, which has the errand, waits until it is
    // done, and nobody follows the pointer after that.
    unsafe { mem::transmute::<NonNull<dyn Errand + 'a>, NonNull<dyn Errand + 'static>>(raw) }
}

/// Waits, when it is dropped, until the errand is done.
struct UntilDone<'a>(&'a Done);

impl Drop for UntilDone<'_> {
    fn drop(&mut self) {
        let state = self.0.0.lock();
        if state.done {
            return;
        }
        let parking = Parking::begin_at_once().expect("only a goroutine lends");
        parking.set_wait_reason(WaitReason::Blocking);
        let parking = Shielded(parking);
        // SAFETY: the guard is of this lock, whose one list lives in what the caller holds.
        let _served =
            unsafe { parked::wait(&self.0.0, state, |state| &mut state.waiter, None, &parking) };
    }
}

/// A wait that is not given up.
struct Shielded(Parking);

// SAFETY: parking suspends and returns.
unsafe impl Park for Shielded {
    type Target = Target;

    fn renew(&self) {
        self.0.renew();
    }

    fn target(&self) -> Target {
        self.0.target()
    }

    fn park_until(&self, deadline: Option<Instant>) {
        assert!(deadline.is_none(), "an errand is waited for until it is done");
        self.0.park_shielded();
    }

    fn cancelled(&self) -> bool {
        false
    }

    fn raise(&self) -> ! {
        unreachable!("it is never cancelled")
    }
}

/// Gives `job` to a helper, a new one if need be. False: there is none.
fn submit(sched: &Arc<Sched>, job: Job) -> bool {
    match sched.blocking.submit(job) {
        Runner::Helper => true,
        Runner::New(helper, job) => start(sched, helper, job),
        Runner::Nobody => false,
    }
}

fn start(sched: &Arc<Sched>, helper: Helper, job: Job) -> bool {
    let number = helper.number;
    let place = ThreadG::acquire();
    let made = attach::prepare(place.current().m).and_then(|()| {
        let owner = sched.clone();
        let name = format!("{}-b{number}", sched.config.name);
        spawn_thread(name, move || helper_main(&owner, place, &helper, job))
    });
    match made {
        Ok(thread) => {
            sched.blocking.keep(number, thread);
            true
        }
        Err(_) => {
            place.release();
            sched.blocking.not_made();
            false
        }
    }
}

/// The life of a helper.
fn helper_main(sched: &Sched, place: &'static ThreadG, helper: &Helper, first: Job) {
    // Between two jobs the thread is nobody: a signal handler finds no goroutine.
    place.current().set_g(None);
    attach::attached(place.current(), sched, || {
        let mut next = Some(first);
        while let Some(job) = next {
            run(sched, place, job);
            next = sched.blocking.next(helper);
        }
    });
    place.current().set_g(Some(place.g()));
    place.release();
    sched.blocking.ends(helper.number);
}

/// Runs one job as the goroutine that waits for it.
fn run(sched: &Sched, place: &'static ThreadG, job: Job) {
    // SAFETY: it is not done yet, so the goroutine that lent it waits.
    let errand = unsafe { job.errand.as_ref() };
    place.renew(job.g);
    if place.register(sched).is_err() {
        // The goroutine was there before the runtime closed, and may end in its own time. Whoever
        // cancels its threads may have missed this one.
        let _it_runs = place.g().parker.cancel();
    }
    place.current().set_g(Some(place.g()));
    errand.run();
    locals::end(place.g().id());
    place.current().set_g(None);
    place.unregister(sched);
    job.client.tell();
}
