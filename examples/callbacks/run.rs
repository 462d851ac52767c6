//! The run itself: runtime, counting goroutines, C threads, storm.
//!
//! # Safety
//!
//! C gets pointers to the callers, which outlive the C threads: `c_side::lines::run` joins them.

#![expect(unsafe_code, reason = "promises what the modes ask for, and hands pointers to C")]

use std::ffi::c_void;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use std::{fmt, ptr};

use gosched::callback::{Binding, Bridge};
use gosched::{Mode, Runtime, chan};

use crate::args::{Args, BindingName, ModeName};
use crate::count::{self, Caller};
use crate::latency::Histogram;
use crate::report::Report;
use crate::storm;

/// The default number of rounds without a storm.
const ROUNDS: u64 = 10;
/// The rounds in the life of a C thread. Then new threads come: the test needs threads that begin
/// and end under the storm.
const ROUNDS_OF_A_THREAD: u64 = 8;
/// The time that goroutines may take to end after the last line.
const GRACE: Duration = Duration::from_secs(10);

fn mode(name: ModeName) -> Mode {
    match name {
        ModeName::Threads => Mode::threads(),
        // SAFETY: the goroutines of this program suspend only in channel operations that stand in
        // plain functions and closures: not in a thread-local's initialiser, nor in a closure given
        // to code that relies on nesting.
        ModeName::Settled => unsafe { Mode::settled() },
        // SAFETY: as above, and they hold nothing across these operations but what is theirs: no
        // thread-local, no guard.
        ModeName::Migratory => unsafe { Mode::migratory() },
    }
}

fn binding(name: BindingName) -> Binding {
    match name {
        BindingName::PerCall => Binding::PerCall,
        BindingName::UntilThreadExit => Binding::UntilThreadExit,
    }
}

fn because<E: fmt::Display>(what: &'static str) -> impl FnOnce(E) -> String {
    move |error| format!("{what}: {error}")
}

/// Runs the job over `text`. The error says why that was not possible.
pub(crate) fn run(args: &Args, text: &[u8]) -> Result<Report, String> {
    let runtime = Runtime::builder(mode(args.mode))
        .name("callbacks")
        .build()
        .map_err(because("no runtime"))?;
    let bridge = Bridge::new(&runtime).with_binding(binding(args.binding));
    #[cfg(gosched_mutants)]
    crate::mutants::use_bridge(&bridge);

    let words = Arc::new(AtomicU64::new(0));
    let (jobs, taken) = chan::bounded(64);
    let handle = runtime.handle();
    let counters: Vec<_> = (0..args.goroutines)
        .map(|_| {
            let (taken, words) = (taken.clone(), Arc::clone(&words));
            handle.go(move || count::count_lines(&taken, &words))
        })
        .collect();
    drop(taken);

    let mut callers: Vec<_> =
        (0..args.threads).map(|_| Caller::new(bridge.clone(), jobs.clone())).collect();
    drop(jobs);
    let driven = drive(args, text, &mut callers);

    let mut latencies = Histogram::new();
    let mut failure = None;
    for caller in callers {
        latencies.add(&caller.latencies);
        failure = failure.or(caller.failure);
    }
    let mut lines = 0;
    for counter in counters {
        lines += counter.join().map_err(|_| "a counting goroutine panicked".to_owned())?;
    }
    runtime.shutdown(GRACE).map_err(because("the runtime did not end"))?;

    let Driven { rounds, calls, wall, signals_sent } = driven?;
    Ok(Report {
        rounds,
        lines,
        expected_lines: c_side::lines::count_lines(text) * rounds,
        words: words.load(Ordering::Relaxed),
        expected_words: c_side::lines::count_words(text) * rounds,
        calls,
        wall_ns: u64::try_from(wall.as_nanos()).unwrap_or(u64::MAX),
        latencies,
        signals: storm::received(),
        signals_sent,
        failure,
    })
}

/// The work of the C side.
struct Driven {
    rounds: u64,
    calls: c_side::lines::Report,
    wall: Duration,
    signals_sent: u64,
}

/// Makes C threads go through the text, generation after generation, until there were enough rounds
/// or signals.
fn drive(args: &Args, text: &[u8], callers: &mut [Caller]) -> Result<Driven, String> {
    let ctxs: Vec<*mut c_void> =
        callers.iter_mut().map(|caller| ptr::from_mut(caller).cast()).collect();
    let strict = args.binding == BindingName::PerCall;
    let storm =
        args.storm.then(|| storm::start(strict)).transpose().map_err(because("no storm"))?;
    let started = Instant::now();
    let mut calls = c_side::lines::Report::default();
    let mut rounds = 0;
    loop {
        let more = match (args.rounds, &storm) {
            (Some(asked), _) => asked - rounds,
            // Whole rounds only, so that C's count of one round gives the right result.
            (None, Some(_)) => u64::from(rounds == 0 || storm::received().wants_more(args.signals)),
            (None, None) => ROUNDS - rounds,
        };
        if more == 0 || (text.is_empty() && rounds > 0) {
            break;
        }
        let more = more.min(ROUNDS_OF_A_THREAD);
        // SAFETY: each ctx points to a caller of its own, which stays borrowed until the threads
        // are joined; a caller may be used on any thread, as its type shows; `on_line` returns a
        // panic of the closure as an error.
        let of_these = unsafe { c_side::lines::run(text, more as usize, count::on_line, &ctxs) };
        let of_these = of_these.map_err(because("no C thread"))?;
        calls.lines += of_these.lines;
        calls.refused += of_these.refused;
        calls.backwards += of_these.backwards;
        calls.last_total = calls.last_total.max(of_these.last_total);
        rounds += more;
    }
    Ok(Driven {
        rounds,
        calls,
        wall: started.elapsed(),
        signals_sent: storm.map_or(0, |storm| storm.sent()),
    })
}

/// A caller goes to a thread that C makes. This checks that it may, where the compiler does not.
const _: fn() = || {
    fn may_go_to_another_thread<T: Send>() {}
    may_go_to_another_thread::<Caller>();
};
