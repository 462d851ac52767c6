//! The thread-locals of the whole workspace.
//!
//! All are `const`-initialised and have no destructor. So a pthread key's destructor can read them,
//! which runs after Rust's own thread-locals are gone.
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
//!
//! # Safety
//!
//! The key's value is null or points to the words of the thread that reads it. These lie in the
//! thread's own block, which the C library frees after it has cleared the thread's keys.
#![expect(unsafe_code, reason = "a pthread key that points to the thread's words")]

use crate::sys::StackBounds;
use crate::thread::exit::ExitHook;
use std::ffi::c_void;
use std::ptr::{self, null_mut};
use std::sync::OnceLock;
use std::sync::atomic::{
    AtomicBool, AtomicPtr, AtomicU64, AtomicUsize, Ordering::Relaxed, Ordering::SeqCst,
    compiler_fence,
};

/// A thread's words.
struct Words {
    current: AtomicPtr<()>,
    bound: AtomicPtr<()>,
    attached: AtomicPtr<()>,
    calling: AtomicPtr<()>,
    no_wait: AtomicPtr<()>,
    exiting: AtomicBool,
    /// Whether the thread's handlers find these words.
    shown: AtomicBool,
    /// Whether this library made the thread.
    own: AtomicBool,
    stack_low: AtomicUsize,
    stack_guard: AtomicUsize,
    /// Zero while the bounds are not known; stored last.
    stack_high: AtomicUsize,
    /// Zero before somebody asks.
    number: AtomicU64,
}

thread_local! {
    static WORDS: Words = const {
        Words {
            current: AtomicPtr::new(null_mut()),
            bound: AtomicPtr::new(null_mut()),
            attached: AtomicPtr::new(null_mut()),
            calling: AtomicPtr::new(null_mut()),
            no_wait: AtomicPtr::new(null_mut()),
            exiting: AtomicBool::new(false),
            shown: AtomicBool::new(false),
            own: AtomicBool::new(false),
            stack_low: AtomicUsize::new(0),
            stack_guard: AtomicUsize::new(0),
            stack_high: AtomicUsize::new(0),
            number: AtomicU64::new(0),
        }
    };
}

/// The key by which handlers find a thread's words; none if the process was out of keys.
static KEY: OnceLock<Option<ExitHook>> = OnceLock::new();

/// Returns what runs on this thread, or null.
#[inline(never)]
pub fn current() -> *const () {
    WORDS.with(|words| words.current.load(Relaxed))
}

/// Sets what runs on this thread from the next instruction on. Handlers find it if the thread's
/// words [are shown](show_to_handlers).
#[inline(never)]
pub fn set_current(current: *const ()) {
    compiler_fence(SeqCst);
    WORDS.with(|words| words.current.store(current.cast_mut(), Relaxed));
    compiler_fence(SeqCst);
}

/// Shows this thread's words to its handlers, until the thread ends. Called before something is
/// made current on a thread that has been outside. Without memory for that, handlers find nothing,
/// and the next call tries again.
#[inline(never)]
pub fn show_to_handlers() {
    WORDS.with(|words| {
        if !words.shown.load(Relaxed) {
            show(words);
        }
    });
}

#[cold]
fn show(words: &Words) {
    let Some(key) = KEY.get_or_init(|| ExitHook::register(cleared).ok()) else { return };
    let address = ptr::from_ref(words).cast_mut().cast();
    // SAFETY: `cleared` takes the words of the thread whose value they are.
    let shown = unsafe { key.set(address) };
    words.shown.store(shown.is_ok(), Relaxed);
}

/// The C library has taken the words away from the ending thread's handlers. While an M is bound to
/// the thread, a callback may come without showing them: then they are shown again. The C library
/// comes back a few times.
///
/// # Safety
///
/// `words` are the calling thread's.
unsafe extern "C" fn cleared(words: *mut c_void) {
    // SAFETY: as the caller says.
    let words = unsafe { &*words.cast_const().cast::<Words>() };
    words.shown.store(false, Relaxed);
    if !words.bound.load(Relaxed).is_null() {
        show(words);
    }
}

/// What handlers may call: async-signal-safe on every thread, also on one that never called in.
pub mod in_handler {
    use super::{KEY, StackBounds, WORDS, Words, known_bounds};
    use std::ptr::null;
    use std::sync::atomic::Ordering::Relaxed;

    /// Calls `f` with the thread's words, if they have been shown.
    fn with_words<R>(f: impl FnOnce(&Words) -> R) -> Option<R> {
        match KEY.get()? {
            Some(key) => {
                let words: *const Words = key.get().cast_const().cast();
                // SAFETY: null, or the words of this thread.
                unsafe { words.as_ref() }.map(f)
            }
            None => Some(WORDS.with(f)),
        }
    }

    /// Returns what runs on the interrupted thread, or null.
    #[inline(never)]
    pub fn current() -> *const () {
        with_words(|words| words.current.load(Relaxed).cast_const()).unwrap_or(null())
    }

