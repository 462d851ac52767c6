//! The tools of measurement of the workloads: time, memory, processor time, gaps; and the work that
//! some workloads do.
#![expect(unsafe_code, reason = "asks for the processor time")]

use std::hint::black_box;
use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

/// A name and a value, in the unit that the name ends with.
pub(crate) type Figure = (&'static str, f64);

/// The result of a workload.
pub(crate) type Figures = Vec<Figure>;

/// Prints `FIGURE VALUE`, one a line, or `unsupported`. Then ends the process, with all that still
/// waits or computes in it.
pub(crate) fn deliver(figures: Option<&[Figure]>) -> ! {
    match figures {
        Some(figures) => figures.iter().for_each(|(figure, value)| println!("{figure} {value}")),
        None => println!("unsupported"),
    }
    std::process::exit(0)
}

/// Returns the one figure of most workloads.
pub(crate) fn ns_per_op(operations: u64, began: Instant) -> Figures {
    vec![("ns_per_op", began.elapsed().as_nanos() as f64 / operations as f64)]
}

/// Returns how many workers the peer shall have.
pub(crate) fn workers() -> usize {
    std::env::var("VERSUS_PROCS").ok().and_then(|n| n.parse().ok()).unwrap_or(2)
}

pub(crate) fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

/// Returns the value below which that part of them lies.
pub(crate) fn percentile(values: &mut [u64], part: f64) -> f64 {
    values.sort_unstable();
    let last = values.len().saturating_sub(1) as f64;
    values.get((last * part) as usize).map_or(0.0, |value| *value as f64)
}

/// Returns the resident bytes of this process, with its page tables.
pub(crate) fn memory() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let kib = |key: &str| -> f64 {
        let line = status.lines().find_map(|line| line.strip_prefix(key));
        line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0.0)
    };
    (kib("VmRSS:") + kib("VmPTE:")) * 1024.0
}

/// Returns the processor time that this process has used, in user code and in the kernel.
pub(crate) fn processor_time() -> Duration {
    let mut usage = MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: `usage` is writable.
    unsafe { libc::getrusage(libc::RUSAGE_SELF, usage.as_mut_ptr()) };
    // SAFETY: all of it is integers, zero or filled in by the call.
    let usage = unsafe { usage.assume_init() };
    let duration = |t: libc::timeval| {
        Duration::from_secs(t.tv_sec as u64) + Duration::from_micros(t.tv_usec as u64)
    };
    duration(usage.ru_utime) + duration(usage.ru_stime)
}

/// Returns how long the sleeper of that number sleeps: less than a second, the same in all peers.
pub(crate) fn nap(index: u64) -> Duration {
    let random =
        index.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    Duration::from_micros((random >> 33) % 1_000_000)
}

/// Computes for so long, without a call that a runtime could see.
pub(crate) fn compute(duration: Duration) {
    let began = Instant::now();
    let mut x = 1_u64;
    while began.elapsed() < duration {
        for _ in 0..1000 {
            x = black_box(x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1));
        }
    }
}

/// Items of one goroutine of the workload `parallel_sum`.
pub(crate) const CHUNK: usize = 1_000;

/// Returns the items of the workload `parallel_sum`.
pub(crate) fn items() -> Arc<[u64]> {
    static ITEMS: OnceLock<Arc<[u64]>> = OnceLock::new();
    ITEMS.get_or_init(|| (0..1_000_000).collect()).clone()
}

