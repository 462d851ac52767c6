//! A goroutine with its thread to itself, for code that is bound to a thread.
//!
//! A count in the G, which its suspensions ask: while it is not zero they do not switch, so no
//! sibling runs on the thread and a migratory G stays on it. Whoever ends with it leaves the thread
//! as nobody else may find it: the M then ends as well (`run`).
//!
//! // GO: proc.go LockOSThread, UnlockOSThread
//!
//! # Safety
//!
//! A running G's own part is touched by that G.
#![expect(unsafe_code, reason = "reads the running G's own part")]

use std::cell::Cell;
use std::marker::PhantomData;

use crate::current::{self, Current};
use crate::g::{G, Kind};
use crate::proc::in_place::kind_of_running;

/// While it lives, the goroutine that made it has its thread to itself. See [`lock_thread`].
#[derive(Debug)]
#[must_use = "the goroutine is locked to its thread until this is dropped"]
pub struct ThreadLock {
    /// The goroutine's number; zero where there was nothing to lock.
    g: u64,
    /// Not `Send`: it is dropped on the goroutine's thread, if at all.
    _thread: PhantomData<*const ()>,
}

/// Locks the calling goroutine to its thread until what is returned is dropped. Calls nest: it is
/// locked until the last of them is dropped.
///
/// Meanwhile a goroutine that is bound to no thread ([`Mode::migratory`](crate::Mode::migratory))
/// stays on this one, and no other goroutine runs on it. Those that have settled on it wait until
/// the lock ends; the processor goes to others whenever the goroutine waits, and whenever it
/// [yields](crate::yield_now) and others have something to run. A wait puts the thread to sleep, so
/// talking to others costs switches between threads. After a wait the goroutine goes on at once,
/// also if no processor is idle.
///
/// This is for code that is bound to a thread: an OpenGL context, a C library that keeps its state
/// in thread-locals, a GUI on the main thread (`Runtime::run`). A goroutine that ends while it is
/// locked, because the lock was given to [`std::mem::forget`], takes its thread along: it may have
/// changed what others rely on, a namespace or a signal mask. The thread then runs what had settled
/// on it before, starts nothing new, ends with the last of those, and another thread takes its
/// place. It is kept only if the system has no other one. A thread that has lent itself
/// ([`Runtime::run`](crate::Runtime::run)) is not the runtime's to end and goes on as before.
///
/// In a callback, in `Mode::threads`, in the closure of [`blocking`](crate::blocking()) on a helper
/// thread, and on a plain thread there is nothing to lock: such a goroutine is its thread, and the
/// lock does nothing.
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
pub fn lock_thread() -> ThreadLock {
    let g = current::with(|cx| {
        let (g, locks) = lockable(cx?)?;
        locks.set(locks.get() + 1);
        Some(g.id())
    });
    ThreadLock { g: g.unwrap_or(0), _thread: PhantomData }
}

impl Drop for ThreadLock {
    fn drop(&mut self) {
        current::with(|cx| {
            // Below others, if it entered another runtime meanwhile. It is not there at all if a
            // sibling has the lock from a thread-local: then the goroutine has ended.
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

/// The goroutine of a place of the calling thread, and its count, if it is one that can be locked.
fn lockable(cx: &Current) -> Option<(&G, &Cell<u64>)> {
    let g = cx.g().filter(|g| kind_of_running(g) != Kind::ThreadBacked)?;
    // SAFETY: the calling thread runs it, or what it has called.
    let own = unsafe { crate::g::running_own(g) };
    Some((g, &own.locks))
}
