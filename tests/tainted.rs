//! What a locked goroutine, or one with a thread of its own, does to its thread reaches no other
//! thread of the runtime: neither the one after it nor those that are made for it.
//!
//! # Safety
//!
//! `unshare` gives the calling thread a directory of its own; no memory is involved.
#![expect(unsafe_code, reason = "calls unshare")]

use std::env;
use std::fs;
use std::mem;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread::ThreadId;
use std::time::Duration;

use gosched::callback::{Binding, Bridge};
use gosched::{Mode, Runtime, blocking, chan, future, go, goroutine, lock_thread, yield_now};
use test_support::{in_child_with, modes};

/// The directory of tainted threads.
fn elsewhere() -> &'static Path {
    Path::new("/usr")
}

/// Takes the thread to another directory.
fn taint() {
    // SAFETY: no precondition.
    assert_eq!(unsafe { libc::unshare(libc::CLONE_FS) }, 0);
    env::set_current_dir(elsewhere()).expect("it is there");
}

fn is_tainted() -> bool {
    env::current_dir().expect("there is one") == elsewhere()
}

/// Makes goroutines that keep each other waiting, so that threads are made for them. Returns how
/// many of them found a tainted thread.
fn tainted_of_many(go: impl Fn(Box<dyn FnOnce() + Send>)) -> usize {
    const MANY: usize = 40;
    let (report, reports) = chan::unbounded();
    let begun = Arc::new(AtomicUsize::new(0));
    for _ in 0..MANY {
        let (report, begun) = (report.clone(), begun.clone());
        go(Box::new(move || {
            begun.fetch_add(1, Relaxed);
            // Its thread blocks until another goroutine has begun, so there is another thread.
            blocking(|| {
                let before = begun.load(Relaxed);
                while begun.load(Relaxed) < MANY.min(before + 1) {
                    std::thread::yield_now();
                }
            });
            report.send(is_tainted()).expect("somebody counts");
        }));
    }
    drop(report);
    reports.iter().filter(|tainted| *tainted).count()
}

/// Each case runs in a child, whose directory is its own.
fn each_child(name: &str, body: impl Fn(&Runtime, bool)) {
    if std::env::var_os("GOSCHED_CHILD").is_some() {
        let case = env::var("GOSCHED_CASE").expect("the parent says");
        let numbers: Vec<usize> =
            case.split(' ').map(|number| number.parse().expect("a number")).collect();
        env::set_current_dir("/").expect("it is there");
        let rt = Runtime::builder(modes()[numbers[0]]).procs(numbers[1]).build();
        let rt = rt.expect("a runtime");
        body(&rt, numbers[2] == 1);
        return drop(rt);
    }
    for mode in 0..3 {
        for procs in [1, 2, 4] {
            for own_thread in [0, 1] {
                let case = format!("{mode} {procs} {own_thread}");
                let variables = [("GOSCHED_CASE", case.as_str())];
                let output = in_child_with(name, &variables).expect("this is the parent");
                let stderr = String::from_utf8_lossy(&output.stderr);
                assert!(output.status.success(), "{case}: {stderr}");
            }
        }
    }
}

fn go_in(rt: &Runtime, own_thread: bool) -> goroutine::Builder {
    let builder = goroutine::Builder::new().runtime(&rt.handle());
    if own_thread { builder.own_thread() } else { builder }
}

#[test]
fn those_after_a_goroutine_that_ended_locked() {
    each_child("those_after_a_goroutine_that_ended_locked", |rt, own_thread| {
        let ended = go_in(rt, own_thread).go(|| {
            mem::forget(lock_thread());
            taint();
        });
        ended.join().expect("no panic");
        let handle = rt.handle();
        assert_eq!(tainted_of_many(|f| drop(handle.go(f))), 0);
    });
}

#[test]
fn those_beside_a_goroutine_that_is_locked_and_waits() {
    each_child("those_beside_a_goroutine_that_is_locked_and_waits", |rt, own_thread| {
        let (stop, stopped) = chan::bounded::<()>(0);
        let (locked, is_locked) = chan::bounded(0);
        let waits = go_in(rt, own_thread).go(move || {
            let _lock = lock_thread();
            taint();
            locked.send(()).expect("it is there");
            stopped.recv().expect_err("it never comes");
        });
        is_locked.recv().expect("it comes");
        let handle = rt.handle();
        assert_eq!(tainted_of_many(|f| drop(handle.go(f))), 0);
        drop(stop);
        waits.join().expect("no panic");
    });
}

#[test]
fn those_that_a_locked_goroutine_makes() {
    each_child("those_that_a_locked_goroutine_makes", |rt, own_thread| {
        let makes = go_in(rt, own_thread).go(|| {
            let _lock = lock_thread();
            taint();
            tainted_of_many(|f| drop(go(f)))
        });
        assert_eq!(makes.join().expect("no panic"), 0);
    });
}

