//! The limits of a machine, reached on purpose, each in a child: an error for each goroutine that
//! cannot be made, and a runtime that goes on.
//!
//! # Safety
//!
//! Limits and identity concern the calling process, which is a child.
#![expect(unsafe_code, reason = "setrlimit, setuid")]

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use gosched::{JoinHandle, Mode, NotStarted, Runtime, chan, go, yield_now};
use test_support::{in_child_with, modes, settled};

/// Runs `body` in a child with the variables in its environment, and asserts that it ends well.
#[track_caller]
fn child(name: &str, variables: &[(&str, &str)], body: impl FnOnce()) {
    let name = format!("limits::{name}");
    let Some(output) = in_child_with(&name, variables) else { return body() };
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {stderr}", output.status);
    assert!(
        String::from_utf8_lossy(&output.stdout).contains("1 passed"),
        "no test is called {name}"
    );
}

/// The most mappings that the kernel lets a process have.
fn most_mappings() -> usize {
    let most = std::fs::read_to_string("/proc/sys/vm/max_map_count").expect("Linux has it");
    most.trim().parse().expect("a number")
}

const OLD_KERNEL: (&str, &str) = ("GOSCHED_STACK_GUARDS", "closed");

/// The type of `resource` differs from one C library to the next.
fn limit(resource: u32, most: u64) {
    let limit = libc::rlimit { rlim_cur: most, rlim_max: most };
    // SAFETY: a live record.
    let failed = unsafe { libc::setrlimit(resource as _, &limit) };
    assert_eq!(failed, 0, "{}", io::Error::last_os_error());
}

/// Returns a figure of `/proc/self/statm`, in bytes.
fn statm(field: usize) -> u64 {
    let sizes = std::fs::read_to_string("/proc/self/statm").expect("Linux has it");
    sizes.split(' ').nth(field).and_then(|pages| pages.parse::<u64>().ok()).expect("a number")
        * 4096
}

/// Returns how many goroutines were not started for want of memory, of those that all waited at the
/// same time. Each of the others received its disconnect.
fn outcome(handles: Vec<JoinHandle<bool>>) -> usize {
    let mut failed = 0;
    for handle in handles {
        match handle.join() {
            Ok(disconnected) => assert!(disconnected),
            Err(payload) => {
                let NotStarted(error) = payload.downcast_ref().expect("not started");
                assert_eq!(error.kind(), io::ErrorKind::OutOfMemory, "{error}");
                assert!(error.to_string().starts_with("no memory for a stack of"), "{error}");
                failed += 1;
            }
        }
    }
    failed
}

/// Spawns `n` goroutines that wait, and releases them. Asserts that some were not started, some
/// were, and that as many as possible are started afterwards. All are on this thread: another could
/// not be made.
fn some_fail(rt: &Runtime, n: usize) {
    rt.run(|| {
        for round in 0..2 {
            let (release, released) = chan::bounded::<()>(0);
            let started = Arc::new(AtomicUsize::new(0));
            let handles: Vec<_> = (0..n)
                .map(|_| {
                    let (released, here) = (released.clone(), started.clone());
                    rt.handle().go(move || {
                        here.fetch_add(1, Relaxed);
                        released.recv().is_err()
                    })
                })
                .collect();
            // The goroutines that could not be started have ended, the others wait.
            while started.load(Relaxed)
                + handles.iter().filter(|handle| handle.is_finished()).count()
                < n
            {
                (0..2_048).for_each(|_| yield_now());
            }
            drop(release);
            let failed = outcome(handles);
            assert!(failed > 0 && failed < n, "round {round}: {failed} of {n}");
            assert_eq!(rt.handle().go(|| 6 * 7).join().expect("there is room again"), 42);
        }
    });
}

/// Makes a runtime with one P, and with every thread that it will ever make. So nothing depends on
/// whether threads can be made: std ends the process when a new thread finds no room for its signal
/// stack.
fn runtime(stack: usize) -> Runtime {
    let rt = Runtime::builder(settled())
        .procs(1)
        .max_threads(1)
        .stack_size(stack)
        .build()
        .expect("a runtime");
    rt.run(|| {
        // A goroutine that blocks the only M, until another M runs what waits behind it.
        let (tell, told) = std::sync::mpsc::channel();
        let waits = go(move || told.recv());
        drop(go(move || tell.send(())));
        waits.join().expect("no panic").expect("it is told");
    });
    rt
}

