//! The functions of `hosts/foreign/host.js`, and as much of Node-API as they need.
//!
//! # Safety
//!
//! The functions are looked up in the program that has loaded this library: Node, if it calls
//! `napi_register_module_v1`. An environment and its values are used by their thread, in a call.
#![expect(unsafe_code, reason = "calls into Node")]

use crate::foreign;
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::{mem, ptr};

/// An environment.
pub type Env = *mut c_void;
/// A value of JavaScript.
pub type Value = *mut c_void;
/// A function of this module, as Node calls it.
type Function = unsafe extern "C" fn(Env, *mut c_void) -> Value;

/// Calls a function of Node-API by its name, with arguments of its types.
macro_rules! napi {
    ($name:ident($($argument:expr => $type:ty),* $(,)?)) => {{
        let name = concat!(stringify!($name), "\0").as_ptr().cast();
        // SAFETY: looks up a name, which ends with a zero.
        let function = unsafe { libc::dlsym(libc::RTLD_DEFAULT, name) };
        assert!(!function.is_null(), "Node has no {}", stringify!($name));
        type Type = unsafe extern "C" fn($($type),*) -> c_int;
        // SAFETY: the type of this function, as `node_api.h` has it.
        let function: Type = unsafe { mem::transmute(function) };
        // SAFETY: on the environment's thread; the pointers are to locals.
        unsafe { function($($argument),*) }
    }};
}

/// Returns the arguments of a call, as many as there are and at most two.
fn arguments(env: Env, info: *mut c_void) -> [Value; 2] {
    let mut values = [ptr::null_mut(); 2];
    let mut count = 2_usize;
    napi!(napi_get_cb_info(
        env => Env, info => *mut c_void, &raw mut count => *mut usize,
        values.as_mut_ptr() => *mut Value, ptr::null_mut() => *mut Value,
        ptr::null_mut() => *mut *mut c_void,
    ));
    values
}

fn number(env: Env, value: Value) -> i64 {
    let mut number = 0;
    napi!(napi_get_value_int64(env => Env, value => Value, &raw mut number => *mut i64));
    number
}

fn value(env: Env, number: i64) -> Value {
    let mut value = ptr::null_mut();
    napi!(napi_create_int64(env => Env, number => i64, &raw mut value => *mut Value));
    value
}

unsafe extern "C" fn begin(env: Env, info: *mut c_void) -> Value {
    let [bound, storm] = arguments(env, info).map(|value| number(env, value) as c_int);
    value(env, foreign::host_begin(bound, storm).into())
}

unsafe extern "C" fn call(env: Env, info: *mut c_void) -> Value {
    value(env, foreign::host_call(number(env, arguments(env, info)[0])))
}

unsafe extern "C" fn callbacks(env: Env, _info: *mut c_void) -> Value {
    value(env, foreign::host_callbacks())
}

unsafe extern "C" fn end(env: Env, _info: *mut c_void) -> Value {
    value(env, foreign::host_end().into())
}

unsafe extern "C" fn check(env: Env, info: *mut c_void) -> Value {
    let [right, what] = arguments(env, info);
    let mut yes = false;
    napi!(napi_get_value_bool(env => Env, right => Value, &raw mut yes => *mut bool));
    let mut text = [0_u8; 200];
    let room: *mut c_char = text.as_mut_ptr().cast();
    napi!(napi_get_value_string_utf8(
        env => Env, what => Value, room => *mut c_char, text.len() => usize,
        ptr::null_mut() => *mut usize,
    ));
    // SAFETY: it ends with a zero.
    unsafe { foreign::host_check(yes.into(), room) };
    ptr::null_mut()
}

/// What `called` needs; the value that JavaScript has returned, null if it has thrown.
struct Call {
    env: Env,
    function: Value,
    returned: Value,
}

