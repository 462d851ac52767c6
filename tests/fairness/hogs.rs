//! Goroutines that compute and never suspend.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use gosched::goroutine::Builder;
use gosched::{JoinHandle, Mode, Runtime, chan, go, time, yield_now};
use test_support::{each_procs, migratory, settled};

use crate::support::{Ticker, alone, at_most, compute, measured, threads};

/// Two goroutines that compute for two seconds, a ticker, and a new goroutine.
fn two_hogs(rt: &Runtime) -> Result<(), String> {
    let ticker = Ticker::start(rt);
    let hogs: Vec<_> = (0..2).map(|_| rt.handle().go(|| compute(Duration::from_secs(2)))).collect();
    let mut started = Duration::ZERO;
    for _ in 0..3 {
        std::thread::sleep(Duration::from_millis(200));
        let made = Instant::now();
        let late = rt.handle().go(move || made.elapsed()).join().expect("no panic");
        started = started.max(late);
    }
    let all_run = hogs.iter().filter(|hog| !hog.is_finished()).count();
    assert_eq!(all_run, 2, "they compute still");
    for hog in hogs {
        hog.join().expect("no panic");
    }
    let ticked = ticker.stop();
    at_most("a new goroutine starts", started, Duration::from_millis(30))?;
    at_most("the ticker's gap", ticked.gap, Duration::from_millis(30))?;
    at_most("too few ticks", -i64::from(ticked.runs), -100)
}

#[test]
#[ignore = "measures time: cargo xtask test --only timing"]
fn two_hogs_hold_up_nobody_else() {
    let _alone = alone();
    for procs in [1, 2, 4, 8] {
        measured(&format!("{procs} Ps"), || {
            two_hogs(&Runtime::builder(settled()).procs(procs).build().expect("a runtime"))
        });
    }
}

/// Spawns a goroutine that stays on a thread without a hog. The hogs have begun before, so it
/// begins on another thread, and later goroutines begin elsewhere.
#[test]
#[ignore = "measures time: cargo xtask test --only timing"]
fn a_ticker_that_settled_where_no_hog_is_ticks_on() {
    let _alone = alone();
    for procs in [1, 2, 4, 8] {
        measured(&format!("{procs} Ps"), || {
            let rt = Runtime::builder(settled()).procs(procs).build().expect("a runtime");
            let begun = Arc::new(AtomicUsize::new(0));
            let hog = || {
                let begun = begun.clone();
                rt.handle().go(move || {
                    begun.fetch_add(1, Relaxed);
                    compute(Duration::from_secs(2));
                })
            };
            let hogs = [hog(), hog()];
            while begun.load(Relaxed) < hogs.len() {
                std::thread::yield_now();
            }
            let ticker = Ticker::start_settled(&rt);
            std::thread::sleep(Duration::from_secs(1));
            assert!(!hogs.iter().any(JoinHandle::is_finished), "they compute still");
            let ticked = ticker.stop();
            hogs.into_iter().for_each(|hog| hog.join().expect("no panic"));
            at_most("the ticker's gap", ticked.gap, Duration::from_millis(30))?;
            at_most("too few ticks", -i64::from(ticked.runs), -100)
        });
    }
}

/// Two goroutines compute for a while between their yields. They have settled on different threads,
/// and there is one P for both: the thread that has it gives way by time, however few rounds that
/// are.
#[test]
#[ignore = "measures time: cargo xtask test --only timing"]
fn threads_with_long_rounds_give_way_to_each_other() {
    let _alone = alone();
    measured("1 P", || {
        let rt = Runtime::builder(settled()).procs(1).build().expect("a runtime");
        let (stop, both) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let in_pieces = |first: Duration| {
            let (stop, both) = (stop.clone(), both.clone());
            rt.handle().go(move || {
                // The first goroutine loses the P, and another thread starts the second one.
                compute(first);
                both.fetch_add(1, Relaxed);
                let (mut gap, mut last) = (Duration::ZERO, Instant::now());
                while !stop.load(Relaxed) {
                    compute(Duration::from_millis(3));
                    yield_now();
                    let now = Instant::now();
                    // Alone it waits for no other goroutine.
                    gap = if both.load(Relaxed) == 2 { gap.max(now - last) } else { gap };
                    last = now;
                }
                (gap, std::thread::current().id())
            })
        };
        let pieces = [in_pieces(Duration::from_millis(40)), in_pieces(Duration::ZERO)];
        while both.load(Relaxed) < 2 {
            std::thread::sleep(Duration::from_millis(1));
        }
        std::thread::sleep(Duration::from_secs(1));
        stop.store(true, Relaxed);
        let [first, second] = pieces.map(|one| one.join().expect("no panic"));
        if first.1 == second.1 {
            return Err("both are on one thread".to_owned());
        }
        at_most("the longest wait for a turn", first.0.max(second.0), Duration::from_millis(30))
    });
}

