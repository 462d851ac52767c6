//! `set_procs`: the number of processors changes while the runtime works, and nothing is lost.

use std::io::ErrorKind;
use std::sync::atomic::{
    AtomicBool, AtomicUsize,
    Ordering::{Relaxed, SeqCst},
};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use gosched::chan;
use gosched::{Mode, Runtime, Stats, go, time, yield_now};
use test_support::{each_mode, migratory, settled};

fn runtime(mode: Mode, procs: usize) -> Runtime {
    Runtime::builder(mode).procs(procs).build().expect("a runtime")
}

/// Waits until `ready` returns true.
#[track_caller]
fn wait_for(rt: &Runtime, ready: impl Fn(&Stats) -> bool) -> Stats {
    let began = Instant::now();
    loop {
        let stats = rt.stats();
        if ready(&stats) {
            return stats;
        }
        assert!(began.elapsed() < Duration::from_secs(30), "{stats}");
        thread::yield_now();
    }
}

fn has_settled(stats: &Stats) -> bool {
    stats.surplus_procs == 0 && stats.idle_procs == stats.procs
}

/// Returns how many goroutines run at the same time, of many that let each other run only when
/// their processors are revoked.
fn most_at_once(rt: &Runtime) -> usize {
    let (inside, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let all: Vec<_> = (0..64)
        .map(|_| (Arc::clone(&inside), Arc::clone(&most)))
        .map(|(inside, most)| {
            rt.handle().go(move || {
                for _ in 0..20 {
                    most.fetch_max(inside.fetch_add(1, SeqCst) + 1, SeqCst);
                    // Gives the core to other threads, and the processor to none.
                    thread::yield_now();
                    inside.fetch_sub(1, SeqCst);
                    yield_now();
                }
            })
        })
        .collect();
    all.into_iter().for_each(|one| one.join().expect("no panic"));
    most.load(SeqCst)
}

/// In a run in which sysmon revoked no processor of a goroutine that had lost its core: otherwise
/// one more runs.
#[track_caller]
fn assert_at_most(rt: &Runtime, n: usize) {
    let retaken = || (rt.stats().retaken_blocked, rt.stats().retaken_computing);
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(30) {
        let before = retaken();
        let most = most_at_once(rt);
        if retaken() == before {
            return assert!(most <= n, "{most} at once with {n}");
        }
    }
    panic!("no run without sysmon");
}

#[test]
fn what_is_out_of_range_changes_nothing() {
    let rt = runtime(settled(), 2);
    for n in [0, 1025, usize::MAX] {
        assert_eq!(rt.set_procs(n).expect_err("out of range").kind(), ErrorKind::InvalidInput);
    }
    assert_eq!(rt.stats().procs, 2);
    rt.set_procs(1024).expect("in range");
    assert_eq!((rt.stats().procs, rt.stats().idle_procs), (1024, 1024));
    rt.set_procs(1).expect("in range");
    assert_eq!((rt.stats().procs, rt.stats().idle_procs), (1, 1), "idle ones go at once");
}

#[test]
fn so_many_run_at_the_same_time() {
    for mode in [settled(), migratory()] {
        let rt = runtime(mode, 4);
        for n in [1, 3, 8, 2, 1] {
            rt.set_procs(n).expect("in range");
            let stats = wait_for(&rt, has_settled);
            assert_eq!(stats.procs, n, "{stats}");
            assert_at_most(&rt, n);
        }
        // Goroutines that do not suspend before all of them run need as many processors.
        rt.set_procs(6).expect("in range");
        let began = Arc::new(AtomicUsize::new(0));
        let together: Vec<_> = (0..6)
            .map(|_| Arc::clone(&began))
            .map(|began| {
                rt.handle().go(move || {
                    began.fetch_add(1, Relaxed);
                    while began.load(Relaxed) < 6 {
                        thread::yield_now();
                    }
                })
            })
            .collect();
        together.into_iter().for_each(|one| one.join().expect("no panic"));
    }
}

#[test]
fn a_goroutine_that_computes_keeps_no_processor_that_is_one_too_many() {
    for mode in [settled(), migratory()] {
        let rt = runtime(mode, 4);
        let (began, enough) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let hogs: Vec<_> = (0..4)
            .map(|_| (Arc::clone(&began), Arc::clone(&enough)))
            .map(|(began, enough)| {
                rt.handle().go(move || {
                    began.fetch_add(1, Relaxed);
                    while !enough.load(Relaxed) {
                        std::hint::spin_loop();
                    }
                })
            })
            .collect();
        while began.load(Relaxed) < 4 {
            thread::yield_now();
        }
        rt.set_procs(1).expect("in range");
        wait_for(&rt, |stats| stats.surplus_procs == 0);
        // The remaining processor serves the others.
        for n in 0..10 {
            assert_eq!(rt.handle().go(move || n).join().expect("no panic"), n);
        }
        enough.store(true, Relaxed);
        hogs.into_iter().for_each(|hog| hog.join().expect("no panic"));
        let stats = wait_for(&rt, has_settled);
        assert_eq!(stats.procs, 1, "{stats}");
    }
}

#[test]
fn what_is_queued_and_what_sleeps_is_not_lost_with_a_processor() {
    for mode in [settled(), migratory()] {
        let rt = runtime(mode, 8);
        for round in 0..20 {
            let (tx, rx) = mpsc::channel();
            let started = Instant::now();
            let parents: Vec<_> = (0..8)
                .map(|_| tx.clone())
                .map(|tx| {
                    rt.handle().go(move || {
                        for n in 0..50 {
                            let tx = tx.clone();
                            go(move || {
                                if n % 5 == 0 {
                                    time::sleep(Duration::from_millis(n / 5));
                                }
                                tx.send(n).expect("awaited");
                            });
                        }
                    })
                })
                .collect();
            drop(tx);
            rt.set_procs(1 + round % 8).expect("in range");
            parents.into_iter().for_each(|parent| parent.join().expect("no panic"));
            rt.set_procs(1).expect("in range");
            let sum: u64 =
                (0..400).map(|_| rx.recv_timeout(Duration::from_secs(30)).expect("all come")).sum();
            assert_eq!(sum, 8 * (0..50).sum::<u64>());
            assert!(started.elapsed() >= Duration::from_millis(9));
            rt.set_procs(8).expect("in range");
        }
    }
}

#[test]
fn threads_come_and_go_with_processors() {
    let rt = runtime(settled(), 1);
    rt.set_procs(8).expect("in range");
    let (gate, opened) = chan::bounded::<()>(0);
    let began = Arc::new(AtomicUsize::new(0));
    let together: Vec<_> = (0..8)
        .map(|_| (Arc::clone(&began), opened.clone()))
        .map(|(began, opened)| {
            rt.handle().go(move || {
                began.fetch_add(1, Relaxed);
                while began.load(Relaxed) < 8 {
                    thread::yield_now();
                }
                opened.recv()
            })
        })
        .collect();
    let stats = wait_for(&rt, |stats| stats.waiting == 8 && has_settled(stats));
    assert!(stats.threads >= 8 && stats.resident_threads == 8, "{stats}");
    rt.set_procs(2).expect("in range");
    assert_eq!(rt.stats().resident_threads, 2);
    drop(gate);
    for one in together {
        assert!(one.join().expect("no panic").is_err(), "they take turns on two processors");
    }
    let stats = wait_for(&rt, |stats| stats.threads <= 3);
    assert_eq!((stats.procs, stats.resident_threads), (2, 2), "{stats}");
}

#[test]
fn in_a_storm_of_changes_from_everywhere_nothing_is_lost() {
    each_mode(|rt, mode| {
        let stop = Arc::new(AtomicBool::new(false));
        let changers: Vec<_> = (0..3)
            .map(|k: usize| (rt.handle(), Arc::clone(&stop), k))
            .map(|(handle, stop, k)| {
                thread::spawn(move || {
                    let mut n = k;
                    while !stop.load(Relaxed) {
                        n = (n * 7 + 3) % 16;
                        handle.set_procs(n + 1).expect("in range");
                        thread::yield_now();
                    }
                })
            })
            .collect();
        let pairs: Vec<_> = (0..8)
            .map(|_| {
                rt.handle().go(move || {
                    let (ping, pinged) = chan::bounded(0);
                    let (pong, ponged) = chan::bounded(1);
                    let echo =
                        go(move || pinged.iter().for_each(|n: u32| pong.send(n).expect("awaited")));
                    for n in 0..200 {
                        ping.send(n).expect("received");
                        assert_eq!(ponged.recv(), Ok(n));
                        if n % 50 == 0 {
                            time::sleep(Duration::from_micros(100));
                        }
                    }
                    drop(ping);
                    echo.join().expect("no panic");
                })
            })
            .collect();
        pairs.into_iter().for_each(|pair| pair.join().expect("no panic"));
        stop.store(true, Relaxed);
        changers.into_iter().for_each(|changer| changer.join().expect("no panic"));
        rt.set_procs(5).expect("in range");
        // The last of them may have lost its P. Then it is counted out a little after all Ps are
        // idle.
        let stats = wait_for(rt, |stats| has_settled(stats) && stats.goroutines == 0);
        assert_eq!((stats.procs, stats.idle_procs), (5, 5), "{mode:?}: {stats}");
    });
}
