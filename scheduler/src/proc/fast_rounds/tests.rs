//! What ends fast rounds and takes a hand inside of the scheduler to bring about: the rest is in
//! `tests/fast_rounds.rs`.
//!
//! # Safety
//!
//! No goroutine here waits in an initialiser or in code that relies on nesting.
#![expect(unsafe_code, reason = "promises what the mode wants promised")]

use std::sync::atomic::{
    AtomicBool, AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use super::*;
use crate::gmp::current;
use crate::goroutine::Builder;
use crate::proc::wake;
use crate::{Mode, Runtime, time, yield_now};

/// How often a test tries: each try begins at another distance from the round that looks
/// everywhere.
const TRIES: u32 = policy::GLOBAL_INTERVAL / 2;

/// Makes a runtime with one P, one M and no sysmon.
fn runtime() -> Runtime {
    // SAFETY: see the module's head.
    let mode = unsafe { Mode::settled() };
    let rt = Runtime::builder(mode).procs(1).build().expect("a runtime");
    rt.handle().sched().sysmon_not_before.store(u64::MAX, Relaxed);
    rt
}

/// Yields until `done`, and returns how often.
#[track_caller]
fn yields_until(done: impl Fn() -> bool) -> u32 {
    let (began, mut yields) = (Instant::now(), 0);
    while !done() {
        assert!(began.elapsed() < Duration::from_secs(30), "it does not come");
        yield_now();
        yields += 1;
    }
    yields
}

/// Calls `body` in each try.
fn each_distance(mut body: impl FnMut() -> u32) -> Vec<u32> {
    let try_after = |yields| {
        (0..yields).for_each(|_| yield_now());
        body()
    };
    (0..TRIES).map(try_after).collect()
}

/// An M looks for goroutines made outside in every 61st round, and when sysmon requests it: in that
/// round or, if it is the turn of goroutines that have started, in the next.
#[test]
fn a_round_that_sysmon_asks_for_looks_everywhere() {
    let rt = runtime();
    let (ask, asked) = mpsc::channel::<()>();
    let (handle, made, ran) =
        (rt.handle(), Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let (tell, runs) = (made.clone(), ran.clone());
    let outside = thread::spawn(move || {
        for () in asked {
            let runs = runs.clone();
            let talks = Builder::new().runtime(&handle).talks();
            drop(talks.go(move || runs.fetch_add(1, Relaxed)));
            tell.fetch_add(1, Release);
        }
    });
    let yields = rt.run(move || {
        each_distance(|| {
            let before = made.load(Relaxed);
            ask.send(()).expect("it listens");
            while made.load(Acquire) == before {
                thread::yield_now();
            }
            current::with(|cx| cx.expect("a goroutine").m.progress.request_preempt());
            yields_until(|| ran.load(Relaxed) > before)
        })
    });
    outside.join().expect("no panic");
    assert!(yields.iter().all(|yields| *yields <= 2), "{yields:?}");
}

/// Without a P no goroutine goes on. The taker of the P gives it back when this M waits in the
/// line.
#[test]
fn no_round_follows_without_the_p() {
    let rt = runtime();
    let sched = rt.handle().sched().clone();
    let (give, given) = mpsc::channel();
    let went_on = Arc::new(AtomicBool::new(false));
    let (owner, seen) = (sched.clone(), went_on.clone());
    let taker = thread::spawn(move || {
        given.iter().all(|p| {
            while owner.dispatch.line_len() == 0 && !seen.load(Acquire) {
                thread::yield_now();
            }
            let waited = owner.dispatch.line_len() == 1;
            wake::hand_off_p(&owner, p);
            waited
        })
    });
    rt.run(move || {
        each_distance(|| {
            went_on.store(false, Relaxed);
            let p = current::with(|cx| {
                let m = cx.expect("a goroutine").m;
                sched.revoke_p(m, &m.p.observe()).expect("it is in the slot")
            });
            give.send(p).expect("it is there");
            yield_now();
            went_on.store(true, Release);
            0
        })
    });
    assert!(taker.join().expect("no panic"), "a goroutine went on without a P");
}

/// Returns by how many rounds a sleeper is late, beside a goroutine that yields after each `round`.
fn lateness(round: Duration) -> Vec<u32> {
    let makes_round = move || {
        let began = Instant::now();
        while began.elapsed() < round {
            std::hint::spin_loop();
        }
    };
    runtime().run(move || {
        each_distance(|| {
            let (at, awake) =
                (Instant::now() + Duration::from_millis(1), Arc::new(AtomicBool::new(false)));
            let wakes = awake.clone();
            let sleeper = Builder::new().talks().go(move || {
                time::sleep_until(at);
                wakes.store(true, Relaxed);
            });
            let rounds_until = |ready: &dyn Fn() -> bool| {
                yields_until(|| {
                    makes_round();
                    ready()
                })
            };
            let early = rounds_until(&|| Instant::now() >= at);
            let late = rounds_until(&|| awake.load(Relaxed));
            sleeper.join().expect("no panic");
            // If this thread was off its core for all that time, there were too few rounds to tell
            // how long they are.
            if early < 3 * policy::CLOCK_ROUNDS { 0 } else { late }
        })
    })
}

/// A goroutine that is due queues behind those that are ready, here one.
#[test]
fn the_clock_is_read_as_often_as_in_whole_rounds() {
    let late = lateness(Duration::ZERO);
    assert!(late.iter().all(|rounds| *rounds <= policy::CLOCK_ROUNDS + 1), "{late:?}");
    let late = lateness(Duration::from_nanos(3 * policy::SHORT_ROUND_NS));
    assert!(late.iter().all(|rounds| *rounds <= 2), "{late:?}");
}
