//! Threads that call in by the ten thousand, without a host: `crowd`, `churn` and `hogged`.
//!
//! - `crowd`: 10,000 threads that are all there at once make 100 callbacks each; `--threads` says
//!   another number.
//! - `churn`: 200 threads at a time come, make 20 callbacks each, and go, for `--seconds` seconds.
//!   Memory, threads and mappings of the process must not grow.
//! - `hogged`: a goroutine computes on every core. A thread that comes at random moments is inside
//!   within 50 us, but for one call in a hundred.
//!
//! Each is done in both bindings; `--storm` adds the storm.

use gosched::callback::Binding;
use hosts::frame::{Host, Plan};
use std::collections::VecDeque;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Barrier};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};
use std::{fs, hint};

const USAGE: &str = "usage: cargo xtask hosts load crowd|churn|hogged [--threads N] [--seconds N] \
    [--storm] [--binding B]";

/// A small stack, as a library with many threads gives them.
const STACK: usize = 128 << 10;

fn thread(body: impl FnOnce() + Send + 'static) -> JoinHandle<()> {
    Builder::new().stack_size(STACK).spawn(body).expect("a thread")
}

/// Resident memory in KiB, threads, mappings.
#[derive(Clone, Copy, Debug)]
struct Sample([u64; 3]);

impl Sample {
    fn now() -> Self {
        let status = fs::read_to_string("/proc/self/status").expect("Linux has it");
        let field = |name: &str| -> u64 {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let number = line.and_then(|line| line.split_whitespace().next());
            number.and_then(|number| number.parse().ok()).unwrap_or(0)
        };
        let mappings = fs::read_to_string("/proc/self/maps").expect("Linux has it");
        Self([field("VmRSS:"), field("Threads:"), mappings.lines().count() as u64])
    }
}

const FIGURES: [&str; 3] = ["KiB", "threads", "mappings"];
/// What may be more at the end. Threads that have just begun or ended have their mappings or not.
const SLACK: [u64; 3] = [2048, 0, 64];
/// The first thread, the runtime's, and the storm's.
const OWN_THREADS: u64 = 10;

/// How much.
#[derive(Clone, Copy)]
struct Amounts {
    threads: usize,
    seconds: u64,
}

fn crowd(host: &'static Host, amounts: Amounts) {
    const CALLS: i64 = 100;
    let began = Instant::now();
    let all_there = Arc::new(Barrier::new(amounts.threads + 1));
    let threads: Vec<_> = (0..amounts.threads)
        .map(|_| {
            let all_there = Arc::clone(&all_there);
            thread(move || {
                all_there.wait();
                (0..CALLS).for_each(|value| {
                    host.call(value);
                });
                all_there.wait();
            })
        })
        .collect();
    all_there.wait();
    let Sample(most) = Sample::now();
    all_there.wait();
    threads.into_iter().for_each(|thread| thread.join().expect("no panic"));
    let Sample(left) = Sample::now();
    println!(
        "{:.1} s; KiB, threads, mappings at most {most:?}, afterwards {left:?}",
        began.elapsed().as_secs_f64()
    );
    let wanted = amounts.threads as u64 * CALLS as u64;
    host.check(host.callbacks() == wanted, format_args!("{} callbacks", host.callbacks()));
}

fn churn(host: &'static Host, Amounts { seconds, .. }: Amounts) {
    const AT_A_TIME: usize = 200;
    let end = Instant::now() + Duration::from_secs(seconds);
    let every = Duration::from_millis((seconds * 1000 / 100).clamp(10, 1000));
    let (mut threads, mut samples) = (VecDeque::new(), Vec::new());
    let (mut made, mut next) = (0_u64, Instant::now());
    while Instant::now() < end {
        while threads.len() < AT_A_TIME {
            threads.push_back(thread(move || {
                (0..20).for_each(|value| {
                    host.call(value);
                });
            }));
            made += 1;
        }
        if Instant::now() >= next {
            samples.push(Sample::now());
            next += every;
        }
        threads.drain(..AT_A_TIME / 4).for_each(|thread| thread.join().expect("no panic"));
    }
    threads.into_iter().for_each(|thread| thread.join().expect("no panic"));
    print!("{made} threads;");
    let steady = &samples[samples.len() / 5..];
    let third = steady.len() / 3;
    for (index, (what, slack)) in FIGURES.into_iter().zip(SLACK).enumerate() {
        let figure = |part: &[Sample]| {
            let mut values: Vec<u64> = part.iter().map(|sample| sample.0[index]).collect();
            values.sort_unstable();
            // Threads come and go, with their mappings; so the most of them.
            if what == "KiB" { values[values.len() / 2] } else { values[values.len() - 1] }
        };
        let (early, late) = (figure(&steady[..third]), figure(&steady[steady.len() - third..]));
        print!(" {what} {early} -> {late};");
        // All are there, or fewer: then the most of both parts is no measure.
        let most = if what == "threads" { AT_A_TIME as u64 + OWN_THREADS } else { early + slack };
        host.check(late <= most, format_args!("{what} grew from {early} to {late}"));
    }
    println!(" in an early and in the last third");
}