#[test]
fn address_space_runs_out() {
    child("address_space_runs_out", &[], || {
        let rt = runtime(8 << 20);
        rt.run(|| ());
        limit(libc::RLIMIT_AS as _, statm(0) + (256 << 20));
        some_fail(&rt, 100);
    });
}

/// Strict accounting (`vm.overcommit_memory` 2) and this limit refuse memory at the same place:
/// memory that may be written is counted when it is opened, used or not.
#[test]
fn accounted_memory_runs_out() {
    child("accounted_memory_runs_out", &[], || {
        let rt = runtime(1 << 20);
        rt.run(|| ());
        limit(libc::RLIMIT_DATA as _, statm(5) + (64 << 20));
        some_fail(&rt, 200);
    });
}

#[test]
fn mappings_run_out_where_each_stack_takes_two() {
    child("mappings_run_out_where_each_stack_takes_two", &[OLD_KERNEL], || {
        let most = most_mappings();
        if most > 200_000 {
            eprintln!("not reached: vm.max_map_count is {most}");
            return;
        }
        some_fail(&runtime(64 << 10), most / 2 + 1_000);
    });
}

/// The example that makes goroutines until they are a million ends there, and says what was in its
/// way: it does not wait for goroutines that never begin.
#[test]
fn the_million_example_says_why_there_are_fewer() {
    let test = std::env::current_exe().expect("a test knows where it is");
    let profile = test.ancestors().nth(2).expect("<profile>/deps/<test>");
    let example = profile.join("examples").join("million");
    let built = "`cargo build --example million` first";
    assert!(example.is_file(), "{} is missing: {built}", example.display());
    let mut million = std::process::Command::new(example);
    million.args(["--goroutines", "40000"]).env(OLD_KERNEL.0, OLD_KERNEL.1);
    let output = million.output().expect("it can be started");
    let stderr = String::from_utf8_lossy(&output.stderr);
    if most_mappings() > 80_000 {
        return eprintln!("not reached: vm.max_map_count is {}", most_mappings());
    }
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("max_map_count"), "{stderr}");
}

#[test]
fn old_kernels_guards_hold_as_many_as_before() {
    child("old_kernels_guards_hold_as_many_as_before", &[OLD_KERNEL], || {
        for mode in modes() {
            let rt = Runtime::builder(mode).procs(2).build().expect("a runtime");
            assert!(!rt.stack_stats().light_guards);
            let handles: Vec<_> = (0..500).map(|n| rt.handle().go(move || n)).collect();
            let sum: u32 = handles.into_iter().map(|handle| handle.join().expect("no panic")).sum();
            assert_eq!(sum, 499 * 500 / 2);
        }
    });
}

/// No thread can be made any more. The limit does not apply to root, so root becomes another user
/// first.
fn no_more_threads() {
    // SAFETY: concerns this process; fails for who is not root, which is as well.
    unsafe { libc::setuid(65_534) };
    limit(libc::RLIMIT_NPROC as _, 1);
    std::thread::Builder::new().spawn(|| ()).map(|_| ()).expect_err("the limit is reached");
}

#[test]
fn threads_run_out_and_the_one_there_is_runs_everything() {
    child("threads_run_out_and_the_one_there_is_runs_everything", &[], || {
        let rt = Runtime::builder(settled()).procs(4).build().expect("a runtime");
        no_more_threads();
        let sum = rt.run(|| {
            let handles: Vec<_> = (0..1_000).map(|n: u32| rt.handle().go(move || n)).collect();
            handles.into_iter().map(|handle| handle.join().expect("no panic")).sum::<u32>()
        });
        assert_eq!(sum, 999 * 1_000 / 2);
    });
}

#[test]
fn threads_run_out_and_a_goroutine_that_wants_one_is_not_started() {
    child("threads_run_out_and_a_goroutine_that_wants_one_is_not_started", &[], || {
        let rt = Runtime::builder(Mode::threads()).build().expect("a runtime");
        let (done, wait) = chan::bounded::<()>(0);
        let waits = rt.handle().go(move || wait.recv().is_err());
        no_more_threads();
        let payload = rt.handle().go(|| ()).join().expect_err("there is no thread for it");
        let NotStarted(error) = payload.downcast_ref().expect("not started");
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock, "{error}");
        drop(done);
        assert!(waits.join().expect("it goes on"));
        // Its thread is free, if it got there by now. Otherwise this one is refused like the one
        // before.
        assert!(
            rt.handle()
                .go(|| 5)
                .join()
                .map_or_else(|payload| payload.is::<NotStarted>(), |five| five == 5)
        );
    });
}
