//! NetBSD.
//!
//! It has had a futex call since its version 10; std's oldest is 9, so threads park on semaphores.
//!
//! # Safety
//!
//! The calls concern the calling thread. The interrupted registers are the kernel's record, alive
//! while the handler runs.
#![expect(unsafe_code, reason = "C library calls, a handler's context")]

#[path = "absent/affinity.rs"]
mod affinity;
#[path = "posix/bounds.rs"]
mod bounds;
#[path = "posix/cancel.rs"]
mod cancel;
#[path = "posix/clock.rs"]
mod clock;
#[path = "posix/codes.rs"]
mod codes;
#[path = "absent/fences.rs"]
mod fences;
#[path = "posix/parking.rs"]
mod futex;
#[path = "absent/guards.rs"]
mod guards;
#[path = "posix/library.rs"]
mod library;
#[path = "posix/open.rs"]
mod open;
#[path = "posix/memory.rs"]
mod reserve;
#[path = "posix/resident.rs"]
mod resident;
#[path = "posix/semaphore.rs"]
mod semaphore;
#[path = "posix/signal_stack.rs"]
mod signal_stack;
#[path = "absent/slice.rs"]
mod slice;
#[path = "absent/thread_clock.rs"]
mod thread_clock;
#[path = "absent/thread_list.rs"]
mod thread_list;

use std::ffi::{c_int, c_void};
use std::mem::MaybeUninit;

use crate::sys::StackBounds;
use bounds::bounds_of;

pub(crate) use affinity::affinity_count;
pub(crate) use cancel::set_cancel_state;
pub(crate) use clock::monotonic_ns;
pub(crate) use codes::raised_by_kernel;
pub(crate) use fences::{fence_every_thread, register_for_fences};
pub(crate) use futex::{futex_wait, futex_wake, futex_wake_all};
pub(crate) use guards::{
    Piece, discard_all, install_guard, install_guards, piece, populate, remove_guards,
};
pub(crate) use library::{in_this_library, pin_this_library};
pub(crate) use open::open;
pub(crate) use reserve::{discard, munlock, page_size, reserve, unreserve};
pub(crate) use resident::resident;
pub(crate) use signal_stack::minimum_signal_stack;
pub(crate) use slice::set_time_slice;
pub(crate) use thread_clock::{is_runnable, read_clock, thread_clock};
pub(crate) use thread_list::{each_thread, is_exiting};

/// The clock of std's `Instant`.
const CLOCK: libc::clockid_t = libc::CLOCK_MONOTONIC;

/// There is `RTLD_NODELETE` in dlfcn.h, and not in the libc crate. The reference is enough.
const PIN_FLAGS: c_int = 0;

const MAP_FLAGS: c_int = libc::MAP_PRIVATE | libc::MAP_ANON | libc::MAP_STACK | libc::MAP_NORESERVE;

/// The advice that lets the kernel take pages when it needs some. `MADV_DONTNEED` keeps what is in
/// them (madvise(2)).
const DISCARD: c_int = libc::MADV_FREE;

/// `PTHREAD_CANCEL_DISABLE` of pthread.h.
pub(crate) const CANCEL_DISABLE: c_int = 1;

/// The greatest signal number: `NSIG` of sys/signal.h is 64.
pub(crate) const LAST_SIGNAL: c_int = 63;

/// There are no such flags.
pub(crate) const SIGNAL_STACK_FLAGS: c_int = 0;

/// Of sys/signal.h. Not in the libc crate.
const SIGPWR: c_int = 32;

/// The signals that do nothing by default, and are no order to go on: `SA_IGNORE`
/// in sys/sys/signalvar.h.
pub(crate) const IGNORED_BY_DEFAULT: &[c_int] =
    &[libc::SIGCHLD, libc::SIGURG, libc::SIGWINCH, libc::SIGIO, libc::SIGINFO, SIGPWR];

/// A new thread begins with the signal stack of the thread that made it, because `_lwp_create`
/// copies it (golang/go's os_netbsd.go says so, and has each thread install its own). Two threads
/// on one signal stack corrupt each other, so what is registered is never a thread's own.
pub(crate) const THREADS_INHERIT_SIGNAL_STACKS: bool = true;

/// There is no advice to give.
pub(crate) fn advise_stack(_base: *mut c_void, _size: usize) {}

/// Returns the address of the calling thread's `errno`.
pub(crate) fn errno_location() -> *mut c_int {
    // SAFETY: has no precondition.
    unsafe { libc::__errno() }
}

/// Returns the kernel's number of the calling thread.
pub(crate) fn thread_id() -> i32 {
    // SAFETY: has no precondition.
    unsafe { libc::_lwp_self() }
}

/// Asks the C library where the calling thread's stack lies.
pub(crate) fn query_stack_bounds() -> Option<StackBounds> {
    let mut attributes = MaybeUninit::<libc::pthread_attr_t>::uninit();
    // SAFETY: has no precondition.
    let me = unsafe { libc::pthread_self() };
    // SAFETY: the calling thread is alive, and the attributes are writable.
    if unsafe { libc::pthread_getattr_np(me, attributes.as_mut_ptr()) } != 0 {
        return None;
    }
    // SAFETY: initialised above, and not used again.
    unsafe { bounds_of(attributes.as_mut_ptr()) }
}

/// Returns the stack pointer that a signal interrupted; none where the record's form is not known.
/// Async-signal-safe.
///
/// # Safety
///
/// `context` is what the kernel gave the handler that is running.
pub(crate) unsafe fn interrupted_stack_pointer(context: *const c_void) -> Option<usize> {
    let context = context.cast::<libc::ucontext_t>();
    #[cfg(target_arch = "x86_64")]
    // SAFETY: as the caller says.
    let pointer = Some(unsafe { (*context).uc_mcontext.__gregs[libc::_REG_RSP as usize] } as usize);
    #[cfg(target_arch = "aarch64")]
    // SAFETY: as the caller says.
    let pointer = Some(unsafe { (*context).uc_mcontext.__gregs[31] } as usize);
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    let pointer = {
        let _not_known = context;
        None
    };
    pointer
}
