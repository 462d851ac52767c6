//! A hook on the end of threads, also of threads that C made: a pthread key with a destructor.
//!
//! Rust's thread-local destructors are no substitute. They end before the key destructors begin, so
//! a hook of ours may touch only const, drop-free thread-locals. C code in its own key destructors
//! may still call in afterwards.
//!
//! POSIX leaves the order of the keys' destructors open. On the main thread they do not run at
//! `exit`. In an unloaded shared object they crash. So the object file that contains this crate is
//! kept loaded from the first hook on, and the key is never deleted.
//!
//! # Safety
//!
//! The key lives for ever. The caller of [`ExitHook::set`] vouched for the value that the
//! destructor gets.
#![expect(unsafe_code, reason = "pthread keys")]

use std::ffi::c_void;
use std::io;

/// A registered hook. Each thread has a value, and the hook runs on the threads whose value is not
/// null.
#[derive(Clone, Copy, Debug)]
pub struct ExitHook {
    key: libc::pthread_key_t,
}

impl ExitHook {
    /// Registers `hook`, for the life of the process. Fails if the process is out of keys (1,024
    /// with glibc).
    pub fn register(hook: unsafe extern "C" fn(*mut c_void)) -> io::Result<Self> {
        crate::sys::pin_this_library();
        let mut key = 0;
        // SAFETY: `key` is writable, and the hook is called only with values that a caller of `set`
        // vouched for.
        let result = unsafe { libc::pthread_key_create(&mut key, Some(hook)) };
        if result == 0 { Ok(Self { key }) } else { Err(io::Error::from_raw_os_error(result)) }
    }

    /// Sets the calling thread's value. Fails if there is no memory for it.
    ///
    /// When the thread ends, its value is taken out, and the hook is called with it unless it is
    /// null. The hook may set it again; that is honoured a few times.
    ///
    /// # Safety
    ///
    /// `value` is null, or calling the hook with it on this thread, at its end, is sound.
    pub unsafe fn set(&self, value: *mut c_void) -> io::Result<()> {
        // SAFETY: the key is never deleted; the caller vouches for the value.
        let result = unsafe { libc::pthread_setspecific(self.key, value) };
        if result == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(result)) }
    }

    /// Returns the calling thread's value.
    pub fn get(&self) -> *mut c_void {
        // SAFETY: the key is never deleted.
        unsafe { libc::pthread_getspecific(self.key) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::mem::MaybeUninit;
    use std::ptr::{null, null_mut};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    unsafe extern "C" fn count(value: *mut c_void) {
        // SAFETY: the tests set nothing but a leaked `Arc` of this type.
        let counter = unsafe { Arc::from_raw(value.cast_const().cast::<AtomicUsize>()) };
        counter.fetch_add(1, Relaxed);
        crate::thread::tls::set_exiting();
    }

    extern "C" fn on_c_thread(argument: *mut c_void) -> *mut c_void {
        let argument: *const (ExitHook, Arc<AtomicUsize>) = argument.cast_const().cast();
        // SAFETY: the pair outlives the thread, which is joined before it is dropped.
        let (hook, counter) = unsafe { &*argument };
        let value = Arc::into_raw(Arc::clone(counter)).cast_mut().cast();
        // SAFETY: what `count` expects.
        unsafe { hook.set(value) }.expect("set");
        assert_eq!(hook.get(), value);
        null_mut()
    }

    #[test]
    fn runs_at_the_end_of_a_thread_that_c_made() {
        let pair = (ExitHook::register(count).expect("key"), Arc::new(AtomicUsize::new(0)));
        let mut thread = MaybeUninit::uninit();
        let argument = (&raw const pair).cast_mut().cast();
        // SAFETY: the pair outlives the join below.
        let made =
            unsafe { libc::pthread_create(thread.as_mut_ptr(), null(), on_c_thread, argument) };
        assert_eq!(made, 0);
        // SAFETY: made above.
        let thread = unsafe { thread.assume_init() };
        // SAFETY: made above, joined once.
        let joined = unsafe { libc::pthread_join(thread, null_mut()) };
        assert_eq!((joined, pair.1.load(Relaxed)), (0, 1));
        assert!(!crate::thread::tls::exiting());
    }

    #[test]
    fn does_not_run_where_nothing_was_set() {
        let hook = ExitHook::register(count).expect("key");
        let counter = Arc::new(AtomicUsize::new(0));
        let there = Arc::clone(&counter);
        std::thread::spawn(move || {
            assert!(hook.get().is_null());
            let value = Arc::into_raw(there).cast_mut().cast();
            // SAFETY: what `count` expects.
            unsafe { hook.set(value) }.expect("set");
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
