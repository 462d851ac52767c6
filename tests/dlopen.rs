//! A shared library with gosched inside, in a C program that loads it by `dlopen`: what the program
//! and its threads keep.
//!
//! The program is `c-side/c/host/main.c`, the library `c-side/guest`. Each scenario is a process of
//! its own.

use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// Longer than any scenario takes on a busy machine; a host that hangs is killed then.
const LIMIT: Duration = Duration::from_secs(60);

/// Returns where cargo puts the library: beside this test.
fn library() -> PathBuf {
    // Named, so that the library is built with the test.
    assert_eq!(c_guest::guest_context(), 0);
    let test = std::env::current_exe().expect("the test binary");
    let library = test.with_file_name("libc_guest.so");
    assert!(library.is_file(), "{}", library.display());
    library
}

/// Waits for the host, and for no longer than the limit.
fn end_of(mut host: Child) -> (ExitStatus, String) {
    let began = Instant::now();
    while host.try_wait().expect("a child").is_none() {
        if began.elapsed() > LIMIT {
            host.kill().expect("it runs");
            break;
        }
        std::thread::yield_now();
        std::thread::sleep(Duration::from_millis(1));
    }
    let output = host.wait_with_output().expect("a child");
    (output.status, String::from_utf8_lossy(&output.stderr).into_owned())
}

/// Runs a scenario in every mode with 1, 2 and 4 Ps, per-call and bound; `judge` looks at each.
fn hosts(scenario: &str, more: &[&Path], judge: impl Fn(ExitStatus, &str)) {
    for mode in 0..3 {
        for (procs, bound) in [(1, 0), (2, 1), (2, 0), (4, 1)] {
            let mut host = Command::new(c_side::HOST);
            host.arg(scenario).arg(library());
            host.args([mode, procs, bound].map(|number: i32| number.to_string())).args(more);
            host.stderr(Stdio::piped());
            let (status, stderr) = end_of(host.spawn().expect("the host"));
            eprintln!("{scenario}, mode {mode}, {procs} Ps, bound {bound}: {status}\n{stderr}");
            judge(status, &stderr);
        }
    }
}

fn ends(scenario: &str) {
    hosts(scenario, &[], |status, stderr| {
        assert!(status.success() && !stderr.contains("gosched:"), "{status}: {stderr}");
    });
}

fn reports_overflow(scenario: &str) {
    hosts(scenario, &[], |status, stderr| {
        assert_eq!(status.signal(), Some(6), "{stderr}");
        assert!(stderr.contains("gosched: goroutine") && stderr.contains("overflowed"), "{stderr}");
    });
}

#[test]
fn a_thread_that_never_called_in_dies_of_its_fault_inside_malloc() {
    hosts("malloc", &[], |status, stderr| {
        assert_eq!(status.signal(), Some(11), "{stderr}");
        assert!(stderr.contains("host: malloc faults"), "{stderr}");
    });
}

#[test]
fn handlers_ask_on_threads_that_never_called_in() {
    ends("storm-first");
}

#[test]
fn a_handler_finds_the_goroutine_until_the_threads_very_end() {
    ends("seen");
}

#[test]
fn a_host_that_waits_for_its_signals_gets_them_all() {
    ends("sigwait");
}

#[test]
fn a_signal_that_the_host_blocks_is_handled_nowhere_else() {
    ends("critical");
}

#[test]
fn goroutines_have_the_signals_of_the_table_open() {
    ends("table");
}

#[test]
fn a_profilers_signal_finds_goroutines() {
    ends("profiler");
}

/// The runtime and its threads are made by a thread that blocks everything.
#[test]
fn a_blocked_maker_costs_no_overflow_report() {
    reports_overflow("blocked-maker");
}

/// The host keeps a lazily committed arena right below a thread's stack, and commits it in its
/// handler.
#[test]
fn a_fault_below_a_threads_stack_is_the_hosts() {
    ends("below-stack");
}

#[test]
fn a_wild_access_below_a_threads_stack_is_the_hosts() {
    ends("wild");
}

#[test]
fn a_host_may_go_on_after_an_overflow_in_a_callback() {
    ends("overflow-recovered");
}

#[test]
fn an_overflow_in_a_callback_is_reported() {
    reports_overflow("overflow");
}

#[test]
fn an_overflow_that_the_host_gives_up_is_reported() {
    reports_overflow("overflow-declined");
}

/// As of a garbage collector: the host's handler makes a page writable, with and without a signal
/// stack of its choice.
#[test]
fn faults_that_the_host_mends_are_mended_in_callbacks() {
    ends("barrier");
    ends("barrier-on-stack");
}

#[test]
fn threads_with_the_smallest_stacks_call_in() {
    ends("tiny");
}

/// The C library runs a handler on every thread for it.
#[test]
fn ids_are_set_while_threads_are_inside() {
    ends("setuid");
}

#[test]
fn a_process_exits_while_threads_are_inside() {
    ends("exit-while");
}

/// One handler is older than the library, and one younger.
#[test]
fn handlers_of_atexit_call_in() {
    for scenario in ["atexit", "atexit-thread", "atexit-callback", "atexit-goroutine"] {
        ends(scenario);
    }
}

#[test]
fn destructors_of_keys_call_in_at_a_threads_end() {
    ends("keys");
}

/// Children of a thread outside, and of one inside, which returns from its callback.
#[test]
fn a_host_that_forks_is_refused_in_its_children() {
    ends("fork");
}

/// A thread that is bound ends, and a fault comes, after the host has closed the library.
#[test]
fn a_library_that_is_closed_stays() {
    ends("close");
}

/// Both copies have their handlers, keys, threads and signal stacks; callbacks of one lead into the
/// other.
#[test]
fn two_copies_stay_apart() {
    let first = library();
    let second = first.with_file_name(format!("libc_guest_{}.so", std::process::id()));
    std::fs::copy(first, &second).expect("a second copy");
    hosts("two", &[&second], |status, stderr| assert!(status.success(), "{status}: {stderr}"));
    std::fs::remove_file(second).expect("the copy");
}
