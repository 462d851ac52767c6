//! Cancelling by handles: which goroutines end, when, and which do not.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use gosched::callback::{Binding, Bridge, EnterError};
use gosched::cancel::shield;
use gosched::chan::{self, Receiver};
use gosched::{CancelScope, JoinHandle, Mode, go, goroutine, yield_now};
use test_support::each_mode;

use crate::{cancelled, waiting};

/// Counts when it is dropped.
struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_add(1, Relaxed);
    }
}

#[test]
fn a_handle_cancels_its_goroutine() {
    each_mode(|rt, _| {
        rt.run(|| {
            let drops = Arc::new(AtomicUsize::new(0));
            let counted = Counted(drops.clone());
            let (waits, _tx) = waiting(move |rx| {
                let _dropped_when_unwound = counted;
                rx.recv()
            });
            let id = waits.id();
            assert!(waits.cancel());
            // The second cancel may find that the goroutine has ended.
            let _ended_or_not = waits.cancel();
            let payload = cancelled(waits.join().expect_err("it was cancelled"));
            assert_eq!((payload.g, payload.scope), (id, CancelScope::Goroutine));
            assert_eq!(drops.load(Relaxed), 1);
        });
    });
}

#[test]
fn a_handle_knows_the_number() {
    each_mode(|rt, _| {
        let handle = rt.handle().go(goroutine::current_id);
        let id = handle.id();
        assert_eq!(handle.join().expect("no panic"), Some(id));
        let inside = rt.run(|| {
            let handle = go(goroutine::current_id);
            (handle.id(), handle.join().expect("no panic"))
        });
        assert_eq!(inside.1, Some(inside.0));
    });
}

#[test]
fn an_outcome_is_had_without_waiting() {
    each_mode(|rt, _| {
        rt.run(|| {
            let (waits, tx) = waiting(|rx| rx.recv().expect("sent"));
            let waits = waits.try_join().expect_err("it waits");
            tx.send(5).expect("it receives");
            let mut waits = Some(waits);
            let outcome = loop {
                match waits.take().expect("it was given back").try_join() {
                    Ok(outcome) => break outcome,
                    Err(handle) => waits = Some(handle),
                }
                yield_now();
            };
            assert_eq!(outcome.expect("no panic"), 5);
        });
    });
}

#[test]
fn an_outcome_is_waited_for_with_a_limit() {
    each_mode(|rt, _| {
        let limits = || {
            let (tx, rx) = chan::bounded(0);
            let waits = rt.handle().go(move || rx.recv());
            let began = Instant::now();
            let waits = waits.join_timeout(Duration::from_millis(2)).expect_err("it waits");
            assert!(began.elapsed() >= Duration::from_millis(2));
            let waits = waits.join_timeout(Duration::ZERO).expect_err("it waits");
            let waits = waits.join_deadline(began).expect_err("it waits, and that has passed");
            tx.send(5).expect("received");
            // No limit that the clock can reach.
            assert_eq!(
                waits.join_timeout(Duration::MAX).expect("it ends").expect("no panic"),
                Ok(5)
            );
            let ended = rt.handle().go(|| 6);
            while !ended.is_finished() {
                yield_now();
            }
            assert_eq!(ended.join_deadline(began).expect("it has ended").expect("no panic"), 6);
            scope_with_limits(rt);
        };
        limits();
        rt.run(limits);
    });
}

fn scope_with_limits(rt: &gosched::Runtime) {
    let (tx, rx) = chan::bounded(0);
    rt.handle().scope(|s| {
        let waits = s.go(|| rx.recv());
        let waits = waits.join_timeout(Duration::from_millis(1)).expect_err("it waits");
        tx.send(7).expect("received");
        let later = Instant::now() + Duration::from_secs(3600);
        assert_eq!(waits.join_deadline(later).expect("in time").expect("no panic"), Ok(7));
    });
}

