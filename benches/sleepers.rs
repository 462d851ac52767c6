//! How late sleeping goroutines wake up, and what the clock costs. `cargo bench --bench sleepers`,
//! or with the number of goroutines, `cargo bench --bench sleepers -- 1000000`.
//!
//! Each goroutine sleeps until a moment of its own, and notes how late it was. The moments are
//! spread over two seconds. The processor time is that of the whole process between the first
//! deadline and the last, so spawning is not included. Two more figures: the cost of a yield while
//! a timer exists that is not due, and the cost of one short sleep.
#![expect(unsafe_code, reason = "promises the modes, asks for the processor time")]

use std::mem::MaybeUninit;
use std::time::{Duration, Instant};

use gosched::{Mode, Runtime, go, time, yield_now};

const SPREAD: Duration = Duration::from_secs(2);
const STACK: usize = 32 * 1024;

fn main() {
    let n =
        std::env::args().skip(1).find_map(|argument| argument.parse().ok()).unwrap_or(100_000_u32);
    // SAFETY: nothing here suspends inside a thread-local's initialiser or code that nests calls.
    let settled = unsafe { Mode::settled() };
    // SAFETY: as above, and nothing bound to a thread is held across a suspension.
    let migratory = unsafe { Mode::migratory() };
    for (name, mode) in [("settled", settled), ("migratory", migratory)] {
        println!("{n} sleepers, {name}: {}", in_runtime(mode, || sleepers(n)));
        println!(
            "yield beside a far timer, {name}: {:.1} ns",
            in_runtime(mode, || yields(1_000_000))
        );
        println!("sleep(1 ms) in a row, {name}: {}", in_runtime(mode, naps));
    }
}

fn in_runtime<R>(mode: Mode, body: impl FnOnce() -> R) -> R {
    Runtime::builder(mode).procs(2).stack_size(STACK).build().expect("a runtime").run(body)
}

fn sleepers(n: u32) -> String {
    let made = Instant::now();
    // Spawning one takes some 10 us, most of it page faults. The first deadline comes after all
    // have been spawned.
    let first = made + Duration::from_secs(1) + Duration::from_micros(40) * n;
    let all: Vec<_> = (0..n)
        .map(|i| {
            // A step that has no divisor in common with most counts, so that neighbours are not due
            // after each other.
            let place = (u64::from(i) * 7_919 % u64::from(n)) as f64 / f64::from(n);
            let deadline = first + SPREAD.mul_f64(place);
            go(move || {
                time::sleep_until(deadline);
                deadline.elapsed()
            })
        })
        .collect();
    time::sleep_until(first - Duration::from_millis(100));
    let before = processor_time();
    let mut late: Vec<Duration> =
        all.into_iter().map(|one| one.join().expect("it ended")).collect();
    let used = processor_time() - before;
    late.sort_unstable();
    let at = |part: f64| late[((late.len() - 1) as f64 * part) as usize];
    format!(
        "late by {:?} (p50), {:?} (p99), {:?} (most); {used:.2?} of processor time",
        at(0.5),
        at(0.99),
        at(1.0)
    )
}

fn yields(n: u32) -> f64 {
    let far = go(|| time::sleep(Duration::from_secs(1)));
    yield_now();
    let began = Instant::now();
    (0..n).for_each(|_| yield_now());
    let figure = began.elapsed().as_nanos() as f64 / f64::from(n);
    far.join().expect("it ended");
    figure
}

fn naps() -> String {
    const NAPS: u32 = 500;
    let before = processor_time();
    let mut late: Vec<Duration> = (0..NAPS)
        .map(|_| {
            let deadline = Instant::now() + Duration::from_millis(1);
            time::sleep_until(deadline);
            deadline.elapsed()
        })
        .collect();
    let used = processor_time() - before;
    late.sort_unstable();
    format!(
        "late by {:?} (p50), {:?} (p99); {:?} of processor time each",
        late[249],
        late[494],
        used / NAPS
    )
}

/// Returns the processor time that this process has used, in user code and in the kernel.
fn processor_time() -> Duration {
    let mut usage = MaybeUninit::<libc::rusage>::uninit();
    // SAFETY: `usage` is writable, and the call fails for nothing but a wrong first argument.
    unsafe { libc::getrusage(libc::RUSAGE_SELF, usage.as_mut_ptr()) };
    // SAFETY: the call has filled it.
    let usage = unsafe { usage.assume_init() };
    let duration = |t: libc::timeval| {
        Duration::from_secs(t.tv_sec as u64) + Duration::from_micros(t.tv_usec as u64)
    };
    duration(usage.ru_utime) + duration(usage.ru_stime)
}
