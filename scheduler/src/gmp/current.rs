//! The calling thread's M, runtime and G.
//!
//! A thread in a runtime has one [`Current`], in a frame of the M's loop or in the record of a
//! thread-backed G. One thread-local word points to it (`runtime_sys::thread::tls`). A thread may
//! be in several runtimes: a goroutine of one calls C, which calls into another. Then its
//! `Current`s form a stack.
//!
//! A signal handler may read any of this at any instruction. So every field is an atomic, a
//! `Current` is complete before the word points to it, and the word is changed before the `Current`
//! goes.
//!
//! # Safety
//!
//! [`with`] lends the `Current` for one call. The callee must not suspend: a migratory G would
//! resume on another thread, with a reference to the first thread's `Current`. Code that suspends
//! copies the fields that it needs, and calls `with` again afterwards.
#![expect(unsafe_code, reason = "follows the thread's current pointer")]

use std::marker::PhantomData;
use std::mem;
use std::ptr::{self, NonNull};
use std::sync::Arc;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering::Relaxed};

use gosched_runtime_sys::signal::fatal::{Part, fatal};
use gosched_runtime_sys::thread::tls;

use crate::ds::revocable::Reentered;
use crate::gmp::g::{G, GOwned, Resumed, running_owned};
use crate::gmp::m::{M, MOwned};
use crate::gmp::p::P;
use crate::gmp::sched::Sched;

/// A thread's place in a runtime: its M, its runtime and the G that it runs.
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

    /// Makes this the calling thread's `Current`, on top of the one before.
    ///
    /// # Safety
    ///
    /// `self` and `sched` stay until `retract`. The same thread calls both, in nesting order.
    /// Whenever a signal may arrive in between, the thread has a signal stack.
    #[inline(always)]
    pub(crate) unsafe fn publish(&self, sched: &Sched) {
        self.sched.store(ptr::from_ref(sched).cast_mut(), Relaxed);
        self.prev.store(tls::current().cast::<Current>().cast_mut(), Relaxed);
        let here = 0_u8;
        self.entry.store((&raw const here).addr(), Relaxed);
        tls::set_current(ptr::from_ref(self).cast());
    }

    /// Undoes `publish`. Ends the process if that was not the calling thread's latest one.
    pub(crate) fn retract(&self) {
        if !ptr::eq(tls::current().cast(), self) {
            left_out_of_turn();
        }
        self.retract_innermost();
    }

    /// As [`retract`](Self::retract), for a caller that has just seen that this is the calling
    /// thread's place.
    #[inline]
    pub(crate) fn retract_innermost(&self) {
        tls::set_current(self.prev.load(Relaxed).cast_const().cast());
    }

    /// Returns the runtime.
    #[inline(always)]
    pub(crate) fn sched(&self) -> &Sched {
        // SAFETY: set by `publish`, whose caller keeps the runtime while this is current. Nothing
        // reads the field at other times.
        unsafe { &*self.sched.load(Relaxed) }
    }

    /// Returns the running G; `None` while the M's own loop runs.
    #[inline(always)]
    pub(crate) fn g(&self) -> Option<&G> {
        // SAFETY: set while a G runs; the G's record outlives the run.
        unsafe { self.g.load(Relaxed).as_ref() }
    }

    /// Sets the running G; `None` for the M's own loop.
    #[inline(always)]
    pub(crate) fn set_g(&self, g: Option<&G>) {
        self.g.store(g.map_or(ptr::null_mut(), |g| ptr::from_ref(g).cast_mut()), Relaxed);
    }

    /// Returns a share of the runtime, and the running G's number.
    pub(crate) fn arc_and_id(&self) -> (Arc<Sched>, u64) {
        (self.sched().arc(), self.g().map_or(0, G::id))
    }

    /// Returns the owned half of the running G.
    #[inline(always)]
    pub(crate) fn owned(&self) -> Option<&GOwned> {
        // SAFETY: this is the current thread's `Current`, so its G runs here.
        self.g().map(|g| unsafe { running_owned(g) })
    }

    /// Returns the `Current` below this one on the same thread.
    pub(crate) fn prev(&self) -> Option<&Current> {
        // SAFETY: `publish` read it from the thread's word. It stays until this `Current` is
        // retracted.
        unsafe { self.prev.load(Relaxed).as_ref() }
    }

    /// Returns an address in the frame that published this. What has run since then lies below it,
    /// unless it runs on another stack.
    pub(crate) fn entry(&self) -> usize {
        self.entry.load(Relaxed)
    }

    /// Returns this as it is passed to a G that is resumed.
    #[inline(always)]
    pub(crate) fn as_resumed(&self) -> Resumed {
        NonNull::from(self).cast()
    }

    /// Takes the M's owned half and acquires its P from the revocable slot. Fails if the thread is
    /// in the scheduler already.
    #[inline(always)]
    pub(crate) fn enter_with_p(&self) -> Result<InsideWithP, Reentered> {
        Ok(self.enter()?.acquire_p())
    }

    /// Takes the M's owned half and leaves the P in its slot. Fails if the thread is in the
    /// scheduler already.
    #[inline(always)]
    pub(crate) fn enter(&self) -> Result<Inside, Reentered> {
        let inside = Inside { m: self.m, _thread: PhantomData };
        if self.m.enter_scheduler() {
            return Ok(inside);
        }
        // A frame further up the stack has set the flag, and will clear it.
        mem::forget(inside);
        Err(Reentered)
    }
}

