//! Who am I: the M, the runtime and the G of the calling thread.
//!
//! One [`Current`] lies where its thread keeps it (the M's loop, or the record of a thread-backed
//! G), and one word of the thread points to it (`runtime_sys::thread::tls`). Several runtimes on
//! one thread - a goroutine of one calls C, which calls into another - make a stack of them.
//!
//! A signal handler may find any of this at any instruction: every field is an atomic, a `Current`
//! is whole before the word points to it, and the word is cleared before it goes.
//!
//! # Safety
//!
//! [`with`] lends the `Current` out for one call. The callee must not suspend: a migratory G would
//! come back on another thread with the reference to the first one's. Suspending code takes what it
//! needs out and asks again afterwards.
#![expect(unsafe_code, reason = "follows the thread's current pointer")]

use std::marker::PhantomData;
use std::mem;
use std::ptr::{self, NonNull};
use std::sync::Arc;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering::Relaxed};

use gosched_runtime_sys::thread::tls;

use crate::ds::revocable::Reentered;
use crate::gmp::g::{G, GOwned, Resumed, running_owned};
use crate::gmp::m::{M, MOwned};
use crate::gmp::p::P;
use crate::gmp::sched::Sched;

/// A thread's place in a runtime.
#[derive(Debug)]
pub(crate) struct Current {
    pub(crate) m: &'static M,
    sched: AtomicPtr<Sched>,
    g: AtomicPtr<G>,
    prev: AtomicPtr<Current>,
    /// Where the thread's stack was when this was published.
    entry: AtomicUsize,
}

impl Current {
    pub(crate) const fn new(m: &'static M) -> Self {
        Self {
            m,
            sched: AtomicPtr::new(ptr::null_mut()),
            g: AtomicPtr::new(ptr::null_mut()),
            prev: AtomicPtr::new(ptr::null_mut()),
            entry: AtomicUsize::new(0),
        }
    }

    /// Makes this the calling thread's current place, on top of the one before.
    ///
    /// # Safety
    ///
    /// `self` and `sched` stay until `retract`; both are called by the same thread, in nesting
    /// order. Wherever a signal may arrive meanwhile, the thread has a signal stack.
    #[inline(always)]
    pub(crate) unsafe fn publish(&self, sched: &Sched) {
        self.sched.store(ptr::from_ref(sched).cast_mut(), Relaxed);
        self.prev.store(tls::current().cast::<Current>().cast_mut(), Relaxed);
        let here = 0_u8;
        self.entry.store((&raw const here).addr(), Relaxed);
        tls::set_current(ptr::from_ref(self).cast());
    }

    /// Undoes `publish`.
    pub(crate) fn retract(&self) {
        tls::set_current(self.prev.load(Relaxed).cast_const().cast());
    }

    /// The runtime.
    #[inline(always)]
    pub(crate) fn sched(&self) -> &Sched {
        // SAFETY: set by `publish`, whose caller keeps the runtime while this is current; nobody
        // reads it otherwise.
        unsafe { &*self.sched.load(Relaxed) }
    }

    /// The running G, if it is not the M's own loop that runs.
    #[inline(always)]
    pub(crate) fn g(&self) -> Option<&G> {
        // SAFETY: set around the run of a G, whose record outlives it.
        unsafe { self.g.load(Relaxed).as_ref() }
    }

    /// Who runs from here on.
    #[inline(always)]
    pub(crate) fn set_g(&self, g: Option<&G>) {
        self.g.store(g.map_or(ptr::null_mut(), |g| ptr::from_ref(g).cast_mut()), Relaxed);
    }

    /// The runtime, to be kept, and the running G's number.
    pub(crate) fn arc_and_id(&self) -> (Arc<Sched>, u64) {
        (self.sched().arc(), self.g().map_or(0, G::id))
    }

    /// The running G's own part.
    #[inline(always)]
    pub(crate) fn owned(&self) -> Option<&GOwned> {
        // SAFETY: this is the current thread's `Current`, so its G runs here.
        self.g().map(|g| unsafe { running_owned(g) })
    }

