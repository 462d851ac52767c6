//! Deadlocks are found and told without being asked for: `gosched::run` ends with the list, a
//! runtime in a host says it, and what may come from outside keeps both quiet.
//!
//! Each case is a process of its own. Its first thread belongs to the test harness and wakes no
//! goroutine, which `GOSCHED_DEADLOCK=tests` says.
//!
//! # Safety
//!
//! The alarm clock of a child process is its own.
// A deadlock is proven by the list of the process's threads.
#![cfg(not(gosched_no_thread_list))]
#![expect(unsafe_code, reason = "sets the alarm clock")]

use std::process::Command;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use gosched::callback::Bridge;
use gosched::chan::{self, Receiver, Sender};
use gosched::future::block_on;
use gosched::sync::{Mutex, Semaphore, WaitGroup};
use gosched::{
    Deadlock, Mode, Runtime, blocking, go, goroutine, lock_thread, run, time, yield_now,
};
use test_support::{death, in_child_with, modes};

/// The modes that a child may be told to use.
const MODES: [&str; 3] = ["threads", "settled", "migratory"];

/// How many Ps; with zero the child calls `gosched::run`, which has as many as there are CPUs.
const PROCS: [usize; 4] = [0, 1, 2, 4];

/// Runs `body` in a child process for each mode and number of Ps, and returns what each child wrote
/// to its standard error. Each child ends as a program that panics does.
#[track_caller]
fn dies(name: &str, modes: &[&str], body: fn()) -> Vec<String> {
    let mut told = Vec::new();
    for mode in modes {
        for procs in PROCS {
            let Some(text) = child(name, (mode, procs), body, 101) else { continue };
            assert!(text.contains("gosched: deadlock, "), "{mode}, {procs} Ps: {text}");
            told.push(text);
        }
    }
    told
}

/// Runs `body` in the same way. Each child ends well and says nothing.
#[track_caller]
fn lives(name: &str, modes: &[&str], body: fn()) {
    for mode in modes {
        for procs in PROCS {
            let Some(text) = child(name, (mode, procs), body, 0) else { continue };
            assert!(!text.contains("deadlock"), "{mode}, {procs} Ps: {text}");
        }
    }
}

#[track_caller]
fn child(name: &str, (mode, procs): (&str, usize), body: fn(), code: i32) -> Option<String> {
    let case = format!("{mode} {procs}");
    let variables = [
        ("GOSCHED_CASE", case.as_str()),
        ("GOSCHED_DEADLOCK", "tests"),
        // It takes longer than all the rest.
        ("RUST_BACKTRACE", "0"),
    ];
    let Some(output) = in_child_with(name, &variables) else {
        let place = MODES.iter().position(|kind| *kind == mode).expect("a mode");
        if std::env::var("GOSCHED_CASE").as_deref() == Ok(&case) {
            run_with(modes()[place], procs, body);
        }
        return None;
    };
    let text = death(&output).1;
    assert_eq!(output.status.code(), Some(code), "{case}: {text}");
    Some(text)
}

fn run_with(mode: Mode, procs: usize, body: fn()) {
    if procs == 0 {
        return run(mode, body);
    }
    let builder = Runtime::builder(mode).procs(procs).deadlock(Deadlock::PanicIfProven);
    let rt = builder.build().expect("a runtime");
    rt.run(body);
}

/// A channel of which nobody uses the other end.
fn for_ever() -> Receiver<()> {
    let (tx, rx) = chan::bounded(0);
    std::mem::forget(tx);
    rx
}

/// Go's SimpleDeadlock and InitDeadlock: nothing but the root, and it waits.
#[test]
fn simple() {
    for text in dies("simple", &MODES, || _ = for_ever().recv()) {
        assert!(text.contains("waits for a value from a channel"), "{text}");
        assert!(text.contains(", made at tests/standstill.rs:"), "{text}");
    }
}

/// Go's LockedDeadlock: the goroutine that waits is locked to its thread.
#[test]
fn locked() {
    dies("locked", &MODES, || {
        let _locked = lock_thread();
        let _never = for_ever().recv();
    });
}

/// Go's LockedDeadlock2: another one is locked, and the root waits, too.
#[test]
fn locked_with_another() {
    dies("locked_with_another", &MODES, || {
        let locked = go(|| {
            let _locked = lock_thread();
            for_ever().recv()
        });
        time::sleep(Duration::from_millis(1));
        let _never = for_ever().recv();
        drop(locked);
    });
}

/// What begins on a thread of its own is found, too.
#[test]
fn those_that_begin_apart() {
    let texts = dies("those_that_begin_apart", &["settled", "migratory"], || {
        let apart = || goroutine::Builder::new().computes().go(|| for_ever().recv());
        let both = [apart(), apart()];
        for waits in both {
            let _never = waits.join();
        }
    });
    for text in texts {
        assert_eq!(text.matches(" waits for a value from a channel").count(), 2, "{text}");
    }
}

