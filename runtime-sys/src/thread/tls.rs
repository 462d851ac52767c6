//! The thread-locals of the whole workspace.
//!
//! All are `const`-initialised and have no destructor. So a pthread key's destructor can read them,
//! which runs after Rust's own thread-locals are gone. They lie where
//! `tls/storage.rs` says, and on Windows, where std has no such thread-locals, `tls/slots.rs`.
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
//! # What a handler reads
//!
//! In a library loaded by `dlopen`, a thread's first access to a thread-local allocates its block.
//! A handler on a thread that never called in would be the first, and may have interrupted
//! `malloc`. So handlers use no thread-local: they use the functions of [`in_handler`]. These find
//! the words by a pthread key. Reading a key allocates nothing on any thread, and the C library
//! clears it when the thread ends. A thread's words are shown to its handlers before something is
//! first made current on it. If the process is out of keys, handlers read the thread-locals after
//! all.
//!
//! Rejected: the initial-exec model. The loader then takes the whole library's thread-locals, its
//! user's included, from a reserve of about 1,600 bytes that all libraries of the process share,
//! and refuses to load a library when the reserve is used up.

use crate::sys::StackBounds;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed, Ordering::SeqCst, compiler_fence};
use words::Words;

#[cfg_attr(windows, path = "tls/slots.rs")]
mod storage;
mod words;

/// Returns what runs on this thread, or null.
#[inline(never)]
pub fn current() -> *const () {
    storage::with(|words| words.current.load(Relaxed))
}

/// Sets what runs on this thread from the next instruction on. Handlers find it if the thread's
/// words [are shown](show_to_handlers).
#[inline(never)]
pub fn set_current(current: *const ()) {
    compiler_fence(SeqCst);
    storage::own(|words| words.current.store(current.cast_mut(), Relaxed));
    compiler_fence(SeqCst);
}

/// Shows this thread's words to its handlers, until the thread ends. Called before something is
/// made current on a thread that has been outside. Without memory for that, handlers find nothing,
/// and the next call tries again.
#[inline(never)]
pub fn show_to_handlers() {
    storage::own(|words| {
        if !words.shown.load(Relaxed) {
            storage::show(words);
        }
    });
}

/// What handlers may call: async-signal-safe on every thread, also on one that never called in.
pub mod in_handler {
    use super::{StackBounds, known_bounds, storage};
    use std::ptr::null;
    use std::sync::atomic::Ordering::Relaxed;

    /// Returns what runs on the interrupted thread, or null.
    #[inline(never)]
    pub fn current() -> *const () {
        storage::in_handler(|words| words.current.load(Relaxed).cast_const()).unwrap_or(null())
    }

    /// Returns the bounds of the interrupted thread's stack, if this library made the thread.
    #[inline(never)]
    pub fn own_stack_bounds() -> Option<StackBounds> {
        storage::in_handler(|words| known_bounds(words).filter(|_| words.own.load(Relaxed)))?
    }
}

/// Returns the number of this thread, which no other thread of the process has had or will have: an
/// address of the thread's would come again. Not zero.
#[inline(never)]
pub fn thread_number() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    storage::own(|words| {
        if words.number.load(Relaxed) == 0 {
            words.number.store(NEXT.fetch_add(1, Relaxed), Relaxed);
        }
        words.number.load(Relaxed)
    })
}

/// Returns the extra M that stays with this thread between its callbacks, or null.
#[inline(never)]
pub fn bound() -> *const () {
    storage::with(|words| words.bound.load(Relaxed))
}

/// Binds an extra M to this thread, or none.
#[inline(never)]
pub fn set_bound(bound: *const ()) {
    compiler_fence(SeqCst);
    storage::own(|words| words.bound.store(bound.cast_mut(), Relaxed));
    compiler_fence(SeqCst);
}

/// Returns what keeps this thread a goroutine beyond one call, or null. Handlers do not read it.
#[inline(never)]
pub fn attached() -> *const () {
    storage::with(|words| words.attached.load(Relaxed))
}

