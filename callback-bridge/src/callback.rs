//! Closures that C calls: a function pointer and user data.
//!
//! # Safety
//!
//! A [`Callback`] owns its block until it is ended, which it does once: when it is dropped, or by
//! the function that C has got.
#![expect(unsafe_code, reason = "the owner of a block that C points to")]

mod block;
mod calling;
mod local;
mod signature;
mod types;

use crate::bridge::Binding;
use crate::error::CloseError;
use crate::extra::entrance::Entrance;
use block::{Block, Header, KEPT, Late};
use gosched_runtime_sys::errno;
use gosched_scheduler::embed::Handle;
use std::ffi::c_void;
use std::mem::{self, ManuallyDrop};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::NonNull;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};
use std::{fmt, io};

pub use local::{LocalCallback, leaked_callbacks};
pub use signature::{Closure, DataAt, LocalClosure, Signature};
pub use types::{CReturn, CType, Otherwise};

/// A closure that C calls by a function pointer with user data, as a goroutine of a runtime.
///
/// `S` is what C calls, without the user data: `fn(c_int) -> c_int`. C may call from any thread,
/// several at once, and in a call of the same callback. Each call is an
/// [`enter`](crate::Bridge::enter). A closure that is bound to its thread is a [`LocalCallback`].
///
/// When the callback is dropped or [unregistered](Self::unregister), no closure runs any more, and
/// what the closure has captured is dropped. C may call even then, by a pointer that it has kept:
/// it gets [`Otherwise::refused`]. For such calls some hundred bytes stay for each callback, for
/// good; [`kept_callbacks`] counts them. Where C takes a function that ends the user data,
/// [`into_c`](Self::into_c) leaves nothing behind.
///
/// ```
/// use gosched::callback::Callback;
/// use gosched::{Mode, Runtime, chan};
/// use std::ffi::c_void;
///
/// /// As a C library declares it.
/// unsafe extern "C" fn each(n: i32, f: Each, user: *mut c_void) -> i32 {
///     // SAFETY: the two belong together.
///     (0..n).map(|i| unsafe { f(i, user) }).sum()
/// }
/// type Each = unsafe extern "C" fn(i32, *mut c_void) -> i32;
///
/// let runtime = Runtime::builder(Mode::threads()).build()?;
/// let (tx, rx) = chan::unbounded();
/// let callback: Callback<fn(i32) -> i32> =
///     Callback::new(runtime.handle(), -1, move |i: i32| {
///         tx.send(i).unwrap();
///         i * 2
///     })?;
/// // SAFETY: the function and the user data of one callback, which is there.
/// assert_eq!(unsafe { each(3, callback.with_data_last(), callback.user_data()) }, 6);
/// assert_eq!(rx.try_iter().collect::<Vec<_>>(), [0, 1, 2]);
/// let (late, user) = (callback.with_data_last(), callback.user_data());
/// callback.unregister();
/// assert!(rx.recv().is_err(), "what was captured is gone");
/// // SAFETY: as above; a late call.
/// assert_eq!(unsafe { each(1, late, user) }, -1);
/// # Ok::<(), std::io::Error>(())
/// ```
#[doc(alias("closure", "trampoline", "userdata", "void*"))]
#[must_use = "a callback that is dropped is unregistered"]
pub struct Callback<S: Signature> {
    header: NonNull<Header>,
    functions: Functions<S>,
    end: unsafe fn(NonNull<Header>, Late),
    drop_by_c: unsafe extern "C" fn(*mut c_void),
}

struct Functions<S: Signature> {
    first: S::First,
    last: S::Last,
}

/// A callback that C owns, from [`Callback::into_c`].
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct OwnedByC<S: Signature> {
    /// The function, if it takes the user data first.
    pub with_data_first: S::First,
    /// The function, if it takes the user data last.
    pub with_data_last: S::Last,
    /// The user data.
    pub user_data: *mut c_void,
    /// Ends the user data.
    ///
    /// # Safety
    ///
    /// It is called once. No other call is under way, except those that this one is in, and none
    /// comes later.
    pub drop: unsafe extern "C" fn(*mut c_void),
}

// SAFETY: closures are `Send` and `Sync`, or belong to a thread, which is asked before one is
// called or dropped; the owner only names the block.
unsafe impl<S: Signature> Send for Callback<S> {}
// SAFETY: as above.
unsafe impl<S: Signature> Sync for Callback<S> {}
// What a panic in the closure leaves is the closure's; calls are caught.
impl<S: Signature> std::panic::UnwindSafe for Callback<S> {}
impl<S: Signature> std::panic::RefUnwindSafe for Callback<S> {}

impl<S: Signature> Callback<S> {
    /// Makes a callback into the runtime of `handle`, [`Binding::UntilThreadExit`].
    ///
    /// # Errors
    ///
    /// If there is no memory for the process's fork hook.
    pub fn new<F: Closure<S>>(
        handle: Handle,
        otherwise: impl Into<Otherwise<S::Return>>,
        f: F,
    ) -> io::Result<Self> {
        Self::with_binding(handle, Binding::default(), otherwise, f)
    }

