//! The natives of `hosts/foreign/Host.java`, and as much of JNI as they need.
//!
//! # Safety
//!
//! The functions of JNI are reached by their place in its table, which never changes. An
//! environment belongs to its thread; classes that go to other threads are global references.
#![expect(unsafe_code, reason = "calls into the virtual machine")]

use crate::foreign;
use crate::frame::Host;
use crate::state;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::{mem, ptr};

/// The environment of a thread: a table of functions.
pub type Env = *mut *const [*const c_void; 229];
/// The virtual machine: another one.
pub type Machine = *mut *const [*const c_void; 8];
/// An object, a class, a method.
pub type Object = *mut c_void;

const FIND_CLASS: usize = 6;
const EXCEPTION_DESCRIBE: usize = 16;
const NEW_GLOBAL_REF: usize = 21;
const GET_STATIC_METHOD: usize = 113;
const CALL_STATIC_LONG: usize = 134;
const CALL_STATIC_VOID: usize = 143;
const STRING_CHARACTERS: usize = 169;
const RELEASE_CHARACTERS: usize = 170;
const REGISTER_NATIVES: usize = 215;
const GET_MACHINE: usize = 219;
const EXCEPTION_CHECK: usize = 228;
const ATTACH: usize = 4;
const DETACH: usize = 5;

/// Returns a function of a table.
///
/// # Safety
///
/// `T` is the type of the function at this place of the table.
pub unsafe fn function<T: Copy, const N: usize>(
    table: *mut *const [*const c_void; N],
    at: usize,
) -> T {
    // SAFETY: an environment, or the machine.
    let table = unsafe { *table };
    // SAFETY: the table is there for good.
    let functions = unsafe { &*table };
    // SAFETY: as the caller says.
    unsafe { mem::transmute_copy(&functions[at]) }
}

type FindClass = unsafe extern "C" fn(Env, *const c_char) -> Object;
type OfObject = unsafe extern "C" fn(Env, Object) -> Object;
type GetMethod = unsafe extern "C" fn(Env, Object, *const c_char, *const c_char) -> Object;
type CallLong = unsafe extern "C" fn(Env, Object, Object, *const i64) -> i64;
type CallVoid = unsafe extern "C" fn(Env, Object, Object, *const i64);
type Characters = unsafe extern "C" fn(Env, Object, *mut u8) -> *const c_char;
type Release = unsafe extern "C" fn(Env, Object, *const c_char);
type Register = unsafe extern "C" fn(Env, Object, *const Native, c_int) -> c_int;
type GetMachine = unsafe extern "C" fn(Env, *mut Machine) -> c_int;
type Attach = unsafe extern "C" fn(Machine, *mut Env, *mut c_void) -> c_int;
type OfMachine = unsafe extern "C" fn(Machine) -> c_int;
type OfEnv = unsafe extern "C" fn(Env) -> u8;
type Describe = unsafe extern "C" fn(Env);

/// What the calls into Java need.
struct Java {
    env: Env,
    class: Object,
}

impl Java {
    /// Calls `Host.inCallback`. If it throws, the exception is pending, and the value is nothing.
    fn in_callback(&self, value: i64) -> i64 {
        let Self { env, class } = *self;
        // SAFETY: the type of this function.
        let method: GetMethod = unsafe { function(env, GET_STATIC_METHOD) };
        // SAFETY: this thread's environment, without a pending exception.
        let method = unsafe { method(env, class, c"inCallback".as_ptr(), c"(J)J".as_ptr()) };
        // SAFETY: the type of this function.
        let call: CallLong = unsafe { function(env, CALL_STATIC_LONG) };
        // SAFETY: one argument, a long.
        unsafe { call(env, class, method, &raw const value) }
    }
}

unsafe extern "C" fn in_callback(value: i64, java: *mut c_void) -> i64 {
    // SAFETY: the value of `Java_Host_callback`, on its thread.
    let java = unsafe { &*java.cast::<Java>() };
    java.in_callback(value)
}

/// `Host.begin`.
#[unsafe(no_mangle)]
pub extern "system" fn Java_Host_begin(_: Env, _: Object, bound: c_int, storm: c_int) -> c_int {
    foreign::host_begin(bound, storm)
}

/// `Host.call`.
#[unsafe(no_mangle)]
pub extern "system" fn Java_Host_call(_: Env, _: Object, value: i64) -> i64 {
    foreign::host_call(value)
}

/// `Host.callback`.
///
/// # Safety
///
/// Called by the virtual machine.
#[unsafe(no_mangle)]
pub unsafe extern "system" fn Java_Host_callback(env: Env, class: Object, value: i64) -> i64 {
    let mut java = Java { env, class };
    // SAFETY: a function and its user data.
    unsafe { foreign::host_call_fn(in_callback, value, (&raw mut java).cast()) }
}

/// An address that another thread may use, as JNI says of it.
struct Global(*mut c_void);
// SAFETY: the machine, and global references, are for all threads.
unsafe impl Send for Global {}

impl Global {
    fn get(&self) -> *mut c_void {
        self.0
    }
}

