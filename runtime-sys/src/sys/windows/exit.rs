//! A hook on the end of threads, also of threads that C made: a thread-local with a destructor.
//!
//! The loader tells each loaded file of the end of any thread, and std then runs the destructors of
//! that file's thread-locals. Those of other Rust code may run afterwards, and so may C code that
//! hears of the end later: it may still call in.
//!
//! Rejected: `FlsAlloc`. Its values belong to what `SwitchToFiber` switches, several of which share
//! a thread: the hook of one would run when a host deletes it, on whatever thread does.
//!
//! A thread that is ended by `TerminateThread` runs nothing, and what is set first by C code after
//! the destructors is never called. At the end of the process the hook of the last thread runs,
//! when all others have been stopped at any instruction.
//!
//! # Safety
//!
//! The caller of [`ExitHook::set`] vouched for the value that the hook gets.
#![expect(unsafe_code, reason = "calls hooks whose callers vouched for their values")]

use std::cell::Cell;
use std::ffi::c_void;
use std::io;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// The type of the hooks.
type Hook = unsafe extern "C" fn(*mut c_void);

/// How many hooks a process may register. This library has one, its tests have some.
const HOOKS: usize = 16;

/// How many hooks are registered.
static REGISTERED: AtomicUsize = AtomicUsize::new(0);

/// A thread's values, each with its hook. One thread-local: without native ones, as on
/// windows-gnu, each is freed at the thread's end, in any order.
struct Values {
    of_hooks: [Cell<Option<(Hook, *mut c_void)>>; HOOKS],
    /// What comes after all hooks.
    last: Cell<Option<(Hook, *mut c_void)>>,
}

thread_local! {
    static VALUES: Values = const {
        Values { of_hooks: [const { Cell::new(None) }; HOOKS], last: Cell::new(None) }
    };
}

impl Drop for Values {
    fn drop(&mut self) {
        let of_hooks = self.of_hooks.iter().rev();
        for (hook, value) in of_hooks.chain([&self.last]).filter_map(Cell::take) {
            // SAFETY: the caller of `set` or `set_last` vouched for the value.
            unsafe { hook(value) };
        }
    }
}

/// A registered hook. Each thread has a value, and the hook runs on the threads whose value is not
/// null.
#[derive(Clone, Copy, Debug)]
pub struct ExitHook {
    index: usize,
    hook: Hook,
}

impl ExitHook {
    /// Registers `hook`, for the life of the process. Fails if there are too many.
    pub fn register(hook: Hook) -> io::Result<Self> {
        crate::sys::pin_this_library();
        let next = |index| (index < HOOKS).then_some(index + 1);
        let index = REGISTERED.fetch_update(Relaxed, Relaxed, next);
        index.map(|index| Self { index, hook }).map_err(|_| io::ErrorKind::QuotaExceeded.into())
    }

    /// Sets the calling thread's value. Fails in and after the thread's hooks.
    ///
    /// When the thread ends, its value is taken out, and the hook is called with it unless it is
    /// null.
    ///
    /// # Safety
    ///
    /// `value` is null, or calling the hook with it on this thread, at its end, is sound.
    #[inline(never)]
    pub unsafe fn set(&self, value: *mut c_void) -> io::Result<()> {
        let of_thread = (!value.is_null()).then_some((self.hook, value));
        VALUES
            .try_with(|values| values.of_hooks[self.index].set(of_thread))
            .map_err(|_| io::ErrorKind::Unsupported.into())
    }

    /// Returns the calling thread's value.
    #[inline(never)]
    pub fn get(&self) -> *mut c_void {
        let value = VALUES.try_with(|values| values.of_hooks[self.index].get());
        value.ok().flatten().map_or(null_mut(), |(_, value)| value)
    }
}

/// Has `act` called with `value` at the end of the calling thread, after all hooks. Nothing happens
/// in and after the thread's hooks.
///
/// # Safety
///
/// Calling `act` with `value` on this thread, at its end, is sound.
#[inline(never)]
pub(crate) unsafe fn set_last(act: Hook, value: *mut c_void) {
    let _too_late = VALUES.try_with(|values| values.last.set(Some((act, value))));
}

#[cfg(test)]
mod tests {
    use std::ptr::null;
    use std::sync::Arc;