/// The right to the M's owned half. The P is still in the revocable slot, where others may revoke
/// it. No user code runs while this exists.
pub(crate) struct Inside {
    m: &'static M,
    /// Not `Send`: the value means that this thread is in the scheduler.
    _thread: PhantomData<*const ()>,
}

impl Inside {
    /// Returns the M's owned half.
    #[inline(always)]
    pub(crate) fn owned(&mut self) -> &mut MOwned {
        // SAFETY: `self` was made after the flag was set, on the M's thread; `&mut self` excludes
        // another reference.
        unsafe { self.m.owned() }
    }

    /// Acquires the P as well, if there is one.
    ///
    /// The next round is a whole one, because the caller may change what such a round looks at.
    #[inline(always)]
    pub(crate) fn acquire_p(mut self) -> InsideWithP {
        self.owned().fast_rounds_left = 0;
        let p = self.m.p.acquire().expect("only a thread in the scheduler acquires the slot");
        InsideWithP { p, inside: self }
    }
}

impl Drop for Inside {
    #[inline(always)]
    fn drop(&mut self) {
        self.m.leave_scheduler();
    }
}

/// The M's P, if it has one, and the right to the M's owned half. No user code runs while this
/// exists.
pub(crate) struct InsideWithP {
    pub(crate) p: Option<Box<P>>,
    /// Dropped last, after the P is back in its slot.
    inside: Inside,
}

impl InsideWithP {
    /// Returns the M's owned half.
    #[inline(always)]
    pub(crate) fn owned(&mut self) -> &mut MOwned {
        self.inside.owned()
    }

    /// Returns the M's owned half and its P, to be used at the same time.
    #[inline(always)]
    pub(crate) fn split(&mut self) -> (&mut MOwned, &mut Option<Box<P>>) {
        (self.inside.owned(), &mut self.p)
    }

    /// Takes the P from the M, for another one. What sysmon has asked this M to look at goes with
    /// the P.
    pub(crate) fn take_p(&mut self) -> Option<Box<P>> {
        let mut p = self.p.take()?;
        if self.inside.m.progress.preempt_requested() {
            p.look_everywhere.ask();
        }
        Some(p)
    }

    /// Gives the M a P that another M had. What was woken last there waits behind the others.
    pub(crate) fn receive_p(&mut self, sched: &Sched, p: Box<P>) {
        sched.holders.got(p.index, self.inside.m);
        p.queue_next();
        self.p = Some(p);
    }
}

impl Drop for InsideWithP {
    #[inline(always)]
    fn drop(&mut self) {
        self.inside.m.p.release(self.p.take());
    }
}

/// Ends the process: what was entered on some thread was left on another one, or before something
/// that was entered after it. Coroutines of another library can do that. From here on some thread
/// would take itself for a goroutine that it is not.
#[cold]
pub(crate) fn left_out_of_turn() -> ! {
    fatal(&[Part::Text(
        "gosched: a callback, or another part of a goroutine, was left out of turn or on another \
         thread, as it happens when coroutines switch inside; its goroutine cannot go on\n",
    )])
}

/// True if `found` says so of a G that runs at `cx` or below it on the same thread.
#[inline]
pub(crate) fn any_place(cx: Option<&Current>, found: impl Fn(&G) -> bool) -> bool {
    let mut place = cx;
    while let Some(cx) = place {
        if cx.g().is_some_and(&found) {
            return true;
        }
        place = cx.prev();
    }
    false
}

/// Calls `f` with the calling thread's `Current`, if it has one. `f` must not suspend.
#[inline(always)]
pub(crate) fn with<R>(f: impl FnOnce(Option<&Current>) -> R) -> R {
    let current = tls::current().cast::<Current>();
    // SAFETY: `publish` set the word to a `Current` that stays until this thread retracts it.
    f(unsafe { current.as_ref() })
}

/// Calls `f` with the place of the thread that a signal handler interrupted, if it has one.
/// Async-signal-safe.
pub(crate) fn with_interrupted<R>(f: impl FnOnce(Option<&Current>) -> R) -> R {
    let current = tls::in_handler::current().cast::<Current>();
    // SAFETY: as in `with`; the thread stays where it was interrupted while its handler runs.
    f(unsafe { current.as_ref() })
}
