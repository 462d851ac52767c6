//! A million goroutines that wait for one channel, and what each of them takes.
//!
//! ```text
//! $ cargo run --release --example million
//!     5.461 s  made and waiting, 5461 ns for each of 1000000
//! memory      4162 bytes each resident, 521 of page tables: 4683 in all
//! mappings    140, before: 35
//!     4.186 s  released and ended, 4186 ns for each of 1000000
//! stacks      16 slabs, 60 GiB of addresses
//! ```
//!
//! `--goroutines N` sets their number, `--handles` keeps the `JoinHandle` of each. The example
//! fails if a goroutine takes more than 4,700 bytes, or 4,850 with its handle, or if there are 200
//! mappings or more. These figures are of Linux with 4 KiB pages and guards by `madvise` (6.13). On
//! an older kernel, 32,000 goroutines are the limit, and the example reports the error of the next
//! one.
//!
//! # Safety
//!
//! The promise of the mode: the goroutines suspend in `recv` and `yield_now` only, in no
//! initialiser and no nested call.

#![expect(unsafe_code, reason = "promises what the mode asks for")]

use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use gosched::{JoinHandle, Mode, NotStarted, Runtime, chan, go, yield_now};

/// Enough for what waits and little else. The page tables of a larger stack take more.
const STACK_SIZE: usize = 192 << 10;
/// The most bytes for each goroutine that waits, everything counted.
const MOST_BYTES: usize = 4_700;
/// The same with a kept handle: 24 bytes, and the packet that the handle shares with the goroutine.
const MOST_BYTES_WITH_HANDLE: usize = 4_850;
/// The most mappings.
const MOST_MAPPINGS: usize = 200;

/// The memory of the process.
struct Sample {
    resident: usize,
    page_tables: usize,
    mappings: usize,
}

