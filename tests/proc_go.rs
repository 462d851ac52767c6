//! Go's tests of the scheduler (`runtime/proc_test.go`), in the settled and in the migratory mode.
//! The names are Go's.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use gosched::chan::Receiver;
use gosched::time::Timer;
use gosched::{Handle, Runtime, chan, go, goroutine, select, yield_now};
use test_support::{migratory, settled};

/// A time limit for what takes milliseconds.
const LONG: Duration = Duration::from_secs(30);

/// Runs `body` as the root and as a goroutine of a runtime with so many Ps, in each mode.
fn each(procs: &[usize], body: fn(&Handle)) {
    for mode in [settled(), migratory()] {
        for (&procs, root) in procs.iter().flat_map(|procs| [(procs, false), (procs, true)]) {
            let (done, is_done) = mpsc::channel();
            let case = format!("{mode:?}, {procs} Ps, root: {root}");
            let lent = thread::spawn(move || {
                let rt = Runtime::builder(mode).procs(procs).build().expect("a runtime");
                if root {
                    rt.run(|| body(&rt.handle()));
                } else {
                    let its = rt.handle();
                    rt.handle().go(move || body(&its)).join().expect("no panic");
                }
                rt.shutdown(LONG).expect("all have ended");
                done.send(()).expect("the test waits");
            });
            assert_eq!(is_done.recv_timeout(LONG), Ok(()), "{case}");
            lent.join().expect("no panic");
        }
    }
}

/// What Go does with `GOMAXPROCS`. There is no collector that stops the world.
#[test]
fn stop_the_world_deadlock() {
    fn perpetuum_mobile(stop: Receiver<()>) {
        select! {
            recv(stop) -> _ => {}
            default => drop(go(move || perpetuum_mobile(stop))),
        }
    }
    each(&[3], |rt| {
        let (stop, stops) = chan::bounded(1);
        go(move || perpetuum_mobile(stops));
        for n in 0..1_000 {
            rt.set_procs(1 + n % 3).expect("a number of Ps");
        }
        stop.send(()).expect("there is room");
    });
}

#[test]
fn goroutine_parallelism() {
    each(&[4], |_| {
        for _ in 0..10 {
            let x = Arc::new(AtomicU32::new(0));
            let (done, is_done) = chan::unbounded();
            for p in 0..4 {
                let (x, done) = (x.clone(), done.clone());
                go(move || take_turns(&x, p, &done));
            }
            (0..4).for_each(|_| is_done.recv().expect("sent"));
        }
    });
}

/// Waits for its three turns among four without a call of the runtime.
fn take_turns(x: &AtomicU32, place: u32, done: &chan::Sender<()>) {
    for round in 0..3 {
        let mine = 4 * round + place;
        while x.load(Relaxed) != mine {
            std::hint::spin_loop();
        }
        x.store(mine + 1, Relaxed);
    }
    done.send(()).expect("it is awaited");
}

#[test]
fn goroutine_parallelism_2() {
    each(&[4], |_| {
        for _ in 0..3 {
            let (loaded, is_loaded) = chan::bounded(0);
            let ready = Arc::new(AtomicU32::new(0));
            for _ in 0..4 {
                let (ready, loaded) = (ready.clone(), loaded.clone());
                go(move || {
                    if ready.fetch_add(1, Relaxed) + 1 == 4 {
                        return loaded.send(()).expect("it is awaited");
                    }
                    while ready.load(Relaxed) != 4 {
                        std::hint::spin_loop();
                    }
                });
            }
            is_loaded.recv().expect("sent");
            let x = Arc::new(AtomicU32::new(0));
            let (done, is_done) = chan::unbounded();
            for p in 0..2 {
                let (x, done) = (x.clone(), done.clone());
                go(move || {
                    for p2 in 0..2 {
                        let (x, done) = (x.clone(), done.clone());
                        go(move || take_turns(&x, p * 2 + p2, &done));
                    }
                });
            }
            (0..4).for_each(|_| is_done.recv().expect("sent"));
        }
    });
}

#[test]
fn timer_fairness() {
    each(&[1, 2, 4], |_| {
        let (tx, rx) = chan::bounded(0);
        let (done, is_done) = chan::bounded::<()>(0);
        for _ in 0..2 {
            let (tx, is_done) = (tx.clone(), is_done.clone());
            go(move || {
                loop {
                    select! {
                        send(tx, true) -> sent => {
                            if sent.is_err() {
                                return;
                            }
                        }
                        recv(is_done) -> _ => return,
                    }
                }
            });
        }
        let timer = Timer::new(Duration::from_millis(20));
        loop {
            select! {
                recv(rx) -> got => assert!(got.expect("sent")),
                recv(timer.channel()) -> _ => break,
            }
        }
        drop(done);
    });
}

