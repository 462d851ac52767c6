//! Goroutine-locals: each goroutine has its own value, wherever it runs.
//!
//! A `thread_local!` belongs to a thread, which goroutines share; what belongs to a goroutine, and
//! is needed where no argument reaches, is kept in a [`Local`], made by
//! [`goroutine_local!`](crate::goroutine_local). Unlike a thread-local's, its initialiser may wait:
//! nobody else can see it half done.

use std::fmt;

use crate::proc::locals;

/// A value that each goroutine has for itself. Made when the goroutine asks for it first; dropped
/// when its closure has ended, the last one made first, before its joiner is told. A panic in that
/// drop ends the process.
///
/// In a callback the outermost entry is a goroutine, and its locals end with it. What
/// [`blocking`](crate::blocking()) runs on another thread has locals of its own, which end with
/// that call. A value need not be `Send`: it never leaves its goroutine.
///
/// ```
/// use gosched::{Mode, go, goroutine_local, run, yield_now};
/// use std::cell::Cell;
///
/// goroutine_local! {
///     static DEPTH: Cell<u32> = Cell::new(0);
/// }
///
/// fn deeper() -> u32 {
///     DEPTH.with(|depth| depth.set(depth.get() + 1));
///     yield_now();
///     DEPTH.with(Cell::get)
/// }
///
/// run(Mode::threads(), || {
///     let other = go(deeper);
///     assert_eq!((deeper(), deeper(), other.join().unwrap()), (1, 2, 1));
/// });
/// ```
#[doc(alias("task_local", "fiber local", "goroutine local"))]
pub struct Local<T: 'static> {
    init: fn() -> T,
}

impl<T: 'static> fmt::Debug for Local<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Local").finish_non_exhaustive()
    }
}

/// The calling thread is no goroutine, and has no locals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoGoroutine;

impl fmt::Display for NoGoroutine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a goroutine-local was used on a thread that is no goroutine")
    }
}

impl std::error::Error for NoGoroutine {}

impl<T: 'static> Local<T> {
    /// A local whose values `init` makes. It is known by its address: make it a `static`.
    #[must_use]
    pub const fn new(init: fn() -> T) -> Self {
        Self { init }
    }

    /// Calls `f` with the calling goroutine's value. Both `f` and the initialiser may wait.
    ///
    /// # Panics
    ///
    /// On a thread that is no goroutine. With what the initialiser panics with; the next call tries
    /// again.
    pub fn with<R>(&'static self, f: impl FnOnce(&T) -> R) -> R {
        self.try_with(f).expect("it is a goroutine that uses its locals")
    }

    /// As [`with`](Self::with), from any thread.
    ///
    /// # Errors
    ///
    /// [`NoGoroutine`] on a thread that is none; then `f` is not called.
    pub fn try_with<R>(&'static self, f: impl FnOnce(&T) -> R) -> Result<R, NoGoroutine> {
        locals::with(std::ptr::from_ref(self).addr(), self.init, f).ok_or(NoGoroutine)
    }
}

/// Declares goroutine-locals, as `thread_local!` does those of threads: see
/// [`local::Local`](crate::local::Local).
#[doc(alias("task_local", "thread_local", "fiber local"))]
#[macro_export]
macro_rules! goroutine_local {
    ($($(#[$meta:meta])* $visibility:vis static $name:ident: $type:ty = $init:expr;)*) => {
        $(
            $(#[$meta])*
            $visibility static $name: $crate::local::Local<$type> =
                $crate::local::Local::new(|| $init);
        )*
    };
}
