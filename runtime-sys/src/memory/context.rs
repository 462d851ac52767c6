//! A goroutine's execution context: its registers, kept on its own stack while it does not run.
//!
//! The only file that names corosensei. Switching is asymmetric: an M's loop
//! [`resume`](Context::resume)s a context, the context [`suspend`](Suspender::suspend)s back to
//! that loop with a value that says why. Both sides are generic and `inline(always)`: a pair of
//! switches costs about 3 ns when the compiler sees `resume` and `suspend` end to end (it then
//! saves only the registers that are live) and several times that through call frames, because the
//! processor's return predictor misses once per frame that was entered on one side and left on the
//! other. `benches/switch.rs` shows it for 0, 1 and 3 frames.
//!
//! A context that was started and has not returned is never dropped and never unwound from outside:
//! dropping a [`Context`] leaks its stack. Corosensei's forced unwinding is not compiled in.
//!
//! # Safety
//!
//! Corosensei's coroutine is `!Send` because a stack may hold values that are. Who resumes a
//! context on another thread than before takes that upon himself; see `docs/soundness.md` for who
//! promises it to us.
#![expect(
    unsafe_code,
    reason = "implements corosensei's Stack for our stacks and switches between stacks"
)]

use std::fmt;
use std::mem::ManuallyDrop;

use corosensei::stack::StackPointer;
use corosensei::{Coroutine, CoroutineResult, Yielder};

use crate::memory::stack::Stack;

// SAFETY: a `Stack` is mapped readable and writable between its guard and `top`, stays mapped until
// it is dropped, belongs to one owner, and both ends are page-aligned.
unsafe impl corosensei::stack::Stack for Stack {
    #[inline(always)]
    fn base(&self) -> StackPointer {
        StackPointer::new(self.top()).expect("a mapped stack does not end at address zero")
    }

    #[inline(always)]
    fn limit(&self) -> StackPointer {
        StackPointer::new(self.limit()).expect("a mapped stack does not begin at address zero")
    }
}

/// A stack and what runs on it. `I` is passed in by each resume, `Y` comes out with each
/// suspension.
pub struct Context<I: 'static, Y: 'static> {
    coroutine: ManuallyDrop<Coroutine<I, Y, (), Stack>>,
}

impl<I: 'static, Y: 'static> fmt::Debug for Context<I, Y> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context").field("done", &self.coroutine.done()).finish_non_exhaustive()
    }
}

impl<I: 'static, Y: 'static> Context<I, Y> {
    /// Prepares `f` to run on `stack` at the first resume. `f` must not unwind out of its root:
    /// that aborts.
    #[inline(always)]
    pub fn new<F: FnOnce(Suspender<I, Y>, I) + 'static>(stack: Stack, f: F) -> Self {
        let coroutine = Coroutine::with_stack(stack, move |yielder: &Yielder<I, Y>, input| {
            f(Suspender(yielder), input);
        });
        Self { coroutine: ManuallyDrop::new(coroutine) }
    }

    /// Runs the context until it suspends (its value) or returns (`None`).
    ///
    /// # Panics
    ///
    /// If it has returned before.
    ///
    /// # Safety
    ///
    /// If another thread resumed it last, nothing on its stack may depend on that thread.
    #[inline(always)]
    pub unsafe fn resume(&mut self, input: I) -> Option<Y> {
        match self.coroutine.resume(input) {
            CoroutineResult::Yield(y) => Some(y),
            CoroutineResult::Return(()) => None,
        }
    }

    /// The stack of a context that has returned.
    ///
    /// # Panics
    ///
    /// If it has not returned: its frames are still on that stack.
    #[inline(always)]
    pub fn into_stack(self) -> Stack {
        ManuallyDrop::into_inner(self.coroutine).into_stack()
    }
}

/// What a running context suspends itself with.
pub struct Suspender<I: 'static, Y: 'static>(*const Yielder<I, Y>);

impl<I: 'static, Y: 'static> Clone for Suspender<I, Y> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<I: 'static, Y: 'static> Copy for Suspender<I, Y> {}

impl<I: 'static, Y: 'static> fmt::Debug for Suspender<I, Y> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Suspender")
    }
}

impl<I: 'static, Y: 'static> Suspender<I, Y> {
    /// Suspends the context; returns what the next resume passes in.
    ///
    /// # Safety
    ///
    /// Called on the stack of the context that this suspender was made for, while that context
    /// runs.
    #[inline(always)]
    pub unsafe fn suspend(self, value: Y) -> I {
        // SAFETY: the yielder lies at the base of the running context's own stack, which outlives
        // this call.
        let yielder = unsafe { &*self.0 };
        yielder.suspend(value)
    }

    /// Runs `f` on the stack of whoever resumed the context, below its frames, and returns what it
    /// returned. An `f` that unwinds aborts.
    ///
    /// # Safety
    ///
    /// As for [`suspend`](Self::suspend); and `f` does not suspend the context.
    #[inline]
    pub unsafe fn on_resumers_stack<R>(self, f: impl FnOnce() -> R) -> R {
        /// What corosensei asks for, to keep yielders off that stack; the caller does.
        struct Carried<F>(F);
        // SAFETY: it does not leave the thread, only the stack.
        unsafe impl<F> Send for Carried<F> {}
        impl<F: FnOnce() -> R, R> Carried<F> {
            fn call(self) -> R {
                (self.0)()
            }
        }
        // SAFETY: the yielder lies at the base of the running context's own stack, which outlives
        // this call.
        let yielder = unsafe { &*self.0 };
        let carried = Carried(f);
        yielder.on_parent_stack(move || carried.call())
    }
}
