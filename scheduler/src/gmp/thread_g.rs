//! Thread-backed Gs: one record with an M, the G that is the M's thread, and its `Current`.
//!
//! Such a record stands for a foreign thread in a callback, or for a goroutine of `Mode::threads`.
//! A plain thread borrows one for the duration of a wait. Records are made once, recycled and never
//! freed. So a late waker wakes a note that exists.
//!
//! # Safety
//!
//! A record is vacant, and then in `ALL.vacant`, or belongs to one thread.
#![expect(unsafe_code, reason = "hands out a G that belongs to its thread")]

use std::fmt;
use std::ptr::{self, NonNull};
use std::sync::atomic::{
    AtomicBool, AtomicPtr, AtomicU32, AtomicU64,
    Ordering::{Relaxed, Release},
};

use gosched_runtime_sys::sync::primitive::{heavy_fence, light_fence};
use gosched_runtime_sys::thread::fork::{self, PerProcess};

use crate::ds::grow;
use crate::gmp::current::Current;
use crate::gmp::g::{G, GOwned, Kind, Runnable, StackRange, running_owned};
use crate::gmp::m::M;
use crate::gmp::sched::Sched;

/// An M whose thread is its only G.
pub(crate) struct ThreadG {
    g: G,
    current: Current,
    /// The runtime that the G is registered in, so that shutdown finds it; null if there is none.
    runtime: AtomicPtr<Sched>,
    /// The process that made the record, counted in forks.
    made_in: u32,
    /// The record stands for a foreign thread in callbacks, for good.
    foreign: AtomicBool,
    /// The process in which a foreign thread keeps the record between its callbacks, counted in
    /// forks from 1; 0 if there is none. In a forked child the parent's threads are not there.
    bound_in: AtomicU32,
    /// The number of its next callback; a multiple of `CALLBACK_IDS` if there is none left. The
    /// thread alone uses it.
    next_id: AtomicU64,
}

/// How many numbers a foreign thread reserves for its callbacks at a time.
const CALLBACK_IDS: u64 = 64;

impl fmt::Debug for ThreadG {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ThreadG").field("id", &self.g.id()).finish_non_exhaustive()
    }
}

/// All records of a process, and those of them that no thread uses.
struct All {
    every: Vec<&'static ThreadG>,
    vacant: Vec<&'static ThreadG>,
}

static ALL: PerProcess<All> = PerProcess::new(|| All { every: Vec::new(), vacant: Vec::new() });

/// The next goroutine number. Numbers are unique in a process.
static NEXT_ID: AtomicU64 = AtomicU64::new(1);

/// How many calls of foreign threads were refused in this process.
static REFUSED: AtomicU64 = AtomicU64::new(0);

/// Counts a call that was refused. Async-signal-safe.
pub(crate) fn count_refusal() {
    REFUSED.fetch_add(1, Relaxed);
}

/// This process, counted in forks from 1.
fn this_process() -> u32 {
    fork::generation().wrapping_add(1)
}

/// Reserves `n` consecutive goroutine numbers. Returns the first.
pub(crate) fn reserve_ids(n: u64) -> u64 {
    NEXT_ID.fetch_add(n, Relaxed)
}

/// Reserves `n` consecutive goroutine numbers, of which the first is a multiple of `n` plus one.
/// Returns the first. The multiple itself marks the end of such a batch, and is nobody's.
fn reserve_aligned(n: u64) -> u64 {
    let first = reserve_ids(2 * n);
    first.next_multiple_of(n) + 1
}

/// Refused: the runtime shuts down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closed;