/// Returns the longest of the round trips of four pairs. Goroutines that compute are made among
/// them, in one round.
fn talk_among_hogs(rt: &Runtime) -> Duration {
    let stop = Arc::new(AtomicBool::new(false));
    let make = |pair| {
        let ((ping, pinged), (pong, ponged)) = (chan::bounded::<()>(0), chan::bounded(0));
        drop(go(move || pinged.iter().for_each(|()| pong.send(()).expect("it is awaited"))));
        let stopped = stop.clone();
        let player = go(move || {
            let mut worst = Duration::ZERO;
            while !stopped.load(Relaxed) {
                let began = Instant::now();
                ping.send(()).expect("it is answered");
                ponged.recv().expect("it is answered");
                worst = worst.max(began.elapsed());
            }
            worst
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
    rt.run(|| {
        let players = [0, 1, 2, 3].map(make);
        time::sleep(Duration::from_millis(300));
        stop.store(true, Relaxed);
        let worst = players.map(|player| player.join().expect("no panic"));
        worst.into_iter().max().unwrap_or_default()
    })
}

/// Those who talk need nothing of the one that was made next, so it begins elsewhere.
#[test]
#[ignore = "measures time: cargo xtask test --only timing"]
fn a_hog_made_among_talkers_holds_up_none_of_them() {
    let _alone = alone();
    for mode in [settled(), migratory()] {
        for procs in [1, 2, 4] {
            measured(&format!("{mode:?}, {procs} Ps"), || {
                let rt = Runtime::builder(mode).procs(procs).build().expect("a runtime");
                at_most("a round trip", talk_among_hogs(&rt), Duration::from_millis(60))
            });
        }
    }
}

/// Until so many goroutines that a plain thread wakes have all answered, beside some that compute
/// for 3 ms between their yields.
fn answer_in_time(mode: Mode, procs: usize, servers: usize, hogs: usize) {
    let what = format!("{mode:?}, {procs} Ps, {servers} beside {hogs}");
    measured(&what, || {
        let rt = Runtime::builder(mode).procs(procs).build().expect("a runtime");
        let (reply, replies) = chan::bounded(servers);
        let server = |_| {
            let ((ask, asked), reply) = (chan::bounded::<()>(1), reply.clone());
            drop(rt.handle().go(move || {
                asked.iter().for_each(|()| reply.send(()).expect("it is awaited"));
            }));
            ask
        };
        let asked: Vec<_> = (0..servers).map(server).collect();
        let stop = Arc::new(AtomicBool::new(false));
        let hog = |_| {
            let stop = stop.clone();
            rt.handle().go(move || {
                while !stop.load(Relaxed) {
                    compute(Duration::from_millis(3));
                    yield_now();
                }
            })
        };
        let hogs: Vec<_> = (0..hogs).map(hog).collect();
        std::thread::sleep(Duration::from_millis(50));
        let began = Instant::now();
        asked.iter().for_each(|ask| ask.send(()).expect("it is there"));
        (0..servers).for_each(|_| replies.recv().expect("they answer"));
        let took = began.elapsed();
        stop.store(true, Relaxed);
        hogs.into_iter().for_each(|hog| hog.join().expect("no panic"));
        at_most("all answers", took, Duration::from_millis(60))
    });
}

/// Each has its turn before those that have just yielded, not one of them in every 61st round, and
/// not behind the whole queue.
#[test]
#[ignore = "measures time: cargo xtask test --only timing"]
fn those_who_compute_in_pieces_hold_up_nobody_who_is_woken_outside() {
    let _alone = alone();
    for procs in [1, 2] {
        for (servers, hogs) in [(1, 2), (50, 2), (1, 200), (50, 200)] {
            answer_in_time(migratory(), procs, servers, hogs);
        }
        answer_in_time(settled(), procs, 50, 2);
    }
}

/// Until fifty new goroutines have all run, for `each` a time, beside some that compute for 3 ms
/// between their yields. A goroutine makes them if `inside`, else a plain thread.
fn newcomers_in_time(mode: Mode, (procs, hogs): (usize, usize), inside: bool, each: Duration) {
    const NEW: usize = 50;
    let what = format!("{mode:?}, {procs} Ps, {hogs} compute, inside: {inside}, {each:?} each");
    measured(&what, || {
        let rt = Runtime::builder(mode).procs(procs).build().expect("a runtime");
        let stop = Arc::new(AtomicBool::new(false));
        // Beside many, the goroutine that makes them waits for its turn as well.
        let most = Duration::from_millis(if hogs > 2 { 150 } else { 60 }) + 2 * each * NEW as u32;
        let hog = |_| {
            let stop = stop.clone();
            rt.handle().go(move || {
                while !stop.load(Relaxed) {
                    compute(Duration::from_millis(3));
                    yield_now();
                }
            })
        };
        let hogs: Vec<_> = (0..hogs).map(hog).collect();
        std::thread::sleep(Duration::from_millis(50));
        let mut took = Duration::ZERO;
        // Of the second burst it is known that they do not compute.
        for _ in 0..2 {
            let (maker, rt, began) = (rt.handle(), rt.handle(), Instant::now());
            let make = move || (0..NEW).map(|_| rt.go(move || compute(each))).collect::<Vec<_>>();
            let new = if inside { maker.go(make).join().expect("no panic") } else { make() };
            new.into_iter().for_each(|new| new.join().expect("no panic"));
            took = took.max(began.elapsed());
        }
        stop.store(true, Relaxed);
        hogs.into_iter().for_each(|hog| hog.join().expect("no panic"));
        at_most("all have run", took, most)
    });
}

/// New ones go before those that have just yielded, eight in a row. Those that compute for a while
/// in their first run are spread over the Ms, also where none of these ever runs dry.
#[test]
#[ignore = "measures time: cargo xtask test --only timing"]
fn those_who_compute_in_pieces_hold_up_no_burst_of_newcomers() {
    let _alone = alone();
    for mode in [settled, migratory] {
        for (procs, hogs) in [(1, 1), (1, 2), (2, 2), (2, 32)] {
            newcomers_in_time(mode(), (procs, hogs), false, Duration::ZERO);
            newcomers_in_time(mode(), (procs, hogs), true, Duration::ZERO);
            if hogs <= 2 {
                let each = Duration::from_micros(200);
                newcomers_in_time(mode(), (procs, hogs), false, each);
                newcomers_in_time(mode(), (procs, hogs), true, each);
            }
        }
    }
}

/// All Ms are busy with long rounds that end before sysmon ends them: a goroutine spawned outside
/// does not wait for the 61st round.
#[test]
#[ignore = "measures time: cargo xtask test --only timing"]
fn those_who_compute_in_pieces_hold_up_no_newcomer() {
    let _alone = alone();
    for procs in [1, 2] {
        measured(&format!("{procs} Ps"), || {
            let rt = Runtime::builder(settled()).procs(procs).build().expect("a runtime");
            let stop = Arc::new(AtomicBool::new(false));
            let in_pieces = |_| {
                let stop = stop.clone();
                rt.handle().go(move || {
                    while !stop.load(Relaxed) {
                        compute(Duration::from_millis(5));
                        yield_now();
                    }
                })
            };
            let pieces: Vec<_> = (0..3 * procs).map(in_pieces).collect();
            std::thread::sleep(Duration::from_millis(100));
            let mut late = Duration::ZERO;
            for _ in 0..10 {
                let made = Instant::now();
                late = late.max(rt.handle().go(move || made.elapsed()).join().expect("no panic"));
            }
            stop.store(true, Relaxed);
            pieces.into_iter().for_each(|one| one.join().expect("no panic"));
            at_most("a new goroutine starts", late, Duration::from_millis(30))
        });
    }
}

/// A ticker shares its thread with a goroutine that computes in pieces. Whichever thread fires its
/// timer, the ticker does not wait for the 61st round.
#[test]
#[ignore = "measures time: cargo xtask test --only timing"]
fn one_that_computes_in_pieces_holds_up_no_ticker_on_its_thread() {
    let _alone = alone();
    for procs in [1, 2] {
        measured(&format!("{procs} Ps"), || {
            let rt = Runtime::builder(settled()).procs(procs).build().expect("a runtime");
            let ticker = Ticker::start_settled(&rt);
            let stop = Arc::new(AtomicBool::new(false));
            let stopped = stop.clone();
            let in_pieces = move || {
                while !stopped.load(Relaxed) {
                    compute(Duration::from_millis(3));
                    yield_now();
                }
            };
            let in_pieces = ticker.beside(&rt).go(in_pieces);
            std::thread::sleep(Duration::from_secs(1));
            stop.store(true, Relaxed);
            in_pieces.join().expect("no panic");
            at_most("the ticker's gap", ticker.stop().gap, Duration::from_millis(30))
        });
    }
}

/// Returns the most threads: the Ms that compute without a P before the start gate closes, one M
/// for each P, and the Ms that are admitted later. These come one at a time and more rarely each
/// time: in the few seconds of this test, fewer than ten.
fn hog_threads(procs: usize) -> usize {
    4 * procs + procs + 10
}

#[test]
#[ignore = "measures time: cargo xtask test --only timing"]
fn two_hundred_hogs_hold_up_nobody_else_and_take_few_threads() {
    let _alone = alone();
    for procs in [1, 2, 4, 8] {
        measured(&format!("{procs} Ps"), || {
            let rt = Runtime::builder(settled()).procs(procs).build().expect("a runtime");
            let ticker = Ticker::start(&rt);
            let before = threads();
            let hogs: Vec<_> =
                (0..200).map(|_| rt.handle().go(|| compute(Duration::from_millis(30)))).collect();
            let mut most = 0;
            while !hogs.iter().all(JoinHandle::is_finished) {
                most = most.max(threads() - before);
                std::thread::sleep(Duration::from_millis(2));
            }
            assert!(hogs.into_iter().all(|hog| hog.join().is_ok()));
            let ticked = ticker.stop();
            at_most("threads", most, hog_threads(procs))?;
            at_most("the ticker's gap", ticked.gap, Duration::from_millis(60))
        });
    }
}

#[test]
#[ignore = "measures time: cargo xtask test --only timing"]
fn loops_of_yields_starve_no_new_goroutine() {
    let _alone = alone();
    for procs in [1, 2, 4, 8] {
        measured(&format!("{procs} Ps"), || {
            let rt = Runtime::builder(settled()).procs(procs).build().expect("a runtime");
            let late = rt.run(|| {
                let (stop, stopped) = chan::bounded::<()>(0);
                let looping = || {
                    let stopped = stopped.clone();
                    go(move || {
                        while stopped.try_recv() == Err(chan::TryRecvError::Empty) {
                            yield_now();
                        }
                    })
                };
                let loops: Vec<_> = (0..4).map(|_| looping()).collect();
                (0..1000).for_each(|_| yield_now());
                let made = Instant::now();
                // One of which nothing is known begins on a thread that has to come first.
                let late = Builder::new().talks().go(move || made.elapsed());
                let late = late.join().expect("no panic");
                drop(stop);
                loops.into_iter().for_each(|one| one.join().expect("no panic"));
                late
            });
            at_most("a new goroutine starts", late, Duration::from_millis(1))
        });
    }
}

/// A goroutine whose operations always succeed at once still has to give its siblings a turn.
#[test]
fn a_loop_of_operations_that_never_wait_lets_its_siblings_run() {
    let _alone = alone();
    each_procs(settled(), |rt| {
        let (stop, stopped) = chan::bounded::<()>(1);
        rt.run(|| {
            let sibling = {
                let stop = stop.clone();
                go(move || {
                    yield_now();
                    stop.send(()).expect("it is awaited");
                })
            };
            let (tx, rx) = chan::bounded::<u32>(1);
            let mut rounds = 0_u32;
            while stopped.try_recv().is_err() {
                tx.send(rounds).expect("there is room");
                rounds = rx.recv().expect("it was just sent") + 1;
            }
            sibling.join().expect("no panic");
        });
    });
}
