//! A goroutine's execution context: its registers, kept on its own stack while it does not run.
//!
//! This is the only file that names corosensei. Switching is asymmetric. An M's loop
//! [`resume`](Context::resume)s a context; the context [`suspend`](Suspender::suspend)s back to
//! that loop with a value that says why. Both functions are generic and `inline(always)`. If the
//! compiler sees `resume` and `suspend` end to end, it saves only the live registers, and a pair of
//! switches costs about 3 ns. Through call frames it costs several times that. The processor's
//! return predictor misses once for each frame that was entered on one side and left on the other.
//! `benches/switch.rs` shows it for 0, 1 and 3 frames.
//!
//! A context that was started and has not returned is never dropped, and never unwound from
//! outside: dropping a [`Context`] leaks its stack. Corosensei's forced unwinding is not compiled
//! in.
//!
//! # Safety
//!
//! Corosensei's coroutine is `!Send`, because its stack may hold values that are `!Send`. The
//! caller who resumes a context on another thread than before takes responsibility for that.
//! `docs/soundness.md` says who promises it to us.
#![expect(
    unsafe_code,
    reason = "implements corosensei's Stack for our stacks and switches between stacks"
)]

use std::fmt;
use std::mem::ManuallyDrop;

use corosensei::stack::StackPointer;
use corosensei::{Coroutine, CoroutineResult, Yielder};

use crate::memory::stack::Stack;
#[cfg(windows)]
use crate::{memory::mapping::page_size, sys::HANDLER_ROOM};

// SAFETY: a `Stack` is mapped readable and writable between its guard and `top`. It stays mapped
// until it is dropped and belongs to one owner. Both ends are page-aligned.
unsafe impl corosensei::stack::Stack for Stack {
    #[inline(always)]
    fn base(&self) -> StackPointer {
        StackPointer::new(self.top()).expect("a mapped stack does not end at address zero")
    }

    #[inline(always)]
    fn limit(&self) -> StackPointer {
        StackPointer::new(self.limit()).expect("a mapped stack does not begin at address zero")
    }

    /// What the system has to know of the stack that runs. All of it is open from the beginning, so
    /// nothing of that changes while it runs. Below is room for the handler of an overflow, and a
    /// page of guard.
    #[cfg(windows)]
    #[inline(always)]
    fn teb_fields(&self) -> corosensei::stack::StackTebFields {
        corosensei::stack::StackTebFields {
            StackBase: self.top(),
            StackLimit: self.limit(),
            DeallocationStack: self.limit() - HANDLER_ROOM - page_size(),
            GuaranteedStackBytes: HANDLER_ROOM,
        }
    }

    #[cfg(windows)]
    #[inline(always)]
    fn update_teb_fields(&mut self, _stack_limit: usize, _guaranteed_stack_bytes: usize) {}
}

/// A stack and what runs on it. Each resume passes an `I` in; each suspension passes a `Y` out.
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

    /// Runs the context until it suspends or returns. Returns the value of the suspension, or
    /// `None` if the context returned.
    ///
    /// # Panics
    ///
    /// If the context has returned before.
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

    /// Returns the stack of a context that has returned.
    ///
    /// # Panics
    ///
    /// If the context has not returned: its frames are still on that stack.
    #[inline(always)]
    pub fn into_stack(self) -> Stack {
        ManuallyDrop::into_inner(self.coroutine).into_stack()
    }
}

/// The right of a running context to suspend itself.
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
    /// Suspends the context. Returns the value that the next resume passes in.
    ///
    /// # Safety
    ///
    /// The call runs on the stack of the context that this suspender was made for, while that
    /// context runs.
    #[inline(always)]
    pub unsafe fn suspend(self, value: Y) -> I {
        // SAFETY: the yielder lies at the base of the running context's own stack, which outlives
        // this call.
        let yielder = unsafe { &*self.0 };
        yielder.suspend(value)
    }

    /// Runs `f` on the stack of the context's resumer, below the resumer's frames, and returns its
    /// value. An `f` that unwinds aborts.
    ///
    /// # Safety
    ///
    /// As for [`suspend`](Self::suspend); and `f` does not suspend the context.
    #[inline]
    pub unsafe fn on_resumers_stack<R>(self, f: impl FnOnce() -> R) -> R {
        /// Makes `f` `Send`. Corosensei asks for that to keep yielders off the other stack; here
        /// the caller does.
        struct Carried<F>(F);
        // SAFETY: `f` does not leave the thread, only the stack.
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
