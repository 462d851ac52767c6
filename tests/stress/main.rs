//! Everything at once: goroutines that compute, block, sleep, talk, lock, cancel and are cancelled,
//! and change the number of Ps; and C threads that call in under a storm of signals. At the end
//! everything is accounted for.
//!
//! Each run prints its seed. `GOSCHED_STRESS_SEED` repeats the choices (not the schedule), and
//! `GOSCHED_STRESS_SECONDS` sets the time: `cargo xtask stress --seconds 60`.

mod callers;
mod work;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use gosched::callback::{Binding, Bridge};
use gosched::{Handle, Mode, Runtime, chan, sync};
use test_support::{migratory, settled};

/// How many goroutines choose the work.
const DRIVERS: u64 = 8;
/// How many C threads call in.
const CALLERS: usize = 4;

/// What was done, and its results.
#[derive(Debug, Default)]
pub(crate) struct Books {
    pub(crate) made: AtomicU64,
    pub(crate) ended: AtomicU64,
    pub(crate) sent: AtomicU64,
    pub(crate) given_back: AtomicU64,
    pub(crate) locked: AtomicU64,
    pub(crate) cancelled: AtomicU64,
    pub(crate) called: AtomicU64,
    pub(crate) jobs: AtomicU64,
}

/// The state that the drivers share.
pub(crate) struct Shared {
    pub(crate) rt: Handle,
    pub(crate) books: Books,
    pub(crate) counter: sync::Mutex<u64>,
    pub(crate) items: chan::Sender<u64>,
    pub(crate) stop: AtomicBool,
}

/// A seeded generator (SplitMix64).
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Returns a number below `n`.
    pub(crate) fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % n
    }

    /// Returns a duration of 0 to `ms` milliseconds.
    pub(crate) fn up_to_ms(&mut self, ms: u64) -> Duration {
        Duration::from_micros(self.below(1000 * ms + 1))
    }
}

fn knob(name: &str) -> Option<u64> {
    std::env::var(name)
        .ok()
        .map(|value| value.parse().unwrap_or_else(|_| panic!("{name} wants a number")))
}

fn stress(mode: Mode) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_nanos() as u64;
    let seed = knob("GOSCHED_STRESS_SEED").unwrap_or(now);
    let time = Duration::from_secs(knob("GOSCHED_STRESS_SECONDS").unwrap_or(6)) / 2;
    eprintln!("{mode:?}: seed {seed}, {time:?}");

    let rt = Runtime::builder(mode).procs(2).build().expect("a runtime");
    let bridge = Bridge::new(&rt).with_binding(Binding::UntilThreadExit);
    let (items, taken) = chan::bounded(16);
    let collector = rt
        .handle()
        .go(move || taken.iter().fold((0, 0), |(n, sum), item: u64| (n + 1, sum + item)));
    let (counter, stop) = (sync::Mutex::new(0), AtomicBool::new(false));
    let shared =
        Arc::new(Shared { rt: rt.handle(), books: Books::default(), counter, items, stop });

    let callers = callers::start(&bridge, &shared, CALLERS);
    let driver = |n: u64| {
        let shared = shared.clone();
        rt.handle().go(move || {
            work::drive(&shared, Random::new(seed ^ n.wrapping_mul(0x5851_f42d_4c95_7f2d)))
        })
    };
    let drivers: Vec<_> = (0..DRIVERS).map(driver).collect();
    let began = Instant::now();
    while began.elapsed() < time {
        std::thread::sleep(Duration::from_millis(10));
    }
    shared.stop.store(true, Relaxed);
    for driver in drivers {
        driver.join().expect("a driver does not panic");
    }
    let called = callers.join().expect("the C side does not panic");
    let Shared { books, counter, items, .. } =
        Arc::into_inner(shared).expect("all who had it have ended");
    drop(items);
    let (received, _sum) = collector.join().expect("it only counts");

    let read = |count: &AtomicU64| count.load(Relaxed);
    assert_eq!(read(&books.made), read(&books.ended), "goroutines made and ended");
    assert_eq!(read(&books.sent), received, "items sent and received");
    assert_eq!(
        read(&books.locked),
        *counter.lock().expect("nobody panicked with it"),
        "locks taken and counted"
    );
    assert_eq!(read(&books.called), called, "callbacks that ran and that C made");
    eprintln!("{books:?}");
    rt.shutdown(Duration::from_secs(30)).expect("nothing is left");
    assert!(read(&books.jobs) > 0 && called > 0, "something was done");
}

/// One after the other: there is one storm in a process.
#[test]
fn everything_at_once_is_accounted_for() {
    stress(settled());
    stress(migratory());
}
