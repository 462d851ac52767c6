//! Goroutines that are threads: those of `Mode::threads` and of `Builder::own_thread`.
//!
//! # Who calls it
//!
//! `go` in a runtime of threads calls [`spawn_thread`], `Builder::own_thread` calls
//! [`try_spawn_thread`]. [`run_as`] makes the calling thread a goroutine; `Runtime::run` calls it
//! in `Mode::threads`.
//!
//! # Who owns what
//!
//! Two records stand for such a goroutine. The spawner makes a G record of the runtime, which
//! carries the entry to the thread. The thread runs the entry as the G of a [`ThreadG`], a record
//! of the process: a late waker or a signal handler may follow it at any time, and it is never
//! freed. The goroutine needs no P and is in no queue; when it parks, the thread sleeps
//! (`in_place`).
//!
//! The G goes to a thread of the pool that waits, else to a new one. It travels beside the closure
//! of the new thread, so it comes back if the thread cannot be made: then the joiner or the spawner
//! gets the error. A thread that has run one goroutine waits in the pool for the next, unless that
//! goroutine ended locked to it. The thread of `Builder::own_thread` is new, and ends with its
//! goroutine: its thread-locals, directory and mask of signals are no other goroutine's.
//!
//! # Safety
//!
//! A G on its way to a new thread is a pointer that its taker swaps out, once.
#![expect(unsafe_code, reason = "a G travels beside the closure of its thread")]

use std::io;
use std::panic::Location;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicPtr, Ordering::Relaxed};

use crate::gmp::body::{Begin, Entry};
use crate::gmp::g::{G, Kind, Runnable};
use crate::gmp::sched::Sched;
use crate::gmp::thread_g::ThreadG;
use crate::proc::attach;
use crate::proc::carried;
use crate::proc::new_thread;
use crate::proc::spawn::make_apart;
use crate::proc::standstill;
use crate::proc::start::run_to_end;
use crate::proc::start_m::reap;

/// Makes a goroutine with a thread of its own, and returns its number. Without a thread, the
/// goroutine ends with that error, as its joiner sees it.
pub(crate) fn spawn_thread(
    sched: &Sched,
    entry: Entry,
    location: &'static Location<'static>,
) -> u64 {
    sched.deadlocks.agents.add();
    let g = make_apart(sched, Kind::ThreadBacked, entry, location);
    let id = g.g().id();
    if let Err((g, error)) = thread_for(sched, g, Thread::Pooled) {
        sched.deadlocks.agents.remove();
        run_to_end(id, g.take_entry(), Begin::Failed(error));
        release_record(sched, g);
    }
    id
}

/// Makes a goroutine as [`spawn_thread`] does. Without a thread, the goroutine's closure is dropped
/// and the error returned.
pub(crate) fn try_spawn_thread(
    sched: &Sched,
    entry: Entry,
    location: &'static Location<'static>,
    thread: Thread,
) -> io::Result<u64> {
    sched.deadlocks.agents.add();
    let g = make_apart(sched, Kind::ThreadBacked, entry, location);
    let id = g.g().id();
    thread_for(sched, g, thread).map_err(|(g, error)| {
        sched.deadlocks.agents.remove();
        drop(g.take_entry());
        release_record(sched, g);
        error
    })?;
    Ok(id)
}

/// Which thread a goroutine gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Thread {
    /// One that earlier goroutines have used, and later ones will.
    Pooled,
    /// A new one, that ends with the goroutine.
    Own,
}

/// Gives `g` to a thread that waits in the pool, or to a new one. Returns `g` if none can be made.
fn thread_for(sched: &Sched, g: Runnable, thread: Thread) -> Result<(), (Runnable, io::Error)> {
    let g = match thread {
        Thread::Pooled => match sched.threads.submit(g) {
            Ok(()) => return Ok(()),
            Err(g) => g,
        },
        Thread::Own => {
            // What the goroutine does to its thread must not reach the threads that it makes.
            new_thread::prepare(sched);
            g
        }
    };
    // The G travels beside the closure: the closure of a thread that cannot be made is lost.
    let raw = AtomicPtr::new(g.into_raw().as_ptr());
    let raw = Arc::new(raw);
    let (owner, theirs) = (sched.arc(), raw.clone());
    let name = format!("{}-g", sched.config.name);
    let made = new_thread::make(sched, name, move || {
        let mut next = take(&theirs);
        while let Some(g) = next {
            let locked = run_thread(&owner, g);
            let ends = locked || thread == Thread::Own;
            next = if ends {
                new_thread::stay_counted();
                None
            } else {
                owner.deadlocks.agents.remove();
                standstill::check(&owner);
                owner.threads.next()
            };
        }
        reap(&owner);
    });
    match made {
        Ok(join) => {
            new_thread::keep_handle(sched, join);
            Ok(())
        }
        Err(error) => Err((take(&raw).expect("the thread that would take it was not made"), error)),
    }
}

/// Takes the G on its way to a new thread, if it is still there.
fn take(from: &AtomicPtr<G>) -> Option<Runnable> {
    let g = NonNull::new(from.swap(std::ptr::null_mut(), Relaxed))?;
    // SAFETY: its owner put it there, and it is taken out once.
    Some(unsafe { Runnable::from_raw(g) })
}

/// Runs one goroutine on the calling thread. True if it ended locked to the thread, which is then
/// of no use to others.
fn run_thread(sched: &Sched, g: Runnable) -> bool {
    let thread_g = ThreadG::acquire();
    thread_g.renew(g.g().id());
    thread_g.g().set_made_at(g.g().made_at());
    let entry = g.take_entry();
    run_as(sched, thread_g, entry);
    carried::drop_left(sched);
    let locked = thread_g.ended_locked();
    thread_g.release();
    release_record(sched, g);
    locked
}

/// Runs `entry` as the goroutine of `thread_g` on the calling thread.
pub(crate) fn run_as(sched: &Sched, thread_g: &'static ThreadG, entry: Entry) {
    let id = thread_g.g().id();
    thread_g.count_as_agent();
    let begin = match (thread_g.register(sched), attach::prepare(thread_g.current().m)) {
        (Err(_), _) => Begin::Cancelled,
        (_, Err(error)) => Begin::Failed(error),
        _ => Begin::Run,
    };
    if !matches!(begin, Begin::Run) {
        thread_g.unregister(sched);
        return run_to_end(id, entry, begin);
    }
    attach::attached(thread_g.current(), sched, || run_to_end(id, entry, begin));
    thread_g.unregister(sched);
}

/// Frees the record that carried the entry, and counts the goroutine's end.
pub(super) fn release_record(sched: &Sched, g: Runnable) {
    g.vacate();
    sched.slab.put(std::iter::once(g.into_raw()));
    sched.count_ended_outside();
}