/// While a goroutine waits for the thread that is brought for it, nobody else may run.
#[test]
fn one_that_has_yet_to_begin_apart_is_no_deadlock() {
    let name = "one_that_has_yet_to_begin_apart_is_no_deadlock";
    lives(name, &["settled", "migratory"], || {
        for _ in 0..200 {
            let (tx, rx) = chan::bounded(0);
            let sends = goroutine::Builder::new().computes().go(move || tx.send(()));
            assert_eq!(rx.recv(), Ok(()));
            sends.join().expect("no panic").expect("it is received");
        }
    });
}

/// Next to Go's GoexitDeadlock: the root ends, and the others wait. `gosched::run` cancels them. A
/// host's `run` waits for those that settled on its thread, and they wait for ever.
#[test]
fn the_root_ends_and_the_others_wait() {
    let name = "the_root_ends_and_the_others_wait";
    let body = || {
        for _ in 0..3 {
            drop(goroutine::Builder::new().talks().go(|| for_ever().recv()));
        }
        yield_now();
    };
    for mode in MODES {
        if let Some(text) = child(name, (mode, 0), body, 0) {
            assert!(!text.contains("deadlock"), "{mode}: {text}");
        }
    }
    let three_settle_here = || {
        let (here, mut settled) = (std::thread::current().id(), 0);
        while settled < 3 {
            let (tell, told) = chan::bounded(1);
            drop(goroutine::Builder::new().talks().go(move || {
                let settles = std::thread::current().id() == here;
                tell.send(settles).expect("there is room");
                if settles {
                    for_ever().recv().expect_err("nobody sends");
                }
            }));
            settled += u32::from(told.recv().expect("sent"));
        }
    };
    if let Some(text) = child(name, ("settled", 1), three_settle_here, 101) {
        assert_eq!(text.matches(" waits for a value from a channel").count(), 3, "{text}");
    }
}

/// Go's GoschedInPanic and SyscallInPanic: the hook that prints the panic takes a turn, and waits.
#[test]
fn a_panic_whose_text_takes_a_turn() {
    struct Turns;
    impl std::fmt::Display for Turns {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            yield_now();
            let (tx, rx) = chan::bounded(0);
            let other = goroutine::Builder::new().own_thread().go(move || tx.send(()));
            let _sent = (rx.recv(), other.join());
            f.write_str("it has taken its turns")
        }
    }
    for mode in MODES {
        let (name, body) = ("a_panic_whose_text_takes_a_turn", || panic!("{Turns}"));
        let Some(text) = child(name, (mode, 0), body, 101) else { continue };
        assert!(text.contains("it has taken its turns"), "{mode}: {text}");
        assert!(!text.contains("deadlock"), "{mode}: {text}");
    }
}

#[test]
fn own_threads() {
    let texts = dies("own_threads", &MODES, || {
        let make = || goroutine::Builder::new().own_thread().name("own").go(|| for_ever().recv());
        let both = [make(), make()];
        for waits in both {
            let _never = waits.join();
        }
    });
    for text in texts {
        assert_eq!(text.matches(" \"own\" waits for a value from a channel").count(), 2, "{text}");
    }
}

#[test]
fn a_thread_that_has_ended_is_no_hope() {
    dies("a_thread_that_has_ended_is_no_hope", &MODES, || {
        let ends = goroutine::Builder::new().own_thread().go(yield_now);
        let _never = for_ever().recv();
        drop(ends);
    });
}

/// The kernel may list a plain thread that was joined for a moment longer.
#[test]
fn a_plain_thread_that_was_joined_is_no_hope() {
    dies("a_plain_thread_that_was_joined_is_no_hope", &MODES, || {
        let threads: Vec<_> = (0..8).map(|_| thread::spawn(|| ())).collect();
        threads.into_iter().for_each(|plain| plain.join().expect("no panic"));
        let _never = for_ever().recv();
    });
}

#[test]
fn many_with_locks_and_joins() {
    dies("many_with_locks_and_joins", &MODES, || {
        let (lock, permits) = (Arc::new(Mutex::new(())), Arc::new(Semaphore::new(0)));
        let group = WaitGroup::new();
        let held = lock.lock();
        let waiters: Vec<_> = (0..20)
            .map(|n| {
                let (lock, permits, counted) = (lock.clone(), permits.clone(), group.clone());
                go(move || {
                    let _counted = counted;
                    if n % 2 == 0 { drop(lock.lock()) } else { permits.acquire().unwrap().forget() }
                })
            })
            .collect();
        for waiter in waiters {
            let _never = waiter.join();
        }
        drop(held);
    });
}

#[test]
fn in_a_call_that_blocks() {
    dies("in_a_call_that_blocks", &MODES, || _ = blocking(|| for_ever().recv()));
}

