//! What is done once, and values that are made once.
//!
//! # Safety
//!
//! A cell's value is written by the caller that makes it, before it is done, and read after. The
//! raw once says which.

#![expect(unsafe_code, reason = "the once says who may reach the value")]

use std::cell::{Cell, UnsafeCell};
use std::convert::Infallible;
use std::fmt;
use std::ops::Deref;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::time::{Duration, Instant};

use crate::proc::cancel::shielded;
use crate::proc::park::Parking;
use crate::proc::target::Target;
use crate::proc::yield_now::preempt_point;
use crate::sync::raw::once::{Ended, Found, RawOnce};
use gosched_runtime_sys::sync::primitive::const_fn;

/// Runs a closure once, the first caller's: `std::sync::Once`, except that the closure may wait,
/// and that other callers park until it has returned.
///
/// A closure that unwinds poisons it, as in `std`.
///
/// # Cancels
///
/// A cancel of the caller, or its time limit, does not end the closure's waits: the closure runs in
/// a [`shield`](crate::cancel::shield). So no cancel poisons a `Once` for the whole process. The
/// caller's next wait after the closure unwinds for the cancel. A [`timeout`](crate::time::timeout)
/// inside the closure ends nothing either: there, use the limits that operations have of their own.
/// The waits of other callers for the closure can be cancelled as any wait.
///
/// ```
/// use gosched::sync::Once;
///
/// static ONCE: Once = Once::new();
///
/// let mut times = 0;
/// ONCE.call_once(|| times += 1);
/// ONCE.call_once(|| times += 1);
/// assert_eq!(times, 1);
/// ```
#[doc(alias = "OnceFunc")]
pub struct Once(RawOnce<Target>);

// A closure that unwinds is told by the poison.
impl UnwindSafe for Once {}
impl RefUnwindSafe for Once {}

/// The argument of [`Once::call_once_force`]'s closure.
#[derive(Debug)]
pub struct OnceState {
    poisoned: bool,
}

impl OnceState {
    /// True if an earlier closure unwound.
    pub fn is_poisoned(&self) -> bool {
        self.poisoned
    }
}

impl Once {
    const_fn! {
        /// Returns a `Once` that has run nothing.
        #[inline]
        pub fn new() -> Self {
            Self(RawOnce::new())
        }
    }

    /// Runs `f` if no closure has run. Waits while another caller's runs. To call this from `f` is
    /// a deadlock.
    ///
    /// # Panics
    ///
    /// If an earlier closure unwound. Unwinds with `Cancelled` if the calling goroutine is
    /// cancelled while it waits.
    pub fn call_once(&self, f: impl FnOnce()) {
        self.call(f, |poisoned| assert!(!poisoned, "Once instance has previously been poisoned"));
    }

    /// As [`call_once`](Self::call_once), also after an earlier closure unwound.
    ///
    /// # Panics
    ///
    /// Unwinds with `Cancelled` if the calling goroutine is cancelled while it waits.
    pub fn call_once_force(&self, f: impl FnOnce(&OnceState)) {
        let earlier = Cell::new(false);
        self.call(|| f(&OnceState { poisoned: earlier.get() }), |poisoned| earlier.set(poisoned));
    }

    fn call(&self, f: impl FnOnce(), earlier: impl FnOnce(bool)) {
        if self.0.is_done() {
            return;
        }
        preempt_point();
        if let Found::Mine { poisoned } = self.0.begin(Parking::begin) {
            let doing = self.0.doing(true);
            earlier(poisoned);
            shielded(f);
            doing.finish();
        }
    }

    /// True if a closure has returned.
    #[inline]
    pub fn is_completed(&self) -> bool {
        self.0.is_done()
    }

