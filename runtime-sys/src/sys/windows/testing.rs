//! Child processes for the tests, on Windows: code that kills a process runs in one of its own.
//!
//! # Safety
//!
//! A query writes to a live record.
#![expect(unsafe_code, reason = "VirtualQuery")]

use std::ffi::c_int;
use std::mem::MaybeUninit;
use std::process::{Command, ExitStatus, Output};

use windows_sys::Win32::System::Memory::{
    MEM_COMMIT, MEM_FREE, MEMORY_BASIC_INFORMATION, PAGE_READWRITE, VirtualQuery,
};

const VARIABLE: &str = "GOSCHED_TEST_CHILD";
const STARTED: &str = "the child's body runs";

/// How a child ended.
#[derive(Debug)]
pub(crate) struct Child {
    status: ExitStatus,
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

    /// Asserts that the child died of what stands for this signal: an exception that nobody has
    /// handled is the exit code. The soft page below a stack is not a part of the stack of the
    /// thread that touches it here, and then has an exception of its own.
    #[track_caller]
    pub(crate) fn assert_killed_by(&self, signal: c_int) {
        let exceptions: &[u32] = match signal {
            libc::SIGABRT => &[0xc000_0409],
            libc::SIGSEGV => &[0xc000_0005, 0x8000_0001],
            _ => panic!("no exception stands for {signal}"),
        };
        let code = self.status.code().unwrap_or_default() as u32;
        assert!(exceptions.contains(&code), "{}\n{}", self.status, self.stderr());
    }
}

/// Returns the permissions of the memory at `address`, as Linux writes them; empty if there is
/// none.
pub(crate) fn permissions_at(address: usize) -> String {
    let mut info = MaybeUninit::<MEMORY_BASIC_INFORMATION>::zeroed();
    let at = std::ptr::without_provenance(address);
    // SAFETY: a query of any address; `info` is writable, and as long as said.
    unsafe { VirtualQuery(at, info.as_mut_ptr(), size_of::<MEMORY_BASIC_INFORMATION>()) };
    // SAFETY: plain numbers.
    let info = unsafe { info.assume_init() };
    let permissions = match (info.State, info.Protect) {
        (MEM_COMMIT, PAGE_READWRITE) => "rw-p",
        (MEM_FREE, _) => "",
        _ => "---p",
    };
    permissions.to_owned()
}
