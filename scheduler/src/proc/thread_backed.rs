//! Goroutines that are threads: those of `Mode::threads` and of `Builder::own_thread`.
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

use gosched_runtime_sys::thread;

use crate::ds::grow;
use crate::gmp::body::{Begin, Entry};
use crate::gmp::g::{G, Kind, Runnable};
use crate::gmp::sched::Sched;
use crate::gmp::thread_g::ThreadG;
use crate::proc::attach;
use crate::proc::spawn::make_apart;
use crate::proc::start::run_to_end;
use crate::proc::start_m::reap;

/// `Mode::threads`: a goroutine with a thread of its own, a used one if one waits; its number.
pub(crate) fn spawn_thread(sched: &Sched, entry: Entry, place: &'static Location<'static>) -> u64 {
    let g = make_apart(sched, Kind::ThreadBacked, entry, place);
    let id = g.g().id();
    if let Err((g, error)) = thread_for(sched, g) {
        run_to_end(id, g.take_entry(), Begin::Failed(error));
        release_record(sched, g);
    }
    id
}

/// As [`spawn_thread`]; without a thread, the goroutine's closure is dropped.
pub(crate) fn try_spawn_thread(
    sched: &Sched,
    entry: Entry,
    place: &'static Location<'static>,
) -> io::Result<u64> {
    let g = make_apart(sched, Kind::ThreadBacked, entry, place);
    let id = g.g().id();
    thread_for(sched, g).map_err(|(g, error)| {
        drop(g.take_entry());
        release_record(sched, g);
        error
    })?;
    Ok(id)
}

/// A thread for a thread-backed G: one that waits in the pool, or a new one.
fn thread_for(sched: &Sched, g: Runnable) -> Result<(), (Runnable, io::Error)> {
    let Err(g) = sched.threads.submit(g) else { return Ok(()) };
    // The G travels beside the closure, so that it is not lost with a thread that could not be
    // made.
    let raw = AtomicPtr::new(g.into_raw().as_ptr());
    let raw = Arc::new(raw);
    let (owner, theirs) = (sched.arc(), raw.clone());
    let name = format!("{}-g", sched.config.name);
    let made = thread::spawn_thread(name, move || {
        let mut next = take(&theirs);
        while let Some(g) = next {
            run_thread(&owner, g);
            next = owner.threads.next();
        }
        reap(&owner);
    });
    match made {
        Ok(join) => {
            grow::push(|| sched.threads_to_join.lock(), |joins| joins, join);
            Ok(())
        }
        Err(error) => Err((take(&raw).expect("the thread that would take it was not made"), error)),
    }
}

fn take(from: &AtomicPtr<G>) -> Option<Runnable> {
    let g = NonNull::new(from.swap(std::ptr::null_mut(), Relaxed))?;
    // SAFETY: it was put there by its owner, and is taken out once.
    Some(unsafe { Runnable::from_raw(g) })
}

/// Runs one goroutine of `Mode::threads` on the calling pool thread.
fn run_thread(sched: &Sched, g: Runnable) {
    let place = ThreadG::acquire();
    place.renew(g.g().id());
    place.g().set_made_at(g.g().made_at());
    let entry = g.take_entry();
    run_as(sched, place, entry);
    place.release();
    release_record(sched, g);
}

/// Runs `entry` as the goroutine of `place` on the calling thread.
pub(crate) fn run_as(sched: &Sched, place: &'static ThreadG, entry: Entry) {
    let id = place.g().id();
    let begin = match (place.register(sched), attach::prepare(place.current().m)) {
        (Err(_), _) => Begin::Cancelled,
        (_, Err(error)) => Begin::Failed(error),
        _ => Begin::Run,
    };
    if !matches!(begin, Begin::Run) {
        place.unregister(sched);
        return run_to_end(id, entry, begin);
    }
    attach::attached(place.current(), sched, || run_to_end(id, entry, begin));
    place.unregister(sched);
}

fn release_record(sched: &Sched, g: Runnable) {
    g.vacate();
    sched.slab.put(std::iter::once(g.into_raw()));
    sched.count_ended_outside();
}
