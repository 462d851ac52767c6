//! What the integration tests of gosched share: every mode with every number of Ps, and child
//! processes that must die.
//!
//! # Safety
//!
//! This file makes the promises of the modes for all tests. Their goroutines never suspend inside a
//! thread-local's initialiser or inside code that nests calls. The goroutines of [`migratory`] hold
//! nothing bound to a thread across a suspension. A test that breaks a promise on purpose makes its
//! own mode, in a child process.
#![expect(unsafe_code, reason = "promises what the tests' goroutines keep")]

#[cfg_attr(windows, path = "windows.rs")]
mod unix;

use std::process::{Command, Output};
use std::time::Duration;

use gosched_scheduler::{Mode, Runtime};

pub use unix::*;

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