/// Go's goroutines make a system call in each round.
#[test]
fn timer_fairness_2() {
    each(&[1, 2, 4], |_| {
        let (tx, rx) = chan::bounded(0);
        let both = [(); 2].map(|()| {
            let (tx, rx) = (tx.clone(), rx.clone());
            go(move || {
                let timer = Timer::new(Duration::from_millis(20));
                loop {
                    drop(std::fs::metadata("/"));
                    select! {
                        send(tx, true) -> sent => sent.expect("both ends are here"),
                        recv(rx) -> got => assert!(got.expect("both ends are here")),
                        recv(timer.channel()) -> _ => return,
                    }
                }
            })
        });
        both.into_iter().for_each(|one| one.join().expect("no panic"));
    });
}

#[test]
fn preemption() {
    each(&[1, 2, 4], |_| {
        let x = Arc::new(AtomicU32::new(0));
        let both = [0, 1].map(|me| {
            let x = x.clone();
            go(move || {
                for _ in 0..5 {
                    while x.load(Relaxed) != me {
                        std::hint::spin_loop();
                    }
                    x.store(1 - me, Relaxed);
                }
            })
        });
        both.into_iter().for_each(|one| one.join().expect("no panic"));
    });
}

/// Goroutines that compute are there, and the root has its turns.
#[test]
fn preemption_gc() {
    each(&[6], |_| {
        let stop = Arc::new(AtomicBool::new(false));
        for _ in 0..5 {
            let stop = stop.clone();
            go(move || {
                while !stop.load(Relaxed) {
                    std::hint::spin_loop();
                }
            });
        }
        (0..10).for_each(|_| yield_now());
        stop.store(true, Relaxed);
    });
}

#[test]
fn num_goroutine() {
    each(&[2], |rt| {
        let before = rt.stats().goroutines;
        let (stay, stays) = chan::bounded::<()>(0);
        let here: Vec<_> = (0..10)
            .map(|_| {
                let stays = stays.clone();
                go(move || assert!(stays.recv().is_err()))
            })
            .collect();
        assert_eq!(rt.stats().goroutines, before + 10);
        assert!(goroutine::current_id().is_some());
        drop(stay);
        here.into_iter().for_each(|one| one.join().expect("no panic"));
    });
}

/// A pair that hogs its turns and a light one share one P. Go allows a factor of 20. The two of a
/// pair are told apart from the others, since settled ones stay where they begin.
/// Not in a debug build: there a turn of the light ones is mostly the select.
#[cfg(not(debug_assertions))]
#[test]
fn ping_pong_hog() {
    use gosched::goroutine::Builder;
    use gosched::time;
    use std::hint::black_box;
    use std::sync::atomic::AtomicU64;
    use std::time::Instant;

    const TURN: u64 = 1_000_000;
    const LASTS: Duration = Duration::from_millis(300);
    fn pair(limit: u64, done: &Receiver<()>) -> (chan::Sender<bool>, Arc<AtomicU64>) {
        let (wake, wakes) = chan::bounded(0);
        let count = Arc::new(AtomicU64::new(0));
        let half = || {
            let (done, wake, wakes) = (done.clone(), wake.clone(), wakes.clone());
            let count = count.clone();
            move || {
                loop {
                    select! {
                        recv(done) -> _ => return,
                        recv(wakes) -> got => {
                            for _ in 0..limit {
                                black_box(&count).fetch_add(1, Relaxed);
                            }
                            select! {
                                send(wake, got.expect("sent")) -> sent => sent.expect("received"),
                                recv(done) -> _ => return,
                            }
                        }
                    }
                }
            }
        };
        Builder::new().with(&go(half())).go(half());
        (wake, count)
    }
    each(&[1], |_| {
        let mut ratios = Vec::new();
        // Beside other tests one of a few attempts is enough.
        while ratios.len() < 5 && ratios.last().is_none_or(|ratio| !(0.05..=20.0).contains(ratio)) {
            let (done, is_done) = chan::bounded::<()>(0);
            let (hogs, hog_count) = pair(TURN, &is_done);
            let (lights, light_count) = pair(1_000, &is_done);
            hogs.send(true).expect("it is received");
            lights.send(true).expect("it is received");
            let began = Instant::now();
            time::sleep(LASTS);
            assert!(began.elapsed() < 2 * LASTS, "who sleeps wakes up: {:?}", began.elapsed());
            ratios.push(hog_count.load(Relaxed) as f64 / light_count.load(Relaxed) as f64);
            drop(done);
        }
        assert!(ratios.last().is_some_and(|ratio| (0.05..=20.0).contains(ratio)), "{ratios:?}");
    });
}
