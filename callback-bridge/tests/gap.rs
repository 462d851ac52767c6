//! In the gap between a thread's own world and ours all signals are blocked, and nothing of the
//! user's runs there: no destructor, no closure, no allocator.
#![expect(unsafe_code, reason = "a global allocator, the promises of modes")]

use gosched_callback_bridge::{Binding, Bridge, EnterError};
use gosched_runtime_sys::signal::mask::SignalMask;
use gosched_runtime_sys::signal::stack::registered;
use gosched_scheduler::signal::{Context, context};
use gosched_scheduler::{Carry, Mode, Runtime, current_id, goroutine_local, time};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

thread_local! {
    /// Whether the test looks at this thread.
    static WATCHED: Cell<bool> = const { Cell::new(false) };
}

/// How often something of the user's ran on a watched thread while signals were blocked.
static IN_THE_GAP: AtomicUsize = AtomicUsize::new(0);
/// How often it ran at all.
static SEEN: AtomicUsize = AtomicUsize::new(0);

/// Called by everything here that is the user's.
fn look() {
    if WATCHED.try_with(Cell::get).unwrap_or(false) {
        SEEN.fetch_add(1, Relaxed);
        if SignalMask::current().contains(libc::SIGTERM) {
            IN_THE_GAP.fetch_add(1, Relaxed);
        }
    }
}

/// The system's allocator. It is the user's, who may do anything in it.
struct Looks;

// SAFETY: the system's, after a look that allocates nothing.
unsafe impl GlobalAlloc for Looks {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        look();
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        look();
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Looks = Looks;

/// A value whose drop is the user's code.
struct LooksWhenDropped;

impl Drop for LooksWhenDropped {
    fn drop(&mut self) {
        look();
    }
}

/// A goroutine-local's value. Its drop waits, as it may.
struct LocalValue;

/// How many were dropped as they should be.
static DROPPED: AtomicUsize = AtomicUsize::new(0);

impl Drop for LocalValue {
    fn drop(&mut self) {
        look();
        let whole = matches!(context(), Context::Goroutine { .. }) && registered().enabled;
        time::sleep(Duration::from_micros(1));
        assert!(whole && current_id().is_some(), "its goroutine is whole while it is dropped");
        DROPPED.fetch_add(1, Relaxed);
    }
}

goroutine_local! {
    static LOCAL: LocalValue = LocalValue;
    static OTHER: Vec<LooksWhenDropped> = vec![LooksWhenDropped, LooksWhenDropped];
}

/// Context that the runtime's goroutines carry along.
struct CarriesNothing;

impl Carry for CarriesNothing {
    type Context = LooksWhenDropped;
    fn suspend(&self) -> LooksWhenDropped {
        look();
        LooksWhenDropped
    }
    fn resume(&self, _context: LooksWhenDropped) {
        look();
    }
}

/// Calls by which a thread goes in and out, each with something of the user's.
fn calls(bridge: &Bridge, elsewhere: &Bridge) {
    let captured = LooksWhenDropped;
    bridge.enter(move || drop(captured)).expect("enter");
    for bridge in [bridge, elsewhere] {
        bridge.enter(|| LOCAL.with(|_| OTHER.with(Vec::len))).expect("enter");
    }
    bridge
        .enter(|| elsewhere.enter(|| LOCAL.with(|_| time::sleep(Duration::from_micros(1)))))
        .expect("enter")
        .expect("enter");
    let panicked: Result<(), _> =
        bridge.enter(|| LOCAL.with(|_| std::panic::resume_unwind(Box::new(LooksWhenDropped))));
    assert!(matches!(panicked, Err(EnterError::Panicked(_))));
}

fn modes() -> [Mode; 3] {
    // SAFETY: no goroutine of these tests suspends in a thread-local's initialiser or in code that
    // relies on nesting.
    let settled = unsafe { Mode::settled() };
    // SAFETY: as above; nothing bound to a thread is held over a wait.
    let migratory = unsafe { Mode::migratory() };
    [Mode::threads(), settled, migratory]
}

#[test]
fn nothing_of_the_users_runs_in_the_gap() {
    for (mode, procs) in modes().into_iter().flat_map(|mode| [1, 2, 4].map(|procs| (mode, procs))) {
        let build = || Runtime::builder(mode).procs(procs).carry(CarriesNothing).build();
        let (runtime, other) = (build().expect("a runtime"), build().expect("a runtime"));
        for binding in [Binding::PerCall, Binding::UntilThreadExit] {
            let bridge = Bridge::new(&runtime).with_binding(binding);
            let elsewhere = Bridge::new(&other).with_binding(binding);
            let before = DROPPED.load(Relaxed);
            std::thread::scope(|scope| {
                // Two at once, so that some thread takes the last M.
                for _ in 0..2 {
                    scope.spawn(|| {
                        WATCHED.set(true);
                        (0..20).for_each(|_| calls(&bridge, &elsewhere));
                    });
                }
            });
            assert_eq!(DROPPED.load(Relaxed) - before, 2 * 20 * 4);
        }
        let bridge = Bridge::new(&runtime).with_binding(Binding::PerCall);
        runtime.shutdown(Duration::from_secs(30)).expect("nobody is inside");
        WATCHED.set(true);
        let captured = LooksWhenDropped;
        let refused = bridge.enter(move || drop(captured));
        WATCHED.set(false);
        assert!(matches!(refused, Err(EnterError::ShutDown)));
    }
    assert!(SEEN.load(Relaxed) > 1_000);
    assert_eq!(IN_THE_GAP.load(Relaxed), 0, "of {}", SEEN.load(Relaxed));
}