/// A destructor that waits while its goroutine panics keeps the thread, and no cancel ends it.
#[test]
fn in_a_destructor_while_it_panics() {
    struct Waits(Receiver<()>);
    impl Drop for Waits {
        fn drop(&mut self) {
            let _never = self.0.recv();
        }
    }
    let texts = dies("in_a_destructor_while_it_panics", &MODES, || {
        let _waits = Waits(for_ever());
        panic!("the first");
    });
    for text in texts {
        assert!(text.contains("deadlock, these do not unwind\ngoroutine "), "{text}");
    }
}

/// The timer, the blocking call and the plain thread come; in `Mode::threads` the other goroutine's
/// thread does.
#[test]
fn what_still_comes() {
    lives("what_still_comes", &MODES, || {
        let (tx, rx) = chan::bounded(0);
        let comes = |wait: fn()| {
            let tx: Sender<()> = tx.clone();
            drop(go(move || {
                wait();
                tx.send(()).expect("it is awaited");
            }));
            rx.recv().expect("sent");
        };
        comes(|| time::sleep(Duration::from_millis(5)));
        comes(|| blocking(|| thread::sleep(Duration::from_millis(5))));
        comes(|| thread::sleep(Duration::from_millis(5)));
        let theirs = tx.clone();
        let plain = thread::spawn(move || {
            thread::sleep(Duration::from_millis(20));
            theirs.send(()).expect("it is awaited");
        });
        rx.recv().expect("sent");
        plain.join().expect("no panic");
        let (woken, is_woken) = std::sync::mpsc::channel::<std::task::Waker>();
        let waker = thread::spawn(move || {
            let waker = is_woken.recv().expect("polled");
            thread::sleep(Duration::from_millis(20));
            waker.wake();
        });
        let mut polled = false;
        block_on(std::future::poll_fn(|cx| {
            if std::mem::replace(&mut polled, true) {
                return std::task::Poll::Ready(());
            }
            woken.send(cx.waker().clone()).expect("awaited");
            std::task::Poll::Pending
        }));
        waker.join().expect("no panic");
        let own = goroutine::Builder::new().own_thread().go(|| {
            thread::sleep(Duration::from_millis(5));
        });
        own.join().expect("no panic");
    });
}

/// A thread-local of a thread that ends wakes the last one that waits.
#[test]
fn what_a_thread_s_end_brings() {
    struct Late(Option<Sender<()>>);
    impl Drop for Late {
        fn drop(&mut self) {
            thread::sleep(Duration::from_millis(20));
            let tx = self.0.take().expect("set");
            tx.send(()).expect("it is awaited");
        }
    }
    thread_local! {
        static LATE: std::cell::RefCell<Option<Late>> = const { std::cell::RefCell::new(None) };
    }
    lives("what_a_thread_s_end_brings", &MODES, || {
        for _ in 0..5 {
            let (tx, rx) = chan::bounded(0);
            let own = goroutine::Builder::new().own_thread();
            drop(own.go(move || LATE.set(Some(Late(Some(tx))))));
            rx.recv().expect("sent");
        }
    });
}

/// A host's runtime goes on after a deadlock, which is told once. The clock ends the process.
#[test]
fn a_host_is_told_once() {
    for (kind, mode) in MODES.into_iter().zip(modes()) {
        let variables = [("GOSCHED_CASE", kind), ("GOSCHED_DEADLOCK", "tests")];
        let Some(output) = in_child_with("a_host_is_told_once", &variables) else {
            if std::env::var("GOSCHED_CASE").as_deref() == Ok(kind) {
                wait_in_a_host(mode);
            }
            continue;
        };
        let (signal, text) = death(&output);
        assert_eq!(signal, Some(libc::SIGALRM), "{kind}: {text}");
        assert_eq!(text.matches("gosched: deadlock: all goroutines wait").count(), 1, "{text}");
        assert_eq!(
            text.matches(" waits for a value from a channel, made at ").count(),
            2,
            "{text}"
        );
    }
}

fn wait_in_a_host(mode: Mode) {
    // SAFETY: has no precondition.
    let _none_before = unsafe { libc::alarm(1) };
    let rt = Runtime::builder(mode).deadlock(Deadlock::Report).build().expect("a runtime");
    drop(Bridge::new(&rt));
    rt.run(|| {
        let waits = goroutine::Builder::new().name("waits").go(|| for_ever().recv());
        yield_now();
        let _never = for_ever().recv();
        drop(waits);
    });
}

#[test]
fn a_program_of_its_own() {
    let test = std::env::current_exe().expect("the test binary");
    let profile = test.parent().and_then(std::path::Path::parent).expect("target/PROFILE/deps");
    let example = profile.join("examples").join("deadlock");
    assert!(example.is_file(), "{} is missing: `cargo build --examples` first", example.display());
    for _ in 0..20 {
        let output = Command::new(&example).output().expect("it can be started");
        let text = death(&output).1;
        assert_eq!(output.status.code(), Some(101), "{text}");
        assert_eq!(text.matches("waits for a lock").count(), 2, "{text}");
    }
}
