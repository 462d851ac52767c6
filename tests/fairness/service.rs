//! Goroutines that serve, beside others that begin to compute or to block: nobody says which is
//! which.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use gosched::callback::Bridge;
use gosched::{JoinHandle, Mode, Runtime, chan, go, time, yield_now};
use test_support::{migratory, settled};

use crate::support::{Ticker, alone, at_most, compute, measured, threads};

/// What a goroutine does that keeps its thread.
#[derive(Clone, Copy, Debug)]
enum Hog {
    Computes,
    Blocks,
    ComputesInPieces,
    /// The same, but for a first run that says nothing of it: their call site counts as one of
    /// goroutines that talk, so they begin beside the servers.
    ComputesInPiecesLater,
}

/// Some goroutines that keep their threads until they are told to stop.
struct Hogs {
    stop: Arc<AtomicBool>,
}

impl Hogs {
    fn start(rt: &Runtime, hog: Hog, number: usize) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        for _ in 0..number {
            let stop = stop.clone();
            drop(rt.handle().go(move || {
                if let Hog::ComputesInPiecesLater = hog {
                    gosched::yield_now();
                }
                while !stop.load(Relaxed) {
                    match hog {
                        Hog::Computes => compute(Duration::from_millis(1)),
                        Hog::Blocks => std::thread::sleep(Duration::from_millis(5)),
                        Hog::ComputesInPieces | Hog::ComputesInPiecesLater => {
                            compute(Duration::from_millis(3));
                            gosched::yield_now();
                        }
                    }
                }
            }));
        }
        Self { stop }
    }
}

impl Drop for Hogs {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
    }
}

type Question = (u64, chan::Sender<u64>);

/// Starts four goroutines that answer.
fn servers(rt: &Runtime) -> chan::Sender<Question> {
    let (ask, asked) = chan::bounded::<Question>(16);
    for _ in 0..4 {
        let asked = asked.clone();
        drop(rt.handle().go(move || {
            for (value, reply) in asked {
                reply.send(value + 1).expect("the answer is awaited");
            }
        }));
    }
    ask
}

/// How long callbacks that ask took: half of them at most, and the worst.
fn callbacks(rt: &Runtime, ask: &chan::Sender<Question>, time: Duration) -> [Duration; 2] {
    let bridge = Bridge::new(rt);
    let (until, mut took) = (Instant::now() + time, Vec::new());
    while Instant::now() < until {
        let began = Instant::now();
        let answer = bridge.enter(|| {
            let (reply, answer) = chan::bounded(1);
            ask.send((1, reply)).expect("they serve");
            answer.recv()
        });
        assert_eq!(answer.expect("no panic"), Ok(2));
        took.push(began.elapsed());
        std::thread::sleep(Duration::from_millis(3));
    }
    took.sort();
    [took[took.len() / 2], *took.last().expect("some were made")]
}

/// How long the longest callback may take, and half of them.
///
/// One that is woken goes before those that have had a turn, however many they are, and wherever
/// they have begun. So beside goroutines that compute in pieces of 3 ms it waits for a few pieces.
/// If it is known that they compute, it does not wait for a piece: it takes a P over from one of
/// them. Without that, half of the callbacks took 0.9 to 4 ms, and now 10 to 90 us.
///
/// Where more threads compute than there are cores, the kernel decides when one that wakes gets a
/// core: after up to 4 ms, twice for a callback. In Go the longest took 24 ms beside 2, 98 ms
/// beside 8, and 378 ms beside 32.
fn bounds(procs: usize, hog: Hog, number: usize) -> [Duration; 2] {
    match (hog, number) {
        (Hog::Blocks, _) => [30_000, 2_000],
        (Hog::Computes, 2) => [30_000, 5_000],
        (Hog::Computes, 8) => [98_000, 20_000],
        (Hog::Computes, _) => [378_000, 40_000],
        (Hog::ComputesInPieces, 2) if procs > 1 => [30_000, 700],
        (Hog::ComputesInPieces | Hog::ComputesInPiecesLater, _) => [30_000, 8_000],
    }
    .map(Duration::from_micros)
}

