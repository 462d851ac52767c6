//! The workloads in which C threads call in. C measures the time.

use std::sync::Barrier;
use std::thread;
use std::time::Duration;

use c_side::calls::{self, Plan, Report};

use super::measure::{Figures, memory, percentile, workers};

/// How a thread that the runtime did not make enters it.
pub(crate) trait Door: Sync {
    /// What a thread keeps for its round trips.
    type Line: Sync;

    /// Threads enter the runtime, and do not only talk to it over channels.
    const ENTERS: bool;

    /// Makes a callback that does nothing.
    fn enter(&self);
    /// Spawns a goroutine or task that answers.
    fn line(&self) -> Self::Line;
    /// Makes a callback that sends to a goroutine and waits for its answer.
    fn round_trip(&self, line: &Self::Line);
    /// Goroutines that compute until the process ends.
    fn hog(&self, hogs: usize);
    /// Runs a workload that only some runtimes have. `None` if this one has it not.
    fn more(&self, _workload: &str) -> Option<Figures> {
        None
    }
}

/// True if it is one of these workloads.
pub(crate) fn are_in(workload: &str) -> bool {
    workload.starts_with("callback") || workload == "thread_memory"
}

/// Runs the workload. The caller is a thread outside the runtime. `None` if the runtime cannot do
/// it.
pub(crate) fn run<D: Door>(door: &D, workload: &str) -> Option<Figures> {
    let figures = match workload {
        "callback_chan1" => microseconds(&mut round_trips(door, 1, 20_000).took_ns),
        "callback_chan4" => {
            let calls = 5_000;
            let mut report = round_trips(door, 4, calls);
            let per_call = report.wall.as_secs_f64() * 1e6 / calls as f64;
            vec![("us_per_call", per_call), ("p99_us", percentile(&mut report.took_ns, 0.99) / 1e3)]
        }
        _ if !D::ENTERS => return None,
        "callback_steady" => in_a_row(door, 1, 2_000_000),
        "callback_first" => first_calls(door),
        "callback_4threads" => in_a_row(door, 4, 500_000),
        "callback_hogged" => {
            door.hog(workers());
            latency(door)
        }
        "callback_idle" => latency(door),
        "thread_memory" => thread_memory(door),
        _ => return door.more(workload),
    };
    Some(figures)
}

fn made<F: Fn() + Sync>(plan: Plan, callbacks: &[F]) -> Report {
    calls::run(plan, callbacks).expect("threads")
}

/// Makes so many calls on each thread.
fn round_trips<D: Door>(door: &D, threads: usize, calls: usize) -> Report {
    let lines: Vec<_> = (0..threads).map(|_| door.line()).collect();
    let callbacks: Vec<_> = lines.iter().map(|line| || door.round_trip(line)).collect();
    made(Plan { calls: 200, ..Plan::default() }, &callbacks);
    made(Plan { calls, timed: true, ..Plan::default() }, &callbacks)
}

fn microseconds(took_ns: &mut [u64]) -> Figures {
    let mut at = |name, part| (name, percentile(took_ns, part) / 1e3);
    vec![at("p50_us", 0.5), at("p99_us", 0.99)]
}

/// Returns the nanoseconds for a call of each thread: four threads that do not disturb each other
/// take as long as one.
fn in_a_row<D: Door>(door: &D, threads: usize, calls: usize) -> Figures {
    let callbacks: Vec<_> = (0..threads).map(|_| || door.enter()).collect();
    made(Plan { calls: calls / 10, ..Plan::default() }, &callbacks);
    let report = made(Plan { calls, ..Plan::default() }, &callbacks);
    vec![("ns_per_op", report.wall.as_nanos() as f64 / calls as f64)]
}

/// Returns what the first call takes beyond a later one, each time on a new thread.
fn first_calls<D: Door>(door: &D) -> Figures {
    const LATER: usize = 32;
    let mut extra: Vec<f64> = (0..2000)
        .map(|_| {
            let report =
                made(Plan { calls: LATER + 1, timed: true, ..Plan::default() }, &[|| door.enter()]);
            report.took_ns[0] as f64 - report.took_ns[LATER] as f64
        })
        .collect();
    extra.sort_by(f64::total_cmp);
    vec![("ns_extra", extra[extra.len() / 2])]
}

/// Calls at random moments, as C threads do.
fn latency<D: Door>(door: &D) -> Figures {
    let plan = Plan {
        calls: 5_000,
        timed: true,
        max_pause: Duration::from_millis(1),
        limit: Duration::from_secs(2),
    };
    microseconds(&mut made(plan, &[|| door.enter()]).took_ns)
}

/// Returns what a thread that has called in takes while it lives, beyond a thread that has not.
fn thread_memory<D: Door>(door: &D) -> Figures {
    // The first thread takes the memory that all later ones share.
    let [_, alone, bound] = [false, false, true].map(|enters| five_hundred(door, enters));
    vec![("bytes_per_thread", (bound - alone) / THREADS as f64)]
}

const THREADS: usize = 500;

/// Returns by how much the process grows with so many threads.
fn five_hundred<D: Door>(door: &D, enters: bool) -> f64 {
    let (there, measured) = (Barrier::new(THREADS + 1), Barrier::new(THREADS + 1));
    let callbacks: Vec<_> = (0..THREADS)
        .map(|_| {
            || {
                if enters {
                    door.enter();
                }
                there.wait();
                measured.wait();
            }
        })
        .collect();
    let before = memory();
    thread::scope(|scope| {
        scope.spawn(|| made(Plan { calls: 1, ..Plan::default() }, &callbacks));
        there.wait();
        let grown = memory() - before;
        measured.wait();
        grown
    })
}