unsafe extern "C" fn called(number: i64, user: *mut c_void) -> i64 {
    // SAFETY: the value of `callback`.
    let call = unsafe { &mut *user.cast::<Call>() };
    let argument = value(call.env, number);
    let (mut this, mut returned) = (ptr::null_mut(), ptr::null_mut());
    napi!(napi_get_undefined(call.env => Env, &raw mut this => *mut Value));
    napi!(napi_call_function(
        call.env => Env, this => Value, call.function => Value, 1 => usize,
        &raw const argument => *const Value, &raw mut returned => *mut Value,
    ));
    call.returned = returned;
    0
}

/// `callback(f, value)`: a callback that calls `f` in the middle, and returns what that returns.
unsafe extern "C" fn callback(env: Env, info: *mut c_void) -> Value {
    let [function, argument] = arguments(env, info);
    let mut call = Call { env, function, returned: ptr::null_mut() };
    let number = number(env, argument);
    // SAFETY: a function and its user data. An exception is pending when this returns.
    unsafe { foreign::host_call_fn(called, number, (&raw mut call).cast()) };
    call.returned
}

/// Work for the pool, and the promise that it resolves.
struct Work {
    value: i64,
    answer: i64,
    promise: *mut c_void,
    work: *mut c_void,
}

/// On a thread of the pool: the environment is not to be used.
unsafe extern "C" fn on_pool(_env: Env, work: *mut c_void) {
    // SAFETY: the value of `call_async`.
    let work = unsafe { &mut *work.cast::<Work>() };
    work.answer = foreign::host_call(work.value);
}

/// On the environment's thread, later.
unsafe extern "C" fn on_done(env: Env, _status: c_int, work: *mut c_void) {
    // SAFETY: the value of `call_async`, which comes here once.
    let work = unsafe { Box::from_raw(work.cast::<Work>()) };
    let answer = value(env, work.answer);
    napi!(napi_resolve_deferred(env => Env, work.promise => *mut c_void, answer => Value));
    napi!(napi_delete_async_work(env => Env, work.work => *mut c_void));
}

/// `callAsync(value)`: a promise of what `call` would return.
unsafe extern "C" fn call_async(env: Env, info: *mut c_void) -> Value {
    let null = ptr::null_mut();
    let number = number(env, arguments(env, info)[0]);
    let mut work = Box::new(Work { value: number, answer: -1, promise: null, work: null });
    let (mut promise, mut name) = (null, null);
    napi!(napi_create_promise(
        env => Env, &raw mut work.promise => *mut *mut c_void, &raw mut promise => *mut Value,
    ));
    napi!(napi_create_string_utf8(
        env => Env, c"call".as_ptr() => *const c_char, 4 => usize, &raw mut name => *mut Value,
    ));
    let work = Box::into_raw(work);
    type OnPool = unsafe extern "C" fn(Env, *mut c_void);
    type OnDone = unsafe extern "C" fn(Env, c_int, *mut c_void);
    let mut handle = null;
    napi!(napi_create_async_work(
        env => Env, null => Value, name => Value, on_pool => OnPool, on_done => OnDone,
        work.cast() => *mut c_void, &raw mut handle => *mut *mut c_void,
    ));
    // SAFETY: it is not queued yet.
    unsafe { (*work).work = handle };
    napi!(napi_queue_async_work(env => Env, handle => *mut c_void));
    promise
}

/// Gives Node the functions: once for each environment.
///
/// # Safety
///
/// Called by Node.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn napi_register_module_v1(env: Env, exports: Value) -> Value {
    let functions: [(&CStr, Function); 7] = [
        (c"begin", begin),
        (c"call", call),
        (c"callback", callback),
        (c"callAsync", call_async),
        (c"callbacks", callbacks),
        (c"check", check),
        (c"end", end),
    ];
    for (name, function) in functions {
        let name: CString = name.into();
        let mut made = ptr::null_mut();
        napi!(napi_create_function(
            env => Env, name.as_ptr() => *const c_char, usize::MAX => usize,
            function => Function, ptr::null_mut() => *mut c_void, &raw mut made => *mut Value,
        ));
        napi!(napi_set_named_property(
            env => Env, exports => Value, name.as_ptr() => *const c_char, made => Value,
        ));
    }
    exports
}