    /// As [`new`](Self::new), with another binding.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn with_binding<F: Closure<S>>(
        handle: Handle,
        binding: Binding,
        otherwise: impl Into<Otherwise<S::Return>>,
        f: F,
    ) -> io::Result<Self> {
        Self::on(0, handle, binding, otherwise.into(), f)
    }

    /// Makes a callback whose closure belongs to the thread with this number; 0: to any.
    fn on<F: LocalClosure<S>>(
        thread: u64,
        handle: Handle,
        binding: Binding,
        otherwise: Otherwise<S::Return>,
        f: F,
    ) -> io::Result<Self> {
        let first = S::address(F::FIRST);
        let header = Header { entrance: Entrance::new(handle)?, binding, first, thread };
        let header = Block::leak(header, otherwise, f);
        let functions = Functions { first: F::FIRST, last: F::LAST };
        let end = Block::<F, S::Return>::end;
        Ok(Self { header, functions, end, drop_by_c: drop_by_c::<F, S::Return> })
    }

    /// Returns the user data, which belongs to the functions of this callback and to no other.
    pub fn user_data(&self) -> *mut c_void {
        self.header.as_ptr().cast()
    }

    /// Returns the function that takes the user data in front of its arguments.
    ///
    /// To call it is unsafe: with this callback's [user data](Self::user_data), and with arguments
    /// that the closure can do with. It may be called after the callback was dropped.
    pub fn with_data_first(&self) -> S::First {
        self.functions.first
    }

    /// Returns the function that takes the user data behind its arguments. As
    /// [`with_data_first`](Self::with_data_first).
    pub fn with_data_last(&self) -> S::Last {
        self.functions.last
    }

    /// Returns the function that takes the user data behind its first `N` arguments. Wherever
    /// `S` has not so many, that does not compile. As [`with_data_first`](Self::with_data_first).
    ///
    /// ```
    /// use gosched::callback::Callback;
    /// use gosched::{Mode, Runtime};
    /// use std::ffi::c_void;
    ///
    /// /// As a C library declares it.
    /// type Compare = unsafe extern "C" fn(*const u8, *mut c_void, *const u8) -> i32;
    ///
    /// let runtime = Runtime::builder(Mode::threads()).build()?;
    /// let callback: Callback<fn(*const u8, *const u8) -> i32> =
    ///     Callback::new(runtime.handle(), 0, |a: *const u8, b: *const u8| a.cmp(&b) as i32)?;
    /// let compare: Compare = callback.with_data_at::<1>();
    /// let text = b"ab";
    /// // SAFETY: the function and the user data of one callback, which is there.
    /// let order = unsafe { compare(&text[0], callback.user_data(), &text[1]) };
    /// assert_eq!(order, -1);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn with_data_at<const N: usize>(&self) -> <S as DataAt<N>>::Function
    where
        S: DataAt<N>,
    {
        S::FUNCTION
    }

    /// Refuses new calls, and waits for those under way, at longest for `grace`. The caller's own
    /// calls are not waited for.
    ///
    /// What the closure has captured stays until the callback is dropped.
    ///
    /// # Errors
    ///
    /// [`CloseError::Running`] if calls are left when `grace` is over. [`CloseError::Forked`] in a
    /// forked child.
    pub fn close(&self, grace: Duration) -> Result<(), CloseError> {
        // SAFETY: the block is this value's.
        let header = unsafe { self.header.as_ref() };
        block::close(header, Instant::now().checked_add(grace))
    }

    /// Refuses new calls, waits for those under way, and drops what the closure has captured. So
    /// does dropping the callback.
    ///
    /// The caller's own calls are not waited for: a callback may be unregistered or dropped inside
    /// of itself. Then the closure is dropped when the outermost of these calls has returned. No
    /// cancel ends the wait.
    ///
    /// It waits for ever if a call under way waits for the caller. [`close`](Self::close) has a
    /// limit. In a forked child it does not wait, and drops nothing.
    pub fn unregister(self) {
        drop(self);
    }

    /// Gives the callback to C, with the function that ends it: what the closure has captured is
    /// dropped there, and nothing stays.
    pub fn into_c(self) -> OwnedByC<S> {
        let this = ManuallyDrop::new(self);
        OwnedByC {
            with_data_first: this.functions.first,
            with_data_last: this.functions.last,
            user_data: this.user_data(),
            drop: this.drop_by_c,
        }
    }
}

impl<S: Signature> OwnedByC<S> {
    /// Returns the function that takes the user data behind its first `N` arguments, as
    /// [`Callback::with_data_at`].
    pub fn with_data_at<const N: usize>(&self) -> <S as DataAt<N>>::Function
    where
        S: DataAt<N>,
    {
        S::FUNCTION
    }
}

/// Returns for how many callbacks, of any signature, the process keeps memory for late calls: those
/// that were dropped or unregistered.
#[must_use]
#[inline]
pub fn kept_callbacks() -> usize {
    KEPT.load(Relaxed)
}

/// Ends a callback that C owns.
///
/// # Safety
///
/// As the field `drop` of [`OwnedByC`] says, for a callback of these types.
unsafe extern "C" fn drop_by_c<F: 'static, R: CReturn>(data: *mut c_void) {
    let errno = errno::get();
    let end = || {
        let header = NonNull::new(data.cast()).expect("the user data");
        // SAFETY: as the caller says.
        unsafe { Block::<F, R>::end(header, Late::Nothing) };
    };
    mem::forget(catch_unwind(AssertUnwindSafe(end)));
    errno::set(errno);
}

impl<S: Signature> Drop for Callback<S> {
    fn drop(&mut self) {
        // SAFETY: the block is this value's, which ends here.
        unsafe { (self.end)(self.header, Late::Calls) };
    }
}

impl<S: Signature> fmt::Debug for Callback<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Callback").field("user_data", &self.user_data()).finish_non_exhaustive()
    }
}

impl<S: Signature> fmt::Debug for OwnedByC<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnedByC").field("user_data", &self.user_data).finish_non_exhaustive()
    }
}
