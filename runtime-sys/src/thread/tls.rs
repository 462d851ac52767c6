//! The thread-locals of the whole workspace.
//!
//! All are `const`-initialised and have no destructor. So a pthread key's destructor can read them,
//! which runs after Rust's own thread-locals are gone. So can a signal handler, which may run
//! before any of them was used.
//!
//! Every accessor is `#[inline(never)]`, returns a value, and computes the address afresh. A
//! goroutine that switches stacks may resume on another thread. But the optimiser takes the address
//! of a thread-local for a constant of the function that uses it. With the accessor out of line, no
//! function both holds the address and suspends.
//!
//! A handler on the same thread may read between any two instructions. So each value is one word,
//! stored in one store, between two compiler fences: earlier writes of the caller are done, later
//! writes are not. No other thread ever sees these words, hence `Relaxed` and no fence of the
//! processor.
//!
//! In a library loaded by `dlopen`, a thread's first access may allocate its thread-local block. A
//! handler must not be the first. It is installed on a thread that called in here, so that access
//! came before.

use crate::sys::StackBounds;
use std::ptr::null_mut;
use std::sync::atomic::{
    AtomicBool, AtomicPtr, AtomicUsize, Ordering::Relaxed, Ordering::SeqCst, compiler_fence,
};

thread_local! {
    static CURRENT: AtomicPtr<()> = const { AtomicPtr::new(null_mut()) };
    static BOUND: AtomicPtr<()> = const { AtomicPtr::new(null_mut()) };
    static EXITING: AtomicBool = const { AtomicBool::new(false) };
    static STACK_LOW: AtomicUsize = const { AtomicUsize::new(0) };
    static STACK_GUARD: AtomicUsize = const { AtomicUsize::new(0) };
    /// Zero while the bounds are not known; stored last.
    static STACK_HIGH: AtomicUsize = const { AtomicUsize::new(0) };
}

/// Returns what runs on this thread, or null. Async-signal-safe.
#[inline(never)]
pub fn current() -> *const () {
    CURRENT.with(|word| word.load(Relaxed))
}

/// Sets what runs on this thread from the next instruction on.
#[inline(never)]
pub fn set_current(current: *const ()) {
    compiler_fence(SeqCst);
    CURRENT.with(|word| word.store(current.cast_mut(), Relaxed));
    compiler_fence(SeqCst);
}

/// Returns the extra M that stays with this thread between its callbacks, or null.
/// Async-signal-safe.
#[inline(never)]
pub fn bound() -> *const () {
    BOUND.with(|word| word.load(Relaxed))
}

/// Binds an extra M to this thread, or none.
#[inline(never)]
pub fn set_bound(bound: *const ()) {
    compiler_fence(SeqCst);
    BOUND.with(|word| word.store(bound.cast_mut(), Relaxed));
    compiler_fence(SeqCst);
}

/// True if this thread's exit hook has run: a call that enters from now on must leave no trace on
/// the thread.
#[inline(never)]
pub fn exiting() -> bool {
    EXITING.with(|word| word.load(Relaxed))
}

/// Records that this thread's exit hook has run.
#[inline(never)]
pub fn set_exiting() {
    EXITING.with(|word| word.store(true, Relaxed));
}

/// Returns the bounds that [`set_stack_bounds`] kept for this thread. Async-signal-safe.
#[inline(never)]
pub fn stack_bounds() -> Option<StackBounds> {
    let high = STACK_HIGH.with(|word| word.load(Relaxed));
    compiler_fence(SeqCst);
    (high != 0).then(|| StackBounds {
        low: STACK_LOW.with(|word| word.load(Relaxed)),
        high,
        guard: STACK_GUARD.with(|word| word.load(Relaxed)),
    })
}

/// Keeps this thread's stack bounds; called once, because a thread's stack does not move.
#[inline(never)]
pub fn set_stack_bounds(bounds: StackBounds) {
    STACK_LOW.with(|word| word.store(bounds.low, Relaxed));
    STACK_GUARD.with(|word| word.store(bounds.guard, Relaxed));
    compiler_fence(SeqCst);
    STACK_HIGH.with(|word| word.store(bounds.high, Relaxed));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_thread_has_its_own() {
        let here = 1_u8;
        let pointer = (&raw const here).cast();
        set_current(pointer);
        set_bound(pointer);
        set_exiting();
        set_stack_bounds(StackBounds { low: 1, high: 3, guard: 2 });
        std::thread::spawn(|| {
            assert!(
                current().is_null() && bound().is_null() && !exiting() && stack_bounds().is_none()
            );
        })
        .join()
        .expect("thread");
        assert_eq!((current(), bound(), exiting()), (pointer, pointer, true));
        assert_eq!(stack_bounds(), Some(StackBounds { low: 1, high: 3, guard: 2 }));
    }

    #[test]
    fn nothing_here_needs_a_destructor() {
        assert!(!std::mem::needs_drop::<(AtomicPtr<()>, AtomicBool, AtomicUsize)>());
    }
}
