//! Frames above which no sibling may run: a goroutine that waits while it unwinds, or below a frame
//! of C, keeps its thread to itself. Its P goes on elsewhere.

use std::sync::Arc;
use std::sync::atomic::{
    AtomicBool, AtomicU32,
    Ordering::{Acquire, Relaxed, Release},
};

use gosched::callback::{Binding, Bridge, EnterError};
use gosched::chan::{self, Receiver};
use gosched::goroutine::Builder;
use gosched::{Runtime, go, yield_now};
use gosched_runtime_sys::thread;
use test_support::{each_mode, settled};

/// Passed to the body under test. The body calls `wait` where no sibling may run above it.
struct Held {
    inside: Arc<AtomicBool>,
    sibling_ran: Arc<AtomicBool>,
    release: Receiver<()>,
}

impl Held {
    /// Waits. Returns whether a sibling on the same thread has run meanwhile.
    fn wait(&self) -> bool {
        // ORDERING[above.inside]: pairs with the loop in `hold`: the sibling is parked by then.
        self.inside.store(true, Release);
        self.release.recv().expect("the root sends one");
        self.sibling_ran.load(Relaxed)
    }
}

/// Runs `body` in a goroutine that has a sibling on its thread. The sibling becomes ready while
/// `body` waits. The root goroutine, on another thread, makes `rounds` others run until `body` may
/// go on.
fn hold<T: Send + 'static>(
    rt: &Runtime,
    body: impl FnOnce(Held) -> T + Send + 'static,
    rounds: impl Fn(&AtomicBool),
) -> std::thread::Result<T> {
    rt.run(|| {
        let inside = Arc::new(AtomicBool::new(false));
        let sibling_ran = Arc::new(AtomicBool::new(false));
        let (wake_sibling, gate) = chan::bounded(1);
        let (go_on, release) = chan::bounded(1);
        let held =
            Held { inside: Arc::clone(&inside), sibling_ran: Arc::clone(&sibling_ran), release };
        let ran = Arc::clone(&sibling_ran);
        // The root holds one of the two Ps and does not suspend. So these two goroutines run on one
        // other thread.
        let (report, reported) = chan::bounded(1);
        let sibling = go(move || {
            report.send(thread::id()).expect("it is awaited");
            gate.recv().expect("the root sends one");
            ran.store(true, Relaxed);
        });
        let holder = Builder::new().with(&sibling).go(move || {
            assert_eq!(reported.recv(), Ok(thread::id()), "not a sibling on the same thread");
            body(held)
        });
        // ORDERING[above.inside]: pairs with the store in `Held::wait`.
        while !inside.load(Acquire) && !holder.is_finished() {
            thread::yield_thread();
        }
        wake_sibling.send(()).expect("the sibling waits");
        rounds(&sibling_ran);
        go_on.send(()).expect("there is room");
        let outcome = holder.join();
        sibling.join().expect("the sibling runs in the end");
        assert!(sibling_ran.load(Relaxed));
        outcome
    })
}

/// Other goroutines go on, on both Ps: many begin, yield and end, and two run at the same time,
/// which do not suspend.
fn others_go_on(_: &AtomicBool) {
    for round in 0..500 {
        let other = go(move || {
            yield_now();
            round
        });
        assert_eq!(other.join().expect("it only yields"), round);
    }
    let together = Arc::new(AtomicU32::new(0));
    let pair: Vec<_> = (0..2)
        .map(|_| Arc::clone(&together))
        .map(|together| {
            go(move || {
                together.fetch_add(1, Relaxed);
                while together.load(Relaxed) < 2 {
                    thread::yield_thread();
                }
            })
        })
        .collect();
    pair.into_iter().for_each(|other| other.join().expect("it only spins"));
}

fn two_procs() -> Runtime {
    Runtime::builder(settled()).procs(2).build().expect("a runtime")
}

/// The check of the test: a plain wait does let the sibling run.
#[test]
fn a_sibling_runs_while_a_goroutine_waits() {
    let ran = hold(
        &two_procs(),
        |held| held.wait(),
        |ran| {
            while !ran.load(Relaxed) {
                yield_now();
            }
        },
    );
    assert!(ran.expect("no panic"));
}

/// Waits while its goroutine unwinds.
struct WaitsInDrop(Held);

impl Drop for WaitsInDrop {
    fn drop(&mut self) {
        assert!(std::thread::panicking());
        let sibling_ran = self.0.wait();
        assert!(std::thread::panicking());
        if sibling_ran {
            // A second panic aborts: there is no other way to report from here.
            panic!("a sibling ran above an unwinding goroutine");
        }
    }
}

#[test]
fn no_sibling_runs_while_a_goroutine_waits_in_a_drop_during_a_panic() {
    let outcome = hold(
        &two_procs(),
        |held| {
            let _waits = WaitsInDrop(held);
            std::panic::resume_unwind(Box::new("boom"));
        },
        others_go_on,
    );
    let payload = outcome.expect_err("it panicked");
    assert_eq!(*payload.downcast::<&str>().expect("its own payload"), "boom");
}