    use windows_sys::Win32::Foundation::{CloseHandle, WAIT_OBJECT_0};
    use windows_sys::Win32::System::Threading::{CreateThread, INFINITE, WaitForSingleObject};

    use super::*;
    use crate::thread::tls;

    unsafe extern "C" fn count(value: *mut c_void) {
        // SAFETY: the tests set nothing but a leaked `Arc` of this type.
        let counter = unsafe { Arc::from_raw(value.cast_const().cast::<AtomicUsize>()) };
        // The hook finds the thread's words as they were, whatever else is gone.
        assert_eq!(tls::bound(), value.cast_const().cast::<()>());
        counter.fetch_add(1, Relaxed);
        tls::set_exiting();
    }

    fn set(hook: ExitHook, counter: &Arc<AtomicUsize>) {
        let value = Arc::into_raw(Arc::clone(counter)).cast_mut().cast();
        tls::set_bound(value as *const ());
        // SAFETY: what `count` expects.
        unsafe { hook.set(value) }.expect("set");
        assert_eq!(hook.get(), value);
    }

    unsafe extern "system" fn on_c_thread(argument: *mut c_void) -> u32 {
        let argument: *const (ExitHook, Arc<AtomicUsize>) = argument.cast_const().cast();
        // SAFETY: the pair outlives the thread, which is waited for before it is dropped.
        let (hook, counter) = unsafe { &*argument };
        set(*hook, counter);
        0
    }

    #[test]
    fn runs_at_the_end_of_a_thread_that_the_system_made() {
        let pair = (ExitHook::register(count).expect("room"), Arc::new(AtomicUsize::new(0)));
        for round in 1..=100 {
            let argument = (&raw const pair).cast();
            // SAFETY: the pair outlives the wait below.
            let thread =
                unsafe { CreateThread(null(), 0, Some(on_c_thread), argument, 0, null_mut()) };
            assert!(!thread.is_null());
            // SAFETY: a handle of this test.
            let ended = unsafe { WaitForSingleObject(thread, INFINITE) };
            // SAFETY: as above, closed once.
            unsafe { CloseHandle(thread) };
            assert_eq!((ended, pair.1.load(Relaxed)), (WAIT_OBJECT_0, round));
        }
        assert_eq!(Arc::strong_count(&pair.1), 1);
        assert!(!tls::exiting());
    }

    /// What runs on a thread after its hooks finds that the thread is exiting, and nothing else.
    struct Later;

    impl Drop for Later {
        fn drop(&mut self) {
            if tls::exiting() {
                assert!(tls::bound().is_null() && tls::current().is_null());
                SEEN.fetch_add(1, Relaxed);
            }
        }
    }

    static SEEN: AtomicUsize = AtomicUsize::new(0);

    thread_local! {
        static LATER: Later = const { Later };
    }

    #[test]
    fn afterwards_the_thread_is_exiting() {
        let hook = ExitHook::register(count).expect("room");
        let counter = Arc::new(AtomicUsize::new(0));
        let thread = || {
            let there = Arc::clone(&counter);
            std::thread::spawn(move || {
                set(hook, &there);
                LATER.with(|_| ());
            })
        };
        thread().join().expect("no panic");
        thread().join().expect("no panic");
        assert_eq!(counter.load(Relaxed), 2);
        // std destroys thread-locals in an order of its own: each before the hooks, or after them.
        assert!([0, 2].contains(&SEEN.load(Relaxed)));
    }

    #[test]
    fn does_not_run_where_nothing_was_set() {
        let hook = ExitHook::register(count).expect("room");
        let counter = Arc::new(AtomicUsize::new(0));
        let there = Arc::clone(&counter);
        std::thread::spawn(move || {
            assert!(hook.get().is_null());
            set(hook, &there);
            let value = hook.get();
            // SAFETY: null is always allowed.
            unsafe { hook.set(null_mut()) }.expect("unset");
            // SAFETY: the hook was taken back, so this is its only owner.
            drop(unsafe { Arc::from_raw(value.cast_const().cast::<AtomicUsize>()) });
        })
        .join()
        .expect("thread");
        assert_eq!((counter.load(Relaxed), Arc::strong_count(&counter)), (0, 1));
    }
}
