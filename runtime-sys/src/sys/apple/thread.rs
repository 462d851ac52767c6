//! Apple's calls about threads.
//!
//! A thread's number is the name of its port, which it has until it ends. So its CPU time and its
//! state can be asked for with the number alone.
//!
//! # Safety
//!
//! Out-parameters are read only if the call said that it filled them. The name of a port that is
//! gone is refused.
#![expect(unsafe_code, reason = "Mach and C library calls")]

use std::ffi::c_int;
use std::mem::MaybeUninit;

use super::page_size;
use crate::sys::StackBounds;

/// `TH_STATE_RUNNING` of mach/thread_info.h: it runs, or waits only for a core.
const RUNNING: c_int = 1;

/// Returns the address of the calling thread's `errno`.
pub(crate) fn errno_location() -> *mut c_int {
    // SAFETY: has no precondition.
    unsafe { libc::__error() }
}

/// Returns the name of the calling thread's port. Takes no reference to it.
pub(crate) fn thread_id() -> i32 {
    // SAFETY: has no precondition.
    let me = unsafe { libc::pthread_self() };
    // SAFETY: the calling thread is alive.
    unsafe { libc::pthread_mach_thread_np(me) as i32 }
}

fn info(thread: u32) -> Option<libc::thread_basic_info> {
    let mut info = MaybeUninit::<libc::thread_basic_info>::zeroed();
    let mut count = libc::THREAD_BASIC_INFO_COUNT;
    let into = info.as_mut_ptr().cast();
    let flavor = libc::THREAD_BASIC_INFO as libc::thread_flavor_t;
    // SAFETY: the place has room for as many words as said.
    let result = unsafe { libc::thread_info(thread, flavor, into, &mut count) };
    // SAFETY: numbers, zero where the call wrote none.
    (result == libc::KERN_SUCCESS).then(|| unsafe { info.assume_init() })
}

/// Returns a clock that counts the calling thread's CPU time, for other threads to read.
pub(crate) fn thread_clock() -> Option<u32> {
    Some(thread_id() as u32)
}

/// Returns what a thread's clock shows, in nanoseconds; none once the thread has ended. It goes by
/// microseconds.
pub(crate) fn read_clock(clock: u32) -> Option<u64> {
    let info = info(clock)?;
    let ns = |time: libc::time_value_t| {
        time.seconds as u64 * 1_000_000_000 + time.microseconds as u64 * 1000
    };
    Some(ns(info.user_time) + ns(info.system_time))
}

/// True if a thread of this process runs or waits only for a core; none once it has ended.
pub(crate) fn is_runnable(thread: i32) -> Option<bool> {
    Some(info(thread as u32)?.run_state == RUNNING)
}

/// Asks the C library where the calling thread's stack lies.
pub(crate) fn query_stack_bounds() -> Option<StackBounds> {
    // SAFETY: has no precondition.
    let me = unsafe { libc::pthread_self() };
    // SAFETY: the calling thread is alive.
    let high = unsafe { libc::pthread_get_stackaddr_np(me) }.addr();
    // SAFETY: as above.
    let size = unsafe { libc::pthread_get_stacksize_np(me) };
    // SAFETY: has no precondition.
    let is_main = unsafe { libc::pthread_main_np() } == 1;
    // A thread has a page of guard unless its maker asked for another; the first thread's the
    // kernel knows.
    let guard = if is_main { 0 } else { page_size() };
    (high != 0 && size != 0).then(|| StackBounds { low: high - size, high, guard })
}
