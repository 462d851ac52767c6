//! C's functions, and how they are called.
//!
//! A C++ exception, and `pthread_exit`, leave a function without a return. Rust's frames around it
//! cannot catch that: `catch_unwind` aborts with a message about a foreign exception that helps
//! nobody. So the frame next to the function holds a bomb, which the unwinding drops first. It says
//! what happened, and ends the process. For that the functions have an ABI that may unwind.
//!
//! # Safety
//!
//! A function is called with the pointer that C has passed with it.
#![expect(unsafe_code, reason = "calls C's functions")]

use std::ffi::c_void;
use std::mem::ManuallyDrop;

use gosched_runtime_sys::signal::fatal::{Part, fatal};

/// A function of yours, called with the pointer that was passed along with it. It returns: it is
/// not left by longjmp, pthread_exit or an exception.
pub type Function = Option<unsafe extern "C-unwind" fn(user: *mut c_void)>;

/// As gosched_fn, with a pointer as its result.
pub type ValueFunction = Option<unsafe extern "C-unwind" fn(user: *mut c_void) -> *mut c_void>;

/// A [`Function`] that is not NULL.
pub(crate) type Callee = unsafe extern "C-unwind" fn(*mut c_void);

/// A [`ValueFunction`] that is not NULL.
pub(crate) type ValueCallee = unsafe extern "C-unwind" fn(*mut c_void) -> *mut c_void;

/// A pointer of C's, on its way to wherever C's function gets it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pointer(pub(crate) *mut c_void);

// SAFETY: an address. Only C follows it, and says so: the header asks that what is passed may be
// used by whoever gets it.
unsafe impl Send for Pointer {}
// SAFETY: as above.
unsafe impl Sync for Pointer {}

/// Calls a function of C's.
///
/// # Safety
///
/// `f` may be called with `user`, here and now.
pub(crate) unsafe fn call(f: Callee, user: Pointer) {
    let bomb = Left;
    // SAFETY: this function's contract.
    unsafe { f(user.0) };
    let _defused = ManuallyDrop::new(bomb);
}

/// As [`call`], with a result.
///
/// # Safety
///
/// As there.
pub(crate) unsafe fn call_for_value(f: ValueCallee, user: Pointer) -> Pointer {
    let bomb = Left;
    // SAFETY: this function's contract.
    let value = unsafe { f(user.0) };
    let _defused = ManuallyDrop::new(bomb);
    Pointer(value)
}

struct Left;

impl Drop for Left {
    #[cold]
    fn drop(&mut self) {
        fatal(&[Part::Text(
            "gosched: a C function was left without a return, by a C++ exception or by \
             pthread_exit; its goroutine cannot go on. Catch exceptions in the function\n",
        )]);
    }
}