    /// Returns the bounds of the interrupted thread's stack, if this library made the thread.
    #[inline(never)]
    pub fn own_stack_bounds() -> Option<StackBounds> {
        with_words(|words| known_bounds(words).filter(|_| words.own.load(Relaxed)))?
    }
}

/// Returns the number of this thread, which no other thread of the process has had or will have: an
/// address of the thread's would come again. Not zero.
#[inline(never)]
pub fn thread_number() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    WORDS.with(|words| {
        if words.number.load(Relaxed) == 0 {
            words.number.store(NEXT.fetch_add(1, Relaxed), Relaxed);
        }
        words.number.load(Relaxed)
    })
}

/// Returns the extra M that stays with this thread between its callbacks, or null.
#[inline(never)]
pub fn bound() -> *const () {
    WORDS.with(|words| words.bound.load(Relaxed))
}

/// Binds an extra M to this thread, or none.
#[inline(never)]
pub fn set_bound(bound: *const ()) {
    compiler_fence(SeqCst);
    WORDS.with(|words| words.bound.store(bound.cast_mut(), Relaxed));
    compiler_fence(SeqCst);
}

/// Returns what keeps this thread a goroutine beyond one call, or null. Handlers do not read it.
#[inline(never)]
pub fn attached() -> *const () {
    WORDS.with(|words| words.attached.load(Relaxed))
}

/// Sets what keeps this thread a goroutine.
#[inline(never)]
pub fn set_attached(attached: *const ()) {
    WORDS.with(|words| words.attached.store(attached.cast_mut(), Relaxed));
}

/// Returns this thread's innermost call of a registered closure, or null. Handlers do not read it.
#[inline(never)]
pub fn calling() -> *const () {
    WORDS.with(|words| words.calling.load(Relaxed))
}

/// Sets this thread's innermost call, and returns the one that it was. Plain loads and stores.
#[inline(never)]
pub fn replace_calling(calling: *const ()) -> *const () {
    WORDS.with(|words| {
        let former = words.calling.load(Relaxed);
        words.calling.store(calling.cast_mut(), Relaxed);
        former
    })
}

/// Returns where this thread, which runs no goroutine, was forbidden to wait, or null. Handlers do
/// not read it.
#[inline(never)]
pub fn no_wait() -> *const () {
    WORDS.with(|words| words.no_wait.load(Relaxed))
}

/// Sets where this thread was forbidden to wait.
#[inline(never)]
pub fn set_no_wait(at: *const ()) {
    WORDS.with(|words| words.no_wait.store(at.cast_mut(), Relaxed));
}

/// True if this thread's exit hook has run: a call that enters from now on must leave no trace on
/// the thread.
#[inline(never)]
pub fn exiting() -> bool {
    WORDS.with(|words| words.exiting.load(Relaxed))
}

/// Records that this thread's exit hook has run.
#[inline(never)]
pub fn set_exiting() {
    WORDS.with(|words| words.exiting.store(true, Relaxed));
}

/// Returns the bounds that [`set_stack_bounds`] kept for this thread.
#[inline(never)]
pub fn stack_bounds() -> Option<StackBounds> {
    WORDS.with(known_bounds)
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
    WORDS.with(|words| {
        words.stack_low.store(bounds.low, Relaxed);
        words.stack_guard.store(bounds.guard, Relaxed);
        compiler_fence(SeqCst);
        words.stack_high.store(bounds.high, Relaxed);
    });
}

/// Records that this library made the thread, so that a handler may judge by its stack's bounds.
#[inline(never)]
pub fn set_own() {
    WORDS.with(|words| words.own.store(true, Relaxed));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_thread_has_its_own() {
        let here = 1_u8;
        let pointer = (&raw const here).cast();
        let bounds = StackBounds { low: 1, high: 3, guard: 2 };
        set_current(pointer);
        assert!(in_handler::current().is_null());
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

    /// A key's destructor of C's may call in when ours has run.
    unsafe extern "C" fn late(_value: *mut c_void) {
        let here = 1_u8;
        let pointer = (&raw const here).cast();
        if bound().is_null() {
            show_to_handlers();
        }
        set_current(pointer);
        assert_eq!(in_handler::current(), pointer);
        set_current(ptr::null());
        set_bound(ptr::null());
        LATE.fetch_add(1, Relaxed);
    }

    static LATE: AtomicUsize = AtomicUsize::new(0);

    #[test]
    fn the_words_are_shown_again_at_the_end_of_the_keys() {
        let ends = |is_bound| {
            std::thread::spawn(move || {
                show_to_handlers();
                if is_bound {
                    set_bound((&raw const LATE).cast());
                }
                let hook = ExitHook::register(late).expect("key");
                // SAFETY: `late` takes any value.
                unsafe { hook.set((&raw const LATE).cast_mut().cast()) }.expect("set");
            })
            .join()
            .expect("thread");
        };
        ends(false);
        ends(true);
        assert_eq!(LATE.load(Relaxed), 2);
    }

    #[test]
    fn nothing_here_needs_a_destructor() {
        assert!(!std::mem::needs_drop::<Words>());
    }
}
