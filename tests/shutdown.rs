//! How a runtime ends: waiting goroutines unwind, running goroutines are waited for, later calls
//! get an error.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{
    AtomicBool, AtomicUsize,
    Ordering::{Acquire, Relaxed, Release},
};
use std::sync::{Arc, Barrier, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use gosched::callback::{Binding, Bridge, EnterError};
use gosched::{
    Cancelled, JoinHandle, Mode, Runtime, ShutdownError, chan, go, goroutine, yield_now,
};
use test_support::{each_mode, modes, settled};

/// A time limit for events that happen at once.
const LONG: Duration = Duration::from_secs(30);

fn runtime(mode: Mode) -> Runtime {
    Runtime::builder(mode).procs(2).build().expect("a runtime")
}

#[track_caller]
fn cancelled(payload: Box<dyn Any + Send>) -> Cancelled {
    *payload.downcast().unwrap_or_else(|_| panic!("not the payload of a cancel"))
}

/// Counts its drops.
struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_add(1, Relaxed);
    }
}

/// Spawns one goroutine for every way to wait, each with a value to drop. All have begun, and wait
/// or will wait.
fn waiting(rt: &Runtime, drops: &Arc<AtomicUsize>) -> Vec<(u64, JoinHandle<()>)> {
    let ways: [fn(); 5] = [
        || {
            let (_tx, rx) = chan::bounded::<()>(0);
            let _never = rx.recv();
        },
        || {
            let (tx, rx) = chan::bounded::<()>(1);
            tx.send(()).expect("there is room");
            tx.send(()).expect("it waits for ever");
            drop(rx);
        },
        || {
            let (_tx, rx) = chan::bounded::<()>(0);
            rx.iter().for_each(drop);
        },
        || {
            let (_tx, rx) = chan::bounded::<()>(0);
            let _cancelled_too = go(move || rx.recv()).join();
            // Its own cancel may come a moment after the other goroutine's end.
            let (_tx, rx) = chan::bounded::<()>(0);
            let _never = rx.recv();
        },
        || loop {
            yield_now();
        },
    ];
    let begin = |way: fn()| {
        let (begun, has_begun) = mpsc::channel();
        let counted = Counted(Arc::clone(drops));
        let goroutine = rt.handle().go(move || {
            let _dropped_when_unwound = counted;
            begun.send(goroutine::current_id().expect("a goroutine")).expect("awaited");
            way();
        });
        (has_begun.recv().expect("it begins"), goroutine)
    };
    ways.into_iter().map(begin).collect()
}

#[test]
fn what_waits_unwinds_and_drops_what_it_has() {
    each_mode(|rt, _| {
        let drops = Arc::new(AtomicUsize::new(0));
        let waiting = waiting(rt, &drops);
        let begun = waiting.len();
        rt.shutdown(LONG).expect("all of them unwind");
        assert_eq!(drops.load(Relaxed), begun);
        for (id, goroutine) in waiting {
            assert_eq!(cancelled(goroutine.join().expect_err("it was cancelled")).g, id);
        }
    });
}

#[test]
fn a_cancel_that_is_caught_stays_pending() {
    each_mode(|rt, _| {
        let (begun, has_begun) = mpsc::channel();
        let goroutine = rt.handle().go(move || {
            let (_tx, rx) = chan::bounded::<()>(0);
            begun.send(()).expect("awaited");
            let times = (0..3).filter(|_| {
                catch_unwind(AssertUnwindSafe(|| rx.recv())).is_err_and(|p| p.is::<Cancelled>())
            });
            // It does not wait, so no cancel concerns it.
            let (tx, rx) = chan::bounded(1);
            tx.send(times.count()).expect("there is room");
            rx.recv().expect("it is there")
        });
        has_begun.recv().expect("it begins");
        rt.shutdown(LONG).expect("it ends");
        assert_eq!(goroutine.join().expect("it caught them"), 3);
    });
}

/// Waits in its drop for a message that comes at the end.
struct WaitsWhileUnwinding(chan::Receiver<u32>, Arc<AtomicBool>);

impl Drop for WaitsWhileUnwinding {
    fn drop(&mut self) {
        self.1.store(self.0.recv() == Ok(8), Relaxed);
    }
}

