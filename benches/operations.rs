//! The first table of figures: the cost of the basic operations, in nanoseconds.
//!
//! ```sh
//! cargo bench --bench operations
//! ```
//!
//! Each line is the median of nine rounds after one that is not counted, with the range. It shows
//! the cost of one operation on an otherwise idle machine. Two lines show something else, and say
//! so: one value that passes from several goroutines to several, and one turn with a lock that
//! several goroutines take. Absolute figures of one machine say little about another.
//! `benches/versus` compares gosched with other runtimes.
#![expect(unsafe_code, reason = "promises the modes")]

mod common;

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, ThreadId};
use std::time::Instant;

use gosched::callback::{Binding, Bridge};
use gosched::sync::Mutex;
use gosched::{Mode, Runtime, blocking, chan, go, yield_now};

use common::{ROUNDS, rounds, shown};

fn main() {
    let cpus = thread::available_parallelism().map_or(0, usize::from);
    println!("{cpus} CPUs; ns per operation: median (least - most) of {ROUNDS} rounds\n");
    // SAFETY: nothing here suspends inside a thread-local's initialiser or code that nests calls.
    let settled = unsafe { Mode::settled() };
    // SAFETY: as above, and nothing bound to a thread is held across a suspension.
    let migratory = unsafe { Mode::migratory() };
    for (name, mode) in [("settled", settled), ("migratory", migratory)] {
        line(&format!("yield, 1 goroutine, {name}"), || in_runtime(mode, || yields(1, 500_000)));
        line(&format!("yield, 1000 goroutines, {name}"), || in_runtime(mode, || yields(1000, 500)));
        line(&format!("spawn + join, one at a time, {name}"), || {
            in_runtime(mode, || spawn_join(100_000))
        });
        line(&format!("spawn + join, 100,000 alive, {name}"), || {
            in_runtime(mode, || spawn_all(100_000))
        });
    }
    line("channel ping-pong, settled together", || pair(settled, 100_000, Place::Together));
    line("channel ping-pong, settled apart", || pair(settled, 20_000, Place::Apart));
    line("channel ping-pong, migratory", || pair(migratory, 100_000, Place::Any));
    for (name, mode) in [("settled", settled), ("migratory", migratory)] {
        line(&format!("4 producers, 4 consumers, room 128, {name}"), || {
            in_runtime(mode, || pipeline(4, 50_000))
        });
        line(&format!("mutex, 8 goroutines, {name}"), || {
            in_runtime(mode, || contended(8, 200_000))
        });
    }
    line("blocking, does nothing, settled", || in_runtime(settled, || blocks(50_000)));
    line("blocking, does nothing, migratory", || in_runtime(migratory, || blocks(50_000)));
    line("enter, PerCall", || enter(settled, Binding::PerCall, 50_000));
    line("enter, UntilThreadExit", || enter(settled, Binding::UntilThreadExit, 1_000_000));
}

fn line(name: &str, round: impl FnMut() -> f64) {
    println!("{name:44} {}", shown(rounds(round), 1));
}

fn in_runtime<R>(mode: Mode, body: impl FnOnce() -> R) -> R {
    Runtime::builder(mode).procs(2).build().expect("a runtime").run(body)
}

fn per(n: u32, began: Instant) -> f64 {
    began.elapsed().as_nanos() as f64 / f64::from(n)
}

fn yields(goroutines: u32, each: u32) -> f64 {
    let began = Instant::now();
    let all: Vec<_> =
        (0..goroutines).map(|_| go(move || (0..each).for_each(|_| yield_now()))).collect();
    all.into_iter().for_each(|one| one.join().expect("it ended"));
    per(goroutines * each, began)
}

fn spawn_join(n: u32) -> f64 {
    let began = Instant::now();
    for i in 0..n {
        black_box(go(move || i).join().expect("it ended"));
    }
    per(n, began)
}

fn spawn_all(n: u32) -> f64 {
    let began = Instant::now();
    let all: Vec<_> = (0..n).map(|i| go(move || i)).collect();
    for one in all {
        black_box(one.join().expect("it ended"));
    }
    per(n, began)
}

