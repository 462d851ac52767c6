//! Closures that are bound to a thread.
//!
//! The owner does not leave the thread, which the compiler sees to; so it ends the closure where it
//! belongs. What C has may go anywhere, and is asked each time: a call on another thread is
//! refused, and an end on another thread leaves the closure where it is (`callback/block.rs`).
//!
//! A call is on the closure's thread from its first instruction to its last, however it waits: a
//! thread outside of goroutines sleeps, and a goroutine is pinned, because C's frames lie below it.

use super::block::LEAKED;
use super::signature::{DataAt, LocalClosure, Signature};
use super::types::Otherwise;
use super::{Callback, OwnedByC};
use crate::bridge::Binding;
use crate::error::CloseError;
use gosched_runtime_sys::thread::tls;
use gosched_scheduler::embed::Handle;
use std::ffi::c_void;
use std::marker::PhantomData;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use std::{fmt, io};

/// A [`Callback`] whose closure may capture what is bound to its thread, such as an [`Rc`]: for a C
/// library that calls on the thread that has registered the callback, as the loop of a user
/// interface does.
///
/// The thread is that on which the callback is made. A call on another one does not run the
/// closure, and C gets [`Otherwise::refused`].
///
/// ```
/// use gosched::callback::LocalCallback;
/// use gosched::{Mode, Runtime};
/// use std::cell::Cell;
/// use std::rc::Rc;
///
/// let runtime = Runtime::builder(Mode::threads()).build()?;
/// let sum = Rc::new(Cell::new(0));
/// let captured = sum.clone();
/// let callback: LocalCallback<fn(i32)> =
///     LocalCallback::new(runtime.handle(), (), move |n: i32| captured.set(captured.get() + n))?;
/// // SAFETY: the function and the user data of one callback, which is there.
/// unsafe { callback.with_data_last()(7, callback.user_data()) };
/// drop(callback);
/// assert_eq!(Rc::into_inner(sum).expect("what was captured is gone").get(), 7);
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// [`Rc`]: std::rc::Rc
#[doc(alias("!Send", "fragile", "SendWrapper", "spawn_local", "main thread"))]
#[must_use = "a callback that is dropped is unregistered"]
pub struct LocalCallback<S: Signature> {
    callback: Callback<S>,
    /// Not `Send`: its drop drops the closure.
    bound: PhantomData<*const ()>,
}

impl<S: Signature> LocalCallback<S> {
    /// As [`Callback::new`], for the calling thread.
    ///
    /// # Errors
    ///
    /// As [`Callback::new`].
    pub fn new<F: LocalClosure<S>>(
        handle: Handle,
        otherwise: impl Into<Otherwise<S::Return>>,
        f: F,
    ) -> io::Result<Self> {
        Self::with_binding(handle, Binding::default(), otherwise, f)
    }

    /// As [`Callback::with_binding`], for the calling thread.
    ///
    /// # Errors
    ///
    /// As [`Callback::new`].
    pub fn with_binding<F: LocalClosure<S>>(
        handle: Handle,
        binding: Binding,
        otherwise: impl Into<Otherwise<S::Return>>,
        f: F,
    ) -> io::Result<Self> {
        let callback = Callback::on(tls::thread_number(), handle, binding, otherwise.into(), f)?;
        Ok(Self { callback, bound: PhantomData })
    }

    /// As [`Callback::user_data`].
    pub fn user_data(&self) -> *mut c_void {
        self.callback.user_data()
    }

    /// As [`Callback::with_data_first`].
    pub fn with_data_first(&self) -> S::First {
        self.callback.with_data_first()
    }

    /// As [`Callback::with_data_last`].
    pub fn with_data_last(&self) -> S::Last {
        self.callback.with_data_last()
    }

    /// As [`Callback::with_data_at`].
    pub fn with_data_at<const N: usize>(&self) -> <S as DataAt<N>>::Function
    where
        S: DataAt<N>,
    {
        self.callback.with_data_at()
    }

    /// As [`Callback::close`].
    ///
    /// # Errors
    ///
    /// As [`Callback::close`].
    pub fn close(&self, grace: Duration) -> Result<(), CloseError> {
        self.callback.close(grace)
    }

    /// As [`Callback::unregister`].
    pub fn unregister(self) {
        drop(self);
    }

    /// As [`Callback::into_c`]. If C ends it on another thread, what the closure has captured is
    /// never dropped, and [`leaked_callbacks`] counts it.
    pub fn into_c(self) -> OwnedByC<S> {
        self.callback.into_c()
    }
}

/// Returns how many closures of [`LocalCallback`]s stay for good, because C has ended them on
/// another thread than their own.
#[must_use]
#[inline]
pub fn leaked_callbacks() -> usize {
    LEAKED.load(Relaxed)
}

impl<S: Signature> fmt::Debug for LocalCallback<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalCallback")
            .field("user_data", &self.user_data())
            .finish_non_exhaustive()
    }
}