/// Receives while it is dropped.
struct ReceivesInDrop(Receiver<u32>, Arc<AtomicBool>);

impl Drop for ReceivesInDrop {
    fn drop(&mut self) {
        assert_eq!(self.0.recv(), Ok(7));
        yield_now();
        self.1.store(std::thread::panicking(), Relaxed);
    }
}

#[test]
fn a_goroutine_may_wait_in_a_drop_during_a_panic_in_every_mode() {
    each_mode(|rt, _| {
        let waited = Arc::new(AtomicBool::new(false));
        let outcome = rt.run(|| {
            let (tx, rx) = chan::bounded(0);
            let theirs = Arc::clone(&waited);
            let panics = go(move || {
                let _waits = ReceivesInDrop(rx, theirs);
                std::panic::resume_unwind(Box::new(41_u8));
            });
            // Unbuffered: returns once the drop has received.
            tx.send(7).expect("it receives");
            // The panic belongs to that goroutine, whichever thread it is on.
            assert!(!std::thread::panicking());
            assert_eq!(go(std::thread::panicking).join().ok(), Some(false));
            panics.join()
        });
        assert_eq!(
            *outcome.expect_err("it panicked").downcast::<u8>().expect("its own payload"),
            41
        );
        assert!(waited.load(Relaxed), "the drop did not come to its end during the panic");
    });
}

#[test]
fn the_root_goroutine_may_wait_in_a_drop_during_a_panic() {
    each_mode(|rt, _| {
        let waited = Arc::new(AtomicBool::new(false));
        let (tx, rx) = chan::bounded(0);
        let feeder = rt.handle().go(move || tx.send(7));
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            rt.run(|| {
                let _waits = ReceivesInDrop(rx, Arc::clone(&waited));
                std::panic::resume_unwind(Box::new(42_u8));
            });
        }));
        assert_eq!(
            *outcome.expect_err("it panicked").downcast::<u8>().expect("its own payload"),
            42
        );
        assert!(waited.load(Relaxed));
        feeder.join().expect("no panic").expect("it was received");
    });
}

/// A callback from C below which a goroutine of another runtime lies, with both bindings.
#[test]
fn no_sibling_runs_above_a_callback_that_waits() {
    for binding in [Binding::PerCall, Binding::UntilThreadExit] {
        let rt = two_procs();
        let bridge = Bridge::new(&rt).with_binding(binding);
        let in_c = move |held: Held| c_side::thread::through_c(|| bridge.enter(|| held.wait()));
        let sibling_ran =
            hold(&rt, in_c, others_go_on).expect("no panic").expect("the callback runs");
        assert!(!sibling_ran, "a sibling ran above a frame of C ({binding:?})");
    }
}

#[test]
fn no_sibling_runs_above_a_callback_into_another_runtime_that_waits() {
    for binding in [Binding::PerCall, Binding::UntilThreadExit] {
        let (rt, other) = (two_procs(), two_procs());
        let bridge = Bridge::new(&other).with_binding(binding);
        let in_c = move |held: Held| c_side::thread::through_c(|| bridge.enter(|| held.wait()));
        let sibling_ran =
            hold(&rt, in_c, others_go_on).expect("no panic").expect("the callback runs");
        assert!(!sibling_ran, "a sibling ran above a frame of C ({binding:?})");
    }
}

/// There and back: two frames of C, two runtimes, and a panic that stops at the inner boundary.
#[test]
fn no_sibling_runs_above_a_callback_that_came_through_two_runtimes() {
    let (rt, other) = (two_procs(), two_procs());
    let (home, abroad) = (Bridge::new(&rt), Bridge::new(&other));
    let in_c = move |held: Held| {
        c_side::thread::through_c(|| {
            abroad.enter(|| {
                let stopped = c_side::thread::through_c(|| home.enter(|| panic_while(&held)));
                let EnterError::Panicked(payload) = stopped.expect_err("it panics") else {
                    unreachable!("a panic")
                };
                *payload.downcast::<bool>().expect("its own payload")
            })
        })
    };
    let sibling_ran = hold(&rt, in_c, others_go_on).expect("no panic").expect("the callback runs");
    assert!(!sibling_ran);
}

/// Frames of C may lie between the guard and the wait.
#[test]
fn no_sibling_runs_above_a_part_that_is_attached() {
    let rt = two_procs();
    let bridge = Bridge::new(&rt);
    let attached = move |held: Held| {
        let _attached = bridge.attach().expect("the runtime is up");
        held.wait()
    };
    assert!(!hold(&rt, attached, others_go_on).expect("no panic"));
}

fn panic_while(held: &Held) {
    std::panic::resume_unwind(Box::new(held.wait()));
}