impl ThreadG {
    /// Returns a record for the calling thread: a vacant one if there is one, else a new one. It is
    /// the caller's until [`release`](Self::release).
    pub(crate) fn acquire() -> &'static ThreadG {
        let vacant = ALL.lock().vacant.pop();
        vacant.unwrap_or_else(|| {
            let m = Box::leak(Box::new(M::new()));
            let made: &'static ThreadG = Box::leak(Box::new(ThreadG {
                g: G::vacant(),
                current: Current::new(m),
                runtime: AtomicPtr::new(ptr::null_mut()),
                made_in: fork::generation(),
                foreign: AtomicBool::new(false),
                bound_in: AtomicU32::new(0),
                next_id: AtomicU64::new(0),
            }));
            // SAFETY: no other thread has the record yet.
            let g = unsafe { Runnable::from_raw(NonNull::from(&made.g)) };
            let owned = Box::leak(Box::new(GOwned::new(Kind::ThreadBacked, StackRange::default())));
            // SAFETY: the owned half is never freed, and nothing else refers to it.
            unsafe { g.attach_owned(NonNull::from(owned)) };
            g.init(reserve_ids(1), Kind::ThreadBacked, None);
            g.owned().home.set(Some(m.as_home()));
            made.current.set_g(Some(&made.g));
            let _the_record_has_it = g.into_raw();
            grow::push(|| ALL.lock(), |all| &mut all.every, made);
            made
        })
    }

    /// Returns a record for a foreign thread's callbacks. It is never released.
    pub(crate) fn acquire_foreign() -> &'static ThreadG {
        let acquired = Self::acquire();
        acquired.renew(reserve_ids(1));
        acquired.foreign.store(true, Relaxed);
        acquired
    }

    /// True if the record stands for a foreign thread in callbacks.
    pub(crate) fn is_foreign(&self) -> bool {
        self.foreign.load(Relaxed)
    }

    /// Notes whether a thread keeps the record between its callbacks. For counting.
    pub(crate) fn set_bound(&self, is_bound: bool) {
        let process = if is_bound { this_process() } else { 0 };
        self.bound_in.store(process, Relaxed);
    }

    /// Makes the record vacant, for the next thread. One that was made before a fork is on no list
    /// of the child's, and stays what it is there.
    pub(crate) fn release(&'static self) {
        if self.made_in != fork::generation() {
            return;
        }
        grow::push(|| ALL.lock(), |all| &mut all.vacant, self);
    }

    /// Returns the record's goroutine.
    pub(crate) fn g(&self) -> &G {
        &self.g
    }

    /// Returns the record's `Current`, for the thread that it belongs to.
    pub(crate) fn current(&self) -> &Current {
        &self.current
    }

    /// Makes the record's G a new goroutine with the number `id`. An earlier cancel is forgotten.
    pub(crate) fn renew(&self, id: u64) {
        // SAFETY: the record belongs to the calling thread, and its G is not parked.
        let g = unsafe { Runnable::from_raw(NonNull::from(&self.g)) };
        g.init(id, Kind::ThreadBacked, None);
        let owned = g.owned();
        owned.pins.set(0);
        owned.shields.set(0);
        owned.borrows.set(0);
        owned.locks.set(0);
        owned.regions.set(None);
        owned.is_agent.set(false);
        owned.cancel_requested.store(false, Relaxed);
        let _the_record_has_it = g.into_raw();
    }

    /// Notes that the calling thread, whose record this is, counts as an agent of the runtime: as a
    /// goroutine, or for one.
    pub(crate) fn count_as_agent(&self) {
        // SAFETY: the record belongs to the calling thread, whose G it is.
        unsafe { running_owned(&self.g) }.is_agent.set(true);
    }

    /// Makes the record's G the goroutine of another callback, with a number of its own.
    ///
    /// Called by the thread that the record belongs to. It reserves numbers for many callbacks, so
    /// that threads do not write one word with each.
    #[inline]
    pub(crate) fn renew_callback(&self) {
        let mut id = self.next_id.load(Relaxed);
        if id.is_multiple_of(CALLBACK_IDS) {
            id = reserve_aligned(CALLBACK_IDS);
        }
        self.next_id.store(id + 1, Relaxed);
        self.g.set_id(id);
    }

    /// True if the G, which has ended, was locked to its thread. It is not any more.
    pub(crate) fn ended_locked(&self) -> bool {
        // SAFETY: the record belongs to the calling thread, whose G it is.
        unsafe { running_owned(&self.g) }.locks.take() > 0
    }

    /// Registers the G with `sched`. Shutdown then waits for
    /// [`unregister`](Self::unregister). Fails if the runtime closes.
    #[inline]
    pub(crate) fn register(&self, sched: &Sched) -> Result<(), Closed> {
        self.runtime.store(ptr::from_ref(sched).cast_mut(), Relaxed);
        // The light fence of a pair: after the registration, before the look at the state. The
        // heavy fence is in `registered_in`. Either `registered_in` finds this thread, or this
        // thread finds the runtime closing. A full fence would be a quarter of a callback.
        light_fence();
        if sched.closing() {
            self.unregister(sched);
            return Err(Closed);
        }
        Ok(())
    }

    /// Ends the registration with `sched`.
    #[inline]
    pub(crate) fn unregister(&self, sched: &Sched) {
        // ORDERING[thread_g.left]: publishes what the thread did in the runtime; pairs with the
        // load in `registered_in`.
        self.runtime.store(ptr::null_mut(), Release);
        if sched.closing() {
            sched.drained.wake();
        }
    }
}