fn hogged(host: &'static Host, _amounts: Amounts) {
    const CALLS: usize = 10_000;
    let cores = std::thread::available_parallelism().map_or(2, |number| number.get());
    let over = Arc::new(AtomicBool::new(false));
    let hogs: Vec<_> = (0..cores)
        .map(|_| {
            let over = Arc::clone(&over);
            host.handle().go(move || {
                while !over.load(Relaxed) {
                    hint::spin_loop();
                }
            })
        })
        .collect();
    let mut took: Vec<u64> = Vec::with_capacity(CALLS);
    let mut random = 1_u64;
    for value in 0..CALLS {
        // The kernel wakes this thread beside the hogs; then it calls in.
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        std::thread::sleep(Duration::from_micros(random >> 55));
        let began = Instant::now();
        let entered = host.bridge().enter(|| hint::black_box(value)).is_ok();
        took.push(began.elapsed().as_nanos() as u64);
        host.check(entered, "refused");
    }
    over.store(true, Relaxed);
    hogs.into_iter().for_each(|hog| hog.join().expect("no panic"));
    host.call(1);
    took.sort_unstable();
    let at = |part: usize| took[CALLS * part / 1000 - 1] as f64 / 1000.0;
    let p99 = at(990);
    println!(
        "{cores} hogs; enter p50 {:.2} us, p99 {p99:.2} us, p99.9 {:.2} us, worst {:.2} us",
        at(500),
        at(999),
        at(1000)
    );
    host.check(p99 < 50.0, format_args!("p99 is {p99} us, 50 us is the most"));
}

type Load = fn(&'static Host, Amounts);

fn positive(word: &str) -> Option<u64> {
    word.parse().ok().filter(|number| *number > 0)
}

struct Choice {
    load: Load,
    amounts: Amounts,
    storm: bool,
    bindings: Vec<Binding>,
}

fn choose(arguments: &[String]) -> Option<Choice> {
    let (name, rest) = arguments.split_first()?;
    let load: Load = match name.as_str() {
        "crowd" => crowd,
        "churn" => churn,
        "hogged" => hogged,
        _ => return None,
    };
    let bindings = vec![Binding::PerCall, Binding::UntilThreadExit];
    let amounts = Amounts { threads: 10_000, seconds: 10 };
    let mut choice = Choice { load, amounts, storm: false, bindings };
    let mut rest = rest.iter();
    while let Some(flag) = rest.next() {
        match flag.as_str() {
            "--seconds" => choice.amounts.seconds = positive(rest.next()?)?,
            "--threads" => choice.amounts.threads = positive(rest.next()?)? as usize,
            "--storm" => choice.storm = true,
            "--binding" => {
                let name = rest.next()?.clone();
                choice.bindings = vec![Plan::parse([name].into_iter()).ok()?.binding];
            }
            _ => return None,
        }
    }
    Some(choice)
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some(Choice { load, amounts, storm, bindings }) = choose(&arguments) else {
        eprintln!("{USAGE}");
        return ExitCode::FAILURE;
    };
    let mut right = true;
    for binding in bindings {
        print!("{binding:?}: ");
        let host = Host::start("load", Plan { binding, storm }).expect("a runtime");
        load(host, amounts);
        right &= host.end();
    }
    if right { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
