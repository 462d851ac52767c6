//! Where a thread's words lie: in a thread-local. A pthread key leads handlers there.
//!
//! # Safety
//!
//! The key's value is null or points to the words of the thread that reads it. These lie in the
//! thread's own block, which the C library frees after it has cleared the thread's keys.
#![expect(unsafe_code, reason = "a pthread key that points to the thread's words")]

use std::ffi::c_void;
use std::ptr;
use std::sync::OnceLock;
use std::sync::atomic::Ordering::Relaxed;

use super::words::Words;
use crate::thread::exit::ExitHook;

thread_local! {
    static WORDS: Words = const { Words::new(false) };
}

/// The key by which handlers find a thread's words; none if the process was out of keys.
static KEY: OnceLock<Option<ExitHook>> = OnceLock::new();

/// Calls `f` with the calling thread's words, to read them.
#[inline(always)]
pub(super) fn with<R>(f: impl FnOnce(&Words) -> R) -> R {
    WORDS.with(f)
}

/// Calls `f` with the calling thread's words, to write them.
#[inline(always)]
pub(super) fn own<R>(f: impl FnOnce(&Words) -> R) -> R {
    WORDS.with(f)
}

/// Calls `f` with the thread's words, if they have been shown. Async-signal-safe.
pub(super) fn in_handler<R>(f: impl FnOnce(&Words) -> R) -> Option<R> {
    match KEY.get()? {
        Some(key) => {
            let words: *const Words = key.get().cast_const().cast();
            // SAFETY: null, or the words of this thread.
            unsafe { words.as_ref() }.map(f)
        }
        None => Some(WORDS.with(f)),
    }
}

/// Shows these words, the calling thread's, to its handlers.
#[cold]
pub(super) fn show(words: &Words) {
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

#[cfg(test)]
mod tests {
    use std::ptr::null;
    use std::sync::atomic::AtomicUsize;

    use super::super::{bound, in_handler, set_bound, set_current, show_to_handlers};
    use super::*;

    #[test]
    fn handlers_find_what_is_shown() {
        let here = 1_u8;
        let pointer = (&raw const here).cast();
        set_current(pointer);
        assert!(in_handler::current().is_null());
        show_to_handlers();
        assert_eq!(in_handler::current(), pointer);
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
        set_current(null());
        set_bound(null());
        LATE.fetch_add(1, Relaxed);
    }

    static LATE: AtomicUsize = AtomicUsize::new(0);

    #[test]
    #[cfg_attr(not(any(unix, windows)), ignore = "no threads there")]
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
}
