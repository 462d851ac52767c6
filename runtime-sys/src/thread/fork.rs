//! Whether this process is a forked child of the process that built things.
//!
//! In a child only the forking thread goes on. A scheduler whose Ms are gone must refuse there, not
//! wait for them. The builder of a scheduler calls [`register_hook`] and keeps the [`generation`]
//! of that moment; another number later means "not here". A child made by raw `clone` or `vfork`
//! runs no hook and is not recognised; such a child may call nothing but `exec` anyway.
//!
//! A lock of the process that another thread held at the fork is held for ever in the child, and
//! what it guards may be half done. So the statics that threads share are [`PerProcess`]: a child
//! begins with new ones, and takes no lock to get there. To take all locks before each fork was
//! rejected: a handler that forks would wait for the thread that it has interrupted.
//!
//! # Safety
//!
//! The child's hook makes one atomic addition, which is async-signal-safe, as POSIX asks. What a
//! [`PerProcess`] points to is leaked.
#![expect(unsafe_code, reason = "a hook at fork; a static pointer to what is never freed")]

use std::sync::atomic::{
    AtomicBool, AtomicPtr, AtomicU32,
    Ordering::{Acquire, Relaxed, Release},
};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::{fmt, io, ptr};

static GENERATION: AtomicU32 = AtomicU32::new(0);
/// Whether the hook is there. A child of a process that has it takes no lock, which a thread of the
/// parent's may have had.
static REGISTERED: AtomicBool = AtomicBool::new(false);
static REGISTERING: Mutex<()> = Mutex::new(());

extern "C" fn in_child() {
    // Relaxed: the child has one thread.
    GENERATION.fetch_add(1, Relaxed);
}

/// Returns how many forks lie between the process that first called [`register_hook`] and this one.
/// Async-signal-safe.
#[inline]
pub fn generation() -> u32 {
    GENERATION.load(Relaxed)
}

/// Counts forks from now on. Idempotent. Fails if there is no memory for the hook.
pub fn register_hook() -> io::Result<()> {
    // Relaxed: the hook is the C library's, and has nothing of ours to make visible.
    if REGISTERED.load(Relaxed) {
        return Ok(());
    }
    let _one_at_a_time = REGISTERING.lock().unwrap_or_else(PoisonError::into_inner);
    if !REGISTERED.load(Relaxed) {
        crate::sys::pin_this_library();
        // SAFETY: the hook is async-signal-safe and lives as long as the code does.
        unsafe { crate::sys::at_fork(in_child)? };
        REGISTERED.store(true, Relaxed);
    }
    Ok(())
}

/// A value behind a lock, for statics: each process has its own, which is made where it is first
/// used. That of the parent stays in a child as the fork found it, and is not used there.
pub struct PerProcess<T: 'static> {
    there: AtomicPtr<OfOne<T>>,
    make: fn() -> T,
}

/// What belongs to one process. Never freed.
struct OfOne<T> {
    /// The process, counted in forks.
    generation: u32,
    value: Mutex<T>,
}

impl<T> PerProcess<T> {
    /// Returns one whose values are made by `make`.
    pub const fn new(make: fn() -> T) -> Self {
        Self { there: AtomicPtr::new(ptr::null_mut()), make }
    }

    /// Blocks the thread until it has the lock of this process's value. Allocates at first.
    #[inline]
    pub fn lock(&self) -> MutexGuard<'_, T> {
        // ORDERING[fork.of_one]: partner is the exchange in `make`; the value becomes visible.
        let there = self.there.load(Acquire);
        // SAFETY: null, or leaked.
        let own = unsafe { there.as_ref() }.filter(|own| own.generation == generation());
        let own = own.unwrap_or_else(|| self.make(there));
        // There is nothing to poison: no user code runs under the lock.
        own.value.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes the value of this process, in place of the one that is there.
    #[cold]
    fn make(&self, mut there: *mut OfOne<T>) -> &OfOne<T> {
        let generation = generation();
        let new = OfOne { generation, value: Mutex::new((self.make)()) };
        let new = Box::into_raw(Box::new(new));
        loop {
            // ORDERING[fork.of_one]: partners are the load in `lock`, and a failed exchange here.
            match self.there.compare_exchange(there, new, Release, Acquire) {
                // SAFETY: leaked.
                Ok(_) => return unsafe { &*new },
                Err(faster) => there = faster,
            }
            // SAFETY: leaked, and not null: it was put there by another thread.
            let faster = unsafe { &*there };
            if faster.generation == generation {
                // SAFETY: made above, and nobody else has it.
                drop(unsafe { Box::from_raw(new) });
                return faster;
            }
        }
    }
}

impl<T> fmt::Debug for PerProcess<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PerProcess").finish_non_exhaustive()
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    /// Forks, and returns the exit status that `in_child` returned in the child.
    fn fork(in_child: extern "C" fn() -> i32) -> i32 {
        // SAFETY: the child calls nothing but async-signal-safe functions.
        let child = unsafe { libc::fork() };
        if child == 0 {
            let code = in_child();
            // SAFETY: has no precondition.
            unsafe { libc::_exit(code) }
        }
        let mut status = 0;
        // SAFETY: a child of ours, waited for once.
        assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
        assert!(libc::WIFEXITED(status));
        libc::WEXITSTATUS(status)
    }

    extern "C" fn own() -> i32 {
        generation() as i32
    }

    extern "C" fn grandchild() -> i32 {
        fork(own)
    }

    #[test]
    fn children_count_on_and_parents_do_not() {
        register_hook().expect("watch");
        register_hook().expect("twice is once");
        assert_eq!(generation(), 0);
        assert_eq!((fork(own), fork(own), fork(grandchild)), (1, 1, 2));
        assert_eq!(generation(), 0);
    }

    /// 0 if the child's thread, which has its `errno` where the parent's has, holds no lock.
    #[cfg(debug_assertions)]
    extern "C" fn holds_a_lock() -> i32 {
        i32::from(std::panic::catch_unwind(crate::sync::held::assert_none).is_err())
    }

    #[test]
    #[cfg(debug_assertions)]
    fn what_the_parent_holds_no_thread_of_a_child_does() {
        let lock = crate::sync::lock::Lock::new(0);
        let held = lock.lock();
        assert!(std::panic::catch_unwind(crate::sync::held::assert_none).is_err());
        assert_eq!(fork(holds_a_lock), 0);
        drop(held);
    }

    static COUNT: PerProcess<i32> = PerProcess::new(|| 0);

    /// 0 if the child's value is a new one.
    extern "C" fn own_count() -> i32 {
        *COUNT.lock() += 1;
        *COUNT.lock() - 1
    }

    #[test]
    fn a_child_has_its_own_value_although_the_parents_is_locked() {
        register_hook().expect("watch");
        *COUNT.lock() += 7;
        let held = COUNT.lock();
        assert_eq!(fork(own_count), 0);
        assert_eq!(*held, 7);
    }
}
