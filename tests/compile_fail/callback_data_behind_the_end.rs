//! The user data stands among the arguments that there are, and C's order of them is checked.

use gosched::callback::Callback;
use std::ffi::c_void;

type Middle = unsafe extern "C" fn(u8, *mut c_void, u16) -> u8;

fn right(callback: &Callback<fn(u8, u16) -> u8>) -> Middle {
    let _last = callback.with_data_at::<2>();
    callback.with_data_at::<1>()
}

fn wrong(callback: &Callback<fn(u8, u16) -> u8>) {
    let _behind = callback.with_data_at::<3>(); //~ E0277
}

fn wrong_order(callback: &Callback<fn(u16, u8) -> u8>) -> Middle {
    callback.with_data_at::<1>() //~ E0308
}

fn main() {
    let _ = (right as fn(&_) -> _, wrong as fn(&_), wrong_order as fn(&_) -> _);
}