#[test]
fn a_wait_while_unwinding_is_not_given_up() {
    each_mode(|rt, _| {
        let got_it = Arc::new(AtomicBool::new(false));
        let (tx, rx) = chan::bounded(0);
        let (begun, has_begun) = mpsc::channel();
        let theirs = Arc::clone(&got_it);
        let goroutine = rt.handle().go(move || {
            let _waits = WaitsWhileUnwinding(rx, theirs);
            begun.send(()).expect("awaited");
            let (_tx, never) = chan::bounded::<()>(0);
            let _never = never.recv();
        });
        has_begun.recv().expect("it begins");
        let sender = thread::spawn(move || tx.send(8));
        rt.shutdown(LONG).expect("it ends");
        sender.join().expect("no panic").expect("it was received");
        cancelled(goroutine.join().expect_err("it was cancelled"));
        assert!(got_it.load(Relaxed));
    });
}

/// A value that is dropped after a goroutine's closure has ended may wait, too: a result that no
/// handle takes.
#[test]
fn a_result_that_waits_in_its_drop_ends_with_its_runtime() {
    struct Waits(chan::Receiver<()>, Arc<AtomicUsize>);
    impl Drop for Waits {
        fn drop(&mut self) {
            self.1.fetch_add(1, Relaxed);
            let _cancelled = self.0.recv();
            self.1.fetch_add(100, Relaxed);
        }
    }
    each_mode(|rt, _| {
        let stage = Arc::new(AtomicUsize::new(0));
        let (_tx, rx) = chan::bounded(0);
        let theirs = Arc::clone(&stage);
        let (detached, is_detached) = mpsc::channel();
        drop(rt.handle().go(move || {
            is_detached.recv().expect("it is");
            Waits(rx, theirs)
        }));
        // From here on only the goroutine has its result.
        detached.send(()).expect("it waits");
        while stage.load(Relaxed) == 0 {
            thread::yield_now();
        }
        rt.shutdown(LONG).expect("it ends");
        assert_eq!(stage.load(Relaxed), 1, "the wait was given up by unwinding");
    });
}

#[test]
fn what_runs_is_waited_for_up_to_the_grace_and_may_end_later() {
    for mode in modes() {
        let rt = runtime(mode);
        let (begun, has_begun) = mpsc::channel();
        let (open, gate) = mpsc::channel::<()>();
        let gate = Arc::new(std::sync::Mutex::new(gate));
        let blocked: Vec<_> = (0..2)
            .map(|n| {
                let (begun, gate) = (begun.clone(), Arc::clone(&gate));
                rt.handle().go(move || {
                    begun.send(()).expect("awaited");
                    // The thread is blocked in a call that no cancel reaches.
                    gate.lock().expect("no panic").recv().expect("it opens");
                    n
                })
            })
            .collect();
        (0..2).for_each(|_| has_begun.recv().expect("both run"));
        let grace = Duration::from_millis(30);
        let before = Instant::now();
        let running = ShutdownError::Running { goroutines: 2, callbacks: 0 };
        assert_eq!(rt.shutdown(grace), Err(running), "{mode:?}");
        assert!(before.elapsed() >= grace);
        assert_eq!(
            running.to_string(),
            "2 goroutines and 0 callbacks have not ended within the grace"
        );
        let late = rt.handle().go(|| ());
        (0..2).for_each(|_| open.send(()).expect("they wait"));
        cancelled(late.join().expect_err("nothing new starts meanwhile"));
        rt.shutdown(LONG).expect("they have ended, or will");
        let results: Vec<_> =
            blocked.into_iter().map(|goroutine| goroutine.join().expect("no panic")).collect();
        assert_eq!(results, [0, 1]);
    }
}

#[test]
fn the_root_is_cancelled_like_any_other_and_run_says_so() {
    for mode in modes() {
        let rt = runtime(mode);
        let (begun, has_begun) = mpsc::channel();
        let payload = thread::scope(|scope| {
            let root = scope.spawn(|| {
                rt.run(|| {
                    begun.send(goroutine::current_id()).expect("awaited");
                    let (_tx, rx) = chan::bounded::<()>(0);
                    let _never = rx.recv();
                });
            });
            let id = has_begun.recv().expect("it begins");
            rt.shutdown(LONG).expect("it unwinds");
            assert!(id.is_some(), "it is a goroutine");
            root.join().expect_err("it was cancelled")
        });
        let said = payload.downcast::<&str>().expect("a message");
        assert!(said.contains("was shut down while `run` was waiting"), "{said}, {mode:?}");
    }
}