#[test]
fn what_has_not_begun_never_does() {
    // With one P nothing else runs before the root waits.
    let rt =
        gosched::Runtime::builder(test_support::settled()).procs(1).build().expect("a runtime");
    rt.run(|| {
        let drops = Arc::new(AtomicUsize::new(0));
        let counted = Counted(drops.clone());
        let ran = Arc::new(AtomicBool::new(false));
        let theirs = ran.clone();
        let unstarted = go(move || {
            theirs.store(true, Relaxed);
            drop(counted);
        });
        assert!(unstarted.cancel());
        let scope = cancelled(unstarted.join().expect_err("it was cancelled")).scope;
        assert_eq!(scope, CancelScope::Goroutine);
        assert!(!ran.load(Relaxed));
        assert_eq!(drops.load(Relaxed), 1);
    });
}

#[test]
fn who_has_ended_is_not_cancelled() {
    each_mode(|rt, _| {
        rt.run(|| {
            let (waits, tx) = waiting(|rx| rx.recv());
            tx.send(7).expect("it receives");
            while !waits.is_finished() {
                yield_now();
            }
            assert!(!waits.cancel());
            assert_eq!(waits.join().expect("it was not cancelled"), Ok(7));
        });
    });
}

#[test]
fn a_running_goroutine_ends_at_its_next_wait() {
    each_mode(|rt, _| {
        rt.run(|| {
            let told = Arc::new(AtomicBool::new(false));
            let passed = Arc::new(AtomicUsize::new(0));
            let (theirs, counter) = (told.clone(), passed.clone());
            let runs = go(move || {
                while !theirs.load(Relaxed) {
                    thread::yield_now();
                    if let Err(payload) = catch_unwind(yield_now) {
                        // It was cancelled before the message came; the payload leaves the cancel
                        // pending.
                        drop(payload);
                    }
                }
                counter.fetch_add(1, Relaxed);
                yield_now();
                counter.fetch_add(1, Relaxed);
            });
            // With one P it may not have begun; it does now.
            yield_now();
            runs.cancel();
            told.store(true, Relaxed);
            cancelled(runs.join().expect_err("it was cancelled"));
            assert!(passed.load(Relaxed) < 2, "it went on after a wait");
        });
    });
}

#[test]
fn a_caught_cancel_stays_pending() {
    each_mode(|rt, _| {
        rt.run(|| {
            let (waits, _tx) = waiting(|rx| {
                let waits = || {
                    cancelled(
                        catch_unwind(AssertUnwindSafe(|| rx.recv())).expect_err("it is cancelled"),
                    )
                };
                let first = waits();
                let second = waits();
                let third = cancelled(catch_unwind(yield_now).expect_err("it still is"));
                (first, second, third)
            });
            waits.cancel();
            let (first, second, third) = waits.join().expect("it caught all of them");
            assert!(first == second && second == third);
        });
    });
}

#[test]
fn a_shield_keeps_it_off() {
    each_mode(|rt, _| {
        rt.run(|| {
            let after = Arc::new(AtomicBool::new(false));
            let theirs = after.clone();
            let (waits, tx) = waiting(move |rx| {
                let got = shield(|| {
                    yield_now();
                    (rx.recv(), shield(|| rx.recv()), rx.recv())
                });
                assert_eq!(got, (Ok(1), Ok(2), Ok(3)));
                theirs.store(true, Relaxed);
                rx.recv()
            });
            waits.cancel();
            (1..=3).for_each(|n| tx.send(n).expect("it receives"));
            cancelled(waits.join().expect_err("the next wait unwinds"));
            assert!(after.load(Relaxed));
        });
    });
}

/// Receives while it is dropped.
struct ReceivesInDrop(Receiver<u32>, Arc<AtomicU64>);

impl Drop for ReceivesInDrop {
    fn drop(&mut self) {
        self.1.store(self.0.recv().expect("sent").into(), Relaxed);
    }
}

