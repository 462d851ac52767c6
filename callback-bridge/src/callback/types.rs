//! What C and Rust pass to each other.
//!
//! # Safety
//!
//! Each type here is one that C has, too.
#![expect(unsafe_code, reason = "says which types C has")]

use crate::error::EnterError;

/// A type that C and Rust pass to each other by value in the same way.
///
/// Implemented for numbers, `bool` and raw pointers. A `#[repr(C)]` structure of such types may
/// implement it.
///
/// # Safety
///
/// The type is `repr(C)` or `repr(transparent)`, or has a fixed `repr`. All that a C function of
/// that declaration may pass is a valid value. A value may be used on any thread.
pub unsafe trait CType: Copy + 'static {}

/// A result that Rust returns to C: a [`CType`], or nothing.
///
/// # Safety
///
/// As that of [`CType`].
pub unsafe trait CReturn: Copy + 'static {}

// SAFETY: the same contract.
unsafe impl<T: CType> CReturn for T {}
// SAFETY: nothing is passed.
unsafe impl CReturn for () {}

macro_rules! c_types {
    ($($type:ty)*) => { $(
        // SAFETY: a primitive type that C has, too.
        unsafe impl CType for $type {}
    )* };
}

c_types!(i8 i16 i32 i64 isize u8 u16 u32 u64 usize f32 f64 bool);

// SAFETY: a thin pointer, which may have any value.
unsafe impl<T: 'static> CType for *const T {}
// SAFETY: as above.
unsafe impl<T: 'static> CType for *mut T {}

/// What C gets where the closure returns nothing.
///
/// A value of the closure's type stands for all three.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Otherwise<R> {
    /// The closure did not run: the callback was unregistered, its runtime is shut down, or this
    /// is a forked child, a signal handler, or a thread for which there is no memory.
    pub refused: R,
    /// The closure panicked.
    pub panicked: R,
    /// The closure was cancelled and unwound, as by a shutdown while it waited.
    pub cancelled: R,
}

impl<R: Copy> From<R> for Otherwise<R> {
    fn from(value: R) -> Self {
        Self { refused: value, panicked: value, cancelled: value }
    }
}

impl<R: Copy> Otherwise<R> {
    /// Returns the value for this error.
    pub(super) fn for_error(&self, error: &EnterError) -> R {
        match error {
            EnterError::Panicked(_) => self.panicked,
            EnterError::Cancelled(_) | EnterError::TimedOut => self.cancelled,
            _ => self.refused,
        }
    }
}
