//! The hottest operations, one at a time, for a tool that counts instructions: `cargo xtask
//! instructions` runs this under callgrind. If two runs differ only in the number of operations,
//! their counts differ by what the operations take.
//!
//! There is one P, so everything happens on the main thread, and nothing depends on which thread is
//! faster. What the second P of a real program adds (a look at the searchers, a wake-up) is not
//! included.
#![expect(unsafe_code, reason = "promises the modes")]

use std::hint::black_box;

use gosched::callback::{Binding, Bridge};
use gosched::goroutine::Builder;
use gosched::sync::Mutex;
use gosched::{JoinHandle, Mode, Runtime, chan, yield_now};

/// Does the operation `n` times.
type Operation = fn(u32);

/// The operations by name. The table in `xtask/instructions.txt` has a line for each.
const OPERATIONS: &[(&str, Operation)] = &[
    ("yield", |n| runtime(settled()).run(|| yields(n))),
    ("yield-migratory", |n| runtime(migratory()).run(|| yields(n))),
    ("ping-pong", |n| runtime(settled()).run(|| ping_pong(n))),
    ("spawn-join", |n| runtime(settled()).run(|| spawn_join(n))),
    ("callback", callbacks),
    ("mutex", |n| runtime(settled()).run(|| locks(n))),
];

fn main() {
    // Cargo adds `--bench`.
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        [] => {
            eprintln!(
                "usage: instructions OPERATION N; `cargo xtask instructions` runs it under \
                 callgrind. The operations:"
            );
            OPERATIONS.iter().for_each(|(name, _)| println!("{name}"));
        }
        [name, n] => {
            let (_, operation) =
                OPERATIONS.iter().find(|(known, _)| known == name).expect("a known operation");
            operation(n.parse().expect("a number of operations"));
        }
        _ => panic!("an operation and a number are wanted, not {words:?}"),
    }
}

fn settled() -> Mode {
    // SAFETY: nothing here suspends inside a thread-local's initialiser or code that nests calls.
    unsafe { Mode::settled() }
}

fn migratory() -> Mode {
    // SAFETY: as above, and nothing bound to a thread is held across a suspension.
    unsafe { Mode::migratory() }
}

fn runtime(mode: Mode) -> Runtime {
    Runtime::builder(mode).procs(1).build().expect("a runtime")
}

/// Makes a goroutine that begins on the thread of its maker.
fn go<T: Send + 'static>(f: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    Builder::new().talks().go(f)
}

fn yields(n: u32) {
    go(move || (0..n).for_each(|_| yield_now())).join().expect("it ended");
}

/// Round trips: two sends, two receives, and the switches between them.
fn ping_pong(n: u32) {
    let (ping, pinged) = chan::bounded::<u32>(0);
    let (pong, ponged) = chan::bounded::<u32>(0);
    let echo =
        go(move || pinged.into_iter().for_each(|v| pong.send(v).expect("the other end is there")));
    let asks = go(move || {
        for v in 0..n {
            ping.send(v).expect("the other end is there");
            black_box(ponged.recv().expect("the other end is there"));
        }
    });
    asks.join().expect("it ended");
    echo.join().expect("it ended");
}

fn spawn_join(n: u32) {
    for i in 0..n {
        // The first begins elsewhere; then the call site is known.
        black_box(gosched::go(move || i).join().expect("it ended"));
    }
}

/// The main thread is the foreign thread.
fn callbacks(n: u32) {
    let runtime = runtime(settled());
    let bridge = Bridge::new(&runtime).with_binding(Binding::UntilThreadExit);
    for i in 0..n {
        black_box(bridge.enter(|| black_box(i)).expect("it is open"));
    }
}

fn locks(n: u32) {
    let count = Mutex::new(0);
    go(move || {
        for _ in 0..n {
            *black_box(&count).lock().expect("nobody panicked") += 1;
        }
    })
    .join()
    .expect("it ended");
}
