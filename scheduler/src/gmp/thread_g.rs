//! Thread-backed Gs: an M, a G that is the M's thread, and their place in a runtime, in one record.
//!
//! They stand for a foreign thread inside a callback, for a goroutine of `Mode::threads`, and,
//! borrowed for the time of one wait, for a plain thread. Records are immortal: made once,
//! recycled, never freed, so that whoever wakes one late wakes a note that is there.
//!
//! # Safety
//!
//! A record is in the pool or belongs to one thread.
#![expect(unsafe_code, reason = "hands out a G that belongs to its thread")]

use std::fmt;
use std::ptr::{self, NonNull};
use std::sync::atomic::{
    AtomicBool, AtomicPtr, AtomicU64,
    Ordering::{Relaxed, Release},
};

use gosched_runtime_sys::sync::primitive::{StaticMutex, heavy_fence, light_fence};

use crate::ds::grow;
use crate::gmp::current::Current;
use crate::gmp::g::{G, GOwned, Kind, Runnable, StackRange};
use crate::gmp::m::M;
use crate::gmp::sched::Sched;

/// An M whose thread is its only G.
pub(crate) struct ThreadG {
    g: G,
    current: Current,
    /// The runtime it is in, so that shutdown finds it; null when it is in none.
    runtime: AtomicPtr<Sched>,
    /// It stands for a thread in a callback, and always will.
    foreign: AtomicBool,
}

impl fmt::Debug for ThreadG {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ThreadG").field("id", &self.g.id()).finish_non_exhaustive()
    }
}

/// Every record there is, and those that nobody uses.
struct All {
    every: Vec<&'static ThreadG>,
    vacant: Vec<&'static ThreadG>,
}

static ALL: StaticMutex<All> = StaticMutex::new(All { every: Vec::new(), vacant: Vec::new() });

/// The next goroutine number; they are unique in a process.
static NEXT_ID: AtomicU64 = AtomicU64::new(1);

/// Reserves `n` goroutine numbers; the first of them.
pub(crate) fn reserve_ids(n: u64) -> u64 {
    NEXT_ID.fetch_add(n, Relaxed)
}

/// Refused: the runtime shuts down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closed;

impl ThreadG {
    /// A record for the calling thread, a recycled one if there is one. It is the caller's until
    /// [`release`](Self::release).
    pub(crate) fn acquire() -> &'static ThreadG {
        let vacant = ALL.lock().vacant.pop();
        vacant.unwrap_or_else(|| {
            let m = Box::leak(Box::new(M::new()));
            let made: &'static ThreadG = Box::leak(Box::new(ThreadG {
                g: G::vacant(),
                current: Current::new(m),
                runtime: AtomicPtr::new(ptr::null_mut()),
                foreign: AtomicBool::new(false),
            }));
            // SAFETY: nobody else knows the record yet.
            let g = unsafe { Runnable::from_raw(NonNull::from(&made.g)) };
            let owned = Box::leak(Box::new(GOwned::new(Kind::ThreadBacked, StackRange::default())));
            // SAFETY: it is never freed, and nobody else refers to it.
            unsafe { g.attach_owned(NonNull::from(owned)) };
            g.init(reserve_ids(1), Kind::ThreadBacked, None);
            g.owned().home.set(Some(m.as_home()));
            made.current.set_g(Some(&made.g));
            let _the_record_has_it = g.into_raw();
            grow::push(|| ALL.lock(), |all| &mut all.every, made);
            made
        })
    }

    /// A record for callbacks, for good: it is never released.
    pub(crate) fn acquire_foreign() -> &'static ThreadG {
        let acquired = Self::acquire();
        acquired.renew(reserve_ids(1));
        acquired.foreign.store(true, Relaxed);
        acquired
    }

    /// Whether it stands for a thread in a callback.
    pub(crate) fn is_foreign(&self) -> bool {
        self.foreign.load(Relaxed)
    }

    /// Gives the record to the next thread.
    pub(crate) fn release(&'static self) {
        grow::push(|| ALL.lock(), |all| &mut all.vacant, self);
    }

    /// Its goroutine.
    pub(crate) fn g(&self) -> &G {
        &self.g
    }

    /// Its place, for the thread it belongs to.
    pub(crate) fn current(&self) -> &Current {
        &self.current
    }

    /// A new goroutine on the same record: its own number, no cancel of an earlier one.
    pub(crate) fn renew(&self, id: u64) {
        // SAFETY: the record belongs to the calling thread, and its G is not parked.
        let g = unsafe { Runnable::from_raw(NonNull::from(&self.g)) };
        g.init(id, Kind::ThreadBacked, None);
        let owned = g.owned();
        owned.pins.set(0);
        owned.shields.set(0);
        owned.regions.set(None);
        owned.cancel_requested.store(false, Relaxed);
        let _the_record_has_it = g.into_raw();
    }

    /// Registers with `sched`: it is not shut down before `leave`, or it is refused here.
    #[inline]
    pub(crate) fn register(&self, sched: &Sched) -> Result<(), Closed> {
        self.runtime.store(ptr::from_ref(sched).cast_mut(), Relaxed);
        // After the registration, before the look: the light side of the pair whose other one is in
        // `registered_in`. Either that one finds the thread, or this one finds the runtime closing.
        // A full fence would be a quarter of a callback.
        light_fence();
        if sched.closing() {
            self.unregister(sched);
            return Err(Closed);
        }
        Ok(())
    }

    /// Leaves the runtime.
    #[inline]
    pub(crate) fn unregister(&self, sched: &Sched) {
        // ORDERING[thread_g.left]: what the thread did in the runtime comes before; pairs with the
        // load in `registered_in`.
        self.runtime.store(ptr::null_mut(), Release);
        if sched.closing() {
            sched.drained.wake();
        }
    }
}

