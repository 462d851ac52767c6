//! What the integration tests of gosched share: every mode with every number of Ps, and child
//! processes that must die.
//!
//! # Safety
//!
//! This file makes the promises of the modes for all tests. Their goroutines never suspend inside a
//! thread-local's initialiser or inside code that nests calls. The goroutines of [`migratory`] hold
//! nothing bound to a thread across a suspension. A test that breaks a promise on purpose makes its
//! own mode, in a child process.
#![expect(unsafe_code, reason = "promises what the tests' goroutines keep; setrlimit; seccomp")]

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use gosched_scheduler::{Mode, Runtime};

/// Returns the settled mode.
#[must_use]
pub fn settled() -> Mode {
    // SAFETY: see the crate's head.
    unsafe { Mode::settled() }
}

/// Returns the migratory mode.
#[must_use]
pub fn migratory() -> Mode {
    // SAFETY: see the crate's head.
    unsafe { Mode::migratory() }
}

/// Returns every mode.
#[must_use]
pub fn modes() -> [Mode; 3] {
    [Mode::threads(), settled(), migratory()]
}

/// For how long a future waits for a lock in competition before it is reserved for that future.
const PATIENCE: Duration = Duration::from_millis(1);

/// Runs a test of futures none of which waits for longer than its patience. The kernel may hold up
/// any test for longer: a failure that took as long proves nothing, so `test` is run again.
///
/// # Panics
///
/// If `test` panics within the time, or took longer each of a thousand times.
pub fn within_patience(test: impl Fn()) {
    within_patience_from(|_| test());
}

/// The same for a test that waits on purpose, and says from when on its time counts.
///
/// # Panics
///
/// As [`within_patience`].
pub fn within_patience_from(test: impl Fn(&Cell<Instant>)) {
    for _ in 0..1_000 {
        let began = Cell::new(Instant::now());
        let tried = catch_unwind(AssertUnwindSafe(|| test(&began)));
        let Err(failure) = tried else { return };
        if began.get().elapsed() < PATIENCE {
            resume_unwind(failure);
        }
    }
    panic!("each try was held up");
}

/// Runs `body` with a fresh runtime per mode and number of Ps, and asserts that the runtime ends
/// afterwards.
pub fn each_mode(body: impl Fn(&Runtime, Mode)) {
    for mode in modes() {
        each_procs(mode, |rt| body(rt, mode));
    }
}

/// Runs `body` with a fresh runtime of `mode` with 1, 2, 4 and 8 Ps, and asserts that each ends
/// afterwards.
pub fn each_procs(mode: Mode, body: impl Fn(&Runtime)) {
    for procs in [1, 2, 4, 8] {
        let rt = Runtime::builder(mode).procs(procs).build().expect("a runtime is built");
        body(&rt);
        rt.shutdown(Duration::from_secs(30))
            .unwrap_or_else(|e| panic!("{mode:?} with {procs} Ps: {e}"));
    }
}

/// In the parent: runs test `name` of this test binary again, alone, in a child with
/// `GOSCHED_CHILD` set, and returns its output. In the child: returns `None`, and the test goes on
/// to what the child may die of.
///
/// # Panics
///
/// If the child cannot be made.
#[must_use]
pub fn in_child(name: &str) -> Option<Output> {
    in_child_with(name, &[])
}

/// Does the same, with these variables in the child's environment.
///
/// # Panics
///
/// If the child cannot be made.
#[must_use]
pub fn in_child_with(name: &str, variables: &[(&str, &str)]) -> Option<Output> {
    if std::env::var_os("GOSCHED_CHILD").is_some() {
        return None;
    }
    let exe = std::env::current_exe().expect("the test binary");
    let mut child = Command::new(exe);
    child
        .args([name, "--exact", "--nocapture", "--test-threads=1", "--include-ignored"])
        .env("GOSCHED_CHILD", "1");
    child.envs(variables.iter().copied());
    Some(child.output().expect("a child process"))
}

/// Returns the signal that stands for what a child died of, and what it wrote to its standard
/// error. On Windows the exit code is the exception that nobody has handled.
#[must_use]
#[cfg(windows)]
pub fn death(output: &Output) -> (Option<i32>, String) {
    let signal = match output.status.code().map(|code| code as u32) {
        // STATUS_STACK_BUFFER_OVERRUN, which stands for any abort.
        Some(0xc000_0409) => Some(libc::SIGABRT),
        // STATUS_ACCESS_VIOLATION.
        Some(0xc000_0005) => Some(libc::SIGSEGV),
        _ => None,
    };
    (signal, String::from_utf8_lossy(&output.stderr).into_owned())
}

/// Returns the signal that a child died of, and what it wrote to its standard error.
#[must_use]
#[cfg(unix)]
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
#[cfg(unix)]
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
#[cfg(unix)]
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
#[cfg(unix)]
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
