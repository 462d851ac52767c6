//! The tools of measurement of these tests.
#![expect(unsafe_code, reason = "makes migratory goroutines, which hold nothing bound to a thread")]

use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use gosched::goroutine::Builder;
use gosched::{JoinHandle, Runtime, go_migratory, time};

/// How often a measurement is tried.
const ATTEMPTS: usize = 3;

/// One test at a time.
pub(crate) fn alone() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    ONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Measures until a measurement keeps its bounds. `Err` names the broken bound.
#[track_caller]
pub(crate) fn measured(what: &str, attempt: impl Fn() -> Result<(), String>) {
    let mut broken = Vec::new();
    for _ in 0..ATTEMPTS {
        match attempt() {
            Ok(()) => return,
            Err(bound) => broken.push(bound),
        }
    }
    panic!("{what}: {}", broken.join("; "));
}

/// Returns `Err` if `value` is over the bound.
pub(crate) fn at_most<T: PartialOrd + std::fmt::Debug>(
    what: &str,
    value: T,
    bound: T,
) -> Result<(), String> {
    if value <= bound {
        Ok(())
    } else {
        Err(format!("{what}: {value:?} instead of at most {bound:?}"))
    }
}

/// Computes for this time, without a call of the runtime.
pub(crate) fn compute(duration: Duration) {
    let began = Instant::now();
    let mut x = 1_u64;
    while began.elapsed() < duration {
        for _ in 0..1000 {
            x = black_box(x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1));
        }
    }
}

/// A goroutine that shall run every millisecond.
pub(crate) struct Ticker {
    stop: Arc<AtomicBool>,
    g: JoinHandle<Ticked>,
}

/// The result of a ticker.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ticked {
    /// The longest time between two runs.
    pub(crate) gap: Duration,
    pub(crate) runs: u32,
}

impl Ticker {
    /// Starts a migratory ticker. It has run once when this returns.
    pub(crate) fn start(rt: &Runtime) -> Self {
        // SAFETY: it holds nothing bound to a thread while it sleeps.
        Self::start_by(|tick| rt.run(|| unsafe { go_migratory(tick) }))
    }

    /// Starts a ticker that stays where it begins.
    pub(crate) fn start_settled(rt: &Runtime) -> Self {
        Self::start_by(|tick| rt.handle().go(tick))
    }

    fn start_by(
        start: impl FnOnce(Box<dyn FnOnce() -> Ticked + Send>) -> JoinHandle<Ticked>,
    ) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (theirs, began) = (stop.clone(), Arc::new(AtomicBool::new(false)));
        let first = began.clone();
        let tick = move || {
            let mut ticked = Ticked { gap: Duration::ZERO, runs: 0 };
            let mut last = Instant::now();
            while !theirs.load(Relaxed) {
                first.store(true, Relaxed);
                time::sleep(Duration::from_millis(1));
                let now = Instant::now();
                ticked.gap = ticked.gap.max(now - last);
                ticked.runs += 1;
                last = now;
            }
            ticked
        };
        let g = start(Box::new(tick));
        while !began.load(Relaxed) {
            std::thread::yield_now();
        }
        Self { stop, g }
    }

    /// Spawns goroutines that settle on the ticker's thread.
    pub(crate) fn beside(&self, rt: &Runtime) -> Builder {
        Builder::new().runtime(&rt.handle()).with(&self.g)
    }

    /// Ends the ticker.
    pub(crate) fn stop(self) -> Ticked {
        self.stop.store(true, Relaxed);
        self.g.join().expect("it only ticks")
    }
}

/// Returns how many threads this process has.
pub(crate) fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").expect("it is there").count()
}

/// Waits for `condition`, up to a time limit that only a broken runtime reaches.
#[track_caller]
pub(crate) fn eventually(what: &str, condition: impl Fn() -> bool) {
    let began = Instant::now();
    while !condition() {
        assert!(began.elapsed() < Duration::from_secs(30), "{what}: it does not come");
        std::thread::yield_now();
    }
}
