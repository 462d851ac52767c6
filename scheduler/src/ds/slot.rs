//! The place of a closure, and later of what it returned.
//!
//! Closure and result may be large, and a stack is not. Where a function passes a value on, each
//! function in between may have a copy of it on the stack: all of them have in a debug build. So
//! `go`, `scope` and `blocking` pass places. The value moves from the parameter of the public
//! function to the heap, and from there to the result of `join` or `blocking`.
//!
//! # Safety
//!
//! The slot does not know what lies in it. Its owner does: the stage of a goroutine's packet, the
//! frame of `blocking`.
#![expect(unsafe_code, reason = "reads and writes a place that its owner guards")]

use std::cell::UnsafeCell;
use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::{self, NonNull};
use std::thread;

/// The most bytes of a value that moves to the stack of the goroutine that uses it. A larger one
/// stays on the heap: a copy would gain little and fill the stack.
pub(crate) const LARGE: usize = 512;

/// The place. It drops nothing.
pub(crate) struct Slot<F, T>(UnsafeCell<Contents<F, T>>);

/// Each lies at the beginning, which the order of fields in C says.
#[repr(C)]
union Contents<F, T> {
    f: ManuallyDrop<F>,
    value: ManuallyDrop<T>,
}

// SAFETY: the contents are one thread's at a time; the owner of the slot says whose.
unsafe impl<F: Send, T: Send> Sync for Slot<F, T> {}

impl<F, T> Slot<F, T> {
    #[cfg(test)]
    pub(crate) fn new(f: F) -> Self {
        Self(UnsafeCell::new(Contents { f: ManuallyDrop::new(f) }))
    }

    /// Returns an empty slot on the heap.
    #[inline]
    pub(crate) fn empty() -> Box<Self> {
        let memory = Box::<Self>::new_uninit();
        // SAFETY: a union of places that are empty needs no bytes.
        unsafe { memory.assume_init() }
    }

    /// Returns the place of the closure.
    #[inline(always)]
    pub(crate) fn closure(&self) -> NonNull<F> {
        NonNull::from(&self.0).cast()
    }

    /// Returns the place of the result.
    #[inline(always)]
    pub(crate) fn value(&self) -> NonNull<T> {
        NonNull::from(&self.0).cast()
    }

    /// Calls the closure, and leaves the result in its place. With an error the slot is empty.
    ///
    /// # Safety
    ///
    /// The closure lies in the slot, and is the caller's.
    pub(crate) unsafe fn call(&self) -> thread::Result<()>
    where
        F: FnOnce() -> T,
    {
        let (f, value) = (self.closure(), self.value());
        catch_unwind(AssertUnwindSafe(|| {
            if size_of::<F>() > LARGE {
                // SAFETY: this function's contract.
                unsafe { call_boxed(f, value) };
            } else {
                // SAFETY: this function's contract.
                unsafe { call_moved(f, value) };
            }
        }))
    }

    /// Drops the closure. The slot is then empty.
    ///
    /// # Safety
    ///
    /// As [`call`](Self::call).
    pub(crate) unsafe fn drop_closure(&self) -> thread::Result<()> {
        // SAFETY: this function's contract.
        catch_unwind(AssertUnwindSafe(|| unsafe { self.closure().drop_in_place() }))
    }
}

/// Moves the closure to the stack and calls it.
///
/// # Safety
///
/// As `Slot::call`.
#[inline]
unsafe fn call_moved<F: FnOnce() -> T, T>(f: NonNull<F>, value: NonNull<T>) {
    // SAFETY: the contract: the closure is there, and the caller's.
    let call = || unsafe { ptr::read(f.as_ptr()) }();
    // SAFETY: the closure is moved out before it is called, so the place is free.
    unsafe { ptr::write(value.as_ptr(), call()) };
}

/// Moves the closure to another place on the heap, from where it is called without a copy on the
/// stack: its own place is that of the result.
///
/// # Safety
///
/// As `Slot::call`.
#[inline(never)]
unsafe fn call_boxed<'a, F: FnOnce() -> T + 'a, T: 'a>(f: NonNull<F>, value: NonNull<T>) {
    let mut boxed = Box::<F>::new_uninit();
    // SAFETY: the contract: the closure is there. From here on it is in the box alone.
    unsafe { boxed.as_mut_ptr().copy_from_nonoverlapping(f.as_ptr(), 1) };
    // SAFETY: just written.
    let boxed: Box<dyn FnOnce() -> T + 'a> = unsafe { boxed.assume_init() };
    // SAFETY: the closure has been moved out, so the place is free.
    unsafe { ptr::write(value.as_ptr(), boxed()) };
}

/// The place of a goroutine's result, in a slot that is still there; or the payload of its panic.
/// Whoever has this has taken the outcome.
pub(crate) type TakenOutcome<T> = thread::Result<NonNull<T>>;

/// Moves a result that was taken out of its slot.
///
/// # Safety
///
/// The slot is still there, and this is called once for each outcome.
#[inline(always)]
pub(crate) unsafe fn read<T>(taken: TakenOutcome<T>) -> thread::Result<T> {
    match taken {
        // SAFETY: this function's contract.
        Ok(value) => Ok(unsafe { ptr::read(value.as_ptr()) }),
        Err(payload) => Err(payload),
    }
}
