//! Extra Ms, as the bridge sees them.
//!
//! An [`ExtraM`] has two halves. The scheduler's half ([`ForeignM`]) is the M and its thread-backed
//! goroutine. The bridge's half is what has to be undone on the thread that has it: its signal mask
//! and its former signal stack. An extra M is made outside the gap and never freed. So it is intact
//! for a thread that went away without a word, and for a late wake-up.
//!
//! An M is in one of three hands:
//!
//! - the stock's, ready or bare;
//! - a call's, as a unique reference;
//! - a thread's: bound, and the thread's own word points to it. Until the exit hook takes it apart,
//!   only its constant fields, its count of calls and its call are used, or, with signals blocked,
//!   all of it.
//!
//! # Safety
//!
//! A previous signal stack is put back only by the call that found it, on the same thread, and only
//! in place of ours. Code that unmaps a registered stack disables it first, and then the registered
//! one is not ours.
#![expect(unsafe_code, reason = "a list node, and sigaltstack's promise to put back what exists")]

use crate::error::EnterError;
use crate::extra::door::{Place, Places};
use crate::extra::list::{Node, Number};
use crate::extra::stock::Stock;
use gosched_runtime_sys::signal::mask::SignalMask;
use gosched_runtime_sys::signal::stack::{Registered, Removal, SignalStack, registered};
use gosched_runtime_sys::thread::fork;
use gosched_scheduler::embed::ForeignM;
use std::sync::atomic::{
    AtomicPtr, AtomicU32, Ordering::Relaxed, Ordering::SeqCst, compiler_fence,
};
use std::{io, ptr};

/// An extra M, as the bridge sees it.
pub(crate) struct ExtraM {
    number: Number,
    /// The scheduler's half.
    pub(crate) foreign: ForeignM,
    /// The stock it belongs to.
    pub(crate) extra: &'static Stock<ExtraM>,
    /// Where a call on it says which door it came in by.
    pub(crate) place: &'static Place,
    /// The process it was made in, counted in forks.
    generation: u32,
    /// Twice the number of calls that the thread it is bound to has made, and one more inside a
    /// call.
    calls: AtomicU32,
    /// The value of `calls` before the call that looks at the thread's signal stack.
    look_at: AtomicU32,
    /// How many calls there are between that look and the next one.
    look_gap: AtomicU32,
    /// What the thread it is bound to knows the call by that it is in, or null.
    call: AtomicPtr<()>,
    /// The thread's mask from before `need_m`.
    pub(crate) mask: SignalMask,
    /// The stack that was registered before ours; none while ours is not in use.
    before: Option<Registered>,
    /// Our signal stack; none while the M is bare, and after one had to be left behind, until the
    /// next is needed.
    stack: Option<SignalStack>,
    /// Whether the last thread's own signal stack could be kept. Threads of one kind tend to come
    /// after each other. Where there is no stack to keep, registering ours takes the same one
    /// system call as looking.
    look_first: bool,
}

// SAFETY: one number per M.
unsafe impl Node for ExtraM {
    fn number(&self) -> &Number {
        &self.number
    }
}

// SAFETY: the pointer in `before` is a number to everybody but the M's owner, and there is one
// owner.
unsafe impl Send for ExtraM {}