/// Sets what keeps this thread a goroutine.
#[inline(never)]
pub fn set_attached(attached: *const ()) {
    storage::own(|words| words.attached.store(attached.cast_mut(), Relaxed));
}

/// Returns this thread's innermost call of a registered closure that is listed, or null. Handlers
/// do not read it.
#[inline(never)]
pub fn calling() -> *const () {
    storage::with(|words| words.calling.load(Relaxed))
}

/// Sets this thread's innermost listed call, and returns the one that it was. Plain loads and
/// stores.
#[inline(never)]
pub fn replace_calling(calling: *const ()) -> *const () {
    storage::own(|words| {
        let former = words.calling.load(Relaxed);
        words.calling.store(calling.cast_mut(), Relaxed);
        former
    })
}

/// Returns where this thread, which runs no goroutine, was forbidden to wait, or null. Handlers do
/// not read it.
#[inline(never)]
pub fn no_wait() -> *const () {
    storage::with(|words| words.no_wait.load(Relaxed))
}

/// Sets where this thread was forbidden to wait.
#[inline(never)]
pub fn set_no_wait(at: *const ()) {
    storage::own(|words| words.no_wait.store(at.cast_mut(), Relaxed));
}

/// True if this thread's exit hook has run: a call that enters from now on must leave no trace on
/// the thread.
#[inline(never)]
pub fn exiting() -> bool {
    storage::with(|words| words.exiting.load(Relaxed))
}

/// Records that this thread's exit hook has run.
#[inline(never)]
pub fn set_exiting() {
    storage::own(|words| words.exiting.store(true, Relaxed));
}

/// Returns the bounds that [`set_stack_bounds`] kept for this thread.
#[inline(never)]
pub fn stack_bounds() -> Option<StackBounds> {
    storage::with(known_bounds)
}

fn known_bounds(words: &Words) -> Option<StackBounds> {
    let high = words.stack_high.load(Relaxed);
    compiler_fence(SeqCst);
    (high != 0).then(|| StackBounds {
        low: words.stack_low.load(Relaxed),
        high,
        guard: words.stack_guard.load(Relaxed),
    })
}

/// Keeps this thread's stack bounds; called once, because a thread's stack does not move.
#[inline(never)]
pub fn set_stack_bounds(bounds: StackBounds) {
    storage::own(|words| {
        words.stack_low.store(bounds.low, Relaxed);
        words.stack_guard.store(bounds.guard, Relaxed);
        compiler_fence(SeqCst);
        words.stack_high.store(bounds.high, Relaxed);
    });
}

/// Records that this library made the thread, so that a handler may judge by its stack's bounds.
#[inline(never)]
pub fn set_own() {
    storage::own(|words| words.own.store(true, Relaxed));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg_attr(not(any(unix, windows)), ignore = "no threads there")]
    fn each_thread_has_its_own() {
        let here = 1_u8;
        let pointer = (&raw const here).cast();
        let bounds = StackBounds { low: 1, high: 3, guard: 2 };
        set_current(pointer);
        show_to_handlers();
        set_bound(pointer);
        set_exiting();
        set_stack_bounds(bounds);
        assert_eq!((in_handler::current(), in_handler::own_stack_bounds()), (pointer, None));
        set_own();
        assert_eq!(in_handler::own_stack_bounds(), Some(bounds));
        std::thread::spawn(|| {
            assert!(in_handler::current().is_null() && in_handler::own_stack_bounds().is_none());
            assert!(
                current().is_null() && bound().is_null() && !exiting() && stack_bounds().is_none()
            );
        })
        .join()
        .expect("thread");
        assert_eq!((current(), bound(), exiting()), (pointer, pointer, true));
        assert_eq!(stack_bounds(), Some(bounds));
    }

    #[test]
    fn nothing_here_needs_a_destructor() {
        assert!(!std::mem::needs_drop::<Words>());
    }
}
