//! The cost of sysmon: processor time and wake-ups of its thread per second, in a few situations.
//! `cargo bench --bench sysmon`
//!
//! The figures are from `/proc`, so Linux only. They show what the thread itself takes. They do not
//! show what its looks cost the Ms (loads of cache lines that the Ms write).
#![expect(unsafe_code, reason = "promises the mode, makes a migratory goroutine")]

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use gosched::{Handle, Mode, Runtime, go_migratory, time, yield_now};

const TIME: Duration = Duration::from_secs(2);

fn main() {
    println!("sysmon's thread, per second of {TIME:?}, 2 Ps\n");
    situation("1000 goroutines yield", |rt, stop| {
        (0..1000).for_each(|_| spawn(rt, stop, yield_now));
    });
    situation("a ticker of 1 ms alone", ticker);
    situation("2 goroutines compute alone", |rt, stop| {
        (0..2).for_each(|_| spawn(rt, stop, || compute(Duration::from_millis(10))));
    });
    situation("the same, and a ticker of 1 ms", |rt, stop| {
        (0..2).for_each(|_| spawn(rt, stop, || compute(Duration::from_millis(10))));
        ticker(rt, stop);
    });
    situation("16 goroutines block for 5 ms each, again and again", |rt, stop| {
        let nap = || {
            std::thread::sleep(Duration::from_millis(5));
            yield_now();
        };
        (0..16).for_each(|_| spawn(rt, stop, nap));
    });
    for (sleepers, ms) in [(3, 1), (16, 1), (16, 10), (200, 100)] {
        situation(
            &format!("{sleepers} goroutines sleep for {ms} ms each, again and again"),
            |rt, stop| {
                (0..sleepers)
                    .for_each(|_| spawn(rt, stop, move || time::sleep(Duration::from_millis(ms))));
            },
        );
    }
    situation("nothing", |_, _| ());
}

fn situation(name: &str, begin: impl Fn(&Runtime, &Arc<AtomicBool>)) {
    // SAFETY: nothing here suspends inside a thread-local's initialiser or code that nests calls.
    let mode = unsafe { Mode::settled() };
    let rt = Runtime::builder(mode).procs(2).name("bench").build().expect("a runtime");
    let stop = Arc::new(AtomicBool::new(false));
    begin(&rt, &stop);
    // Two goroutines share a P, so sysmon exists.
    let pair: Vec<_> = (0..4).map(|_| rt.handle().go(yield_now)).collect();
    pair.into_iter().for_each(|one| one.join().expect("it yields"));
    std::thread::sleep(Duration::from_millis(300));
    let (began, before) = (Instant::now(), sysmon());
    std::thread::sleep(TIME);
    let (seconds, after) = (began.elapsed().as_secs_f64(), sysmon());
    let per_second = |count: fn((u64, u64)) -> u64| (count(after) - count(before)) as f64 / seconds;
    let (cpu_us, waits) = (per_second(|(ns, _)| ns) / 1000.0, per_second(|(_, waits)| waits));
    println!(
        "{name:52} {cpu_us:9.0} us CPU ({:.2} % of a core) {waits:7.0} wake-ups",
        cpu_us / 10_000.0
    );
    stop.store(true, Relaxed);
    rt.shutdown(Duration::from_secs(10)).expect("all of them end");
}

/// Returns the CPU time in nanoseconds and the voluntary context switches of the thread.
fn sysmon() -> (u64, u64) {
    let tasks = std::fs::read_dir("/proc/self/task").expect("Linux");
    let named = |task: &std::path::Path| {
        std::fs::read_to_string(task.join("comm")).is_ok_and(|name| name.trim() == "bench-sysmon")
    };
    let Some(task) = tasks.filter_map(|task| Some(task.ok()?.path())).find(|task| named(task))
    else {
        return (0, 0);
    };
    let schedstat = std::fs::read_to_string(task.join("schedstat")).expect("it lives");
    let status = std::fs::read_to_string(task.join("status")).expect("it lives");
    let waits = status
        .lines()
        .find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"))
        .expect("a count");
    let cpu = schedstat.split(' ').next().expect("a number");
    (cpu.parse().expect("a number"), waits.trim().parse().expect("a number"))
}

fn spawn(rt: &Runtime, stop: &Arc<AtomicBool>, step: impl Fn() + Send + 'static) {
    let (stop, handle): (_, Handle) = (stop.clone(), rt.handle());
    drop(handle.go(move || {
        while !stop.load(Relaxed) {
            step();
        }
    }));
}

fn ticker(rt: &Runtime, stop: &Arc<AtomicBool>) {
    let stop = stop.clone();
    let tick = move || {
        while !stop.load(Relaxed) {
            time::sleep(Duration::from_millis(1));
        }
    };
    // SAFETY: it holds nothing bound to a thread.
    drop(rt.run(|| unsafe { go_migratory(tick) }));
}

fn compute(duration: Duration) {
    let began = Instant::now();
    let mut x = 1_u64;
    while began.elapsed() < duration {
        x = black_box(x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1));
    }
}
