//! With no thread to be had for the first M, a goroutine is refused; nothing is left behind.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use gosched::callback::Bridge;
use gosched::{Mode, NotStarted, Runtime, go, lock_thread, scope};
use test_support::{in_child_with, modes, without_memory_for_threads};

const LONG: Duration = Duration::from_secs(30);

/// Each case runs in a child of its own, because its address space is limited.
fn each_child(name: &str, body: impl Fn(Mode, &Runtime)) {
    if std::env::var_os("GOSCHED_CHILD").is_some() {
        let case = std::env::var("GOSCHED_CASE").expect("the parent says");
        let (mode, procs) = case.split_once(' ').expect("two numbers");
        let mode = modes()[mode.parse::<usize>().expect("a number")];
        let procs = procs.parse().expect("a number");
        let rt = Runtime::builder(mode).procs(procs).build().expect("a runtime");
        body(mode, &rt);
        return rt.shutdown(LONG).expect("nothing is left");
    }
    for mode in 0..3 {
        for procs in [1, 2, 4] {
            let case = format!("{mode} {procs}");
            let variables = [("GOSCHED_CASE", case.as_str())];
            let output = in_child_with(name, &variables).expect("this is the parent");
            let stderr = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{case}: {stderr}");
        }
    }
}

fn is_refused<T>(handle: gosched::JoinHandle<T>) {
    let outcome = handle.join_timeout(LONG).unwrap_or_else(|_| panic!("it is left behind"));
    let payload = outcome.err().expect("there is no thread for it");
    assert!(payload.is::<NotStarted>(), "the payload says why");
}

#[test]
fn a_goroutine_of_a_plain_thread_is_refused() {
    each_child("a_goroutine_of_a_plain_thread_is_refused", |_, rt| {
        let refused = without_memory_for_threads(0, || {
            (0..10).map(|_| rt.handle().go(|| 1)).collect::<Vec<_>>()
        });
        refused.into_iter().for_each(is_refused);
        assert_eq!(rt.stats().goroutines, 0);
        assert_eq!(rt.handle().go(|| 2).join().expect("there is memory again"), 2);
    });
}

#[test]
fn a_goroutine_of_a_callback_is_refused() {
    each_child("a_goroutine_of_a_callback_is_refused", |_, rt| {
        let bridge = Bridge::new(rt);
        bridge.enter(|| ()).expect("the thread is known");
        bridge.enter(|| is_refused(without_memory_for_threads(0, || go(|| 1)))).expect("no panic");
    });
}

#[test]
fn a_scope_does_not_wait_for_what_is_refused() {
    each_child("a_scope_does_not_wait_for_what_is_refused", |_, rt| {
        let handle = rt.handle();
        let unwound = catch_unwind(AssertUnwindSafe(|| {
            handle.scope(|s| without_memory_for_threads(0, || drop(s.go(|| 1))));
        }));
        unwound.expect_err("a child was not started, and nobody joined it");
    });
}

#[test]
fn a_shutdown_leaves_nothing() {
    each_child("a_shutdown_leaves_nothing", |_, rt| {
        let refused = without_memory_for_threads(0, || rt.handle().go(|| 1));
        rt.shutdown(LONG).expect("nothing is left");
        is_refused(refused);
    });
}

/// The root keeps the only M: what it made is not refused, and it tries again while it waits.
#[test]
fn who_waits_in_place_tries_again() {
    each_child("who_waits_in_place_tries_again", |mode, rt| {
        rt.run(|| {
            let locked = lock_thread();
            let later = without_memory_for_threads(0, || go(|| 1));
            if mode == Mode::threads() {
                return is_refused(later);
            }
            let outcome = later.join_timeout(LONG).unwrap_or_else(|_| panic!("it is left behind"));
            assert_eq!(outcome.expect("it runs"), 1);
            drop(locked);
            scope(|s| assert_eq!(s.go(|| 2).join().expect("it runs"), 2));
        });
    });
}

#[test]
fn a_root_without_a_stack_says_so() {
    let name = "a_root_without_a_stack_says_so";
    let Some(output) = in_child_with(name, &[]) else {
        let rt = Runtime::builder(test_support::settled()).stack_size(1 << 30).build();
        let rt = rt.expect("a runtime");
        return without_memory_for_threads(256 << 20, || rt.run(|| ()));
    };
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    assert!(stderr.contains("the root goroutine could not be started"), "{stderr}");
}
