//! A global allocator that calls into the scheduler: from goroutines, in the middle of any
//! allocation, also those of the scheduler's own operations. It may neither wait for ever nor tear
//! anything. The goroutines that it spawns run.
//!
//! # Safety
//!
//! The allocator is the system's. Its other work allocates through itself, once per thread at a
//! time.
#![expect(unsafe_code, reason = "a global allocator")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::OnceLock;
use std::sync::atomic::{
    AtomicBool, AtomicUsize,
    Ordering::{Acquire, Relaxed, Release},
};
use std::time::{Duration, Instant};

use gosched::chan::{self, Receiver, Sender};
use gosched::{Handle, Mode, Runtime, go, goroutine, yield_now};
use test_support::{migratory, settled};

struct Meddling;

#[global_allocator]
static ALLOCATOR: Meddling = Meddling;

/// The runtime that the allocator calls into.
struct Target {
    handle: Handle,
    noise: (Sender<Box<u64>>, Receiver<Box<u64>>),
}

static TARGET: OnceLock<Vec<Target>> = OnceLock::new();
/// Which one.
static RUNTIME: AtomicUsize = AtomicUsize::new(0);
static ARMED: AtomicBool = AtomicBool::new(false);
/// It meddles once in so many small allocations of goroutines; not at each, because spawning
/// allocates, too.
static EVERY: AtomicUsize = AtomicUsize::new(1);
/// It always meddles at larger allocations: queues and lists that grow.
const LARGE: usize = 512;
static SEEN: AtomicUsize = AtomicUsize::new(0);
static MADE: AtomicUsize = AtomicUsize::new(0);
static RAN: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    /// The meddling code also allocates.
    static MEDDLING: Cell<bool> = const { Cell::new(false) };
}

// SAFETY: every call goes to the system's allocator as it is.
unsafe impl GlobalAlloc for Meddling {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        meddle(layout.size());
        // SAFETY: the caller's contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        meddle(layout.size());
        // SAFETY: the caller's contract.
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        meddle(size);
        // SAFETY: the caller's contract.
        unsafe { System.realloc(memory, layout, size) }
    }
}

#[inline(never)]
fn meddle(size: usize) {
    // ORDERING[alloc.armed]: pairs with the store in `storm`: the target is there.
    if !ARMED.load(Acquire)
        || goroutine::current_id().is_none()
        || MEDDLING.try_with(|m| m.replace(true)) != Ok(false)
    {
        return;
    }
    if size >= LARGE || SEEN.fetch_add(1, Relaxed).is_multiple_of(EVERY.load(Relaxed)) {
        let target = &TARGET.get().expect("armed after it was set")[RUNTIME.load(Relaxed)];
        MADE.fetch_add(1, Relaxed);
        drop(target.handle.go(|| RAN.fetch_add(1, Relaxed)));
        let _full = target.noise.0.try_send(Box::new(3));
        if let Ok(value) = target.noise.1.try_recv() {
            assert_eq!(*value, 3);
        }
    }
    MEDDLING.set(false);
}

/// Allocates much, in every operation of the scheduler: goroutines in bursts, so that queues grow;
/// channels and their buffers; joins; values that are dropped on the way.
fn busy(depth: u32) -> u64 {
    let children: Vec<_> = (0..6)
        .map(|i| {
            go(move || {
                yield_now();
                if depth == 0 { Vec::from([i; 8]).into_iter().sum() } else { busy(depth - 1) }
            })
        })
        .collect();
    let (tx, rx) = chan::unbounded();
    let sender =
        go(move || (0..40_u64).for_each(|n| tx.send(Box::new(n)).expect("it is received")));
    let received: u64 = rx.iter().map(|n| *n).sum();
    sender.join().expect("no panic");
    children.into_iter().map(|child| child.join().expect("no panic")).sum::<u64>() + received
}

fn expected(depth: u32) -> u64 {
    780 + (0..6).map(|i| if depth == 0 { i * 8 } else { expected(depth - 1) }).sum::<u64>()
}

fn storm(mode: Mode, runtime: usize, depth: u32, every: usize) {
    let target = &TARGET.get().expect("set")[runtime];
    RUNTIME.store(runtime, Relaxed);
    EVERY.store(every, Relaxed);
    let made = MADE.load(Relaxed);
    // ORDERING[alloc.armed]: pairs with the load in `meddle`.
    ARMED.store(true, Release);
    let outcome = target.handle.go(move || busy(depth)).join();
    ARMED.store(false, Relaxed);
    assert_eq!(outcome.expect("no panic"), expected(depth), "{mode:?}");
    assert!(MADE.load(Relaxed) > made, "the allocator did not meddle");
}

/// One test, because there is one allocator: no other test of this binary runs beside it.
#[test]
fn an_allocator_may_call_into_the_scheduler() {
    let modes = [settled(), migratory(), Mode::threads()];
    let runtimes: Vec<_> = modes
        .map(|mode| Runtime::builder(mode).procs(4).build().expect("a runtime"))
        .into_iter()
        .collect();
    let targets =
        runtimes.iter().map(|rt| Target { handle: rt.handle(), noise: chan::bounded(8) }).collect();
    assert!(TARGET.set(targets).is_ok());
    for (runtime, mode) in modes.into_iter().enumerate() {
        // Threads are expensive, and every goroutine of that mode needs one.
        let (rounds, depth) = if mode == Mode::threads() { (3, 1) } else { (20, 3) };
        for every in [31, 11, 5] {
            for _ in 0..rounds {
                storm(mode, runtime, depth, every);
            }
        }
    }
    // A shutdown would cancel the goroutines that have not begun.
    let patience = Instant::now() + Duration::from_secs(30);
    while RAN.load(Relaxed) < MADE.load(Relaxed) && Instant::now() < patience {
        std::thread::yield_now();
    }
    assert_eq!(RAN.load(Relaxed), MADE.load(Relaxed), "goroutines were lost");
    for rt in &runtimes {
        rt.shutdown(Duration::from_secs(30)).expect("everything ends");
    }
}