#[test]
fn a_blocked_root_counts_as_a_goroutine() {
    for mode in modes() {
        let rt = runtime(mode);
        let (begun, has_begun) = mpsc::channel();
        let (open, gate) = mpsc::channel::<()>();
        let rt = &rt;
        thread::scope(|scope| {
            let root = scope.spawn(move || {
                rt.run(|| {
                    begun.send(()).expect("awaited");
                    gate.recv().expect("it opens");
                });
            });
            has_begun.recv().expect("it begins");
            let running = ShutdownError::Running { goroutines: 1, callbacks: 0 };
            assert_eq!(rt.shutdown(Duration::ZERO), Err(running), "{mode:?}");
            open.send(()).expect("it waits");
            root.join().expect("no panic");
        });
        rt.shutdown(LONG).expect("it has ended");
    }
}

#[test]
fn after_shutdown_a_closure_is_dropped_and_its_joiner_told() {
    each_mode(|rt, mode| {
        rt.shutdown(LONG).expect("nothing runs");
        let drops = Arc::new(AtomicUsize::new(0));
        let counted = Counted(Arc::clone(&drops));
        let late = rt.handle().go(move || drop(counted));
        cancelled(late.join().expect_err("it was cancelled"));
        assert_eq!(drops.load(Relaxed), 1);
        let run = catch_unwind(AssertUnwindSafe(|| rt.run(|| unreachable!("shut down"))));
        let message = *run.expect_err("it panics").downcast::<&str>().expect("a message");
        assert_eq!(message, "Runtime::run was called after the runtime was shut down", "{mode:?}");
    });
}

#[test]
fn callbacks_that_wait_unwind_and_those_that_come_are_refused() {
    for mode in modes() {
        for binding in [Binding::PerCall, Binding::UntilThreadExit] {
            let rt = runtime(mode);
            let bridge = Bridge::new(&rt).with_binding(binding);
            let (begun, has_begun) = mpsc::channel();
            let drops = Arc::new(AtomicUsize::new(0));
            let (theirs, entering) = (Arc::clone(&drops), bridge.clone());
            let plan = c_side::thread::Plan { calls: 1, ..c_side::thread::Plan::default() };
            let caller = c_side::thread::CThread::spawn(plan, move |_| {
                let waits = entering.enter(|| {
                    let _dropped_when_unwound = Counted(Arc::clone(&theirs));
                    let (_tx, rx) = chan::bounded::<()>(0);
                    begun.send(goroutine::current_id().expect("a goroutine")).expect("awaited");
                    let _never = rx.recv();
                });
                let Err(EnterError::Cancelled(how)) = waits else { return -1 };
                let refused = matches!(entering.enter(|| ()), Err(EnterError::ShutDown));
                if refused { how.g.cast_signed() } else { -2 }
            })
            .expect("a thread");
            let id = has_begun.recv().expect("it begins");
            rt.shutdown(LONG).expect("it unwinds");
            let report = caller.join().expect("it ends");
            assert_eq!(report.calls[0].returned, id.cast_signed(), "{mode:?} {binding:?}");
            assert_eq!(drops.load(Relaxed), 1);
            assert!(matches!(bridge.enter(|| ()), Err(EnterError::ShutDown)));
        }
    }
}

#[test]
fn callbacks_that_run_are_waited_for_and_counted() {
    for mode in modes() {
        let rt = runtime(mode);
        let bridge = Bridge::new(&rt);
        let (begun, has_begun) = mpsc::channel();
        let (open, gate) = mpsc::channel::<()>();
        let plan = c_side::thread::Plan { calls: 1, ..c_side::thread::Plan::default() };
        let caller = c_side::thread::CThread::spawn(plan, move |_| {
            let inside = bridge.enter(|| {
                begun.send(()).expect("awaited");
                gate.recv().expect("it opens");
                5
            });
            inside.unwrap_or(-1)
        })
        .expect("a thread");
        has_begun.recv().expect("it begins");
        let running = ShutdownError::Running { goroutines: 0, callbacks: 1 };
        assert_eq!(rt.shutdown(Duration::ZERO), Err(running), "{mode:?}");
        open.send(()).expect("it waits");
        rt.shutdown(LONG).expect("it leaves");
        assert_eq!(caller.join().expect("it ends").calls[0].returned, 5);
    }
}

