//! The time slices of the runtime's threads: which threads have them, and that no other thread has.
//!
//! # Safety
//!
//! The kernel fills as many bytes as it is told.
#![expect(unsafe_code, reason = "asks the kernel how a thread is scheduled")]

use std::io::ErrorKind;
use std::mem::size_of;
use std::thread;
use std::time::Duration;

use gosched::callback::Bridge;
use gosched::{Runtime, blocking, go, goroutine};
use test_support::{death, in_child_with, modes, settled};

/// Not the usual slice of any kernel.
const SLICE: Duration = Duration::from_micros(123);

/// Returns the slice of the calling thread. Zero before Linux 6.12, and where nobody says.
fn slice() -> Duration {
    // SAFETY: zero is a value of each of its fields.
    let mut attributes: libc::sched_attr = unsafe { std::mem::zeroed() };
    let (into, size) = (&raw mut attributes, size_of::<libc::sched_attr>());
    // SAFETY: see the file's head.
    let result = unsafe { libc::syscall(libc::SYS_sched_getattr, 0, into, size, 0) };
    if result == 0 { Duration::from_nanos(attributes.sched_runtime) } else { Duration::ZERO }
}

/// Returns the slice of a new thread.
fn of_new_thread() -> Duration {
    thread::spawn(slice).join().expect("no panic")
}

fn runtime(mode: gosched::Mode, slice: Option<Duration>) -> Runtime {
    Runtime::builder(mode).procs(2).thread_slice(slice).build().expect("a runtime")
}

#[test]
fn goroutines_have_the_slice_and_nobody_else_has() {
    let usual = slice();
    // Before Linux 6.12 nobody has a slice.
    let wanted = if usual.is_zero() { usual } else { SLICE };
    for mode in modes() {
        let rt = runtime(mode, Some(SLICE));
        let is_thread = mode == gosched::Mode::threads();
        let (mine, made, helpers) = rt
            .handle()
            .go(|| (slice(), of_new_thread(), blocking(slice)))
            .join()
            .expect("no panic");
        assert_eq!(mine, if is_thread { usual } else { wanted }, "{mode:?}");
        assert_eq!(made, usual, "a thread that a goroutine makes");
        // In migratory mode it may run in place.
        assert!([usual, mine].contains(&helpers), "{helpers:?}");
        let own = goroutine::Builder::new().own_thread();
        let of_own = rt.run(move || own.go(slice).join().expect("no panic"));
        assert_eq!(of_own, usual, "a goroutine with a thread of its own");
        assert_eq!(rt.run(slice), usual, "a thread that lends itself");
        let bridge = Bridge::new(&rt);
        assert_eq!(bridge.enter(slice).expect("it runs"), usual, "a callback");
        assert_eq!(rt.run(|| go(of_new_thread).join().expect("no panic")), usual);
    }
    assert_eq!(slice(), usual);
}

/// A process that a goroutine makes is scheduled as any other.
#[test]
fn a_process_that_a_goroutine_makes_has_the_usual_slice() {
    const NAME: &str = "a_process_that_a_goroutine_makes_has_the_usual_slice";
    let usual = slice().as_nanos().to_string();
    let rt = runtime(settled(), Some(SLICE));
    let made = rt.handle().go(move || in_child_with(NAME, &[("USUAL", &usual)]));
    match made.join().expect("no panic") {
        Some(output) => assert!(output.status.success(), "{}", death(&output).1),
        None => {
            let usual = std::env::var("USUAL").expect("the parent says");
            assert_eq!(slice().as_nanos().to_string(), usual);
        }
    }
}

#[test]
fn without_one_every_thread_has_the_usual_slice() {
    for mode in modes() {
        let rt = runtime(mode, None);
        assert_eq!(rt.handle().go(slice).join().expect("no panic"), slice());
    }
}

#[test]
fn a_slice_that_the_system_does_not_take_is_an_error() {
    for micros in [0, 99, 100_001] {
        let slice = Some(Duration::from_micros(micros));
        let built = Runtime::builder(modes()[0]).thread_slice(slice).build();
        let error = built.expect_err("no such slice");
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.to_string().contains("100µs to 100ms"), "{error}");
    }
}