    /// Waits until a closure has returned. Runs none itself.
    ///
    /// # Panics
    ///
    /// If a closure unwinds, or unwound before. Unwinds with `Cancelled` if the calling goroutine
    /// is cancelled while it waits.
    ///
    /// ```
    /// use gosched::sync::Once;
    ///
    /// static READY: Once = Once::new();
    ///
    /// let maker = std::thread::spawn(|| READY.call_once(|| ()));
    /// READY.wait();
    /// assert!(READY.is_completed());
    /// maker.join().unwrap();
    /// ```
    #[inline]
    pub fn wait(&self) {
        preempt_point();
        // Without a deadline the wait ends by what it waits for.
        let ended = self.0.wait(true, None, Parking::begin);
        assert!(ended != Ok(Ended::Poisoned), "a closure of this `Once` unwound");
    }

    /// As [`wait`](Self::wait), also after a closure unwound: waits on until one has returned.
    ///
    /// # Panics
    ///
    /// Unwinds with `Cancelled` if the calling goroutine is cancelled while it waits.
    #[inline]
    pub fn wait_force(&self) {
        preempt_point();
        let _done = self.0.wait(false, None, Parking::begin);
    }
}

/// A value that is made once: `std::sync::OnceLock`, except that the closure that makes it may
/// wait, and that other callers park until it is there.
///
/// A closure that unwinds leaves the cell empty, for the next caller's closure. That holds for a
/// cancel or a time limit, too, which may end the closure's waits.
///
/// ```
/// use gosched::sync::OnceCell;
///
/// static NAME: OnceCell<String> = OnceCell::new();
///
/// assert_eq!(NAME.get(), None);
/// assert_eq!(NAME.get_or_init(|| "first".to_owned()), "first");
/// assert_eq!(NAME.set("second".to_owned()), Err("second".to_owned()));
/// ```
pub struct OnceCell<T> {
    once: RawOnce<Target>,
    value: UnsafeCell<Option<T>>,
}

/// [`OnceCell`] under `std`'s name.
///
/// ```
/// use gosched::sync::OnceLock;
///
/// static NAME: OnceLock<String> = OnceLock::new();
///
/// assert_eq!(NAME.get_or_init(|| "first".to_owned()), "first");
/// assert_eq!(NAME.clone(), OnceLock::from("first".to_owned()));
/// assert_eq!(OnceLock::<String>::default(), OnceLock::new());
/// ```
pub type OnceLock<T> = OnceCell<T>;

// SAFETY: the value is made by one thread, seen by others, and may be dropped by another one.
unsafe impl<T: Send + Sync> Sync for OnceCell<T> {}
// SAFETY: with the cell goes the value.
unsafe impl<T: Send> Send for OnceCell<T> {}

// A cell whose closure unwound is empty; one that has a value has a whole one.
impl<T: UnwindSafe> UnwindSafe for OnceCell<T> {}
impl<T: RefUnwindSafe + UnwindSafe> RefUnwindSafe for OnceCell<T> {}

impl<T> OnceCell<T> {
    const_fn! {
        /// Returns an empty cell.
        pub fn new() -> Self {
            Self { once: RawOnce::new(), value: UnsafeCell::new(None) }
        }
    }

    /// Returns the value, if it is there.
    #[inline]
    pub fn get(&self) -> Option<&T> {
        if !self.once.is_done() {
            return None;
        }
        // SAFETY: it is done: nobody writes any more while the cell is shared.
        unsafe { &*self.value.get() }.as_ref()
    }

    /// Returns the value, if it is there. The caller alone has the cell.
    pub fn get_mut(&mut self) -> Option<&mut T> {
        self.value.get_mut().as_mut()
    }

    /// Returns the value; `f` makes it if there is none. Waits while another caller's closure makes
    /// it. To call this from `f` is a deadlock.
    ///
    /// # Panics
    ///
    /// With what `f` unwinds with. Unwinds with `Cancelled` if the calling goroutine is cancelled
    /// while it waits.
    pub fn get_or_init(&self, f: impl FnOnce() -> T) -> &T {
        if self.get().is_none() {
            let Ok(()) = self.try_init(|| Ok::<T, Infallible>(f()));
        }
        self.get().expect("it was made")
    }

