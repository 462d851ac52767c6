//! Whether this process is a forked child of the process that built things.
//!
//! In a child only the forking thread goes on. A scheduler whose Ms are gone must refuse there, not
//! wait for them. The builder of a scheduler calls [`register_hook`] and keeps the [`generation`]
//! of that moment; another number later means "not here". A child made by raw `clone` or `vfork`
//! runs no hook and is not recognised; such a child may call nothing but `exec` anyway.
//!
//! # Safety
//!
//! The child's hook makes one atomic addition, which is async-signal-safe, as POSIX asks.
#![expect(unsafe_code, reason = "pthread_atfork")]

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

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
        let result = unsafe { libc::pthread_atfork(None, None, Some(in_child)) };
        if result != 0 {
            return Err(io::Error::from_raw_os_error(result));
        }
        REGISTERED.store(true, Relaxed);
    }
    Ok(())
}

#[cfg(test)]
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
}
