//! Which functions C may call: a list of arguments and a result, with the user data in front of the
//! arguments, behind them, or anywhere between them.
//!
//! Each closure has a function with the user data in front and one with it behind. Nine more for
//! each closure would be code that hardly anybody calls. So a function with the user data elsewhere
//! is there once for all closures of a signature. It finds in the block the closure's function that
//! takes the user data in front, and jumps there: two instructions more.
//!
//! # Safety
//!
//! The trampolines pass on what C has passed. What a block of a signature keeps as its function is
//! that signature's [`First`](Signature::First).
#![expect(unsafe_code, reason = "functions that C calls")]

use super::block;
use super::types::{CReturn, CType};
use std::ffi::c_void;
use std::mem;

/// What C calls, without the user data: `fn(A, B) -> R` with up to eight arguments of [`CType`].
pub trait Signature {
    /// The function with the user data in front.
    type First: Copy + Send + Sync + 'static;
    /// The function with the user data at the end.
    type Last: Copy + Send + Sync + 'static;
    /// The result.
    type Return: CReturn;

    #[doc(hidden)]
    fn address(first: Self::First) -> *const ();
}

/// A [`Signature`] of which `N` arguments may stand in front of the user data: of `fn(A, B) -> R`,
/// 0 to 2 may.
pub trait DataAt<const N: usize>: Signature {
    /// The function with the user data there.
    type Function: Copy + Send + Sync + 'static;

    #[doc(hidden)]
    const FUNCTION: Self::Function;
}

/// A closure that can stand behind a [`Signature`] on any thread.
pub trait Closure<S: Signature>: LocalClosure<S> + Send + Sync {}

impl<S: Signature, F: LocalClosure<S> + Send + Sync> Closure<S> for F {}

/// A closure that can stand behind a [`Signature`], perhaps on its own thread only.
pub trait LocalClosure<S: Signature>: Sized + 'static {
    #[doc(hidden)]
    const FIRST: S::First;
    #[doc(hidden)]
    const LAST: S::Last;
}

/// Implements [`DataAt`] for one position: the arguments in front of it, and those behind.
macro_rules! data_at {
    ($n:literal [$($name:ident $type:ident)*] [$($behind:ident $there:ident)*]) => {
        impl<R: CReturn, $($type: CType,)* $($there: CType),*> DataAt<$n>
            for fn($($type,)* $($there),*) -> R
        {
            type Function = unsafe extern "C" fn($($type,)* *mut c_void, $($there),*) -> R;

            const FUNCTION: Self::Function = {
                unsafe extern "C" fn call<R: CReturn, $($type: CType,)* $($there: CType),*>(
                    $($name: $type,)* data: *mut c_void, $($behind: $there),*
                ) -> R {
                    // SAFETY: the user data of a callback, as C was told.
                    let first = unsafe { block::first(data) };
                    // SAFETY: a callback of this signature, as C was told.
                    let first = unsafe {
                        mem::transmute::<
                            *const (),
                            unsafe extern "C" fn(*mut c_void, $($type,)* $($there),*) -> R,
                        >(first)
                    };
                    // SAFETY: what C has passed.
                    unsafe { first(data, $($name,)* $($behind),*) }
                }
                call::<R, $($type,)* $($there),*>
            };
        }
    };
}

/// Implements [`DataAt`] from a position on.
macro_rules! positions {
    ([$n:literal $($more:literal)*] [$($front:tt)*] []) => {
        data_at!($n [$($front)*] []);
    };
    ([$n:literal $($more:literal)*] [$($front:tt)*] [$name:ident $type:ident $($behind:tt)*]) => {
        data_at!($n [$($front)*] [$name $type $($behind)*]);
        positions!([$($more)*] [$($front)* $name $type] [$($behind)*]);
    };
}

macro_rules! signatures {
    ($($name:ident $type:ident)*) => {
        impl<R: CReturn, $($type: CType),*> Signature for fn($($type),*) -> R {
            type First = unsafe extern "C" fn(*mut c_void, $($type),*) -> R;
            type Last = unsafe extern "C" fn($($type,)* *mut c_void) -> R;
            type Return = R;

            fn address(first: Self::First) -> *const () {
                first as *const ()
            }
        }

        positions!([0 1 2 3 4 5 6 7 8] [] [$($name $type)*]);

        impl<F, R: CReturn, $($type: CType),*> LocalClosure<fn($($type),*) -> R> for F
        where
            F: Fn($($type),*) -> R + 'static,
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
