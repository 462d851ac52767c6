//! Pairs of goroutines that wake each other share the time, however long their turns are.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use gosched::goroutine::Builder;
use gosched::{JoinHandle, Mode, Runtime, chan, time};
use test_support::{migratory, settled};

use crate::support::{alone, measured};

/// Two goroutines that take turns of `turn` until `ends`, and count the round trips.
fn pair(turn: Duration, ends: &Arc<AtomicBool>, trips: &Arc<AtomicU64>) -> [JoinHandle<()>; 2] {
    let (ping, pinged) = chan::bounded(0);
    let (pong, ponged) = chan::bounded(0);
    let takes = move || {
        let began = Instant::now();
        while turn > Duration::ZERO && began.elapsed() < turn {}
    };
    let (ends, trips) = (ends.clone(), trips.clone());
    let asks = Builder::new().talks().go(move || {
        while !ends.load(Relaxed) {
            takes();
            ping.send(()).expect("the other is there");
            ponged.recv().expect("the other is there");
            trips.fetch_add(1, Relaxed);
        }
    });
    let answers = Builder::new().talks().go(move || {
        while pinged.recv().is_ok() {
            takes();
            pong.send(()).expect("the other is there");
        }
    });
    [asks, answers]
}

/// Lets pairs with such turns run side by side on one P. Returns their round trips. Their root
/// wakes up in time.
fn side_by_side<const N: usize>(mode: Mode, turns: [Duration; N], lasts: Duration) -> [u64; N] {
    let rt = Runtime::builder(mode).procs(1).build().expect("a runtime");
    rt.run(|| {
        let ends = Arc::new(AtomicBool::new(false));
        let pairs = turns.map(|turn| {
            let trips = Arc::new(AtomicU64::new(0));
            (pair(turn, &ends, &trips), trips)
        });
        let began = Instant::now();
        time::sleep(lasts);
        let late = began.elapsed() - lasts;
        ends.store(true, Relaxed);
        assert!(late < Duration::from_millis(100), "the root was {late:?} late");
        pairs.map(|(pair, trips)| {
            pair.into_iter().for_each(|one| one.join().expect("no panic"));
            trips.load(Relaxed)
        })
    })
}

/// Returns how many times as long as the pair without work the pair with turns of `long` has run.
fn times_as_long(mode: fn() -> Mode, long: Duration) -> f64 {
    let lasts = Duration::from_millis(200);
    let [alone] = side_by_side(mode(), [Duration::ZERO], lasts);
    let trip = lasts.as_secs_f64() / alone as f64;
    let [of_short, of_long] = side_by_side(mode(), [Duration::ZERO, long], 3 * lasts);
    (of_long as f64 * 2.0 * long.as_secs_f64()) / (of_short as f64 * trip)
}

#[test]
#[ignore = "measures time: cargo xtask test --only timing"]
fn short_turns_have_their_time_beside_long_ones() {
    let _alone = alone();
    for (name, mode) in [("settled", settled as fn() -> Mode), ("migratory", migratory)] {
        for long in [20, 300, 3_000].map(Duration::from_micros) {
            measured(&format!("{name}, turns of {long:?}"), || {
                let ratio = times_as_long(mode, long);
                eprintln!("{name}, turns of {long:?}: {ratio:.1} times as long");
                if (0.1..=10.0).contains(&ratio) {
                    Ok(())
                } else {
                    Err(format!("the long turns have {ratio:.2} times the time of the short ones"))
                }
            });
        }
    }
}
