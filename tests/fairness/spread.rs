//! Where goroutines settle.

use std::collections::HashMap;
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

use gosched::{Runtime, chan, go};
use test_support::{migratory, settled};

use crate::support::{alone, at_most, compute, measured};

/// With at most twice as many Ps as CPUs. An M that gets no core for 200 us is not waited for, and
/// its share goes to other Ms.
#[test]
#[ignore = "measures time: cargo xtask test --only timing"]
fn an_acceptors_children_spread_over_the_threads() {
    let _alone = alone();
    let cpus = thread::available_parallelism().map_or(1, usize::from);
    for procs in [2, 4, 8].into_iter().filter(|procs| *procs <= 2 * cpus) {
        measured(&format!("{procs} Ps"), || {
            let rt = Runtime::builder(settled()).procs(procs).build().expect("a runtime");
            let per_thread = rt.run(|| {
                let (_open, gate) = chan::bounded::<()>(0);
                let (tell, told) = chan::unbounded::<ThreadId>();
                let acceptor = go(move || {
                    let child = || {
                        let (gate, tell) = (gate.clone(), tell.clone());
                        drop(go(move || {
                            tell.send(thread::current().id()).expect("it is awaited");
                            let _for_ever = gate.recv();
                        }));
                    };
                    (0..2000).for_each(|_| child());
                });
                let mut per_thread = HashMap::<_, u32>::new();
                for thread in told.iter().take(2000) {
                    *per_thread.entry(thread).or_default() += 1;
                }
                acceptor.join().expect("no panic");
                drop(_open);
                per_thread
            });
            let (least, most) = (
                per_thread.values().min().expect("some"),
                per_thread.values().max().expect("some"),
            );
            at_most("threads too many or too few", per_thread.len().abs_diff(procs), 0)?;
            at_most("the most children of a thread, times ten", most * 10, least * 13)
        });
    }
}

/// With at most as many Ps as CPUs: an M that waits for a core looks abandoned, and thieves steal
/// what it was about to start.
#[test]
#[ignore = "measures time: cargo xtask test --only timing"]
fn pairs_that_talk_stay_together() {
    let _alone = alone();
    for procs in [1, 2] {
        measured(&format!("{procs} Ps"), || {
            let rt = Runtime::builder(settled()).procs(procs).build().expect("a runtime");
            // A goroutine spawns the other half of its pair and talks to it at once, as a server
            // does with its helper.
            let pair = || {
                let ((ping, pinged), (pong, ponged)) = (chan::bounded(0), chan::bounded(0));
                let echo = go(move || {
                    pinged.iter().for_each(|n: u32| pong.send(n).expect("awaited"));
                    thread::current().id()
                });
                for n in 0..500 {
                    ping.send(n).expect("awaited");
                    assert_eq!(ponged.recv(), Ok(n));
                }
                drop(ping);
                echo.join().expect("no panic") == thread::current().id()
            };
            // The first pair makes known that both halves talk. Before, the other half begins on
            // a thread of its own.
            rt.handle().go(pair).join().expect("no panic");
            let pairs: Vec<_> = (0..64).map(|_| rt.handle().go(pair)).collect();
            let together = pairs
                .into_iter()
                .filter_map(|pair| pair.join().ok())
                .filter(|together| *together)
                .count();
            at_most("pairs apart", 64 - together, 32)
        });
    }
}

/// Goroutines that one goroutine makes in one round, at two places in the program of which nothing
/// is known yet: four that send, and one that receives. The first sender must not make its place
/// known while the maker makes the others.
#[test]
#[ignore = "measures time: cargo xtask test --only timing"]
fn a_burst_of_unknown_ones_begins_on_one_thread() {
    let _alone = alone();
    for procs in [2, 4, 8] {
        let is_split = || {
            let rt = Runtime::builder(settled()).procs(procs).build().expect("a runtime");
            let threads = rt.run(|| {
                let (tx, rx) = chan::bounded::<u64>(1);
                let here = || thread::current().id();
                let send = |tx: chan::Sender<u64>| {
                    go(move || {
                        (0..100).for_each(|n| tx.send(n).expect("it is awaited"));
                        here()
                    })
                };
                let mut all: Vec<_> = (0..4)
                    .map(|_| {
                        let sends = send(tx.clone());
                        compute(Duration::from_micros(30));
                        sends
                    })
                    .collect();
                drop(tx);
                all.push(go(move || {
                    assert_eq!(rx.iter().sum::<u64>(), 4 * 4_950);
                    here()
                }));
                let ended = all.into_iter().map(|one| one.join().expect("no panic"));
                ended.collect::<Vec<_>>()
            });
            threads.iter().any(|thread| *thread != threads[0])
        };
        measured(&format!("{procs} Ps"), || {
            let split = (0..64).filter(|_| is_split()).count();
            at_most("bursts of 64 that are split", split, 2)
        });
    }
}

