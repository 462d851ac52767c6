//! A library for C that has goroutines inside: all that an author of bindings writes between the
//! two. C starts it, asks, posts, runs functions of its own as goroutines, and stops it, from
//! whatever thread it likes.
//!
//! ```text
//! $ cargo run --release --example c_library
//! before the start: -1
//! three threads asked 3000 times: 3000 right
//! C's function ran as a goroutine: true
//! posted 100, and it was added
//! stopped: 0
//! after the stop: -2
//! ```
//!
//! The numbers of errors are those of `EnterCode`, negated. Where C should have more than this,
//! channels, locks and goroutines of its own, the package `gosched-c` has it without a line of
//! Rust.
//!
//! # Safety
//!
//! The one promise: see `Mode::settled`. The goroutines wait in `recv` only. The functions have
//! names of their own, and C passes what they ask for.

#![expect(unsafe_code, reason = "promises what the settled mode asks for; functions for C")]

use std::ffi::c_void;
use std::io;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use c_side::calls::{Plan, run};
use gosched::callback::{Bridge, EnterCode, Mailbox, Service};
use gosched::signal::{Context, context};
use gosched::{Mode, Runtime};

static BRIDGE: Bridge = Bridge::unbound();
static STATE: OnceLock<(Runtime, Service<i64, i64>, Mailbox<i64>)> = OnceLock::new();
static TOTAL: AtomicI64 = AtomicI64::new(0);

fn start() -> io::Result<()> {
    // SAFETY: see the head.
    let runtime = Runtime::builder(unsafe { Mode::settled() }).build()?;
    let (service, requests) = Service::bounded(64);
    let (mailbox, mut posts) = Mailbox::bounded(100)?;
    runtime.handle().go(move || {
        while let Ok(request) = requests.recv() {
            let (value, reply) = request.into_parts();
            TOTAL.fetch_add(value, Relaxed);
            let _who_has_left = reply.send(value * 2 + 1);
        }
    });
    runtime.handle().go(move || {
        while let Ok(value) = posts.recv() {
            TOTAL.fetch_add(value, Relaxed);
        }
    });
    let handle = runtime.handle();
    STATE.set((runtime, service, mailbox)).map_err(|_| io::ErrorKind::AlreadyExists)?;
    BRIDGE.bind(handle);
    Ok(())
}

#[unsafe(no_mangle)]
extern "C" fn adder_start() -> i32 {
    start().map_or(-1, |()| 0)
}

#[unsafe(no_mangle)]
extern "C" fn adder_ask(value: i64) -> i64 {
    let Some((_, service, _)) = STATE.get() else { return -(EnterCode::NotRunning as i64) };
    BRIDGE.call(service, value).unwrap_or_else(|error| -(error.code() as i64))
}

#[unsafe(no_mangle)]
extern "C" fn adder_run(f: extern "C" fn(*mut c_void), user: *mut c_void) -> i32 {
    BRIDGE.enter(|| f(user)).map_or_else(|error| -(error.code() as i32), |()| 0)
}

#[unsafe(no_mangle)]
extern "C" fn adder_post(value: i64) -> i32 {
    let posted = STATE.get().is_some_and(|(_, _, mailbox)| mailbox.post(value).is_ok());
    if posted { 0 } else { -1 }
}

#[unsafe(no_mangle)]
extern "C" fn adder_total() -> i64 {
    TOTAL.load(Relaxed)
}

#[unsafe(no_mangle)]
extern "C" fn adder_stop(grace_ms: u64) -> i32 {
    let Some((runtime, ..)) = STATE.get() else { return 0 };
    runtime.shutdown(Duration::from_millis(grace_ms)).map_or(-1, |()| 0)
}

// From here on: C's program.

static RAN: AtomicBool = AtomicBool::new(false);

/// A function of C's.
extern "C" fn looks_where_it_is(_user: *mut c_void) {
    RAN.store(matches!(context(), Context::Goroutine { .. }), Relaxed);
}

/// `run` makes a thread with C's `pthread_create` for each closure.
fn main() -> io::Result<()> {
    println!("before the start: {}", adder_ask(1));
    assert_eq!(adder_start(), 0);

    let right = AtomicUsize::new(0);
    let asks = || {
        let value = right.load(Relaxed) as i64;
        right.fetch_add(usize::from(adder_ask(value) == value * 2 + 1), Relaxed);
    };
    let plan = Plan { calls: 1_000, ..Plan::default() };
    let made = run(plan, &[asks, asks, asks])?.calls;
    println!("three threads asked {made} times: {} right", right.into_inner());

    assert_eq!(adder_run(looks_where_it_is, std::ptr::null_mut()), 0);
    println!("C's function ran as a goroutine: {}", RAN.load(Relaxed));

    let before = adder_total();
    assert_eq!(adder_post(100), 0);
    while adder_total() < before + 100 {
        std::thread::yield_now();
    }
    println!("posted {}, and it was added", adder_total() - before);
    println!("stopped: {}", adder_stop(5_000));
    println!("after the stop: {}", adder_ask(1));
    Ok(())
}
