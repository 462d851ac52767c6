//! A goroutine with its thread to itself, for code that is bound to a thread.
//!
//! # Who owns what
//!
//! The lock is a count in the goroutine's own part, which only that goroutine writes. While the
//! count is not zero, its suspensions do not switch (`park::suspender`): it waits in place, so no
//! sibling runs on the thread, and a migratory goroutine stays on it. The M hands its P off for
//! each wait and takes an idle one afterwards (`in_place`).
//!
//! A goroutine that ends locked leaves a thread that is of no use to others. Its M is replaced by a
//! new one (`start_m::replace`) and ends with its last settled G (`run`).
//!
//! // GO: proc.go LockOSThread, UnlockOSThread
//!
//! # Rejected
//!
//! Waiting for a turn in the line after each wait: two locked goroutines that talk to each other
//! would each time wait for the P that the other has.
//!
//! # Safety
//!
//! A running G's own part is touched by that G alone.
#![expect(unsafe_code, reason = "reads the running G's own part")]

use std::cell::Cell;
use std::marker::PhantomData;

use crate::gmp::current::{self, Current};
use crate::gmp::g::G;
use crate::proc::new_thread;

/// Keeps its goroutine locked to the thread until it is dropped. See [`lock_thread`].
#[doc(alias = "UnlockOSThread")]
#[derive(Debug)]
#[must_use = "the goroutine is locked to its thread until this is dropped"]
pub struct ThreadLock {
    /// The goroutine's number, or zero if there was nothing to lock.
    g: u64,
    /// Makes it not `Send`: it is dropped on the goroutine's thread, if at all.
    _thread: PhantomData<*const ()>,
}

/// Locks the calling goroutine to its thread until the returned lock is dropped. Locks nest: the
/// goroutine is locked until the last of them is dropped.
///
/// No other goroutine runs on the thread meanwhile, and a goroutine that is bound to no thread
/// ([`Mode::migratory`](crate::Mode::migratory)) stays on it. Goroutines that have settled on the
/// thread wait until the lock ends. The processor goes to other threads whenever the goroutine
/// waits, and when it [yields](crate::yield_now) and others have something to run. A wait puts the
/// thread to sleep, so every exchange with another goroutine costs switches between threads. After
/// a wait the goroutine goes on at once, also if no processor is idle.
///
/// Use it for code that is bound to a thread: an OpenGL context, a C library that keeps its state
/// in thread-locals, a GUI on the main thread (`Runtime::run`).
///
/// A goroutine that ends while it is locked, because the lock was given to [`std::mem::forget`],
/// takes its thread along: it may have changed what others rely on, a namespace or a signal mask.
/// The thread runs the goroutines that had settled on it before, starts no new ones, and ends with
/// the last of them. Another thread takes its place; if the system has none, the old thread is
/// kept. A thread that has lent itself ([`Runtime::run`](crate::Runtime::run)) is not the runtime's
/// to end, and goes on as before.
///
/// What the goroutine does to its thread does not reach other threads of the runtime either. A new
/// thread inherits from the one that makes it, so from the first lock on a thread of its own makes
/// them for those that are locked. If the system has no such thread, they make them themselves.
///
/// Where the goroutine is its thread nothing needs to be locked: in a callback, in `Mode::threads`,
/// with [`own_thread`](crate::goroutine::Builder::own_thread), and in the closure of
/// [`blocking`](crate::blocking()) on a helper thread. Of these, a thread of the runtime's ends
/// with a goroutine or closure that ends locked. The lock does nothing on a plain thread.
///
/// ```
/// use gosched::{Mode, chan, go, lock_thread, run};
/// use std::thread;
///
/// // SAFETY: the goroutine that waits is locked to its thread meanwhile.
/// run(unsafe { Mode::migratory() }, || {
///     let locked = lock_thread();
///     let here = thread::current().id();
///     let (tx, rx) = chan::bounded(0);
///     let sender = go(move || tx.send(1));
///     assert_eq!(rx.recv(), Ok(1));
///     assert_eq!(thread::current().id(), here);
///     drop(locked);
///     sender.join().unwrap().unwrap();
/// });
/// ```
#[doc(alias("LockOSThread", "pin"))]
pub fn lock_thread() -> ThreadLock {
    let g = current::with(|cx| {
        let cx = cx?;
        let (g, locks) = lockable(cx)?;
        if locks.get() == 0 {
            // What the goroutine does to its thread must not reach the threads that it makes.
            new_thread::prepare(cx.sched());
        }
        locks.set(locks.get() + 1);
        Some(g.id())
    });
    ThreadLock { g: g.unwrap_or(0), _thread: PhantomData }
}

impl Drop for ThreadLock {
    fn drop(&mut self) {
        current::with(|cx| {
            // The goroutine's place is below others if it has entered another runtime meanwhile. It
            // is not there at all if a sibling drops the lock from a thread-local: then the
            // goroutine has ended.
            let mut place = cx;
            while let Some(cx) = place {
                if let Some((g, locks)) = lockable(cx)
                    && g.id() == self.g
                {
                    return locks.set(locks.get() - 1);
                }
                place = cx.prev();
            }
        });
    }
}

/// Returns the goroutine at a place of the calling thread and its count of locks. A thread-backed
/// goroutine has its thread to itself anyway; the count says whether the thread may be used again.
fn lockable(cx: &Current) -> Option<(&G, &Cell<u64>)> {
    let g = cx.g()?;
    // SAFETY: the calling thread runs the goroutine, or code that the goroutine has called.
    let owned = unsafe { crate::gmp::g::running_owned(g) };
    Some((g, &owned.locks))
}