#[test]
fn several_may_shut_down_at_the_same_time() {
    for mode in modes() {
        for _ in 0..20 {
            let rt = runtime(mode);
            let drops = Arc::new(AtomicUsize::new(0));
            let waiting = waiting(&rt, &drops);
            let together = Barrier::new(3);
            let before = Instant::now();
            thread::scope(|scope| {
                for _ in 0..3 {
                    scope.spawn(|| {
                        together.wait();
                        rt.shutdown(LONG).expect("everything unwinds");
                        assert_eq!(drops.load(Relaxed), waiting.len());
                    });
                }
            });
            assert!(before.elapsed() < LONG / 2, "somebody was not told of the end");
        }
    }
}

#[test]
fn nobody_shuts_down_the_runtime_he_is_in() {
    each_mode(|rt, mode| {
        let other = runtime(mode);
        let bridge = Bridge::new(&other);
        rt.run(|| {
            assert_eq!(rt.shutdown(LONG), Err(ShutdownError::Inside));
            // Also deeper, inside another runtime: that runtime is not the current one either.
            bridge
                .enter(|| {
                    assert_eq!(rt.shutdown(LONG), Err(ShutdownError::Inside));
                    assert_eq!(other.shutdown(LONG), Err(ShutdownError::Inside));
                })
                .expect("it runs");
            // Outside again, the thread is a plain thread for the runtime.
            other.shutdown(LONG).expect("nothing runs there");
        });
    });
}

#[test]
fn the_shortest_way_cancels_what_is_left() {
    for mode in modes() {
        let drops = Arc::new(AtomicUsize::new(0));
        let counted = Counted(Arc::clone(&drops));
        let before = Instant::now();
        let result = gosched::run(mode, move || {
            let (begun, has_begun) = chan::bounded(1);
            drop(go(move || {
                let _dropped_when_unwound = counted;
                begun.send(()).expect("awaited");
                let (_tx, rx) = chan::bounded::<()>(0);
                let _never = rx.recv();
            }));
            has_begun.recv().expect("it begins");
            9
        });
        assert_eq!((result, drops.load(Relaxed)), (9, 1), "{mode:?}");
        assert!(before.elapsed() < gosched::DROP_GRACE);
    }
}

#[test]
fn a_panic_of_the_root_does_not_keep_a_runtime_from_ending() {
    for mode in modes() {
        let payload = catch_unwind(|| gosched::run(mode, || resume_unwind(Box::new(1_u8))));
        assert_eq!(
            *payload.expect_err("it panicked").downcast::<u8>().expect("its own payload"),
            1
        );
    }
}

/// Runtimes side by side, each with its goroutines, talk to each other. One ends, the others go on.
#[test]
fn several_runtimes_live_in_one_process() {
    let runtimes: Vec<_> = modes().into_iter().chain([settled()]).map(runtime).collect();
    // A ring through all of them: each increments the value that goes round.
    let (start, mut last) = chan::bounded::<u64>(0);
    let mut stages = Vec::new();
    for rt in &runtimes {
        let (tx, rx) = chan::bounded(0);
        let from = std::mem::replace(&mut last, rx);
        stages.push(rt.handle().go(move || {
            for value in from {
                tx.send(value + 1).expect("the next one receives");
            }
        }));
    }
    let feeder =
        thread::spawn(move || (0..1000).for_each(|n| start.send(n * 10).expect("received")));
    for n in 0..1000 {
        assert_eq!(last.recv(), Ok(n * 10 + runtimes.len() as u64));
    }
    feeder.join().expect("no panic");
    stages.into_iter().for_each(|stage| stage.join().expect("no panic"));
    let done = Arc::new(AtomicBool::new(false));
    for (at, rt) in runtimes.iter().enumerate() {
        let keeps_on: Vec<_> = runtimes[at + 1..]
            .iter()
            .map(|other| {
                let done = Arc::clone(&done);
                other.handle().go(move || {
                    // ORDERING[shutdown.done]: pairs with the store after the other one's end.
                    while !done.load(Acquire) {
                        yield_now();
                    }
                })
            })
            .collect();
        rt.shutdown(LONG).expect("nothing is left in it");
        // ORDERING[shutdown.done]: pairs with the loop above.
        done.store(true, Release);
        keeps_on
            .into_iter()
            .for_each(|goroutine| goroutine.join().expect("another runtime's end is not its own"));
        done.store(false, Relaxed);
    }
}
