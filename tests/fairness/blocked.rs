//! Goroutines that block their thread in a system call.

use std::time::{Duration, Instant};

use gosched::{JoinHandle, Mode, Runtime, blocking, chan, go};
use test_support::{migratory, settled};

use crate::support::{Ticker, alone, at_most, measured, threads};

const SLEEPERS: usize = 64;
const NAP: Duration = Duration::from_millis(20);

/// 64 goroutines that sleep in C for 20 ms each, beside a ticker.
fn naps(mode: Mode, nap: fn(), bound: Duration) {
    let _alone = alone();
    for procs in [1, 2, 4, 8] {
        measured(&format!("{mode:?}, {procs} Ps"), || {
            let rt = Runtime::builder(mode).procs(procs).build().expect("a runtime");
            let ticker = Ticker::start(&rt);
            let began = Instant::now();
            let all: Vec<_> = (0..SLEEPERS).map(|_| rt.handle().go(nap)).collect();
            assert!(all.into_iter().all(|one| one.join().is_ok()));
            let took = began.elapsed();
            let ticked = ticker.stop();
            at_most("all of them are done", took, bound)?;
            at_most("the ticker's gap", ticked.gap, Duration::from_millis(10))
        });
    }
}

#[test]
#[ignore = "measures time: cargo xtask test --only timing"]
fn those_that_say_nothing_hold_up_nobody_settled() {
    naps(settled(), || std::thread::sleep(NAP), Duration::from_millis(80));
}

#[test]
#[ignore = "measures time: cargo xtask test --only timing"]
fn those_that_say_nothing_hold_up_nobody_migratory() {
    naps(migratory(), || std::thread::sleep(NAP), Duration::from_millis(80));
}

#[test]
#[ignore = "measures time: cargo xtask test --only timing"]
fn those_that_say_so_hold_up_nobody_settled() {
    naps(settled(), || blocking(|| std::thread::sleep(NAP)), Duration::from_millis(60));
}

#[test]
#[ignore = "measures time: cargo xtask test --only timing"]
fn those_that_say_so_hold_up_nobody_migratory() {
    naps(migratory(), || blocking(|| std::thread::sleep(NAP)), Duration::from_millis(60));
}

/// How many measurements of pairs are made before a burst, and after it.
const TRIES: usize = 6;

/// Returns the round trips per second of 32 new pairs, all together.
fn pairs(rt: &Runtime) -> f64 {
    const ROUNDS: u32 = 2000;
    let began = Instant::now();
    let pair = || {
        rt.handle().go(|| {
            let ((ping, pinged), (pong, ponged)) = (chan::bounded(0), chan::bounded(0));
            let echo: JoinHandle<()> =
                go(move || pinged.iter().for_each(|n: u32| pong.send(n).expect("awaited")));
            for n in 0..ROUNDS {
                ping.send(n).expect("awaited");
                assert_eq!(ponged.recv(), Ok(n));
            }
            drop(ping);
            echo.join().expect("no panic");
        })
    };
    let all: Vec<_> = (0..32).map(|_| pair()).collect();
    assert!(all.into_iter().all(|one| one.join().is_ok()));
    f64::from(32 * ROUNDS) / began.elapsed().as_secs_f64()
}

#[test]
#[ignore = "measures time: cargo xtask test --only timing"]
fn a_burst_of_blocking_leaves_nothing_behind() {
    let _alone = alone();
    for procs in [1, 2, 4, 8] {
        measured(&format!("{procs} Ps"), || {
            let rt = Runtime::builder(settled()).procs(procs).build().expect("a runtime");
            let others = threads();
            pairs(&rt);
            // The best of as many measurements as may be made afterwards: with more Ps than CPUs
            // two measurements of the same load sometimes differ by a fifth.
            let before = (0..TRIES).map(|_| pairs(&rt)).fold(0.0, f64::max);
            let all: Vec<_> =
                (0..SLEEPERS).map(|_| rt.handle().go(|| std::thread::sleep(NAP))).collect();
            assert!(all.into_iter().all(|one| one.join().is_ok()));
            let ended = Instant::now();
            // If something is left behind, it stays: then all of them are slow.
            let after = (0..TRIES).map(|_| pairs(&rt)).fold(0.0, f64::max);
            at_most("slower", before * 0.8, after)?;
            // The calling thread lends itself to no runtime here: it is no thread of gosched.
            while threads() > others + procs + 2 && ended.elapsed() < Duration::from_secs(1) {
                std::thread::sleep(Duration::from_millis(5));
            }
            at_most("threads, this one included", threads() - others + 1, procs + 3)
        });
    }
}
