//! gosched: a sum and a pool whose time depends on the number of workers, and goroutines that talk
//! beside goroutines that compute.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use gosched::{chan, go, time};

use super::place::Column;
use crate::peer::measure::{CHUNK, Figures, Gap, compute, items, ms, ns_per_op, scaling, sum_of};

/// Runs the sum in a runtime with one worker, and in one with as many as there shall be.
pub(crate) fn parallel_sum(column: Column) -> Figures {
    scaling(|workers, sums| {
        column.runtime_of(workers).run(|| {
            sums(&|| {
                let items = items();
                let sum = |chunk: usize| {
                    let items = items.clone();
                    go(move || sum_of(&items[chunk * CHUNK..][..CHUNK]))
                };
                let all: Vec<_> = (0..items.len() / CHUNK).map(sum).collect();
                all.into_iter()
                    .fold(0, |sum: u64, one| sum.wrapping_add(one.join().expect("no panic")))
            })
        })
    })
}

/// Eight workers take jobs of 20 us.
pub(crate) fn pool() -> Figures {
    const JOBS: u64 = 10_000;
    let (give, take) = chan::bounded::<Duration>(8);
    let began = Instant::now();
    let worker = || {
        let take = take.clone();
        go(move || take.iter().for_each(compute))
    };
    let workers: Vec<_> = (0..8).map(|_| worker()).collect();
    (0..JOBS).for_each(|_| give.send(Duration::from_micros(20)).expect("workers wait"));
    drop(give);
    workers.into_iter().for_each(|worker| worker.join().expect("no panic"));
    ns_per_op(JOBS, began)
}

/// Four pairs talk for a second, while two goroutines that were made among them compute.
pub(crate) fn mix() -> Figures {
    let stop = Arc::new(AtomicBool::new(false));
    let trips = Arc::new(AtomicU64::new(0));
    let began = Instant::now();
    let make = |pair| {
        let (ping, pinged) = chan::bounded::<u64>(0);
        let (pong, ponged) = chan::bounded::<u64>(0);
        drop(go(move || pinged.iter().for_each(|value| pong.send(value).expect("it is awaited"))));
        let (stopped, trips) = (stop.clone(), trips.clone());
        let player = go(move || {
            let mut gap = Gap::new();
            let mut made = 0;
            while !stopped.load(Relaxed) {
                ping.send(made).expect("it is answered");
                assert_eq!(ponged.recv(), Ok(made));
                gap.tick();
                made += 1;
            }
            trips.fetch_add(made, Relaxed);
            gap.worst()
        });
        if pair < 2 {
            let stopped = stop.clone();
            drop(go(move || {
                while !stopped.load(Relaxed) {
                    compute(Duration::from_millis(1));
                }
            }));
        }
        player
    };
    let players: Vec<_> = (0..4).map(make).collect();
    time::sleep(Duration::from_secs(1));
    stop.store(true, Relaxed);
    let worst = players.into_iter().map(|player| player.join().expect("no panic")).max();
    let mut figures = ns_per_op(trips.load(Relaxed).max(1), began);
    figures.push(("worst_ms", ms(worst.unwrap_or_default())));
    figures
}