/// The maker shares the thread with the locked goroutine, or not. Those that it makes do not.
#[test]
fn those_that_a_sibling_of_a_locked_goroutine_makes() {
    each_child("those_that_a_sibling_of_a_locked_goroutine_makes", |rt, ends| {
        let makes = rt.handle().go(move || {
            let (stop, stopped) = chan::bounded::<()>(0);
            let (tx, is_locked) = chan::bounded(0);
            let locked = go(move || {
                let lock = lock_thread();
                taint();
                tx.send(()).expect("it is there");
                if ends {
                    return mem::forget(lock);
                }
                stopped.recv().expect_err("it never comes");
            });
            is_locked.recv().expect("it comes");
            if ends {
                locked.join().expect("no panic");
                return tainted_of_many(|f| drop(go(f)));
            }
            let tainted = tainted_of_many(|f| drop(go(f)));
            drop(stop);
            locked.join().expect("no panic");
            tainted
        });
        assert_eq!(makes.join().expect("no panic"), 0);
    });
}

/// The lent thread is not the runtime's to end, and is tainted all the same.
#[test]
fn those_after_a_child_of_the_root_that_ended_locked() {
    each_child("those_after_a_child_of_the_root_that_ended_locked", |rt, _| {
        let tainted = rt.run(|| {
            let child = go(|| {
                mem::forget(lock_thread());
                taint();
            });
            child.join().expect("no panic");
            tainted_of_many(|f| drop(go(f)))
        });
        assert_eq!(tainted, 0);
    });
}

/// The directory of the thread that calls futures' wakers in time.
fn directory_of_the_clock() -> PathBuf {
    let tasks = fs::read_dir("/proc/self/task").expect("Linux has it");
    let paths = tasks.map(|task| task.expect("it is read").path());
    let is_clock = |path: &PathBuf| {
        fs::read_to_string(path.join("comm")).is_ok_and(|name| name == "gosched-clock\n")
    };
    let clock = paths.into_iter().find(is_clock).expect("a future has waited for a time");
    fs::read_link(clock.join("cwd")).expect("it is there")
}

#[test]
fn the_clock_that_a_locked_goroutine_starts() {
    each_child("the_clock_that_a_locked_goroutine_starts", |rt, own_thread| {
        let starts = go_in(rt, own_thread).go(|| {
            let _lock = lock_thread();
            taint();
            let soon = chan::after(Duration::from_millis(200));
            future::block_on(soon.recv_async()).expect("it is never disconnected");
            directory_of_the_clock()
        });
        assert_eq!(starts.join().expect("no panic"), Path::new("/"));
    });
}

#[test]
fn the_root_that_ended_locked() {
    each_child("the_root_that_ended_locked", |rt, _| {
        let handle = rt.handle();
        let (done, is_done) = std::sync::mpsc::channel();
        std::thread::scope(|threads| {
            threads.spawn(|| {
                rt.run(|| {
                    mem::forget(lock_thread());
                    taint();
                });
                done.send(()).expect("it is there");
            });
        });
        is_done.recv().expect("it comes");
        assert_eq!(tainted_of_many(|f| drop(handle.go(f))), 0);
    });
}

#[test]
fn own_thread_is_a_new_one() {
    for mode in modes() {
        let rt = Runtime::builder(mode).procs(2).build().expect("a runtime");
        let own = || -> ThreadId {
            let g = go_in(&rt, true).go(|| std::thread::current().id());
            g.join().expect("no panic")
        };
        let threads: Vec<_> = (0..5).map(|_| own()).collect();
        let mut sorted: Vec<_> = threads.iter().map(|id| format!("{id:?}")).collect();
        sorted.sort();
        sorted.dedup();
        assert_eq!(sorted.len(), 5, "{mode:?}: {threads:?}");
    }
}

#[test]
fn a_helper_whose_closure_ended_locked_is_not_used_again() {
    let mode = test_support::settled();
    let rt = Runtime::builder(mode).procs(1).build().expect("a runtime");
    rt.run(|| {
        let first = blocking(|| {
            mem::forget(lock_thread());
            std::thread::current().id()
        });
        let second = blocking(|| std::thread::current().id());
        assert_ne!(first, second);
        yield_now();
    });
    let _used: Mode = mode;
}

/// The next callback's lock is its first one again, which sees to a maker of threads.
#[test]
fn those_that_a_locked_callback_makes_after_one_that_ended_locked() {
    each_child("those_that_a_locked_callback_makes_after_one_that_ended_locked", |rt, per_call| {
        let binding = if per_call { Binding::PerCall } else { Binding::UntilThreadExit };
        let other = Runtime::builder(Mode::threads()).build().expect("a runtime");
        let [first, next] = [&other, rt].map(|rt| Bridge::new(rt).with_binding(binding));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                first.enter(|| mem::forget(lock_thread())).expect("enter");
                let tainted = next.enter(|| {
                    let _lock = lock_thread();
                    taint();
                    tainted_of_many(|f| drop(go(f)))
                });
                assert_eq!(tainted.expect("enter"), 0);
            });
        });
    });
}