/// `Host.onThread`: a guard keeps the thread inside while it is the virtual machine's, too.
///
/// # Safety
///
/// Called by the virtual machine.
#[unsafe(no_mangle)]
pub unsafe extern "system" fn Java_Host_onThread(env: Env, class: Object, value: i64) -> i64 {
    let mut machine: Machine = ptr::null_mut();
    // SAFETY: the type of this function.
    let get: GetMachine = unsafe { function(env, GET_MACHINE) };
    // SAFETY: this thread's environment.
    unsafe { get(env, &raw mut machine) };
    // SAFETY: the type of this function.
    let global: OfObject = unsafe { function(env, NEW_GLOBAL_REF) };
    // SAFETY: an object of this call.
    let (class, machine) = (Global(unsafe { global(env, class) }), Global(machine.cast()));
    let body = move || on_thread(machine.get().cast(), class.get(), value);
    std::thread::spawn(body).join().unwrap_or(-1)
}

fn on_thread(machine: Machine, class: Object, value: i64) -> i64 {
    let Some(host) = foreign::host() else { return -1 };
    let answer = host.around(|| {
        let attached = host.bridge().attach().ok()?;
        // The virtual machine sets `errno` when it attaches a thread.
        let answer = state::keeping_errno(|| {
            let env = attach(machine);
            let answer = (Java { env, class }.in_callback(value), host.ask(value));
            detach(machine);
            answer
        });
        drop(attached);
        Some(answer)
    });
    let (called, asked) = answer.unwrap_or((-1, -1));
    host.account(value, asked);
    called
}

fn detach(machine: Machine) {
    // SAFETY: the type of this function.
    let detach: OfMachine = unsafe { function(machine, DETACH) };
    // SAFETY: it is attached, and no Java frame is on it.
    unsafe { detach(machine) };
}

fn attach(machine: Machine) -> Env {
    let mut env: Env = ptr::null_mut();
    // SAFETY: the type of this function.
    let attach: Attach = unsafe { function(machine, ATTACH) };
    // SAFETY: it writes the environment of this thread.
    unsafe { attach(machine, &raw mut env, ptr::null_mut()) };
    env
}

/// `Host.check`.
///
/// # Safety
///
/// Called by the virtual machine.
#[unsafe(no_mangle)]
pub unsafe extern "system" fn Java_Host_check(env: Env, _: Object, right: u8, what: Object) {
    if right != 0 {
        return;
    }
    // SAFETY: the type of this function.
    let characters: Characters = unsafe { function(env, STRING_CHARACTERS) };
    // SAFETY: a string of this call.
    let text = unsafe { characters(env, what, ptr::null_mut()) };
    // SAFETY: a string, until it is released.
    unsafe { foreign::host_check(0, text) };
    // SAFETY: the type of this function.
    let release: Release = unsafe { function(env, RELEASE_CHARACTERS) };
    // SAFETY: the characters of this string.
    unsafe { release(env, what, text) };
}

/// `Host.end`.
#[unsafe(no_mangle)]
pub extern "system" fn Java_Host_end(_: Env, _: Object) -> c_int {
    foreign::host_end()
}

/// `JNINativeMethod`.
#[repr(C)]
struct Native {
    name: *const c_char,
    signature: *const c_char,
    function: *const c_void,
}

/// Tells the virtual machine of this thread where the natives of `Host` are: for a program, whose
/// names nobody can look up. Returns the class.
///
/// # Safety
///
/// `env` is this thread's.
#[must_use]
pub unsafe fn register(env: Env) -> Object {
    // SAFETY: the type of this function.
    let find: FindClass = unsafe { function(env, FIND_CLASS) };
    // SAFETY: this thread's environment.
    let class = unsafe { find(env, c"Host".as_ptr()) };
    let native = |name: &'static CStr, signature: &'static CStr, function| Native {
        name: name.as_ptr(),
        signature: signature.as_ptr(),
        function,
    };
    let natives = [
        native(c"call", c"(J)J", Java_Host_call as *const c_void),
        native(c"callback", c"(J)J", Java_Host_callback as *const c_void),
        native(c"onThread", c"(J)J", Java_Host_onThread as *const c_void),
        native(c"check", c"(ZLjava/lang/String;)V", Java_Host_check as *const c_void),
    ];
    // SAFETY: the type of this function.
    let register: Register = unsafe { function(env, REGISTER_NATIVES) };
    // SAFETY: functions of these signatures, which are there for good.
    unsafe { register(env, class, natives.as_ptr(), natives.len() as c_int) };
    class
}

/// Calls `Host.work`. False if it has thrown.
///
/// # Safety
///
/// `env` is this thread's, and `class` is `Host`.
#[must_use]
pub unsafe fn work(host: &Host, env: Env, class: Object) -> bool {
    // SAFETY: the type of this function.
    let method: GetMethod = unsafe { function(env, GET_STATIC_METHOD) };
    // SAFETY: as the caller says.
    let method = unsafe { method(env, class, c"work".as_ptr(), c"()V".as_ptr()) };
    // SAFETY: the type of this function.
    let call: CallVoid = unsafe { function(env, CALL_STATIC_VOID) };
    // SAFETY: it has no arguments.
    unsafe { call(env, class, method, ptr::null()) };
    // SAFETY: the type of this function.
    let thrown: OfEnv = unsafe { function(env, EXCEPTION_CHECK) };
    // SAFETY: as the caller says.
    let thrown = unsafe { thrown(env) } != 0;
    if thrown {
        // SAFETY: the type of this function.
        let describe: Describe = unsafe { function(env, EXCEPTION_DESCRIBE) };
        // SAFETY: as above.
        unsafe { describe(env) };
    }
    host.check(!thrown, "Java has thrown");
    !thrown
}