    /// As [`get_or_init`](Self::get_or_init), with a closure that may fail. A failure leaves the
    /// cell empty, for the next caller's closure; callers that wait run theirs.
    ///
    /// # Errors
    ///
    /// What `f` failed with.
    ///
    /// # Panics
    ///
    /// As [`get_or_init`](Self::get_or_init).
    ///
    /// ```
    /// use gosched::sync::OnceLock;
    ///
    /// let number = OnceLock::new();
    /// assert!(number.get_or_try_init(|| "none".parse::<u32>()).is_err());
    /// assert_eq!(number.get_or_try_init(|| "7".parse::<u32>()), Ok(&7));
    /// assert_eq!(number.get_or_try_init(|| "8".parse::<u32>()), Ok(&7));
    /// ```
    pub fn get_or_try_init<E>(&self, f: impl FnOnce() -> Result<T, E>) -> Result<&T, E> {
        if self.get().is_none() {
            self.try_init(f)?;
        }
        Ok(self.get().expect("it was made"))
    }

    #[cold]
    fn try_init<E>(&self, f: impl FnOnce() -> Result<T, E>) -> Result<(), E> {
        preempt_point();
        if let Found::Mine { .. } = self.once.begin(Parking::begin) {
            // Dropped by an error as by a panic: the cell is empty, and the next caller's to fill.
            let doing = self.once.doing(false);
            let value = f()?;
            // SAFETY: it is this caller's to do, and nobody reads before it is done.
            unsafe { *self.value.get() = Some(value) };
            doing.finish();
        }
        Ok(())
    }

    /// Puts the value there, if there is none. Waits while another caller's closure makes it.
    ///
    /// # Errors
    ///
    /// The value, if there was one.
    ///
    /// # Panics
    ///
    /// Unwinds with `Cancelled` if the calling goroutine is cancelled while it waits.
    pub fn set(&self, value: T) -> Result<(), T> {
        let mut value = Some(value);
        self.get_or_init(|| value.take().expect("it is taken once"));
        value.map_or(Ok(()), Err)
    }

    /// Returns the value, once another caller has made it.
    ///
    /// # Panics
    ///
    /// Unwinds with `Cancelled` if the calling goroutine is cancelled while it waits.
    pub fn wait(&self) -> &T {
        preempt_point();
        // Without a deadline it is done in the end.
        let _done = self.once.wait(false, None, Parking::begin);
        self.get().expect("it was made")
    }

    /// Returns the value, once another caller has made it; waits at longest for `timeout`.
    ///
    /// # Panics
    ///
    /// As [`wait`](Self::wait).
    pub fn wait_timeout(&self, timeout: Duration) -> Option<&T> {
        preempt_point();
        let _done_or_not =
            self.once.wait(false, Instant::now().checked_add(timeout), Parking::begin);
        self.get()
    }

    /// Takes the value out. The cell is empty then.
    pub fn take(&mut self) -> Option<T> {
        self.once.reset();
        self.value.get_mut().take()
    }

    /// Returns the value, if it is there.
    pub fn into_inner(self) -> Option<T> {
        self.value.into_inner()
    }
}

/// The clone has a clone of the value, if it is there: it does not wait for one that is being made.
impl<T: Clone> Clone for OnceCell<T> {
    fn clone(&self) -> Self {
        self.get().cloned().map_or_else(Self::new, Self::from)
    }
}

/// Two cells without a value are equal. It does not wait for one that is being made.
impl<T: PartialEq> PartialEq for OnceCell<T> {
    fn eq(&self, other: &Self) -> bool {
        self.get() == other.get()
    }
}

impl<T: Eq> Eq for OnceCell<T> {}

impl<T> From<T> for OnceCell<T> {
    fn from(value: T) -> Self {
        Self { once: RawOnce::new_done(), value: UnsafeCell::new(Some(value)) }
    }
}

impl<T> Default for OnceCell<T> {
    fn default() -> Self {
        Self::new()
    }
}

