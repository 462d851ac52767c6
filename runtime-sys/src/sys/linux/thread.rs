//! Linux's and its C libraries' calls about the calling thread.
//!
//! # Safety
//!
//! Every call here concerns only the calling thread, or lists the threads. Out-parameters are read
//! only if the call said that it filled them.
#![expect(unsafe_code, reason = "system and C library calls")]

use crate::sys::StackBounds;
use std::ffi::{c_int, c_void};
use std::io::Write;
use std::mem::{MaybeUninit, size_of};
use std::ptr::null_mut;

unsafe extern "C" {
    // Not in the libc crate.
    fn pthread_setcancelstate(state: c_int, old: *mut c_int) -> c_int;
}

/// `PTHREAD_CANCEL_DISABLE`, the same in glibc and musl.
pub(crate) const CANCEL_DISABLE: c_int = 1;

/// Sets the calling thread's cancel state, and returns the state before.
pub(crate) fn set_cancel_state(state: c_int) -> c_int {
    let mut before = 0;
    // SAFETY: `before` is writable; a state that does not exist is refused and changes nothing.
    unsafe { pthread_setcancelstate(state, &mut before) };
    before
}

/// Returns the address of the calling thread's `errno`.
pub(crate) fn errno_location() -> *mut c_int {
    // SAFETY: has no precondition.
    unsafe { libc::__errno_location() }
}

/// Returns the kernel's number of the calling thread.
pub(crate) fn thread_id() -> i32 {
    // By number: glibc has a function for it only since 2.30.
    // SAFETY: has no precondition.
    let id = unsafe { libc::syscall(libc::SYS_gettid) };
    id as i32
}

/// Returns a clock that counts the calling thread's CPU time, for other threads to read; none where
/// the system has no such clock.
pub(crate) fn thread_clock() -> Option<libc::clockid_t> {
    let mut clock = 0;
    // SAFETY: has no precondition.
    let me = unsafe { libc::pthread_self() };
    // SAFETY: the calling thread is alive, and `clock` is writable.
    (unsafe { libc::pthread_getcpuclockid(me, &mut clock) } == 0).then_some(clock)
}

/// Returns what a thread's clock shows, in nanoseconds; none once the thread has ended.
pub(crate) fn read_clock(clock: libc::clockid_t) -> Option<u64> {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is writable; a clock that does not exist (any more) is refused.
    let result = unsafe { libc::clock_gettime(clock, &mut time) };
    (result == 0).then(|| time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64)
}

/// True if a thread of this process runs or waits only for a core; none where the system does not
/// tell.
pub(crate) fn is_runnable(thread: i32) -> Option<bool> {
    let stat = std::fs::read(format!("/proc/self/task/{thread}/stat")).ok()?;
    // The name, in parentheses, may contain anything; the state is the first field behind it.
    let behind = stat.iter().rposition(|&byte| byte == b')')?;
    stat.get(behind + 2).map(|&state| state == b'R')
}

/// What the kernel writes for an entry of a directory, before its name: of `linux_dirent64`.
const ENTRY_LENGTH: usize = 16;
const ENTRY_NAME: usize = 19;

/// Calls `f` with the number of each thread of the process, until it returns false. True if it
/// never did; false where there is no list of them. Allocates nothing.
pub(crate) fn each_thread(mut f: impl FnMut(i32) -> bool) -> bool {
    let flags = libc::O_RDONLY | libc::O_DIRECTORY | libc::O_CLOEXEC;
    // SAFETY: the path ends in a zero.
    let list = unsafe { libc::open(c"/proc/self/task".as_ptr(), flags) };
    if list < 0 {
        return false;
    }
    let mut buffer = [0_u8; 2048];
    let all = loop {
        // SAFETY: the buffer is writable, for its length.
        let filled =
            unsafe { libc::syscall(libc::SYS_getdents64, list, buffer.as_mut_ptr(), buffer.len()) };
        match usize::try_from(filled) {
            Ok(0) => break true,
            Ok(filled) if threads_in(&buffer[..filled]).all(&mut f) => {}
            Ok(_) | Err(_) => break false,
        }
    };
    // SAFETY: opened above, and nothing else has it.
    unsafe { libc::close(list) };
    all
}

/// `PF_EXITING`, among the flags in a thread's `stat`.
const EXITING: u64 = 4;