/// Eight workers that one goroutine makes at once, and that take its jobs from one channel. The
/// first of them has shown that it works before the others begin.
#[test]
#[ignore = "measures time: cargo xtask test --only timing"]
fn a_pool_that_is_made_at_once_has_more_than_one_core() {
    let _alone = alone();
    if thread::available_parallelism().map_or(1, usize::from) < 2 {
        return;
    }
    const JOBS: u32 = 3_000;
    let job = Duration::from_micros(20);
    let run = |procs| {
        let rt = Runtime::builder(settled()).procs(procs).build().expect("a runtime");
        let pool = rt.handle().go(move || {
            let began = Instant::now();
            let (give, take) = chan::bounded::<Duration>(8);
            let worker = |take: chan::Receiver<Duration>| go(move || take.iter().for_each(compute));
            let workers: Vec<_> = (0..8).map(|_| worker(take.clone())).collect();
            (0..JOBS).for_each(|_| give.send(job).expect("workers wait"));
            drop(give);
            workers.into_iter().for_each(|one| one.join().expect("no panic"));
            began.elapsed()
        });
        pool.join().expect("no panic")
    };
    measured("2 Ps", || {
        let one = run(1).as_secs_f64();
        let mut parts: Vec<_> = (0..9).map(|_| run(2).as_secs_f64() / one).collect();
        parts.sort_by(f64::total_cmp);
        at_most("the part of one P's time that two take, the median of nine", parts[4], 0.7)
    });
}

/// Four that send to four, migratory, with two Ps. One M gets through them by itself; a second one
/// would take items to and fro between two cores.
#[test]
#[ignore = "measures time: cargo xtask test --only timing"]
fn migratory_ones_that_talk_all_the_time_stay_with_the_m_that_keeps_up() {
    const ITEMS: u64 = 50_000;
    let _alone = alone();
    measured("2 Ps", || {
        let rt = Runtime::builder(migratory()).procs(2).build().expect("a runtime");
        let before = rt.handle().stats().steals;
        let talk = rt.handle().go(|| {
            let (tx, rx) = chan::bounded::<u64>(128);
            let send = |tx: chan::Sender<u64>| {
                go(move || (0..ITEMS).for_each(|n| tx.send(n).expect("it is awaited")))
            };
            let take = |rx: chan::Receiver<u64>| go(move || rx.iter().count() as u64);
            let senders: Vec<_> = (0..4).map(|_| send(tx.clone())).collect();
            let takers: Vec<_> = (0..4).map(|_| take(rx.clone())).collect();
            drop((tx, rx));
            senders.into_iter().for_each(|one| one.join().expect("no panic"));
            takers.into_iter().map(|one| one.join().expect("no panic")).sum::<u64>()
        });
        assert_eq!(talk.join().expect("no panic"), 4 * ITEMS);
        at_most("goroutines that another M took", rt.handle().stats().steals - before, 40)
    });
}

/// An M that has kept up for a while wakes twelve that compute for 2 ms each. Another M helps,
/// although a thief has left the queue to this one just before.
#[test]
#[ignore = "measures time: cargo xtask test --only timing"]
fn an_m_that_ceases_to_keep_up_is_helped() {
    let _alone = alone();
    if thread::available_parallelism().map_or(1, usize::from) < 2 {
        return;
    }
    let piece = Duration::from_millis(2);
    measured("2 Ps", || {
        let rt = Runtime::builder(migratory()).procs(2).build().expect("a runtime");
        let took = rt.handle().go(move || {
            let (start, starts) = chan::bounded::<()>(0);
            let (tell, told) = chan::unbounded::<()>();
            let piece_each = |starts: chan::Receiver<()>, tell: chan::Sender<()>| {
                drop(go(move || {
                    assert!(starts.recv().is_err(), "the other end is dropped");
                    compute(piece);
                    tell.send(()).expect("it is awaited");
                }));
            };
            (0..12).for_each(|_| piece_each(starts.clone(), tell.clone()));
            let ((ping, pinged), (pong, ponged)) = (chan::bounded(0), chan::bounded(0));
            let talk = |pinged: chan::Receiver<u32>, pong: chan::Sender<u32>| {
                drop(go(move || pinged.iter().for_each(|n| pong.send(n).expect("awaited"))));
            };
            (0..4).for_each(|_| talk(pinged.clone(), pong.clone()));
            for n in 0..50_000 {
                ping.send(n).expect("awaited");
                ponged.recv().expect("answered");
            }
            let began = Instant::now();
            drop(start);
            (0..12).for_each(|_| told.recv().expect("it is told"));
            began.elapsed()
        });
        at_most("all twelve have computed", took.join().expect("no panic"), 10 * piece)
    });
}