impl Sample {
    fn take() -> Self {
        let status = std::fs::read_to_string("/proc/self/status").expect("Linux has it");
        let kib = |key: &str| -> usize {
            let line = status
                .lines()
                .find_map(|line| line.strip_prefix(key))
                .expect("every process has it");
            line.trim().trim_end_matches(" kB").parse().expect("a number")
        };
        let maps = std::fs::read_to_string("/proc/self/maps").expect("Linux has it");
        Self {
            resident: kib("VmRSS:") << 10,
            page_tables: kib("VmPTE:") << 10,
            mappings: maps.lines().count(),
        }
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (with_handles, others): (Vec<_>, Vec<_>) =
        arguments.iter().partition(|argument| *argument == "--handles");
    let goroutines = match others.as_slice() {
        [] => Some(1_000_000),
        [flag, n] if *flag == "--goroutines" => n.parse().ok().filter(|n| *n > 0),
        _ => None,
    };
    let Some(goroutines) = goroutines else {
        eprintln!("usage: million [--goroutines N] [--handles]");
        return ExitCode::from(2);
    };
    let handles = (!with_handles.is_empty()).then(Handles::default);
    // SAFETY: see the head.
    let mode = unsafe { Mode::settled() };
    let runtime = Runtime::builder(mode).stack_size(STACK_SIZE).build().expect("a runtime");
    let fits = runtime.run(|| wait_and_release(&runtime, goroutines, handles));
    if fits { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Spawns the goroutines, measures while they wait, and releases them. True if they stayed within
/// the bounds.
fn wait_and_release(runtime: &Runtime, goroutines: usize, handles: Option<Handles>) -> bool {
    let before = Sample::take();
    let (release, released) = chan::bounded::<()>(0);
    let (waiting, ended) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let began = Instant::now();
    // A goroutine stays where it starts, so there is one spawner for each CPU.
    let makers = std::thread::available_parallelism().map_or(1, usize::from);
    for maker in 0..makers {
        let share = goroutines / makers + usize::from(maker < goroutines % makers);
        let (released, waiting, ended) = (released.clone(), waiting.clone(), ended.clone());
        let handles = handles.clone();
        go(move || make(share, handles.as_ref(), &released, &waiting, &ended));
    }
    if !until(&waiting, goroutines) {
        say_why(&released);
        return false;
    }
    let took = began.elapsed();
    let most = if handles.is_some() { MOST_BYTES_WITH_HANDLE } else { MOST_BYTES };
    let fits = report(&before, &Sample::take(), goroutines, took, most);
    let began = Instant::now();
    drop(release);
    let all_began = until(&ended, goroutines);
    assert!(all_began, "they have waited");
    per(began.elapsed(), goroutines, "released and ended");
    let stats = runtime.stack_stats();
    println!("stacks      {} slabs, {} GiB of addresses", stats.slabs, stats.reserved >> 30);
    fits
}

/// The kept handles, by spawner.
type Handles = Arc<Mutex<Vec<Vec<JoinHandle<()>>>>>;

/// Spawns so many.
fn make(
    goroutines: usize,
    handles: Option<&Handles>,
    released: &chan::Receiver<()>,
    waiting: &Arc<AtomicUsize>,
    ended: &Arc<AtomicUsize>,
) {
    let mut kept = Vec::with_capacity(if handles.is_some() { goroutines } else { 0 });
    let mine = Arc::new(AtomicUsize::new(0));
    for n in 0..goroutines {
        let (released, unstarted, waiting, ended) =
            (released.clone(), Unstarted(Some(mine.clone())), waiting.clone(), ended.clone());
        let handle = go(move || {
            unstarted.start();
            waiting.fetch_add(1, Relaxed);
            let _disconnected = released.recv();
            ended.fetch_add(1, Relaxed);
        });
        if handles.is_some() {
            kept.push(handle);
        }
        // An unstarted goroutine keeps its closure on the heap.
        if n % 1024 == 0 && !until(&mine, n) {
            return;
        }
    }
    if let Some(handles) = handles {
        handles.lock().expect("no panic").push(kept);
    }
}

/// Counts a goroutine when it starts, or as one that never does.
struct Unstarted(Option<Arc<AtomicUsize>>);

/// How many goroutines were dropped without a start.
static NEVER_STARTED: AtomicUsize = AtomicUsize::new(0);

impl Unstarted {
    fn start(mut self) {
        self.0.take().inspect(|started| _ = started.fetch_add(1, Relaxed));
    }
}

impl Drop for Unstarted {
    fn drop(&mut self) {
        if self.0.is_some() {
            NEVER_STARTED.fetch_add(1, Relaxed);
        }
    }
}

/// Lets others run until so many are counted. False if one was not started, so that it never is.
fn until(counter: &AtomicUsize, n: usize) -> bool {
    while counter.load(Relaxed) < n {
        if NEVER_STARTED.load(Relaxed) > 0 {
            return false;
        }
        yield_now();
    }
    true
}

/// Says what goes wrong with the next goroutine that is one too many. The first of them was not
/// kept; a few more may find room.
fn say_why(released: &chan::Receiver<()>) {
    let one_more = || {
        let released = released.clone();
        go(move || _ = released.recv())
    };
    let not_started = (0..1_000).find_map(|_| {
        let waits = one_more();
        yield_now();
        match waits.join_timeout(Duration::from_millis(1)) {
            Ok(ended) => Some(ended.expect_err("it waits if it was started")),
            Err(_it_waits) => None,
        }
    });
    match not_started.as_ref().and_then(|why| why.downcast_ref::<NotStarted>()) {
        Some(why) => eprintln!("{why}"),
        None => eprintln!("a goroutine could not be started; a thousand others could"),
    }
}

fn per(time: Duration, n: usize, what: &str) {
    println!(
        "{:9.3} s  {what}, {} ns for each of {n}",
        time.as_secs_f64(),
        time.as_nanos() / n as u128
    );
}

fn report(before: &Sample, now: &Sample, goroutines: usize, took: Duration, most: usize) -> bool {
    per(took, goroutines, "made and waiting");
    let resident = (now.resident - before.resident) / goroutines;
    let tables = (now.page_tables - before.page_tables) / goroutines;
    println!(
        "memory      {resident} bytes each resident, {tables} of page tables: {} in all",
        resident + tables
    );
    println!("mappings    {}, before: {}", now.mappings, before.mappings);
    resident + tables <= most && now.mappings < MOST_MAPPINGS
}