/// True if a thread of this process has ended, or has left its code for good. Allocates nothing.
pub(crate) fn is_exiting(thread: i32) -> bool {
    let mut path = [0_u8; 48];
    let mut rest = &mut path[..];
    if write!(rest, "/proc/self/task/{thread}/stat\0").is_err() {
        return false;
    }
    // SAFETY: the path ends in a zero.
    let file = unsafe { libc::open(path.as_ptr().cast(), libc::O_RDONLY | libc::O_CLOEXEC) };
    if file < 0 {
        // SAFETY: it is the calling thread's.
        return unsafe { *errno_location() } == libc::ENOENT;
    }
    let mut stat = [0_u8; 512];
    // SAFETY: the buffer is writable, for its length.
    let filled = unsafe { libc::read(file, stat.as_mut_ptr().cast(), stat.len()) };
    // SAFETY: opened above, and nothing else has it.
    unsafe { libc::close(file) };
    match usize::try_from(filled) {
        Ok(filled) => flags_in(&stat[..filled]).is_some_and(|flags| flags & EXITING != 0),
        // The thread has gone since.
        Err(_) => true,
    }
}

/// Returns the flags in a thread's `stat`: the seventh field behind the name, which is in
/// parentheses and may contain anything.
fn flags_in(stat: &[u8]) -> Option<u64> {
    let behind = stat.iter().rposition(|&byte| byte == b')')?;
    let field = stat[behind..].split(|&byte| byte == b' ').nth(7)?;
    str::from_utf8(field).ok()?.parse().ok()
}

/// Returns the numbers among the names of directory entries, as `getdents64` writes these.
fn threads_in(mut entries: &[u8]) -> impl Iterator<Item = i32> {
    std::iter::from_fn(move || {
        let length = entries.get(ENTRY_LENGTH..ENTRY_LENGTH + 2)?;
        let length = usize::from(u16::from_ne_bytes([length[0], length[1]]));
        let name = entries.get(ENTRY_NAME..length)?;
        entries = &entries[length..];
        Some(name.split(|&byte| byte == 0).next().and_then(|name| str::from_utf8(name).ok()))
    })
    .filter_map(|name| name?.parse().ok())
}

// Of linux/membarrier.h; the libc crate has them for some targets only.
const MEMBARRIER_CMD_PRIVATE_EXPEDITED: c_int = 1 << 3;
const MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED: c_int = 1 << 4;

fn membarrier(command: c_int) -> bool {
    // SAFETY: registers the process, or runs a fence on its threads; an unknown command is refused.
    unsafe { libc::syscall(libc::SYS_membarrier, command, 0, 0) == 0 }
}

/// True if [`fence_every_thread`] works in this process. Called before it. Linux 4.14.
pub(crate) fn register_for_fences() -> bool {
    membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED)
}

/// Returns after every other thread of the process has passed a full memory fence. False if the
/// system refused.
pub(crate) fn fence_every_thread() -> bool {
    membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED)
}

/// Returns how many CPUs the calling thread may run on; none if there are more than the C library's
/// set holds.
pub(crate) fn affinity_count() -> Option<usize> {
    let mut set = MaybeUninit::<libc::cpu_set_t>::zeroed();
    // SAFETY: the size is the set's; 0 is the calling thread.
    let result =
        unsafe { libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), set.as_mut_ptr()) };
    // SAFETY: all zeroes is a set without CPUs, whatever the call wrote on top of it.
    let set = unsafe { set.assume_init() };
    // SAFETY: `set` is a live set.
    let count = unsafe { libc::CPU_COUNT(&set) };
    if result == 0 { usize::try_from(count).ok() } else { None }
}

/// Asks the C library where the calling thread's stack lies. On the main thread glibc reads
/// `/proc/self/maps` (36 us), so the answer is worth keeping.
pub(crate) fn query_stack_bounds() -> Option<StackBounds> {
    let mut attributes = MaybeUninit::<libc::pthread_attr_t>::uninit();
    // SAFETY: has no precondition.
    let me = unsafe { libc::pthread_self() };
    // SAFETY: the calling thread is alive, and the attributes are writable.
    let result = unsafe { libc::pthread_getattr_np(me, attributes.as_mut_ptr()) };
    if result != 0 {
        return None;
    }
    let mut low: *mut c_void = null_mut();
    let (mut size, mut guard) = (0, 0);
    // SAFETY: the attributes were filled in above; the out-parameters are writable.
    let stack_result =
        unsafe { libc::pthread_attr_getstack(attributes.as_ptr(), &mut low, &mut size) };
    // SAFETY: as above.
    let guard_result = unsafe { libc::pthread_attr_getguardsize(attributes.as_ptr(), &mut guard) };
    // SAFETY: filled in above, and not used again.
    unsafe { libc::pthread_attr_destroy(attributes.as_mut_ptr()) };
    if stack_result != 0 || low.is_null() || size == 0 {
        return None;
    }
    let low = low.addr();
    Some(StackBounds {
        low,
        high: low.checked_add(size)?,
        guard: if guard_result == 0 { guard } else { 0 },
    })
}