/// Returns the thread-backed Gs that are registered with `sched`: all of them if `sched` was closed
/// before the call, else those of this moment.
pub(crate) fn registered_in(sched: &Sched) -> Vec<&'static ThreadG> {
    let mut inside = Vec::with_capacity(16);
    loop {
        // After `close`, before the look at the registrations; pairs with the light fence in
        // `register`.
        if let Some(bound) = heavy_fence() {
            // A thread that registered without a fence may not be seen yet. After the bound it is.
            std::thread::sleep(bound);
        }
        let all = ALL.lock();
        // ORDERING[thread_g.left]: pairs with the store in `unregister`.
        let is_inside =
            |t: &&&ThreadG| ptr::eq(t.runtime.load(std::sync::atomic::Ordering::Acquire), sched);
        let found = all.every.iter().filter(is_inside).take(inside.capacity());
        // Within the capacity, so nothing is allocated under the lock: an allocator that parks
        // would enter this code again.
        inside.extend(found.copied());
        drop(all);
        if inside.len() < inside.capacity() {
            return inside;
        }
        inside.clear();
        inside.reserve(2 * inside.capacity());
    }
}

/// Marks the waits of `sched` that have no mark, if that is due.
pub(crate) fn mark_waits(sched: &Sched, now: u64) {
    if !sched.wait_ages.is_due(now) {
        return;
    }
    sched.wait_ages.mark(now, |mark| {
        // SAFETY: records live as long as the slab.
        sched.slab.each(|g| mark(unsafe { g.as_ref() }));
        let all = ALL.lock();
        let inside = all.every.iter().filter(|t| ptr::eq(t.runtime.load(Relaxed), sched));
        inside.for_each(|t| mark(&t.g));
    });
}

/// The numbers of thread-backed Gs in one runtime, and of foreign threads in the process.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ThreadCounts {
    /// Threads in callbacks.
    pub(crate) callbacks: usize,
    /// How many of them are parked.
    pub(crate) callbacks_waiting: usize,
    /// Foreign threads that keep a record between their callbacks, into whatever runtime.
    pub(crate) bound: usize,
    /// How many of their records are in no callback.
    pub(crate) bound_idle: usize,
    /// Calls of foreign threads that were refused.
    pub(crate) refused: u64,
    /// Goroutines of `Mode::threads`, and helpers that act for a goroutine.
    pub(crate) others: usize,
    /// How many of `others` are parked.
    pub(crate) others_waiting: usize,
}

/// Counts the thread-backed Gs that are registered with `sched`. Walks the records of all runtimes.
pub(crate) fn count_in(sched: &Sched) -> ThreadCounts {
    let mut counted = ThreadCounts { refused: REFUSED.load(Relaxed), ..ThreadCounts::default() };
    let this_process = this_process();
    let all = ALL.lock();
    for record in &all.every {
        let runtime = record.runtime.load(Relaxed);
        if record.bound_in.load(Relaxed) == this_process {
            counted.bound += 1;
            counted.bound_idle += usize::from(runtime.is_null());
        }
        if !ptr::eq(runtime, sched) {
            continue;
        }
        let waiting = usize::from(record.g.parker.is_parked());
        if record.is_foreign() {
            counted.callbacks += 1;
            counted.callbacks_waiting += waiting;
        } else {
            counted.others += 1;
            counted.others_waiting += waiting;
        }
    }
    counted
}

/// A record that stands for a plain thread during one wait.
#[derive(Debug)]
pub(crate) struct Borrowed(&'static ThreadG);

/// Borrows a record for the calling thread, for one wait.
pub(crate) fn borrow() -> Borrowed {
    let borrowed = ThreadG::acquire();
    borrowed.g.parker.reset();
    Borrowed(borrowed)
}

impl Borrowed {
    pub(crate) fn g(&self) -> &G {
        &self.0.g
    }
}

impl Drop for Borrowed {
    fn drop(&mut self) {
        self.0.release();
    }
}