/// Each call is followed by a yield: a goroutine whose call ran in place gets a P again there.
/// Without it, the next call would have no P to hand off.
fn blocks(n: u32) -> f64 {
    let calls = move || {
        let began = Instant::now();
        for i in 0..n {
            black_box(blocking(|| black_box(i)));
            yield_now();
        }
        per(n, began)
    };
    go(calls).join().expect("it ended")
}

/// The cost of a value on its way from one of several producers to one of as many consumers.
fn pipeline(ends: u32, each: u32) -> f64 {
    let (tx, rx) = chan::bounded(128);
    let began = Instant::now();
    let consumers: Vec<_> = (0..ends)
        .map(|_| {
            let rx = rx.clone();
            go(move || rx.iter().map(u64::from).sum::<u64>())
        })
        .collect();
    for _ in 0..ends {
        let tx = tx.clone();
        drop(go(move || (0..each).for_each(|n| tx.send(n).expect("somebody receives"))));
    }
    drop((tx, rx));
    let sum: u64 = consumers.into_iter().map(|one| one.join().expect("it ended")).sum();
    let figure = per(ends * each, began);
    assert_eq!(sum, u64::from(ends) * u64::from(each) * u64::from(each - 1) / 2);
    figure
}

/// The cost of a turn with a lock that several goroutines take again and again.
fn contended(goroutines: u32, turns: u32) -> f64 {
    let mutex = Arc::new(Mutex::new(0));
    let began = Instant::now();
    let all: Vec<_> = (0..goroutines)
        .map(|_| {
            let mutex = mutex.clone();
            go(move || (0..turns).for_each(|_| *mutex.lock().expect("nobody panics") += 1))
        })
        .collect();
    all.into_iter().for_each(|one| one.join().expect("it ended"));
    let figure = per(goroutines * turns, began);
    assert_eq!(*mutex.lock().expect("nobody panicked"), goroutines * turns);
    figure
}

#[derive(PartialEq)]
enum Place {
    Together,
    Apart,
    Any,
}

/// Round trips between two goroutines that are where they should be. The spawner's thread may lose
/// its core for so long that the other goroutine looks abandoned and is stolen. Such a round is
/// done again.
fn pair(mode: Mode, n: u32, place: Place) -> f64 {
    for _ in 0..100 {
        let (figure, together) = in_runtime(mode, || ping_pong(n, &place));
        if place == Place::Any || together == (place == Place::Together) {
            return figure;
        }
    }
    panic!("in 100 rounds the pair was never where it should be");
}

fn ping_pong(n: u32, place: &Place) -> (f64, bool) {
    let (ping, pinged) = chan::bounded::<u32>(0);
    let (pong, ponged) = chan::bounded::<u32>(0);
    let started = Arc::new(AtomicBool::new(false));
    let theirs = started.clone();
    let echo = go(move || -> ThreadId {
        theirs.store(true, Ordering::Release);
        for v in pinged {
            pong.send(v).expect("the other end is there");
        }
        thread::current().id()
    });
    if *place == Place::Apart {
        // This M is kept busy, so the other one takes the new goroutine.
        while !started.load(Ordering::Acquire) {
            std::hint::spin_loop();
        }
    }
    let began = Instant::now();
    for v in 0..n {
        ping.send(v).expect("the other end is there");
        black_box(ponged.recv().expect("the other end is there"));
    }
    let figure = per(n, began);
    drop(ping);
    let together = echo.join().expect("it ended") == thread::current().id();
    (figure, together)
}

fn enter(mode: Mode, binding: Binding, n: u32) -> f64 {
    let runtime = Runtime::builder(mode).procs(2).build().expect("a runtime");
    let bridge = Bridge::new(&runtime).with_binding(binding);
    let foreign = thread::spawn(move || {
        let began = Instant::now();
        for i in 0..n {
            black_box(bridge.enter(|| black_box(i)).expect("it is open"));
        }
        per(n, began)
    });
    foreign.join().expect("it ended")
}