#[test]
fn a_wait_while_panicking_is_not_ended() {
    each_mode(|rt, _| {
        let got = Arc::new(AtomicU64::new(0));
        let theirs = got.clone();
        let (tx, rx) = chan::bounded(0);
        let (begun, has_begun) = chan::bounded(1);
        // The goroutine keeps its thread to itself while it waits. So the other side is a plain
        // thread.
        let waits: JoinHandle<()> = rt.handle().go(move || {
            let _receives = ReceivesInDrop(rx, theirs);
            begun.send(()).expect("awaited");
            resume_unwind(Box::new(3_u8));
        });
        has_begun.recv().expect("it begins");
        waits.cancel();
        tx.send(9).expect("it receives");
        let payload = waits.join().expect_err("it panicked");
        assert_eq!(payload.downcast_ref::<u8>(), Some(&3));
        assert_eq!(got.load(Relaxed), 9);
    });
}

/// Hand-over and cancel race. A sent value is received once or comes back.
#[test]
fn nothing_is_lost_to_a_cancel() {
    each_mode(|rt, mode| {
        let rounds = if mode == Mode::threads() { 100 } else { 1000 };
        rt.run(|| {
            let received = Arc::new(AtomicU64::new(0));
            let mut given_back = 0;
            for round in 0..rounds {
                let theirs = received.clone();
                let (tx, rx) = chan::bounded::<u64>(0);
                let receiver = go(move || {
                    let value = rx.recv();
                    theirs.fetch_add(value.unwrap_or_default(), Relaxed);
                });
                let sender = go(move || tx.send(round + 1));
                if round % 3 == 0 {
                    yield_now();
                }
                receiver.cancel();
                if let Err(refused) = sender.join().expect("it was not cancelled") {
                    given_back += refused.0;
                }
                let _cancelled_or_not = receiver.join();
            }
            assert_eq!(received.load(Relaxed) + given_back, rounds * (rounds + 1) / 2);
        });
    });
}

/// Records of goroutines are used again: a late cancel must not reach the goroutine that has the
/// record next.
#[test]
fn a_late_cancel_reaches_nobody_else() {
    each_mode(|rt, mode| {
        let rounds = if mode == Mode::threads() { 10 } else { 50 };
        rt.run(|| {
            for _ in 0..rounds {
                let ends: Vec<_> = (0..8).map(|_| go(yield_now)).collect();
                let (stop, stopped) = chan::bounded::<()>(0);
                let canceller = go(move || {
                    while stopped.try_recv() == Err(chan::TryRecvError::Empty) {
                        ends.iter().for_each(|end| {
                            end.cancel();
                        });
                        yield_now();
                    }
                });
                // These take the records of those that end.
                let innocent: Vec<_> = (0..16).map(|_| waiting(|rx| rx.recv())).collect();
                for (waits, tx) in innocent {
                    tx.send(1).expect("it receives");
                    assert_eq!(waits.join().expect("nobody cancelled it"), Ok(1));
                }
                drop(stop);
                canceller.join().expect("no panic");
            }
        });
    });
}

#[test]
fn at_the_boundary_to_c_a_cancel_becomes_the_callbacks_error() {
    for binding in [Binding::PerCall, Binding::UntilThreadExit] {
        each_mode(|rt, _| {
            let bridge = Bridge::new(rt).with_binding(binding);
            let (_tx, rx) = chan::bounded::<u32>(0);
            let (begun, has_begun) = chan::bounded(1);
            // The goroutine keeps its thread to itself while it waits. So a plain thread cancels
            // it.
            let waits = rt.handle().go(move || {
                begun.send(()).expect("awaited");
                let outcome = c_side::thread::through_c(|| bridge.enter(|| rx.recv()));
                let error = outcome.expect_err("nothing is sent");
                let text = error.to_string();
                assert!(text.starts_with("the callback was cancelled: goroutine "), "{text}");
                let EnterError::Cancelled(how) = error else { panic!("{error:?}") };
                (how, cancelled(catch_unwind(yield_now).expect_err("it stays pending")))
            });
            has_begun.recv().expect("it begins");
            let id = waits.id();
            waits.cancel();
            let (in_c, after) = waits.join().expect("it caught them");
            assert_eq!((in_c, in_c.g), (after, id));
        });
    }
}
