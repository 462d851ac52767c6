//! `exit` in a goroutine: no other goroutine runs on its thread while destructors and handlers do.
//!
//! # Safety
//!
//! `atexit` handlers take no argument. What waits in a thread-local's destructor is what the tests
//! are about: with `gosched::exit` that keeps the promise of the mode.
#![expect(unsafe_code, reason = "registers atexit handlers")]

use std::cell::{Cell, OnceCell};
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering::Relaxed};
use std::time::Duration;

use gosched::{Mode, Runtime, chan, go, goroutine, time, yield_now};
use test_support::{death, in_child_with, migratory, modes, settled};

/// A sibling ran on the thread that exits, after `exit` was called.
static RAN: AtomicBool = AtomicBool::new(false);
/// The thread that exits; zero before.
static EXITING: AtomicI32 = AtomicI32::new(0);

fn this_thread() -> i32 {
    // SAFETY: no precondition.
    unsafe { libc::gettid() }
}

fn sibling() {
    loop {
        if EXITING.load(Relaxed) == this_thread() {
            RAN.store(true, Relaxed);
        }
        yield_now();
    }
}

/// Offers the thread in every way, and ends the process if a sibling took it.
fn wait_in_every_way() {
    if EXITING.load(Relaxed) == 0 {
        return;
    }
    for _ in 0..20 {
        yield_now();
    }
    time::sleep(Duration::from_millis(1));
    let (_tx, rx) = chan::bounded::<()>(0);
    assert!(rx.recv_timeout(Duration::from_millis(1)).is_err());
    if RAN.load(Relaxed) {
        eprintln!("a sibling ran");
        std::process::abort();
    }
    eprintln!("waited");
}

struct WaitsAtTheEnd;

impl Drop for WaitsAtTheEnd {
    fn drop(&mut self) {
        wait_in_every_way();
    }
}

thread_local! {
    static LATE: OnceCell<WaitsAtTheEnd> = const { OnceCell::new() };
    static KEPT: Cell<u32> = const { Cell::new(0) };
}

extern "C" fn at_exit() {
    wait_in_every_way();
}

/// A goroutine exits by `exit`, with a ready sibling on its thread.
fn exits(mode: Mode, procs: usize, on_main: bool, exit: fn(i32) -> !) {
    let rt = Runtime::builder(mode).procs(procs).build().expect("a runtime");
    let body = move || {
        let (tx, rx) = chan::bounded::<()>(0);
        let sibling = go(move || {
            rx.recv().expect("it comes");
            sibling()
        });
        let here = goroutine::Builder::new().with(&sibling).go(move || {
            tx.send(()).expect("it is there");
            LATE.with(|late| drop(late.set(WaitsAtTheEnd)));
            KEPT.set(1);
            EXITING.store(this_thread(), Relaxed);
            exit(7)
        });
        here.join().expect("the process has ended");
    };
    if on_main { rt.run(body) } else { rt.handle().go(body).join().expect("it has ended") }
}

/// Runs test `name` in a child for each mode and number of Ps. It must exit with 7, after `waits`
/// destructors and handlers have waited.
fn each_child(name: &str, modes: &[Mode], waits: usize, body: impl Fn(Mode, usize, bool)) {
    if std::env::var_os("GOSCHED_CHILD").is_some() {
        let case = std::env::var("GOSCHED_CASE").expect("the parent says");
        let numbers: Vec<usize> =
            case.split(' ').map(|number| number.parse().expect("a number")).collect();
        return body(modes[numbers[0]], numbers[1], numbers[2] == 1);
    }
    for mode in 0..modes.len() {
        for procs in [1, 2, 4] {
            for on_main in [0, 1] {
                let case = format!("{mode} {procs} {on_main}");
                let variables = [("GOSCHED_CASE", case.as_str())];
                let output = in_child_with(name, &variables).expect("this is the parent");
                let (signal, stderr) = death(&output);
                assert_eq!((signal, output.status.code()), (None, Some(7)), "{case}: {stderr}");
                assert_eq!(stderr.matches("waited").count(), waits, "{case}: {stderr}");
            }
        }
    }
}

#[test]
fn nobody_runs_above_gosched_exit() {
    each_child("nobody_runs_above_gosched_exit", &modes(), 2, |mode, procs, on_main| {
        // SAFETY: see the head.
        assert_eq!(unsafe { libc::atexit(at_exit) }, 0);
        exits(mode, procs, on_main, gosched::exit);
    });
}

/// The handler is registered last, so it runs first.
#[test]
fn nobody_runs_above_an_atexit_handler() {
    extern "C" fn without_locals() {
        wait_in_every_way();
    }
    fn exit(code: i32) -> ! {
        // The destructor of `LATE` breaks the promise here, so it is not to wait.
        EXITING.store(0, Relaxed);
        extern "C" fn begin() {
            EXITING.store(this_thread(), Relaxed);
        }
        // SAFETY: see the head.
        assert_eq!(unsafe { libc::atexit(without_locals) }, 0);
        // SAFETY: see the head.
        assert_eq!(unsafe { libc::atexit(begin) }, 0);
        std::process::exit(code)
    }
    let modes = [settled(), migratory()];
    each_child("nobody_runs_above_an_atexit_handler", &modes, 1, |mode, procs, on_main| {
        exits(mode, procs, on_main, exit);
    });
}

/// What the thread had before the runtime got it is destroyed after the runtime's own hook.
#[test]
fn nobody_runs_above_the_destructor_of_an_older_thread_local() {
    let modes = [settled(), migratory()];
    each_child(
        "nobody_runs_above_the_destructor_of_an_older_thread_local",
        &modes,
        1,
        |mode, procs, _| {
            LATE.with(|late| drop(late.set(WaitsAtTheEnd)));
            let rt = Runtime::builder(mode).procs(procs).build().expect("a runtime");
            rt.run(|| {
                let sibling = go(sibling);
                yield_now();
                EXITING.store(this_thread(), Relaxed);
                drop(sibling);
                std::process::exit(7)
            });
        },
    );
}

#[test]
fn a_plain_thread_exits_too() {
    let Some(output) = in_child_with("a_plain_thread_exits_too", &[]) else {
        gosched::exit(7);
    };
    assert_eq!(output.status.code(), Some(7));
}