/// Returns a sum over the items, each of which takes some nanoseconds that the items before it do
/// not hide.
pub(crate) fn sum_of(items: &[u64]) -> u64 {
    items.iter().fold(0, |sum, item| {
        let mixed = (sum ^ item).wrapping_mul(0xff51_afd7_ed55_8ccd);
        (mixed ^ (mixed >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53)
    })
}

/// Times sums: the median of eleven, after two.
fn median_of_sums(sum: &dyn Fn() -> u64) -> Duration {
    let expected = items().chunks(CHUNK).map(sum_of).fold(0, u64::wrapping_add);
    let mut took = Vec::new();
    for _ in 0..13 {
        let began = Instant::now();
        assert_eq!(sum(), expected);
        took.push(began.elapsed());
    }
    took.drain(..2);
    took.sort();
    took[took.len() / 2]
}

/// Returns the figures of the workload `parallel_sum`. `run` makes a runtime with so many workers
/// and times a function in it that adds all items.
pub(crate) fn scaling(
    run: impl Fn(usize, fn(&dyn Fn() -> u64) -> Duration) -> Duration,
) -> Figures {
    let [one, all] = [1, workers()].map(|workers| run(workers, median_of_sums).as_nanos() as f64);
    vec![("ns_per_op", all / items().len() as f64), ("part_of_one", all / one)]
}

/// Returns three orders of so many: upwards, downwards, and mixed, the same in all peers.
pub(crate) fn orders(n: usize) -> [Vec<usize>; 3] {
    let upwards: Vec<usize> = (0..n).collect();
    let downwards = upwards.iter().rev().copied().collect();
    let mut mixed = upwards.clone();
    mixed.sort_by_key(|index| nap(*index as u64));
    [upwards, downwards, mixed]
}

/// A second of light load.
#[derive(Clone, Copy)]
pub(crate) struct Load {
    began: Instant,
    before: Duration,
}

impl Load {
    pub(crate) fn begin() -> Self {
        Self { began: Instant::now(), before: processor_time() }
    }

    pub(crate) fn lasts(&self) -> bool {
        self.began.elapsed() < Duration::from_secs(1)
    }

    /// Returns the figures, with the latencies in nanoseconds.
    pub(crate) fn figures(&self, mut took: Vec<u64>) -> Figures {
        let cpu = ms(processor_time() - self.before) / self.began.elapsed().as_secs_f64();
        let mut at = |part| percentile(&mut took, part) / 1e3;
        vec![("cpu_ms_per_s", cpu), ("p50_us", at(0.5)), ("p99_us", at(0.99))]
    }
}

/// The longest time between two ticks.
pub(crate) struct Gap {
    last: Instant,
    worst: Duration,
}

impl Gap {
    pub(crate) fn new() -> Self {
        Self { last: Instant::now(), worst: Duration::ZERO }
    }

    pub(crate) fn tick(&mut self) {
        let now = Instant::now();
        self.worst = self.worst.max(now - self.last);
        self.last = now;
    }

    pub(crate) fn worst(&self) -> Duration {
        self.worst
    }
}

/// How late each of many sleepers was.
#[derive(Clone)]
pub(crate) struct Lateness(Arc<[AtomicU64]>);

impl Lateness {
    pub(crate) fn new(sleepers: u64) -> Self {
        Self((0..sleepers).map(|_| AtomicU64::new(0)).collect())
    }

    pub(crate) fn note(&self, index: u64, deadline: Instant) {
        self.0[index as usize].store(deadline.elapsed().as_nanos() as u64, Relaxed);
    }

    /// Returns the figures of the workload `timers`.
    pub(crate) fn figures(&self, wall: Duration, cpu: Duration) -> Figures {
        let mut late: Vec<u64> = self.0.iter().map(|late| late.load(Relaxed)).collect();
        let at = |late: &mut Vec<u64>, part| percentile(late, part) / 1e6;
        vec![
            ("wall_ms", ms(wall)),
            ("cpu_ms", ms(cpu)),
            ("late_p50_ms", at(&mut late, 0.5)),
            ("late_p99_ms", at(&mut late, 0.99)),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_order_has_all_members_and_no_two_are_alike() {
        let all = orders(68);
        for order in &all {
            let mut sorted = order.clone();
            sorted.sort_unstable();
            assert_eq!(sorted, (0..68).collect::<Vec<_>>());
        }
        assert!(all[0] != all[1] && all[0] != all[2] && all[1] != all[2]);
    }

    #[test]
    fn scaling_is_the_time_over_that_of_one_worker() {
        let took = |workers| Duration::from_millis(if workers == 1 { 10 } else { 5 });
        let figures = scaling(|workers, _| took(workers));
        assert_eq!(figures[1], ("part_of_one", took(super::workers()).as_secs_f64() * 100.0));
    }
}