    /// The place below this one on the same thread.
    pub(crate) fn prev(&self) -> Option<&Current> {
        // SAFETY: `publish` took it from the thread's word; it stays until this one is retracted.
        unsafe { self.prev.load(Relaxed).as_ref() }
    }

    /// An address in the frame that published this: what runs since then lies below it, unless it
    /// runs on another stack.
    pub(crate) fn entry(&self) -> usize {
        self.entry.load(Relaxed)
    }

    /// How this is passed to a G that is resumed.
    #[inline(always)]
    pub(crate) fn as_resumed(&self) -> Resumed {
        NonNull::from(self).cast()
    }

    /// Takes the M's P off the table and its local half in hand. Fails when the thread is inside
    /// such a stretch already.
    #[inline(always)]
    pub(crate) fn enter_with_p(&self) -> Result<InsideWithP, Reentered> {
        Ok(self.enter()?.acquire_p())
    }

    /// Takes only the M's local half in hand. Fails as [`enter`](Self::enter) does.
    #[inline(always)]
    pub(crate) fn enter(&self) -> Result<Inside, Reentered> {
        let inside = Inside { m: self.m, _thread: PhantomData };
        if self.m.enter_scheduler() {
            return Ok(inside);
        }
        // Whoever has it lets go of it.
        mem::forget(inside);
        Err(Reentered)
    }
}

/// The M's local half in hand, its P where it is: on the table, as while user code runs, and to be
/// taken from there. No user code runs while this exists.
pub(crate) struct Inside {
    m: &'static M,
    /// Not `Send`: it stands for the thread's own stretch.
    _thread: PhantomData<*const ()>,
}

impl Inside {
    /// The M's local half.
    #[inline(always)]
    pub(crate) fn owned(&mut self) -> &mut MOwned {
        // SAFETY: made after the flag was set, on the M's thread, and `&mut self` excludes another
        // reference.
        unsafe { self.m.owned() }
    }

    /// Takes the P as well, if there is one. What is done with it may call for a whole round of the
    /// loop.
    #[inline(always)]
    pub(crate) fn acquire_p(mut self) -> InsideWithP {
        self.owned().fast_rounds_left = 0;
        let p = self.m.p.acquire().expect("who has the table has the local half, too");
        InsideWithP { p, inside: self }
    }
}

impl Drop for Inside {
    #[inline(always)]
    fn drop(&mut self) {
        self.m.leave_scheduler();
    }
}

/// The M's P (if it has one) and its local half, in hand. No user code runs while this exists.
pub(crate) struct InsideWithP {
    pub(crate) p: Option<Box<P>>,
    /// Let go of last.
    inside: Inside,
}

impl InsideWithP {
    /// The M's local half.
    #[inline(always)]
    pub(crate) fn owned(&mut self) -> &mut MOwned {
        self.inside.owned()
    }

    /// Both at once.
    #[inline(always)]
    pub(crate) fn split(&mut self) -> (&mut MOwned, &mut Option<Box<P>>) {
        (self.inside.owned(), &mut self.p)
    }
}

impl Drop for InsideWithP {
    #[inline(always)]
    fn drop(&mut self) {
        self.inside.m.p.release(self.p.take());
    }
}

/// Calls `f` with the calling thread's place, if it has one. `f` must not suspend.
#[inline(always)]
pub(crate) fn with<R>(f: impl FnOnce(Option<&Current>) -> R) -> R {
    let current = tls::current().cast::<Current>();
    // SAFETY: the word is set by `publish` to a `Current` that stays until this thread retracts it.
    f(unsafe { current.as_ref() })
}

/// Calls `f` with the place of the thread that a signal handler interrupted, if it has one.
/// Async-signal-safe.
pub(crate) fn with_interrupted<R>(f: impl FnOnce(Option<&Current>) -> R) -> R {
    let current = tls::in_handler::current().cast::<Current>();
    // SAFETY: as in `with`; the thread stays where it was interrupted while its handler runs.
    f(unsafe { current.as_ref() })
}