/// Callbacks ask servers for half a second, while `number` hogs have begun after the servers, or
/// before.
fn served(mode: Mode, procs: usize, hog: Hog, number: usize, before: bool) {
    let order = if before { "before" } else { "after" };
    measured(&format!("{mode:?}, {procs} Ps, {number} begin {order} and {hog:?}"), || {
        let rt = Runtime::builder(mode).procs(procs).build().expect("a runtime");
        let pause = Duration::from_millis(30);
        let first = before.then(|| Hogs::start(&rt, hog, number));
        std::thread::sleep(pause);
        let ask = servers(&rt);
        std::thread::sleep(pause);
        let _hogs = first.unwrap_or_else(|| Hogs::start(&rt, hog, number));
        std::thread::sleep(pause);
        let [half, worst] = callbacks(&rt, &ask, Duration::from_millis(500));
        println!("{mode:?}, {procs} Ps, {number} {order} {hog:?}: half {half:?}, worst {worst:?}");
        let [most, most_of_half] = bounds(procs, hog, number);
        at_most("the longest callback", worst, most)?;
        at_most("half of the callbacks", half, most_of_half)
    });
}

#[test]
#[ignore = "measures time: cargo xtask test --only timing"]
fn settled_servers_answer_beside_goroutines_that_keep_their_threads() {
    let _alone = alone();
    for procs in [1, 2, 4] {
        for hog in [Hog::Computes, Hog::Blocks] {
            for number in [2, 8, 32] {
                for before in [false, true] {
                    served(settled(), procs, hog, number, before);
                }
            }
        }
    }
}

#[test]
#[ignore = "measures time: cargo xtask test --only timing"]
fn servers_answer_beside_any_number_that_computes_in_pieces() {
    let _alone = alone();
    for procs in [1, 2, 4] {
        for hog in [Hog::ComputesInPieces, Hog::ComputesInPiecesLater] {
            for number in [2, 8, 32, 200] {
                for mode in [settled, migratory] {
                    served(mode(), procs, hog, number, false);
                }
                served(settled(), procs, hog, number, true);
            }
        }
    }
}

#[test]
#[ignore = "measures time: cargo xtask test --only timing"]
fn migratory_servers_answer_beside_goroutines_that_keep_their_threads() {
    let _alone = alone();
    for procs in [1, 2, 4] {
        for hog in [Hog::Computes, Hog::Blocks] {
            for number in [2, 8, 32] {
                for before in [false, true] {
                    served(migratory(), procs, hog, number, before);
                }
            }
        }
    }
}

/// The root sleeps for 10 ms while what it has made computes for 300, or blocks.
#[test]
#[ignore = "measures time: cargo xtask test --only timing"]
fn the_root_is_not_held_up_by_what_it_starts() {
    let _alone = alone();
    for (mode, procs) in
        [settled(), migratory()].into_iter().flat_map(|m| [1, 2, 4].map(|p| (m, p)))
    {
        for block in [false, true] {
            measured(&format!("{mode:?}, {procs} Ps, blocks: {block}"), || {
                let rt = Runtime::builder(mode).procs(procs).build().expect("a runtime");
                let slept = rt.run(|| {
                    let hog = go(move || {
                        if block {
                            std::thread::sleep(Duration::from_millis(300));
                        } else {
                            compute(Duration::from_millis(300));
                        }
                    });
                    let began = Instant::now();
                    time::sleep(Duration::from_millis(10));
                    let slept = began.elapsed();
                    hog.join().expect("no panic");
                    slept
                });
                at_most("a sleep of 10 ms", slept, Duration::from_millis(30))
            });
        }
    }
}

