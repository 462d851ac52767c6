//! C's own threads come in: for one function, or from an attach to its detach.
//!
//! # Safety
//!
//! Handles and functions are what the header says. An [`Attached`] is used on its thread alone:
//! [`gosched_detach`] compares the thread before it touches anything that is the thread's.
#![expect(unsafe_code, reason = "exported names; handles and functions of C")]

use std::ffi::c_void;
use std::thread::{self, ThreadId};

use gosched::callback;

use crate::code::{Code, GOSCHED_WRONG_THREAD};
use crate::failure::Failure;
use crate::function::{self, Function, Pointer};
use crate::guard::{borrow, given, guarded, guarded_in_a_child, nanoseconds, place};
use crate::runtime::Runtime;

/// A thread that is a goroutine until it is detached.
#[derive(Debug)]
pub struct Attached {
    /// Is dropped on its thread, or never.
    guard: callback::Attached,
    thread: ThreadId,
}

/// Calls fn(user) as a goroutine, here and now, on the calling thread and its stack: fn may use all
/// of the library, and where it waits, the thread sleeps. On a goroutine of this runtime, fn is a
/// part of that goroutine. A signal finds a whole goroutine on a thread with a whole signal stack,
/// or nothing of the library.
///
/// After GOSCHED_OK fn has returned, whatever its waits have returned. Otherwise it was not called:
/// GOSCHED_SHUT_DOWN, GOSCHED_FORKED, GOSCHED_RESOURCES, or GOSCHED_SIGNAL_HANDLER where that can
/// be seen.
///
/// Threads: any. Waits: only fn. Handlers: no. States: up.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gosched_enter(
    runtime: *mut Runtime,
    r#fn: Function,
    user: *mut c_void,
) -> Code {
    guarded(|| {
        // SAFETY: the header's contract.
        let runtime = unsafe { borrow(runtime) }?;
        let f = given(r#fn)?;
        // SAFETY: the header's contract.
        Ok(runtime.bridge().enter(|| unsafe { function::call(f, Pointer(user)) })?)
    })
}

/// As gosched_enter. When timeout_ns nanoseconds have passed, the wait that fn is in, and each
/// further one, returns GOSCHED_TIMED_OUT. A function that does not wait is not ended.
///
/// Threads: any. Waits: only fn. Handlers: no. States: up.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gosched_enter_timeout(
    runtime: *mut Runtime,
    r#fn: Function,
    user: *mut c_void,
    timeout_ns: u64,
) -> Code {
    guarded(|| {
        // SAFETY: the header's contract.
        let runtime = unsafe { borrow(runtime) }?;
        let f = given(r#fn)?;
        let timeout = nanoseconds(timeout_ns);
        // SAFETY: the header's contract.
        let call = || unsafe { function::call(f, Pointer(user)) };
        Ok(runtime.bridge().enter_timeout(timeout, call)?)
    })
}

/// Makes the calling thread a goroutine until gosched_detach, and leaves what that takes in
/// *attached. For a host with pairs of calls; for one call, gosched_enter is the better form.
///
/// A thread may attach several times, and is attached until the last gosched_detach. A shutdown
/// waits for it. A thread that ends while it is attached is not detached by that. Errors
/// are those of gosched_enter.
///
/// Threads: any. Waits: no. Handlers: no. States: up.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gosched_attach(
    runtime: *mut Runtime,
    attached: *mut *mut Attached,
) -> Code {
    guarded(|| {
        // SAFETY: the header's contract.
        let runtime = unsafe { borrow(runtime) }?;
        // SAFETY: the header's contract.
        let out = unsafe { place(attached) }?;
        let guard = runtime.bridge().attach()?;
        let attached = Attached { guard, thread: thread::current().id() };
        out.write(Box::into_raw(Box::new(attached)));
        Ok(())
    })
}

/// Undoes one gosched_attach. On the thread that attached: elsewhere nothing happens, and the code
/// is GOSCHED_WRONG_THREAD. In a goroutine that attached itself, in that goroutine. NULL is
/// GOSCHED_INVALID. In a forked child the thread that forked may undo its own.
///
/// Threads: the one that attached. Waits: no. Handlers: no. States: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gosched_detach(attached: *mut Attached) -> Code {
    guarded_in_a_child(|| {
        // SAFETY: the header's contract. Only the thread's number is looked at.
        let there = unsafe { attached.as_ref() };
        let there = there.ok_or_else(|| Failure::invalid("a handle is NULL"))?;
        if there.thread != thread::current().id() {
            return Err(Failure::plain(GOSCHED_WRONG_THREAD));
        }
        // SAFETY: from `gosched_attach` on this thread, and given back once.
        let attached = unsafe { Box::from_raw(attached) };
        drop(attached.guard);
        Ok(())
    })
}
