//! The frame of every exported function, and what C passes as pointers.
//!
//! # Nothing unwinds into C
//!
//! A goroutine is cancelled by an unwinding that begins in the call that it waits in. C's frames
//! have no landing pads: an unwinding through them skips what they were to undo, and is undefined
//! where the compiler was told that nothing unwinds. So [`guarded`] stands directly around each
//! wait, below all of C's frames, and makes of the unwinding a code that C's function sees. The
//! cancel stays pending, so the goroutine's next wait returns the code as well.
//!
//! # In a forked child
//!
//! Another thread of the parent's may have had any lock at the fork, and nobody gives it back. So
//! nothing of the parent's is touched in a child, and that is decided here, for all functions: a
//! handle is followed only if this process has made it ([`borrow`], [`hold`]), and a thread that
//! was a goroutine at the fork is refused before it could wait ([`guarded`]). What a child makes
//! itself is whole: statics that threads share are each process's own (`PerProcess`).
//!
//! # Safety
//!
//! The contracts of [`borrow`] and [`place`] are C's: the header says them.
#![expect(unsafe_code, reason = "follows pointers that C passes")]

use std::mem::MaybeUninit;
use std::ops::Deref;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{
    AtomicU32,
    Ordering::{Acquire, Release},
};
use std::time::Duration;

use gosched::goroutine;
use gosched_runtime_sys::errno;
use gosched_runtime_sys::thread::fork;

use crate::code::{Code, GOSCHED_FORKED, GOSCHED_OK};
use crate::failure::Failure;

/// Runs the body of an exported function. `errno` is the same afterwards as before.
pub(crate) fn guarded(body: impl FnOnce() -> Result<(), Failure>) -> Code {
    guarded_in_a_child(|| match goroutine::is_forked() {
        true => Err(Failure::plain(GOSCHED_FORKED)),
        false => body(),
    })
}

/// As [`guarded`], for what a goroutine of the parent's may do in a forked child.
pub(crate) fn guarded_in_a_child(body: impl FnOnce() -> Result<(), Failure>) -> Code {
    let errno = errno::get();
    let code = match caught(body) {
        Ok(()) => GOSCHED_OK,
        Err(failure) => failure.tell(),
    };
    errno::set(errno);
    code
}

/// Runs `body`, and makes a failure of what it unwinds with.
pub(crate) fn caught<R>(body: impl FnOnce() -> Result<R, Failure>) -> Result<R, Failure> {
    // `AssertUnwindSafe`: what the library's types leave behind when they unwind is in order.
    catch_unwind(AssertUnwindSafe(body))
        .unwrap_or_else(|payload| Err(Failure::of_payload(payload.as_ref())))
}

/// An object that C has a handle of. The handle is its address, as that of the object's type.
#[derive(Debug)]
pub(crate) struct Made<T> {
    /// The process that made it, or has made it anew, counted in forks.
    generation: AtomicU32,
    object: T,
}

impl<T> Deref for Made<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.object
    }
}

impl<T> Made<T> {
    /// Follows a handle.
    ///
    /// # Safety
    ///
    /// `handle` is NULL or from [`give`], and has a reference during `'a`.
    unsafe fn behind<'a>(handle: *const T) -> Result<&'a Self, Failure> {
        // SAFETY: this function's contract.
        let made = unsafe { handle.cast::<Self>().as_ref() };
        match made {
            None => Err(Failure::invalid("a handle is NULL")),
            // ORDERING[capi.here]: partner is the store in `is_here`: what was made anew.
            Some(made) if made.generation.load(Acquire) != fork::generation() => {
                Err(Failure::plain(GOSCHED_FORKED))
            }
            Some(made) => Ok(made),
        }
    }

    /// Says that the object is this process's from here on.
    pub(crate) fn is_here(&self) {
        // ORDERING[capi.here]: partner is the load in `behind`.
        self.generation.store(fork::generation(), Release);
    }
}

/// As [`borrow`], of the parent's as well: for what makes the object anew.
///
/// # Safety
///
/// As [`borrow`].
pub(crate) unsafe fn borrow_anew<'a, T>(handle: *const T) -> Result<&'a Made<T>, Failure> {
    // SAFETY: this function's contract.
    let made = unsafe { handle.cast::<Made<T>>().as_ref() };
    made.ok_or_else(|| Failure::invalid("a handle is NULL"))
}

/// Returns the object behind a handle, or a failure for NULL and for a handle of the parent's.
///
/// # Safety
///
/// `handle` is NULL or from [`give`], and is not given back during `'a`.
pub(crate) unsafe fn borrow<'a, T>(handle: *const T) -> Result<&'a T, Failure> {
    // SAFETY: this function's contract.
    unsafe { Made::behind(handle) }.map(|made| &made.object)
}