impl ExtraM {
    /// Makes an M for the stock `extra`, with one of these places. Allocates.
    #[inline]
    pub(crate) fn new(
        extra: &'static Stock<ExtraM>,
        places: &Places,
    ) -> io::Result<&'static mut Self> {
        let stack = SignalStack::new()?;
        let m = Box::new(Self {
            number: Number::new(),
            foreign: ForeignM::new(),
            extra,
            place: places.add(),
            generation: fork::generation(),
            calls: AtomicU32::new(0),
            look_at: AtomicU32::new(0),
            look_gap: AtomicU32::new(0),
            call: AtomicPtr::new(ptr::null_mut()),
            mask: SignalMask::current(),
            before: None,
            stack: Some(stack),
            look_first: false,
        });
        extra.adopt(m).ok_or_else(|| io::Error::from_raw_os_error(libc::ENOMEM))
    }

    /// True if this is a forked child of the process it was made in. Async-signal-safe.
    pub(crate) fn forked(&self) -> bool {
        self.generation != fork::generation()
    }

    /// Lets our signal stack go. The M is nobody's, so it is registered nowhere.
    #[inline]
    pub(crate) fn strip(&mut self) {
        self.stack = None;
    }

    /// Gives an M that was stripped a signal stack. Allocates.
    #[inline]
    pub(crate) fn dress(&mut self) -> io::Result<()> {
        self.stack = Some(SignalStack::new()?);
        Ok(())
    }

    /// Registers our signal stack, unless the thread's own will do. Signals are blocked.
    #[inline]
    pub(crate) fn put_stack_on(&mut self) -> Result<(), EnterError> {
        if self.look_first {
            let own = registered();
            if own.executing {
                return Err(EnterError::SignalHandler);
            }
            if own.serves() {
                return Ok(());
            }
        }
        let stack = match self.stack.take() {
            Some(stack) => stack,
            // One `mmap` in the gap: rare, after a stack was left behind.
            None => SignalStack::new().map_err(EnterError::Resources)?,
        };
        let stack = self.stack.insert(stack);
        let own = stack.install().map_err(|error| match error.raw_os_error() {
            // The thread runs on the stack that would be replaced.
            Some(libc::EPERM) => EnterError::SignalHandler,
            _ => EnterError::Resources(error),
        })?;
        self.before = Some(own);
        self.look_first = own.serves();
        if self.look_first {
            self.take_stack_off();
        }
        Ok(())
    }

    /// Puts the signal stack back that [`put_stack_on`](Self::put_stack_on) found. Signals are
    /// blocked.
    #[inline]
    pub(crate) fn take_stack_off(&mut self) {
        let before = self.before.take();
        if let (Some(stack), Some(before)) = (&self.stack, before) {
            // SAFETY: this thread's own stack from a moment ago; see the module's head.
            let removal = unsafe { stack.remove(Some(&before)) };
            self.leave_behind(removal);
        }
    }

    /// Takes our signal stack off a thread that ends, and puts nothing in its place. The former
    /// stack is from long ago, and std has unmapped its own by now. Signals are blocked.
    pub(crate) fn take_stack_off_at_exit(&mut self) {
        if let (Some(stack), Some(_)) = (&self.stack, self.before.take()) {
            // SAFETY: installed by this thread, to which the M is bound.
            let removal = unsafe { stack.remove_at_thread_end() };
            self.leave_behind(removal);
        }
    }

    /// Gives up a stack that is not ours to remove. Code that put another stack over it may put
    /// ours back later. Dropped while taken, it keeps its memory.
    fn leave_behind(&mut self, removal: Removal) {
        if removal == Removal::NotOurs {
            self.stack = None;
        }
    }

    /// Registers our signal stack again, if the one that served when the M was bound serves no
    /// more. Signals are blocked.
    #[inline]
    pub(crate) fn put_stack_on_again(&mut self) -> Result<(), EnterError> {
        let own = registered();
        if own.executing {
            return Err(EnterError::SignalHandler);
        }
        if own.serves() {
            return Ok(());
        }
        let replaced = match (&self.stack, &self.before) {
            // SAFETY: the M is bound to this thread, which installed the stack.
            (Some(stack), Some(_)) => unsafe { stack.install_again() },
            (Some(stack), None) => stack.install(),
            (None, _) => SignalStack::new().and_then(|stack| self.stack.insert(stack).install()),
        };
        self.before = Some(replaced.map_err(EnterError::Resources)?);
        Ok(())
    }

    /// Binds the M: the first call is under way.
    #[inline]
    pub(crate) fn bind(&self) {
        self.calls.store(1, Relaxed);
        self.look_at.store(2, Relaxed);
        self.look_gap.store(1, Relaxed);
        // Null, unless the thread before ended in the middle of a call's last steps.
        self.call.store(ptr::null_mut(), Relaxed);
    }

    /// Begins a call on a bound M. None if a call is just beginning or ending, that is, in a
    /// handler that interrupted it.
    ///
    /// Plain loads and stores: only this thread and its handlers look.
    #[inline]
    pub(crate) fn begin(&self) -> Option<Begun> {
        let calls = self.calls.load(Relaxed);
        if calls % 2 == 1 {
            return None;
        }
        self.calls.store(calls.wrapping_add(1), Relaxed);
        compiler_fence(SeqCst);
        Some(if calls == self.look_at.load(Relaxed) { Begun::LookFirst } else { Begun::GoOn })
    }

    /// Says when to look again: after the next call, after two more, four more, and so on, and then
    /// after every [`LOOK_GAP`] calls. Inside a call.
    #[inline]
    pub(crate) fn looked(&self) {
        let gap = self.look_gap.load(Relaxed);
        self.look_gap.store((2 * gap).min(LOOK_GAP), Relaxed);
        let calls = self.calls.load(Relaxed);
        self.look_at.store(calls.wrapping_sub(1).wrapping_add(2 * gap), Relaxed);
    }

    /// Ends the call.
    #[inline]
    pub(crate) fn end(&self) {
        compiler_fence(SeqCst);
        let calls = self.calls.load(Relaxed);
        self.calls.store(calls.wrapping_add(1), Relaxed);
    }

    /// Returns the call that the M is in, as [`set_call`](Self::set_call) has named it.
    #[inline]
    pub(crate) fn call(&self) -> *const () {
        self.call.load(Relaxed)
    }

    /// Names the call that the M is in. On its thread, inside a call.
    #[inline]
    pub(crate) fn set_call(&self, call: *const ()) {
        self.call.store(call.cast_mut(), Relaxed);
    }

    /// True while a call is under way.
    pub(crate) fn in_use(&self) -> bool {
        self.calls.load(Relaxed) % 2 == 1
    }
}

/// How a call on a bound M goes on.
#[must_use = "a call that has begun is to be ended"]
pub(crate) enum Begun {
    /// As it is.
    GoOn,
    /// With a look at the thread's signal stack.
    LookFirst,
}

/// A bound thread looks at its signal stack once in so many calls, when it has made as many.
///
/// A look is a system call, which takes several times as long as the call that makes it. So it adds
/// one or two percent.
pub(crate) const LOOK_GAP: u32 = 256;
