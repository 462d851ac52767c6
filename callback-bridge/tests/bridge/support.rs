//! The tests' common parts: threads as C makes them, their state, and child processes for code that
//! ends or changes a process.
#![expect(unsafe_code, reason = "pthread_create, sigaltstack, the promise of a mode")]

use gosched_callback_bridge::Bridge;
use gosched_runtime_sys::errno;
use gosched_runtime_sys::signal::mask::SignalMask;
use gosched_runtime_sys::signal::stack::{Registered, registered};
use gosched_scheduler::{Mode, Runtime};
use std::ffi::c_void;
use std::mem::MaybeUninit;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::process::{Command, ExitStatus};
use std::ptr::{null, null_mut};
use std::sync::atomic::AtomicU8;
use std::thread::Result;

/// Returns a runtime that shares threads between goroutines.
pub(crate) fn runtime() -> Runtime {
    // SAFETY: no goroutine of these tests suspends in a thread-local's initialiser or in code that
    // relies on nesting.
    let mode = unsafe { Mode::settled() };
    Runtime::builder(mode).procs(2).build().expect("a runtime")
}

/// Returns a runtime, which the caller keeps, and a bridge into it.
pub(crate) fn bridge() -> (Runtime, Bridge) {
    let runtime = runtime();
    let bridge = Bridge::new(&runtime);
    (runtime, bridge)
}

struct Job<F, T> {
    body: Option<F>,
    outcome: Option<Result<T>>,
}

extern "C" fn start<F: FnOnce() -> T, T>(job: *mut c_void) -> *mut c_void {
    // SAFETY: `on_c_thread` keeps the job until this thread is joined, and reads it only then.
    let job = unsafe { &mut *job.cast::<Job<F, T>>() };
    job.outcome = job.body.take().map(|body| catch_unwind(AssertUnwindSafe(body)));
    null_mut()
}

/// Runs `body` on a thread that std did not make: it has no signal stack, and nobody unmaps one at
/// its end.
pub(crate) fn on_c_thread<T: Send, F: FnOnce() -> T + Send>(body: F) -> T {
    let mut job = Job { body: Some(body), outcome: None };
    let mut thread = MaybeUninit::uninit();
    let argument = (&raw mut job).cast();
    // SAFETY: the job outlives the thread, which is joined below.
    let made =
        unsafe { libc::pthread_create(thread.as_mut_ptr(), null(), start::<F, T>, argument) };
    assert_eq!(made, 0);
    // SAFETY: made above.
    let thread = unsafe { thread.assume_init() };
    // SAFETY: made above, joined once.
    let joined = unsafe { libc::pthread_join(thread, null_mut()) };
    assert_eq!(joined, 0);
    job.outcome.expect("the thread has run").unwrap_or_else(|payload| resume_unwind(payload))
}

/// The parts of a thread that a call must leave alone.
#[derive(Debug, PartialEq)]
pub(crate) struct State {
    pub(crate) errno: i32,
    pub(crate) mask: SignalMask,
    pub(crate) stack: Registered,
}

impl State {
    pub(crate) fn now() -> Self {
        Self { errno: errno::get(), mask: SignalMask::current(), stack: registered() }
    }
}

/// Gives the calling thread a signal stack of its own, which lives for ever.
pub(crate) fn own_signal_stack(size: usize) -> Registered {
    signal_stack_at(stack_memory(size))
}

/// Returns memory for a signal stack.
pub(crate) fn stack_memory(size: usize) -> &'static [AtomicU8] {
    Box::leak((0..size).map(|_| AtomicU8::new(0)).collect())
}

/// Gives the calling thread this signal stack, which other threads may have as well: it is for a
/// thread on which no handler runs there.
pub(crate) fn signal_stack_at(memory: &'static [AtomicU8]) -> Registered {
    let place = memory.as_ptr().cast_mut().cast();
    let stack = libc::stack_t { ss_sp: place, ss_flags: 0, ss_size: memory.len() };
    // SAFETY: leaked memory, which nobody reads.
    assert_eq!(unsafe { libc::sigaltstack(&stack, null_mut()) }, 0);
    registered()
}

/// Leaves the calling thread without a signal stack.
pub(crate) fn no_signal_stack() {
    let none = libc::stack_t { ss_sp: null_mut(), ss_flags: libc::SS_DISABLE, ss_size: 64 << 10 };
    // SAFETY: takes away what is registered, which stays where it is.
    assert_eq!(unsafe { libc::sigaltstack(&none, null_mut()) }, 0);
}

/// Blocks these signals on the calling thread.
pub(crate) fn block(signals: &[i32]) {
    let _open = SignalMask::block_all();
    let all_but: Vec<i32> = (1..=64).filter(|signal| !signals.contains(signal)).collect();
    SignalMask::unblock(&all_but);
}

const VARIABLE: &str = "GOSCHED_TEST_CHILD";
const STARTED: &str = "the child's body runs";

/// How a child ended.
#[derive(Debug)]
pub(crate) struct Child {
    pub(crate) status: ExitStatus,
    pub(crate) stderr: String,
}

impl Child {
    /// Runs `body` in a child: this executable once more, with only the calling test selected
    /// (`path`, as the harness prints it).
    pub(crate) fn run(path: &str, body: impl FnOnce()) -> Self {
        if std::env::var(VARIABLE).is_ok_and(|wanted| wanted == path) {
            eprintln!("{STARTED}");
            body();
            std::process::exit(0);
        }
        let output = Command::new(std::env::current_exe().expect("own path"))
            .args([path, "--exact", "--nocapture"])
            .env(VARIABLE, path)
            .env("RUST_BACKTRACE", "0")
            .output()
            .expect("a child");
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(stderr.contains(STARTED), "no test is called {path}:\n{stderr}");
        Self { status: output.status, stderr }
    }

    #[track_caller]
    pub(crate) fn assert_success(&self) {
        assert!(self.status.success(), "{}\n{}", self.status, self.stderr);
    }
}
