//! The frame for hosts that load a shared library: a few functions of C, as an author of bindings
//! writes them, and how such a host is started.
//!
//! # Safety
//!
//! The names are exported for a host that looks them up. Strings end with a zero.
#![expect(unsafe_code, reason = "exported names, and what they are given")]

use crate::frame::{Host, Plan};
use gosched::callback::Binding;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::OnceLock;

static HOST: OnceLock<&'static Host> = OnceLock::new();

/// Lets the functions of this module use a host that a program has started.
///
/// # Panics
///
/// If there is one.
pub fn share(host: &'static Host) {
    HOST.set(host).expect("there was none");
}

/// Returns the host, after [`host_begin`].
pub fn host() -> Option<&'static Host> {
    HOST.get().copied()
}

/// Begins: `bound` is 0 for per-call, `storm` is 0 for none. 0, or -1.
#[unsafe(no_mangle)]
pub extern "C" fn host_begin(bound: c_int, storm: c_int) -> c_int {
    let binding = if bound == 0 { Binding::PerCall } else { Binding::UntilThreadExit };
    let begun = Host::start("foreign", Plan { binding, storm: storm != 0 });
    begun.ok().and_then(|host| HOST.set(host).ok()).map_or(-1, |()| 0)
}

/// A whole callback. Returns `value * 2 + 1`, or a negative number.
#[unsafe(no_mangle)]
pub extern "C" fn host_call(value: i64) -> i64 {
    host().map_or(-1, |host| host.call(value))
}

/// What a host gives: it calls [`host_call`], for one.
pub type Called = unsafe extern "C" fn(i64, *mut c_void) -> i64;

/// A callback that calls the host in the middle. Returns what `f` has returned, or -1.
///
/// # Safety
///
/// `f` may be called with `user` on this thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn host_call_fn(f: Called, value: i64, user: *mut c_void) -> i64 {
    let Some(host) = host() else { return -1 };
    let answer = host.around(|| {
        // SAFETY: as the caller says.
        let called = host.bridge().enter(|| (unsafe { f(value, user) }, host.ask(value)));
        called.unwrap_or((-1, -1))
    });
    host.account(value, answer.1);
    answer.0
}

/// A thread that the host does not know calls `f`, in a callback. Returns as `host_call_fn`.
///
/// # Safety
///
/// `f` may be called with `user` on any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn host_on_thread(f: Called, value: i64, user: *mut c_void) -> i64 {
    let user = user.expose_provenance();
    let body = move || {
        // SAFETY: as the caller says, who waits.
        unsafe { host_call_fn(f, value, std::ptr::with_exposed_provenance_mut(user)) }
    };
    std::thread::spawn(body).join().unwrap_or(-1)
}

/// Notes a fault of the host's own work unless `right`.
///
/// # Safety
///
/// `what` is a string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn host_check(right: c_int, what: *const c_char) {
    // SAFETY: as the caller says.
    let what = unsafe { CStr::from_ptr(what) };
    if let Some(host) = host() {
        host.check(right != 0, what.to_string_lossy());
    }
}

/// Returns how many callbacks there were.
#[unsafe(no_mangle)]
pub extern "C" fn host_callbacks() -> i64 {
    host().map_or(-1, |host| host.callbacks() as i64)
}

/// Ends, and prints the report. 0 if all was right.
#[unsafe(no_mangle)]
pub extern "C" fn host_end() -> c_int {
    c_int::from(!host().is_some_and(Host::end))
}

/// Returns the shared library, which is beside the program that asks, or beside the test.
#[must_use]
pub fn library() -> PathBuf {
    let program = std::env::current_exe().expect("this program's own path");
    program.with_file_name("deps").join("libhosts.so")
}

/// Returns a file of `hosts/foreign`.
#[must_use]
pub fn source(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("foreign").join(name)
}

/// True if `program` can be started and says its version.
#[must_use]
pub fn installed(program: &str, version: &str) -> bool {
    let mut command = Command::new(program);
    command.arg(version).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// Returns the arguments that `host_begin` takes, from those of this program.
///
/// # Panics
///
/// If this program was not started by a matrix or a test.
#[must_use]
pub fn arguments() -> [&'static str; 2] {
    let plan = Plan::parse(std::env::args().skip(1)).expect("arguments of a plan");
    let digit = |yes| if yes { "1" } else { "0" };
    [digit(plan.binding == Binding::UntilThreadExit), digit(plan.storm)]
}

/// Runs a host that loads the library. Its status is that of this program.
#[must_use]
pub fn run(command: &mut Command) -> ExitCode {
    match command.status() {
        Ok(status) if status.success() => ExitCode::SUCCESS,
        Ok(status) => {
            eprintln!("{command:?}: {status}");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("{command:?}: {error}");
            ExitCode::FAILURE
        }
    }
}
