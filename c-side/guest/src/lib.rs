//! A library as an author of bindings makes it: gosched behind a few C functions. A C host loads it
//! by `dlopen`; `c-side/c/host/main.c` is that host.
//!
//! # Safety
//!
//! The names are exported for a host that looks them up. The goroutines made here wait in channels
//! only, inside no initialiser and no code that nests calls.
#![expect(unsafe_code, reason = "exported names, and the modes' promises")]

use std::ffi::{c_int, c_void};
use std::sync::OnceLock;
use std::time::Duration;

use gosched::callback::{Binding, Bridge};
use gosched::signal::Context;
use gosched::{Mode, Runtime, chan};

type Job = (i64, chan::Sender<i64>);

static PER_CALL: Bridge = Bridge::unbound().with_binding(Binding::PerCall);
static BOUND: Bridge = Bridge::unbound();
static STATE: OnceLock<(Runtime, chan::Sender<Job>)> = OnceLock::new();

fn bridge(bound: c_int) -> &'static Bridge {
    if bound == 0 { &PER_CALL } else { &BOUND }
}

/// Builds the runtime: mode 0 is threads, 1 settled, 2 migratory. 0, or -1.
#[unsafe(no_mangle)]
pub extern "C" fn guest_init(mode: c_int, procs: c_int) -> c_int {
    let mode = match mode {
        0 => Mode::threads(),
        // SAFETY: see the crate's head.
        1 => unsafe { Mode::settled() },
        // SAFETY: see the crate's head.
        _ => unsafe { Mode::migratory() },
    };
    let procs = usize::try_from(procs).unwrap_or(1);
    let Ok(runtime) = Runtime::builder(mode).procs(procs).build() else { return -1 };
    let (jobs, taken) = chan::bounded::<Job>(64);
    for _ in 0..2 {
        let taken = taken.clone();
        runtime.handle().go(move || {
            for (value, reply) in taken {
                let _gone = reply.send(value * 2 + 1);
            }
        });
    }
    PER_CALL.bind(runtime.handle());
    BOUND.bind(runtime.handle());
    if STATE.set((runtime, jobs)).is_err() { -1 } else { 0 }
}

/// Returns value * 2 + 1 by way of a goroutine, or -1.
#[unsafe(no_mangle)]
pub extern "C" fn guest_call(bound: c_int, value: i64) -> i64 {
    let answer = bridge(bound).enter(|| {
        let (reply, answer) = chan::bounded(1);
        STATE.get()?.1.send((value, reply)).ok()?;
        answer.recv().ok()
    });
    answer.ok().flatten().unwrap_or(-1)
}

/// Calls `f` inside a callback. 0, or -1.
#[unsafe(no_mangle)]
pub extern "C" fn guest_call_fn(
    bound: c_int,
    f: extern "C" fn(*mut c_void),
    user: *mut c_void,
) -> c_int {
    bridge(bound).enter(|| f(user)).map_or(-1, |()| 0)
}

/// Calls `f` in a goroutine and waits for it. 0, or -1.
#[unsafe(no_mangle)]
pub extern "C" fn guest_go_fn(f: extern "C" fn()) -> c_int {
    let Some((runtime, _)) = STATE.get() else { return -1 };
    runtime.handle().go(move || f()).join().map_or(-1, |()| 0)
}

#[inline(never)]
fn deep(n: u64) -> u64 {
    let room = std::hint::black_box([n; 64]);
    if n == u64::MAX { 0 } else { deep(n + 1) + std::hint::black_box(room)[(n % 64) as usize] }
}

/// Overflows the stack of a callback.
#[unsafe(no_mangle)]
pub extern "C" fn guest_overflow_in_callback(bound: c_int) {
    let _never = bridge(bound).enter(|| std::hint::black_box(deep(0)));
}

/// Overflows the stack of a goroutine.
#[unsafe(no_mangle)]
pub extern "C" fn guest_overflow() {
    if let Some((runtime, _)) = STATE.get() {
        let _never = runtime.handle().go(|| std::hint::black_box(deep(0))).join();
    }
}

/// 0 outside, 1 a goroutine on a signal stack, 2 a goroutine not on one. Async-signal-safe.
#[unsafe(no_mangle)]
pub extern "C" fn guest_context() -> c_int {
    match gosched::signal::context() {
        Context::Outside => 0,
        Context::Goroutine { on_signal_stack: true, .. } => 1,
        Context::Goroutine { .. } => 2,
    }
}

/// 0 if the runtime has ended, -1 if not.
#[unsafe(no_mangle)]
pub extern "C" fn guest_shutdown() -> c_int {
    let Some((runtime, _)) = STATE.get() else { return -1 };
    runtime.shutdown(Duration::from_secs(30)).map_or(-1, |()| 0)
}
