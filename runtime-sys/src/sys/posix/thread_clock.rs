//! A thread's CPU clock, which other threads can read.
//!
//! # Safety
//!
//! Out-parameters are read only if the call said that it filled them.
#![expect(unsafe_code, reason = "C library calls")]

/// Returns a clock that counts the calling thread's CPU time, for other threads to read; none where
/// the system has no such clock.
pub(crate) fn thread_clock() -> Option<u32> {
    let mut clock: libc::clockid_t = 0;
    // SAFETY: has no precondition.
    let me = unsafe { libc::pthread_self() };
    // SAFETY: the calling thread is alive, and `clock` is writable.
    let result = unsafe { libc::pthread_getcpuclockid(me, &mut clock) };
    (result == 0).then_some(clock as u32)
}

/// Returns what a thread's clock shows, in nanoseconds; none once the thread has ended.
pub(crate) fn read_clock(clock: u32) -> Option<u64> {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is writable; a clock that does not exist (any more) is refused.
    let result = unsafe { libc::clock_gettime(clock as libc::clockid_t, &mut time) };
    (result == 0).then(|| time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64)
}
