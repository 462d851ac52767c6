//! `run` returns when the goroutines that settled on its thread have ended, and not before.
//! Goroutines elsewhere live on. A thread with an unfinished goroutine does not end.

use std::sync::Arc;
use std::sync::atomic::{
    AtomicBool, AtomicI32, AtomicU32,
    Ordering::{Acquire, Relaxed, Release},
};
use std::time::Duration;

use gosched::chan::{self, Sender};
use gosched::{JoinHandle, Runtime, ShutdownError, go, yield_now};
use gosched_runtime_sys::thread;
use test_support::{migratory, settled};

/// A started goroutine that waits for its gate.
struct Waiting {
    gate: Sender<()>,
    goroutine: JoinHandle<i32>,
}

/// A goroutine that reports when it has started, waits for its gate, and stores `true`.
fn make(ended: &Arc<AtomicBool>) -> (Arc<AtomicI32>, Waiting) {
    let (gate, opened) = chan::bounded(1);
    let (ended, started_on) = (Arc::clone(ended), Arc::new(AtomicI32::new(0)));
    let report = Arc::clone(&started_on);
    let goroutine = go(move || {
        report.store(thread::id(), Relaxed);
        opened.recv().expect("the gate opens");
        yield_now();
        // ORDERING[run.ended]: pairs with the load after `run`.
        ended.store(true, Release);
        thread::id()
    });
    (started_on, Waiting { gate, goroutine })
}

/// Spawns a goroutine that settles on another thread: the caller keeps its own thread busy until
/// then.
fn start_elsewhere(ended: &Arc<AtomicBool>) -> Waiting {
    let (started_on, waiting) = make(ended);
    while started_on.load(Relaxed) == 0 {
        thread::yield_thread();
    }
    assert_ne!(started_on.load(Relaxed), thread::id());
    waiting
}

/// Spawns a goroutine that settles on the calling thread: the other of two Ps is kept busy until
/// then. If this thread gets no core for so long that the busy goroutine loses its P, another
/// thread may be faster. Then it is tried again.
fn start_here(ended: &Arc<AtomicBool>) -> Waiting {
    let (busy, enough) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let (is_busy, is_enough) = (Arc::clone(&busy), Arc::clone(&enough));
    let hog = go(move || {
        is_busy.store(true, Relaxed);
        while !is_enough.load(Relaxed) {
            thread::yield_thread();
        }
    });
    while !busy.load(Relaxed) {
        thread::yield_thread();
    }
    let waiting = loop {
        let (started_on, waiting) = make(ended);
        while started_on.load(Relaxed) == 0 {
            yield_now();
        }
        if started_on.load(Relaxed) == thread::id() {
            break waiting;
        }
        waiting.gate.send(()).expect("it waits");
        waiting.goroutine.join().expect("no panic");
        ended.store(false, Relaxed);
    };
    enough.store(true, Relaxed);
    hog.join().expect("it only spins");
    waiting
}

#[test]
fn run_waits_for_the_goroutines_that_settled_on_its_thread_and_for_no_others() {
    for _ in 0..5 {
        let rt = Runtime::builder(settled()).procs(2).build().expect("a runtime");
        let (here_ended, there_ended) =
            (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let (returning, root_ends) = std::sync::mpsc::channel::<Sender<()>>();
        let has_returned = Arc::new(AtomicBool::new(false));
        let (handle, early) = (rt.handle(), Arc::clone(&has_returned));
        let opener = std::thread::spawn(move || {
            let gate = root_ends.recv().expect("the root sends its gate");
            // The root has ended; the runtime goes on meanwhile.
            for _ in 0..200 {
                handle.go(yield_now).join().expect("it only yields");
            }
            let early = early.load(Relaxed);
            gate.send(()).expect("it waits");
            early
        });
        let (here, there) = rt.run(|| {
            let there = start_elsewhere(&there_ended);
            let here = start_here(&here_ended);
            returning.send(here.gate).expect("the opener waits");
            (here.goroutine, there)
        });
        // ORDERING[run.ended]: pairs with the store in `start`.
        assert!(
            here_ended.load(Acquire),
            "run returned before a goroutine that settled on its thread had ended"
        );
        has_returned.store(true, Relaxed);
        assert!(!opener.join().expect("no panic"));
        assert_eq!(here.join().expect("no panic"), thread::id());
        assert!(
            !there.goroutine.is_finished() && !there_ended.load(Relaxed),
            "the other waits on, elsewhere"
        );
        there.gate.send(()).expect("it waits");
        assert_ne!(there.goroutine.join().expect("no panic"), thread::id());
    }
}

#[test]
fn run_does_not_wait_for_migratory_goroutines() {
    let rt = Runtime::builder(migratory()).procs(1).build().expect("a runtime");
    let ended = Arc::new(AtomicBool::new(false));
    let waiting = rt.run(|| {
        let (started_on, waiting) = make(&ended);
        while started_on.load(Relaxed) == 0 {
            yield_now();
        }
        waiting
    });
    assert!(!waiting.goroutine.is_finished());
    waiting.gate.send(()).expect("it waits");
    waiting.goroutine.join().expect("no panic");
}

/// Counts the ends of threads.
struct AtThreadEnd(Arc<AtomicU32>);

impl Drop for AtThreadEnd {
    fn drop(&mut self) {
        self.0.fetch_add(1, Relaxed);
    }
}

thread_local! {
    static AT_END: std::cell::RefCell<Option<AtThreadEnd>> =
        const { std::cell::RefCell::new(None) };
}

#[test]
fn a_thread_with_an_unfinished_goroutine_does_not_end() {
    for mode in [settled(), gosched::Mode::threads()] {
        let ends = Arc::new(AtomicU32::new(0));
        let rt = Runtime::builder(mode).procs(1).build().expect("a runtime");
        let (begun, has_begun) = std::sync::mpsc::channel();
        let (open, gate) = std::sync::mpsc::channel();
        let theirs = Arc::clone(&ends);
        let goroutine = rt.handle().go(move || {
            AT_END.set(Some(AtThreadEnd(theirs)));
            begun.send(()).expect("awaited");
            // Blocks its thread: no cancel reaches it.
            gate.recv().expect("the test opens it");
            AT_END.with_borrow(|end| end.as_ref().expect("set above").0.load(Relaxed))
        });
        has_begun.recv().expect("it begins");
        let busy = ShutdownError::Running { goroutines: 1, callbacks: 0 };
        assert_eq!(rt.shutdown(Duration::ZERO), Err(busy));
        assert_eq!(ends.load(Relaxed), 0);
        open.send(()).expect("it waits");
        assert_eq!(
            goroutine.join().expect("no panic"),
            0,
            "its thread-locals were there to the end"
        );
        rt.shutdown(Duration::from_secs(30)).expect("it has ended");
        assert_eq!(ends.load(Relaxed), 1, "shutdown joins the threads");
    }
}