/// As [`borrow`], with a reference of the callee's own.
///
/// Whoever gets what a call hands over may free the handle at once, while that call has not quite
/// returned: the receiver of an answer its channel, the last waiter of a group the group. The
/// callee's reference is older than what is handed over, so the object stays until it returns.
///
/// # Safety
///
/// `handle` is NULL or from [`give`], and has a reference now.
pub(crate) unsafe fn hold<T>(handle: *const T) -> Result<Arc<Made<T>>, Failure> {
    // SAFETY: this function's contract.
    unsafe { Made::behind(handle) }?;
    // SAFETY: from `Arc::into_raw`, by this function's contract.
    unsafe { Arc::increment_strong_count(handle.cast::<Made<T>>()) };
    // SAFETY: as above; the reference was just made.
    Ok(unsafe { Arc::from_raw(handle.cast()) })
}

/// Returns the place for a result, or a failure for NULL.
///
/// # Safety
///
/// `out` is NULL or a place for a `T` that is the callee's alone during `'a`.
pub(crate) unsafe fn place<'a, T>(out: *mut T) -> Result<&'a mut MaybeUninit<T>, Failure> {
    // SAFETY: this function's contract; nothing is read there.
    unsafe { out.cast::<MaybeUninit<T>>().as_mut() }
        .ok_or_else(|| Failure::invalid("the place for the result is NULL"))
}

/// Returns a function of C's, or a failure for NULL.
pub(crate) fn given<F>(f: Option<F>) -> Result<F, Failure> {
    f.ok_or_else(|| Failure::invalid("the function is NULL"))
}

/// Makes a handle, which is one reference to `object`. Fails without memory for the fork hook.
pub(crate) fn give<T: Send + Sync>(object: T) -> Result<*mut T, Failure> {
    fork::register_hook().map_err(|error| Failure::of_system(&error))?;
    let made = Made { generation: AtomicU32::new(fork::generation()), object };
    Ok(Arc::into_raw(Arc::new(made)).cast_mut().cast())
}

/// Makes one more reference of a handle, and returns it; NULL stays NULL.
///
/// # Safety
///
/// `handle` is NULL or from [`give`], and not given back.
pub(crate) unsafe fn share<T>(handle: *mut T) -> *mut T {
    if !handle.is_null() {
        // SAFETY: from `Arc::into_raw`, with at least one reference.
        unsafe { Arc::increment_strong_count(handle.cast::<Made<T>>()) };
    }
    handle
}

/// Gives one reference back; NULL is ignored. In a forked child nothing of the parent's goes: what
/// ends there would take locks.
///
/// # Safety
///
/// As [`share`]; the reference is not used any more.
pub(crate) unsafe fn give_back<T>(handle: *mut T) -> Result<(), Failure> {
    if handle.is_null() {
        return Ok(());
    }
    // SAFETY: this function's contract.
    unsafe { Made::behind(handle) }?;
    // SAFETY: from `Arc::into_raw`, and this reference is the caller's.
    drop(unsafe { Arc::from_raw(handle.cast::<Made<T>>()) });
    Ok(())
}

/// Returns a time limit in nanoseconds as a duration.
pub(crate) fn nanoseconds(limit: u64) -> Duration {
    Duration::from_nanos(limit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::code::{GOSCHED_INVALID, GOSCHED_PANICKED};

    #[test]
    fn a_panic_is_a_code_and_errno_stays() {
        errno::set(7);
        let code = guarded(|| {
            errno::set(9);
            std::panic::resume_unwind(Box::new("boo"))
        });
        assert_eq!((code, errno::get()), (GOSCHED_PANICKED, 7));
    }

    #[test]
    fn null_is_seen() {
        // SAFETY: NULL is allowed.
        let handle = unsafe { borrow::<u8>(std::ptr::null()) };
        assert_eq!(handle.map_err(|failure| failure.code()), Err(GOSCHED_INVALID));
        // SAFETY: as above.
        assert!(unsafe { place::<u8>(std::ptr::null_mut()) }.is_err());
        // SAFETY: as above.
        assert!(unsafe { share::<u8>(std::ptr::null_mut()) }.is_null());
    }

    #[test]
    fn the_last_reference_drops_the_object() {
        let there = Arc::new(());
        let handle = give(there.clone()).expect("memory");
        // SAFETY: from `give`.
        assert_eq!(unsafe { share(handle) }, handle);
        for left in [2, 1] {
            // SAFETY: each reference once.
            unsafe { give_back(handle) }.expect("it cannot fail");
            assert_eq!(Arc::strong_count(&there), left);
        }
    }
}
