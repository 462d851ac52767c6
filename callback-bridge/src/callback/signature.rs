//! Which functions C may call: a list of arguments and a result, with the user data in front of the
//! arguments or behind them.
//!
//! # Safety
//!
//! The trampolines pass on what C has passed.
#![expect(unsafe_code, reason = "functions that C calls")]

use super::block;
use super::types::{CReturn, CType};
use std::ffi::c_void;

/// What C calls, without the user data: `fn(A, B) -> R` with up to eight arguments of [`CType`].
pub trait Signature {
    /// The function with the user data in front.
    type First: Copy + Send + Sync + 'static;
    /// The function with the user data at the end.
    type Last: Copy + Send + Sync + 'static;
    /// The result.
    type Return: CReturn;
}

/// A closure that can stand behind a [`Signature`].
pub trait Closure<S: Signature>: Send + Sync + Sized + 'static {
    #[doc(hidden)]
    const FIRST: S::First;
    #[doc(hidden)]
    const LAST: S::Last;
}

macro_rules! signatures {
    ($($name:ident $type:ident)*) => {
        impl<R: CReturn, $($type: CType),*> Signature for fn($($type),*) -> R {
            type First = unsafe extern "C" fn(*mut c_void, $($type),*) -> R;
            type Last = unsafe extern "C" fn($($type,)* *mut c_void) -> R;
            type Return = R;
        }

        impl<F, R: CReturn, $($type: CType),*> Closure<fn($($type),*) -> R> for F
        where
            F: Fn($($type),*) -> R + Send + Sync + 'static,
        {
            const FIRST: <fn($($type),*) -> R as Signature>::First = {
                unsafe extern "C" fn call<F, R: CReturn, $($type: CType),*>(
                    data: *mut c_void, $($name: $type),*
                ) -> R
                where
                    F: Fn($($type),*) -> R + 'static,
                {
                    // SAFETY: the user data of a callback with this closure, as C was told.
                    unsafe { block::call(data, |f: &F| f($($name),*)) }
                }
                call::<F, R, $($type),*>
            };
            const LAST: <fn($($type),*) -> R as Signature>::Last = {
                unsafe extern "C" fn call<F, R: CReturn, $($type: CType),*>(
                    $($name: $type,)* data: *mut c_void
                ) -> R
                where
                    F: Fn($($type),*) -> R + 'static,
                {
                    // SAFETY: as above.
                    unsafe { block::call(data, |f: &F| f($($name),*)) }
                }
                call::<F, R, $($type),*>
            };
        }
    };
}

signatures!();
signatures!(a A);
signatures!(a A b B);
signatures!(a A b B c C);
signatures!(a A b B c C d D);
signatures!(a A b B c C d D e E);
signatures!(a A b B c C d D e E g G);
signatures!(a A b B c C d D e E g G h H);
signatures!(a A b B c C d D e E g G h H i I);
