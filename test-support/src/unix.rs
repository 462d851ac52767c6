//! What differs by the system: how a child died, and limits.
//!
//! # Safety
//!
//! Limits and filters concern the calling process only.
#![expect(unsafe_code, reason = "setrlimit; seccomp")]

use std::process::Output;

/// Returns the signal that a child died of, and what it wrote to its standard error.
#[must_use]
pub fn death(output: &Output) -> (Option<i32>, String) {
    use std::os::unix::process::ExitStatusExt;
    (output.status.signal(), String::from_utf8_lossy(&output.stderr).into_owned())
}

/// Runs `body` while there is no address space for another thread's stack. It begins when every
/// other thread sleeps. A thread that is being made maps memory between the measurement of the
/// address space and the limit, and would then have none left for its signal stack.
///
/// # Panics
///
/// If the limit cannot be set, or the other threads do not come to rest.
pub fn without_memory_for_threads<R>(spare: usize, body: impl FnOnce() -> R) -> R {
    let began = std::time::Instant::now();
    while !others_sleep() {
        assert!(
            began.elapsed() < std::time::Duration::from_secs(30),
            "some thread does not come to rest"
        );
        std::thread::yield_now();
    }
    let set = |soft: u64| {
        let limit = libc::rlimit { rlim_cur: soft, rlim_max: libc::RLIM_INFINITY };
        // SAFETY: a live structure.
        assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_AS, &limit) }, 0);
    };
    let pages = std::fs::read_to_string("/proc/self/statm").expect("it is there");
    let mapped =
        pages.split(' ').next().and_then(|pages| pages.parse::<usize>().ok()).expect("pages")
            * 4096;
    set((mapped + spare) as u64);
    let result = body();
    set(libc::RLIM_INFINITY);
    result
}

/// True if every thread of the process but the calling one sleeps.
fn others_sleep() -> bool {
    // SAFETY: has no precondition.
    let own = unsafe { libc::gettid() }.to_string();
    let threads = std::fs::read_dir("/proc/self/task").expect("it is there").filter_map(Result::ok);
    threads.filter(|thread| *thread.file_name() != *own).all(|thread| {
        // The state is the letter behind the name, which is in parentheses. If there is no file,
        // the thread has ended.
        let said = std::fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
        said.rsplit_once(") ").is_none_or(|(_, rest)| rest.starts_with('S'))
    })
}

/// Has the kernel refuse `membarrier` to this process from now on, on all its threads.
///
/// # Panics
///
/// If the filter cannot be installed.
pub fn forbid_membarrier() {
    let statement = |code, jt, jf, k| libc::sock_filter { code, jt, jf, k };
    let mut filter = [
        // Loads the call's number; compares it; EPERM for this one, all others go on.
        statement(0x20, 0, 0, 0),
        statement(0x15, 0, 1, libc::SYS_membarrier as u32),
        statement(0x06, 0, 0, libc::SECCOMP_RET_ERRNO | libc::EPERM as u32),
        statement(0x06, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() };
    // SAFETY: takes numbers only.
    assert_eq!(unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) }, 0);
    let (mode, all_threads) = (libc::SECCOMP_SET_MODE_FILTER, libc::SECCOMP_FILTER_FLAG_TSYNC);
    // SAFETY: a live program, which the kernel copies.
    let set = unsafe { libc::syscall(libc::SYS_seccomp, mode, all_threads, &raw const program) };
    assert_eq!(set, 0, "{}", std::io::Error::last_os_error());
}
