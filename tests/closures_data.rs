//! The user data of a callback at each place among its arguments.
//!
//! # Safety
//!
//! A function is called with the user data of its own callback.
#![expect(unsafe_code, reason = "calls functions as C does")]

use std::ffi::c_void;
use std::sync::Arc;

use gosched::callback::Callback;
use gosched::{Mode, Runtime};

type Eight = fn(u8, f64, i16, f32, u64, i8, f64, u32) -> f64;

#[test]
fn the_user_data_may_be_anywhere() {
    let runtime = Runtime::builder(Mode::threads()).build().expect("a runtime");
    // Each argument counts for its place, whatever register or place on the stack it comes in.
    let weigh = |a: u8, b: f64, c: i16, d: f32, e: u64, f: i8, g: f64, h: u32| {
        let late = 1e4 * e as f64 + 1e5 * f64::from(f) + 1e6 * g + 1e7 * f64::from(h);
        f64::from(a) + 10.0 * b + 1e2 * f64::from(c) + 1e3 * f64::from(d) + late
    };
    let callback = Callback::<Eight>::new(runtime.handle(), -1.0, weigh).expect("memory");
    let data = callback.user_data();
    macro_rules! call {
        ($n:literal: $($argument:expr),*) => {{
            let function = callback.with_data_at::<$n>();
            // SAFETY: a function of this callback, with its user data.
            let weight = unsafe { function($($argument),*) };
            assert_eq!(weight, 87_654_321.0, "behind {}", $n);
        }};
    }
    call!(0: data, 1, 2.0, 3, 4.0, 5, 6, 7.0, 8);
    call!(1: 1, data, 2.0, 3, 4.0, 5, 6, 7.0, 8);
    call!(2: 1, 2.0, data, 3, 4.0, 5, 6, 7.0, 8);
    call!(3: 1, 2.0, 3, data, 4.0, 5, 6, 7.0, 8);
    call!(4: 1, 2.0, 3, 4.0, data, 5, 6, 7.0, 8);
    call!(5: 1, 2.0, 3, 4.0, 5, data, 6, 7.0, 8);
    call!(6: 1, 2.0, 3, 4.0, 5, 6, data, 7.0, 8);
    call!(7: 1, 2.0, 3, 4.0, 5, 6, 7.0, data, 8);
    call!(8: 1, 2.0, 3, 4.0, 5, 6, 7.0, 8, data);
}

#[test]
fn two_callbacks_of_a_signature_have_one_function_and_their_own_closures() {
    let runtime = Runtime::builder(Mode::threads()).build().expect("a runtime");
    let new = |captured: Arc<i32>| {
        let f = move |a: i32, b: i32| *captured + 10 * a + b;
        Callback::<fn(i32, i32) -> i32>::new(runtime.handle(), -1, f).expect("memory")
    };
    let other = Callback::<fn(i32, i32) -> i32>::new(runtime.handle(), -2, |a: i32, b: i32| a - b);
    let other = other.expect("memory");
    let captured = Arc::new(500);
    let callback = new(captured.clone());
    type Middle = unsafe extern "C" fn(i32, *mut c_void, i32) -> i32;
    let middle: Middle = callback.with_data_at::<1>();
    let call = |data| {
        // SAFETY: one function for all callbacks of this signature.
        unsafe { middle(2, data, 1) }
    };
    let data = callback.user_data();
    assert_eq!((call(data), call(other.user_data())), (521, 1));
    callback.unregister();
    assert_eq!((call(data), Arc::strong_count(&captured)), (-1, 1), "a late call");

    let by_c = new(captured.clone()).into_c();
    // SAFETY: the function and the user data of one callback.
    let called = unsafe { by_c.with_data_at::<1>()(2, by_c.user_data, 3) };
    assert_eq!(called, 523);
    // SAFETY: nothing calls it any more.
    unsafe { (by_c.drop)(by_c.user_data) };
    assert_eq!(Arc::strong_count(&captured), 1);
}