/// Whether a thread-backed G is inside `sched`, at this moment.
pub(crate) fn any_registered(sched: &Sched) -> bool {
    // ORDERING[thread_g.left]: pairs with the store in `leave`.
    ALL.lock()
        .every
        .iter()
        .any(|t| ptr::eq(t.runtime.load(std::sync::atomic::Ordering::Acquire), sched))
}

/// The thread-backed Gs inside `sched`: all of them, if it was closed before; else those there are
/// at this moment.
pub(crate) fn registered_in(sched: &Sched) -> Vec<&'static ThreadG> {
    let mut inside = Vec::with_capacity(16);
    loop {
        // After `close`, before the look at who is in: see `join`.
        if let Some(bound) = heavy_fence() {
            // A thread that entered without a fence may not be seen yet. By then it is.
            std::thread::sleep(bound);
        }
        let all = ALL.lock();
        // ORDERING[thread_g.left]: pairs with the store in `leave`.
        let is_inside =
            |t: &&&ThreadG| ptr::eq(t.runtime.load(std::sync::atomic::Ordering::Acquire), sched);
        let found = all.every.iter().filter(is_inside).take(inside.capacity());
        // Within its room: an allocator that waits comes by here.
        inside.extend(found.copied());
        drop(all);
        if inside.len() < inside.capacity() {
            return inside;
        }
        inside.clear();
        inside.reserve(2 * inside.capacity());
    }
}

/// Thread-backed Gs of one runtime.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ThreadCounts {
    /// Threads in callbacks.
    pub(crate) callbacks: usize,
    /// Others: goroutines of `Mode::threads`, helpers that act for one.
    pub(crate) others: usize,
    /// How many of those wait.
    pub(crate) others_waiting: usize,
}

/// Counts those that are inside `sched`. Looks at every record there is, of all runtimes.
pub(crate) fn count_in(sched: &Sched) -> ThreadCounts {
    let mut counted = ThreadCounts::default();
    let all = ALL.lock();
    for entered in all.every.iter().filter(|t| ptr::eq(t.runtime.load(Relaxed), sched)) {
        if entered.is_foreign() {
            counted.callbacks += 1;
        } else {
            counted.others += 1;
            counted.others_waiting += usize::from(entered.g.parker.is_parked());
        }
    }
    counted
}

/// A record that stands in for a plain thread during one wait.
#[derive(Debug)]
pub(crate) struct Borrowed(&'static ThreadG);

/// Borrows one for the calling thread.
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
