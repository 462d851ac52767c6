//! Child processes for the tests: code that kills a process, or changes it for good, runs in one of
//! its own.
//!
//! # Safety
//!
//! Limits and filters concern the calling process only, which is a child.
#![expect(unsafe_code, reason = "setrlimit and seccomp")]

use std::ops::Range;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus, Output};

const VARIABLE: &str = "GOSCHED_TEST_CHILD";
const STARTED: &str = "the child's body runs";

/// How a child ended.
#[derive(Debug)]
pub(crate) struct Child {
    pub(crate) status: ExitStatus,
    output: Output,
}

impl Child {
    /// Runs `body` in a child: this test executable once more, with only the calling test selected
    /// (`path`, as the test harness prints it). If the body returns, the child ends with 0; if it
    /// panics, with 101.
    pub(crate) fn run(path: &str, body: impl FnOnce()) -> Self {
        Self::run_with(path, (VARIABLE, path), body)
    }

    /// As [`run`](Self::run), with a variable in the child's environment.
    pub(crate) fn run_with(path: &str, variable: (&str, &str), body: impl FnOnce()) -> Self {
        if std::env::var(VARIABLE).is_ok_and(|wanted| wanted == path) {
            eprintln!("{STARTED}");
            set_limit(libc::RLIMIT_CORE as _, 0);
            body();
            std::process::exit(0);
        }
        let output = Command::new(std::env::current_exe().expect("own path"))
            .args([path, "--exact", "--nocapture", "--include-ignored"])
            .env(VARIABLE, path)
            .env(variable.0, variable.1)
            .env("RUST_BACKTRACE", "0")
            .output()
            .expect("a child");
        let child = Self { status: output.status, output };
        assert!(child.stderr().contains(STARTED), "no test is called {path}: {child:?}");
        child
    }

    pub(crate) fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.output.stderr).into_owned()
    }

    /// Asserts that the body returned.
    #[track_caller]
    pub(crate) fn assert_success(&self) {
        assert!(self.status.success(), "{}\n{}", self.status, self.stderr());
    }

    /// Asserts that this signal killed the child.
    #[track_caller]
    pub(crate) fn assert_killed_by(&self, signal: i32) {
        assert_eq!(self.status.signal(), Some(signal), "{}\n{}", self.status, self.stderr());
    }
}

/// The type of `resource` differs from one C library to the next.
fn set_limit(resource: u32, bytes: u64) {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: a live record.
    assert_eq!(unsafe { libc::getrlimit(resource as _, &mut limit) }, 0);
    limit.rlim_cur = bytes;
    // SAFETY: as above.
    assert_eq!(unsafe { libc::setrlimit(resource as _, &limit) }, 0);
}

/// Limits this process to `left` more bytes of address space.
pub(crate) fn limit_address_space(left: u64) {
    let sizes = std::fs::read_to_string("/proc/self/statm").expect("statm");
    let pages: u64 =
        sizes.split(' ').next().and_then(|pages| pages.parse().ok()).expect("a number");
    set_limit(libc::RLIMIT_AS as _, pages * crate::memory::mapping::page_size() as u64 + left);
}

/// Limits this process to `left` more bytes of writable memory.
pub(crate) fn limit_data(left: u64) {
    let sizes = std::fs::read_to_string("/proc/self/statm").expect("statm");
    let pages: u64 =
        sizes.split(' ').nth(5).and_then(|pages| pages.parse().ok()).expect("a number");
    set_limit(libc::RLIMIT_DATA as _, pages * crate::memory::mapping::page_size() as u64 + left);
}

/// Returns how many bytes of this process are in memory.
pub(crate) fn resident() -> usize {
    let sizes = std::fs::read_to_string("/proc/self/statm").expect("statm");
    let pages: usize =
        sizes.split(' ').nth(1).and_then(|pages| pages.parse().ok()).expect("a number");
    pages * crate::memory::mapping::page_size()
}

/// Returns the range of addresses at the beginning of a line of `/proc/self/maps` or `smaps`, and
/// the rest of the line.
fn range_in(line: &str) -> Option<(Range<usize>, &str)> {
    let (range, rest) = line.split_once(' ')?;
    let (low, high) = range.split_once('-')?;
    let bound = |text| usize::from_str_radix(text, 16).ok();
    Some((bound(low)?..bound(high)?, rest))
}

/// Returns the permissions of the mapping at `address`, as `/proc/self/maps` writes them; empty if
/// there is no mapping.
pub(crate) fn permissions_at(address: usize) -> String {
    let maps = std::fs::read_to_string("/proc/self/maps").expect("maps");
    let at = maps.lines().filter_map(range_in).find(|(range, _)| range.contains(&address));
    at.map(|(_, rest)| rest[..4].to_owned()).unwrap_or_default()
}

/// Returns the flags of the mapping at `address`, as `/proc/self/smaps` writes them; empty if there
/// is no mapping.
pub(crate) fn flags_at(address: usize) -> String {
    let maps = std::fs::read_to_string("/proc/self/smaps").expect("maps");
    let at = |line: &&str| range_in(line).is_some_and(|(range, _)| range.contains(&address));
    let flags =
        maps.lines().skip_while(|line| !at(line)).find_map(|line| line.strip_prefix("VmFlags: "));
    flags.unwrap_or_default().to_owned()
}

/// Has the kernel refuse `membarrier` to this process from now on.
pub(crate) fn forbid_membarrier() {
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
