//! How a child died, on Windows: by the exit code that stands for a signal elsewhere.

use std::process::Output;

/// `STATUS_STACK_BUFFER_OVERRUN`, which the system also uses for `abort`.
const FAIL_FAST: u32 = 0xc000_0409;

/// `STATUS_ACCESS_VIOLATION`.
const ACCESS_VIOLATION: u32 = 0xc000_0005;

/// Returns the signal that stands for what a child died of, and what it wrote to its standard
/// error.
#[must_use]
pub fn death(output: &Output) -> (Option<i32>, String) {
    let signal = match output.status.code().map(|code| code as u32) {
        Some(FAIL_FAST) => Some(libc::SIGABRT),
        Some(ACCESS_VIOLATION) => Some(libc::SIGSEGV),
        _ => None,
    };
    (signal, String::from_utf8_lossy(&output.stderr).into_owned())
}
