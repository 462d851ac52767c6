//! A goroutine that keeps its thread, for code that is bound to a thread.
//!
//! # Who owns what
//!
//! The lock is a count in the goroutine's own part, which only that goroutine writes. Its M counts
//! the goroutines that are locked to its thread (`gmp::thread_locks`). While there is one, the M
//! runs what has settled on it and nothing else (`find::Wants`): it starts no G, takes no migratory
//! one, and passes on what lies in its P's queues (`share_p`). A migratory goroutine is settled on
//! the M for as long as it is locked (`Runnable::resumes`).
//!
//! A locked goroutine that is alone on its thread waits in place (`park::suspender`): the M hands
//! its P off for each wait and takes an idle one afterwards (`in_place`). One that shares the
//! thread switches as any other, so that those with whom it shares it run.
//!
//! A goroutine that ends locked leaves a thread that is of no use to others. Its M is replaced by a
//! new one (`start_m::replace`) and ends with its last settled G (`run`).
//!
//! // GO: proc.go LockOSThread, UnlockOSThread
//!
//! # Rejected
//!
//! - Keeping those who share the thread from running until the lock ends. They can run nowhere
//!   else, and the first of them is often the goroutine that made this one and waits for it: the
//!   two are a deadlock at once.
//! - Refusing the lock where the thread is shared: whether it is shared is chance, for a goroutine
//!   begins on the thread of its maker or on another one.
//! - Waiting for a turn in the line after each wait, when alone: two locked goroutines that talk to
//!   each other would each time wait for the P that the other has.
//!
//! # Safety
//!
//! A running G's own part is touched by that G alone.
#![expect(unsafe_code, reason = "reads the running G's own part")]

use std::cell::Cell;
use std::io;
use std::marker::PhantomData;

use crate::gmp::current::{self, Current};
use crate::gmp::g::{G, Kind};
use crate::gmp::m::M;
use crate::proc::in_place::kind_of_running;
use crate::proc::start_m::{replace, start_idle_m};
use crate::proc::{find, new_thread, spawn, wake};

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
/// The goroutine stays on the thread, whatever its mode. No other goroutine begins there, comes
/// there, or is made there by its maker's choice ([`with`](crate::goroutine::Builder::with))
/// meanwhile. Those that had settled on the thread before the lock stay, because they can run
/// nowhere else: in [`Mode::settled`](crate::Mode::settled), goroutines that began on this thread;
/// in [`Mode::migratory`](crate::Mode::migratory), only the closure of
/// [`Runtime::run`](crate::Runtime::run) on the thread that called it. They run whenever this
/// goroutine waits or yields, and never otherwise. So the thread's thread-locals, and whatever C
/// keeps on the thread, belong to this goroutine and to those. A goroutine that is to be alone with
/// its thread from the first instruction on is made by
/// [`own_thread`](crate::goroutine::Builder::own_thread).
///
/// A locked goroutine that is alone on its thread puts the thread to sleep when it waits, and the
/// processor goes to other threads. So every exchange with another goroutine costs switches between
/// threads; after the wait it goes on at once, also if no processor is idle. One that shares its
/// thread takes turns with the others there, as without a lock. The closure of
/// [`blocking`](crate::blocking()) runs on this thread, and those who share it wait for its end.
///
/// Use it for code that is bound to a thread: an OpenGL context, a C library that keeps its state
/// in thread-locals, a GUI on the main thread (`Runtime::run`).
///
/// A goroutine that ends while it is locked, because the lock was given to [`std::mem::forget`],
/// takes its thread along: it may have changed what others rely on, a namespace or a signal mask.
/// The thread runs the goroutines that had settled on it before, which find what it changed; it
/// starts no new ones, and ends with the last of them. Another thread takes its place; if the
/// system has none, the old thread is kept. A thread that has lent itself
/// ([`Runtime::run`](crate::Runtime::run)) is not the runtime's to end. It goes on with those that
/// had settled on it, and starts none.
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
/// # Panics
///
/// If the runtime would be left without a thread for other goroutines; see [`try_lock_thread`].
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
#[track_caller]
pub fn lock_thread() -> ThreadLock {
    try_lock_thread().unwrap_or_else(|error| panic!("gosched::lock_thread: {error}"))
}