/// The root sleeps for 10 ms at a time while migratory goroutines compute for 300, at first or
/// again and again, after a sleep or a yield.
#[test]
#[ignore = "measures time: cargo xtask test --only timing"]
fn the_root_is_not_held_up_by_migratory_goroutines_that_go_on() {
    let _alone = alone();
    for (procs, number) in [1, 2, 4].into_iter().flat_map(|procs| [1, 8].map(|n| (procs, n))) {
        measured(&format!("{procs} Ps, {number} hogs"), || {
            let rt = Runtime::builder(migratory()).procs(procs).build().expect("a runtime");
            let slept = rt.run(|| {
                let hogs: Vec<_> = (0..number)
                    .map(|_| {
                        go(|| {
                            time::sleep(Duration::from_millis(1));
                            compute(Duration::from_millis(300));
                            yield_now();
                            compute(Duration::from_millis(300));
                        })
                    })
                    .collect();
                let mut slept = Duration::ZERO;
                while !hogs.iter().all(JoinHandle::is_finished) {
                    let began = Instant::now();
                    time::sleep(Duration::from_millis(10));
                    slept = slept.max(began.elapsed());
                }
                slept
            });
            let most = if number == 1 { 30 } else { 98 };
            at_most("a sleep of 10 ms", slept, Duration::from_millis(most))
        });
    }
}

/// A ticker that has settled ticks on, whatever begins after it.
#[test]
#[ignore = "measures time: cargo xtask test --only timing"]
fn a_settled_ticker_ticks_on_when_others_begin_to_compute() {
    let _alone = alone();
    for procs in [1, 2, 4] {
        for number in [2, 8, 200] {
            measured(&format!("{procs} Ps, {number} hogs"), || {
                let rt = Runtime::builder(settled()).procs(procs).build().expect("a runtime");
                let ticker = Ticker::start_settled(&rt);
                let hogs = Hogs::start(&rt, Hog::Computes, number);
                std::thread::sleep(Duration::from_millis(500));
                let ticked = ticker.stop();
                drop(hogs);
                let most = if number == 2 { 30 } else { 60 };
                at_most("the ticker's gap", ticked.gap, Duration::from_millis(most))
            });
        }
    }
}

/// However many call sites there are, threads are not made without end.
#[test]
fn threads_stay_bounded_when_every_goroutine_is_of_another_kind() {
    let _alone = alone();
    let (before, procs) = (threads(), 2);
    let rt = Runtime::builder(settled()).procs(procs).build().expect("a runtime");
    let (last, stay) = chan::bounded::<()>(0);
    let (begun, begins) = chan::unbounded();
    macro_rules! kinds {
        ($($kind:literal)*) => {$({
            let (begun, stay) = (begun.clone(), stay.clone());
            drop(rt.handle().go(move || {
                begun.send($kind).expect("it is awaited");
                assert!(stay.recv().is_err());
            }));
            assert_eq!(begins.recv(), Ok($kind));
        })*};
    }
    kinds!(0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29);
    let stats = rt.stats();
    assert!(stats.owning_threads <= 2 * procs + 8, "{stats:?}");
    // Sysmon's thread, and one that is on its way when the bound is reached.
    assert!(threads() - before <= 2 * procs + 8 + 3, "{} threads", threads() - before);
    drop(last);
}

/// One goroutine makes a ticker, and at once others that compute, at other places.
#[test]
#[ignore = "measures time: cargo xtask test --only timing"]
fn a_ticker_ticks_on_beside_what_was_made_with_it() {
    let _alone = alone();
    for procs in [1, 2, 4] {
        measured(&format!("{procs} Ps"), || {
            let rt = Runtime::builder(settled()).procs(procs).build().expect("a runtime");
            let ticks = rt.handle().go(|| {
                let computes = || compute(Duration::from_millis(300));
                let ticks = go(|| {
                    let mut gap = Duration::ZERO;
                    for _ in 0..100 {
                        let began = Instant::now();
                        time::sleep(Duration::from_millis(1));
                        gap = gap.max(began.elapsed());
                    }
                    gap
                });
                let hogs = [go(computes), go(computes)];
                let gap = ticks.join().expect("no panic");
                hogs.into_iter().for_each(|hog| hog.join().expect("no panic"));
                gap
            });
            at_most("the ticker's gap", ticks.join().expect("no panic"), Duration::from_millis(30))
        });
    }
}