/// A value that is made when it is first asked for: `std::sync::LazyLock`, except that the closure
/// that makes it may wait, and that other callers park until it is there.
///
/// A closure that unwinds poisons it, as in `std`: each later access panics.
///
/// A cancel of the caller, or its time limit, does not end the closure's waits: as with
/// [`Once`](Once#cancels), the closure runs in a [`shield`](crate::cancel::shield). So no cancel
/// poisons a static for the whole process, and a [`timeout`](crate::time::timeout) around or inside
/// the closure ends nothing. Where a limit is to end the closure, use a [`OnceCell`], which stays
/// empty then.
///
/// ```
/// use gosched::sync::LazyLock;
///
/// static SQUARES: LazyLock<Vec<u32>> = LazyLock::new(|| (0..10).map(|n| n * n).collect());
///
/// assert_eq!(SQUARES[3], 9);
/// ```
#[doc(alias("Lazy", "OnceValue"))]
pub struct LazyLock<T, F = fn() -> T> {
    cell: OnceCell<T>,
    make: Cell<Option<F>>,
}

// SAFETY: the closure is taken out by the caller that makes the value, on whichever thread.
unsafe impl<T: Send + Sync, F: Send> Sync for LazyLock<T, F> {}

impl<T: UnwindSafe, F: UnwindSafe> UnwindSafe for LazyLock<T, F> {}
impl<T: RefUnwindSafe + UnwindSafe, F: UnwindSafe> RefUnwindSafe for LazyLock<T, F> {}

impl<T, F: FnOnce() -> T> LazyLock<T, F> {
    const_fn! {
        /// Returns a lazy value that `make` makes.
        pub fn new(make: F) -> Self {
            Self { cell: OnceCell::new(), make: Cell::new(Some(make)) }
        }
    }

    /// Returns the value, which is made now if it was not before.
    ///
    /// # Panics
    ///
    /// If making it unwinds, or did before. Unwinds with `Cancelled` if the calling goroutine is
    /// cancelled while it waits.
    pub fn force(this: &Self) -> &T {
        this.cell.get_or_init(|| {
            let make = this.make.take();
            shielded(make.expect("LazyLock instance has previously been poisoned"))
        })
    }

    /// As [`force`](Self::force), by the caller that alone has it.
    ///
    /// # Panics
    ///
    /// If making it unwinds, or did before.
    ///
    /// ```
    /// use gosched::sync::LazyLock;
    ///
    /// let mut squares = LazyLock::new(|| vec![0, 1, 4]);
    /// assert_eq!(LazyLock::get_mut(&mut squares), None);
    /// LazyLock::force_mut(&mut squares).push(9);
    /// assert_eq!(LazyLock::get(&squares), Some(&vec![0, 1, 4, 9]));
    /// ```
    pub fn force_mut(this: &mut Self) -> &mut T {
        Self::force(this);
        this.cell.get_mut().expect("it was made")
    }
}

impl<T, F> LazyLock<T, F> {
    /// Returns the value, if it was made. Does not wait for one that is being made.
    pub fn get(this: &Self) -> Option<&T> {
        this.cell.get()
    }

    /// Returns the value, if it was made. The caller alone has it.
    pub fn get_mut(this: &mut Self) -> Option<&mut T> {
        this.cell.get_mut()
    }
}

impl<T, F: FnOnce() -> T> Deref for LazyLock<T, F> {
    type Target = T;

    fn deref(&self) -> &T {
        Self::force(self)
    }
}

impl fmt::Debug for Once {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (completed, poisoned) = (self.0.is_done(), self.0.is_poisoned());
        f.debug_struct("Once").field("completed", &completed).field("poisoned", &poisoned).finish()
    }
}

impl<T: fmt::Debug> fmt::Debug for OnceCell<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.get() {
            Some(value) => f.debug_tuple("OnceCell").field(value).finish(),
            None => f.write_str("OnceCell(<empty>)"),
        }
    }
}

impl<T: fmt::Debug, F> fmt::Debug for LazyLock<T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.cell.get() {
            Some(value) => f.debug_tuple("LazyLock").field(value).finish(),
            None => f.write_str("LazyLock(<not made>)"),
        }
    }
}