/// As [`lock_thread`].
///
/// # Errors
///
/// If the runtime would be left without a thread for other goroutines, which would then never
/// begin. With `QuotaExceeded` at the limit [`max_threads`](crate::Builder::max_threads): one
/// thread of so many stays unlocked, not counting those that lend themselves. With what the system
/// says, if the runtime has no other thread yet and none can be made. A goroutine that is locked
/// already, or is its thread, always succeeds.
pub fn try_lock_thread() -> io::Result<ThreadLock> {
    let g = current::with(|cx| {
        let Some((cx, (g, locks))) = cx.and_then(|cx| Some((cx, lockable(cx)?))) else {
            return Ok(0);
        };
        if locks.get() == 0 {
            begin(cx, g)?;
        }
        locks.set(locks.get() + 1);
        io::Result::Ok(g.id())
    })?;
    Ok(ThreadLock { g, _thread: PhantomData })
}

/// Prepares the M at `cx` for the first lock of its running goroutine.
fn begin(cx: &Current, g: &G) -> io::Result<()> {
    let (m, sched) = (cx.m, cx.sched());
    let kind = kind_of_running(g);
    if kind == Kind::ThreadBacked {
        new_thread::prepare(sched);
        return Ok(());
    }
    if !m.locks.is_locked() {
        sched.admit_lock(m)?;
        if !sched.has_starter_beside(m) {
            start_idle_m(sched).inspect_err(|_| sched.end_lock(m))?;
        }
    }
    // What the goroutine does to its thread must not reach the threads that it makes.
    new_thread::prepare(sched);
    if kind == Kind::Migratory {
        m.settle();
        place(cx, g, Some(m));
    }
    if m.locks.lock() {
        let _was_resident = sched.leave_residents(m);
        send_newcomers_away(cx);
    }
    Ok(())
}

/// Queues for any M what was to begin on this one.
fn send_newcomers_away(cx: &Current) {
    let Ok(mut inside) = cx.enter() else { return };
    find::take_inbox(cx.m, inside.owned());
    let mut new = inside.owned().take_new();
    drop(inside);
    while let Some(g) = new.pop_front() {
        spawn::queue_apart(cx.sched(), g);
    }
}

/// Settles a migratory G on an M, or ends that.
fn place(cx: &Current, g: &G, home: Option<&'static M>) {
    if let Some(owned) = cx.owned() {
        owned.home.set(home.map(M::as_home));
    }
    g.set_settled_on(home.map_or(0, M::number));
}

/// Notes that a goroutine is no longer locked to the thread of the M at `cx`.
pub(super) fn end(cx: &Current) {
    let (m, sched) = (cx.m, cx.sched());
    if !m.locks.unlock() {
        return;
    }
    sched.end_lock(m);
    if m.locks.is_lent() {
        m.remote.set_resident(true);
    } else {
        sched.make_resident(m);
    }
}

/// A goroutine has ended locked to this thread. Has another M stand in for this one, whose thread
/// is to end once nothing is settled on it. True if this M leaves.
///
/// A lent thread is not the runtime's to end: it stays locked for good, so it starts nothing more.
#[cold]
pub(crate) fn ended_locked(cx: &Current) -> bool {
    let m = cx.m;
    m.taint();
    if m.locks.is_lent() {
        return false;
    }
    if replace(cx.sched(), m) {
        cx.sched().end_lock(m);
        return true;
    }
    end(cx);
    // The M that could not be made may have been handed a P meanwhile.
    wake::wake_p_if_work(cx.sched());
    false
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
                    locks.set(locks.get() - 1);
                    return if locks.get() == 0 {
                        end_of_running(cx, g)
                    };
                }
                place = cx.prev();
            }
        });
    }
}

/// The running goroutine `g` of the place `cx` has given its last lock back.
fn end_of_running(cx: &Current, g: &G) {
    let kind = kind_of_running(g);
    if kind == Kind::ThreadBacked {
        return;
    }
    if kind == Kind::Migratory {
        cx.m.unsettle();
        place(cx, g, None);
    }
    end(cx);
}

/// Returns the goroutine at a place of the calling thread and its count of locks. A thread-backed
/// goroutine has its thread to itself anyway; the count says whether the thread may be used again.
fn lockable(cx: &Current) -> Option<(&G, &Cell<u64>)> {
    let g = cx.g()?;
    // SAFETY: the calling thread runs the goroutine, or code that the goroutine has called.
    let owned = unsafe { crate::gmp::g::running_owned(g) };
    Some((g, &owned.locks))
}
