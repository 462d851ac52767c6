//! A running goroutine is shown as running, whatever it came back from. So sysmon revokes its
//! processor when it computes for long, and others have their turn.
//!
//! In each test as many goroutines as there are processors come back from a wait and compute until
//! one more goroutine has run. Without a revoked processor no thread could run that one. The
//! goroutines begin on threads of their own, since goroutines settled on one thread would wait for
//! each other.

use std::hint::spin_loop;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

use gosched::cancel::Token;
use gosched::{Handle, Mode, Runtime, blocking, chan, yield_now};
use test_support::{migratory, settled};

/// Longer than any wait for a processor on which other goroutines compute.
const LONG: Duration = Duration::from_secs(20);

/// Makes every processor of a runtime compute after `before`. Asserts that one more goroutine runs
/// meanwhile, and that the goroutines count as running.
fn others_have_their_turn(before: fn(&Handle)) {
    for mode in [settled(), migratory()] {
        for procs in [1, 2, 4] {
            one_more_runs(mode, procs, before);
        }
    }
}

fn one_more_runs(mode: Mode, procs: usize, before: fn(&Handle)) {
    let rt = Runtime::builder(mode).procs(procs).build().expect("a runtime");
    let (ran, computing) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let apart = Arc::new(Barrier::new(procs));
    let hogs: Vec<_> = (0..procs)
        .map(|_| {
            let (ran, computing, handle) = (ran.clone(), computing.clone(), rt.handle());
            let apart = apart.clone();
            rt.handle().go(move || {
                // It blocks the thread, so that the next goroutine begins on another one.
                apart.wait();
                before(&handle);
                computing.fetch_add(1, Relaxed);
                let began = Instant::now();
                while !ran.load(Relaxed) && began.elapsed() < LONG {
                    spin_loop();
                }
                ran.load(Relaxed)
            })
        })
        .collect();
    let began = Instant::now();
    while computing.load(Relaxed) < procs && began.elapsed() < LONG {
        std::thread::yield_now();
    }
    let seen = rt.stats().running;
    let theirs = ran.clone();
    let one_more = rt.handle().go(move || theirs.store(true, Relaxed));
    for hog in hogs {
        assert!(hog.join().expect("no panic"), "{mode:?}, {procs} Ps: no other goroutine ran");
    }
    one_more.join().expect("no panic");
    assert_eq!(seen, procs as u64, "{mode:?}: goroutines that compute, of {procs}");
}

#[test]
fn after_nothing() {
    others_have_their_turn(|_| ());
}

#[test]
fn after_a_yield() {
    others_have_their_turn(|_| (0..100).for_each(|_| yield_now()));
}

#[test]
fn after_a_wait_that_is_over_before_it_begins() {
    others_have_their_turn(|_| {
        let token = Token::new();
        let cancelled = token.run(|| {
            token.cancel();
            chan::never::<()>().recv()
        });
        assert!(cancelled.is_err());
    });
}

/// A plain thread sends at once, so that now and then a receiver is woken before it has switched.
#[test]
fn after_a_value_that_comes_while_the_goroutine_switches() {
    others_have_their_turn(|handle| {
        let (tx, rx) = chan::bounded::<u32>(0);
        let sender = std::thread::spawn(move || while tx.try_send(1).is_ok_or_full() {});
        let began = Instant::now();
        for _ in 0..20_000 {
            rx.recv().expect("the sender is there");
            if handle.stats().running == 0 || began.elapsed() > LONG / 4 {
                break;
            }
        }
        drop(rx);
        blocking(|| sender.join().expect("no panic"));
    });
}

trait OkOrFull {
    fn is_ok_or_full(&self) -> bool;
}

impl<T> OkOrFull for Result<(), chan::TrySendError<T>> {
    fn is_ok_or_full(&self) -> bool {
        !matches!(self, Err(chan::TrySendError::Disconnected(_)))
    }
}

#[test]
fn after_a_blocking_call_that_panics() {
    others_have_their_turn(|handle| {
        let outcome = catch_unwind(AssertUnwindSafe(|| blocking(|| panic!("in the call"))));
        assert!(outcome.is_err());
        assert!(handle.stats().running > 0, "this goroutine runs");
    });
}

#[test]
fn after_a_wait_in_place() {
    others_have_their_turn(|_| {
        let lock = gosched::lock_thread();
        let (tx, rx) = chan::bounded(0);
        let sender = std::thread::spawn(move || tx.send(1));
        assert_eq!(rx.recv(), Ok(1));
        drop(lock);
        blocking(|| sender.join().expect("no panic").expect("it was received"));
    });
}
