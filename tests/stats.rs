//! `Runtime::stats`: its figures of goroutines, processors and threads in known situations.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use gosched::callback::{Binding, Bridge};
use gosched::chan;
use gosched::{Handle, Mode, Runtime, Stats, blocking, go, lock_thread, yield_now};
use test_support::{each_procs, in_child, migratory, settled};

/// Waits until `ready` returns true.
#[track_caller]
fn wait_for(rt: &Runtime, ready: impl Fn(&Stats) -> bool) -> Stats {
    wait_with(&rt.handle(), ready)
}

#[track_caller]
fn wait_with(handle: &Handle, ready: impl Fn(&Stats) -> bool) -> Stats {
    let began = Instant::now();
    loop {
        let stats = handle.stats();
        if ready(&stats) {
            return stats;
        }
        assert!(began.elapsed() < Duration::from_secs(30), "{stats}");
        std::thread::yield_now();
    }
}

/// Waits until every goroutine has ended or waits, and all processors are idle.
fn is_idle(stats: &Stats) -> bool {
    stats.idle_procs == stats.procs && stats.idle_threads == stats.threads
}

#[test]
fn a_new_runtime_has_processors_and_nothing_else() {
    each_procs(settled(), |rt| {
        let stats = rt.stats();
        assert!(stats.procs > 0 && is_idle(&stats), "{stats}");
        assert_eq!(
            (stats.goroutines, stats.threads, stats.callbacks, stats.helper_threads),
            (0, 0, 0, 0)
        );
        assert!(stats.overseer_asleep);
    });
}

#[test]
fn goroutines_are_counted_by_what_they_do() {
    for (mode, owns) in [(settled(), true), (migratory(), false)] {
        each_procs(mode, |rt| {
            let (tx, rx) = chan::bounded::<()>(0);
            for _ in 0..10 {
                let rx = rx.clone();
                rt.handle().go(move || rx.recv());
            }
            let stats = wait_for(rt, |stats| stats.waiting == 10 && is_idle(stats));
            assert_eq!(
                (stats.goroutines, stats.running, stats.runnable, stats.unstarted),
                (10, 0, 0, 0),
                "{stats}"
            );
            assert_eq!(stats.owning_threads > 0, owns, "{stats}");
            assert!(stats.stacks.taken >= 10, "{stats}");
            drop(tx);
            let stats = wait_for(rt, |stats| stats.goroutines == 0 && is_idle(stats));
            assert_eq!(stats.owning_threads, 0, "{stats}");
            assert!(
                stats.threads <= stats.procs + 1 && stats.resident_threads <= stats.procs,
                "{stats}"
            );
        });
    }
}

/// With one processor, and a thread that no other thread can replace.
#[test]
fn what_waits_behind_a_goroutine_that_computes_is_runnable_or_unstarted() {
    let rt = Runtime::builder(settled()).procs(1).max_threads(1).build().expect("a runtime");
    let enough = Arc::new(AtomicBool::new(false));
    let (is_enough, (ready, is_ready)) = (Arc::clone(&enough), mpsc::channel());
    let hog = rt.handle().go(move || {
        let gates: Vec<_> = (0..3)
            .map(|_| {
                let (gate, opened) = chan::bounded::<()>(1);
                let (began, has_begun) = chan::bounded(0);
                go(move || {
                    began.send(()).expect("awaited");
                    opened.recv()
                });
                has_begun.recv().expect("it begins");
                gate
            })
            .collect();
        gates.iter().for_each(|gate| gate.send(()).expect("it waits"));
        ready.send(()).expect("awaited");
        while !is_enough.load(Relaxed) {
            std::hint::spin_loop();
        }
    });
    is_ready.recv().expect("it gets there");
    let others: Vec<_> = (0..5).map(|_| rt.handle().go(|| ())).collect();
    let stats = wait_for(&rt, |stats| stats.longest_run > Duration::from_millis(5));
    assert_eq!(
        (stats.goroutines, stats.running, stats.runnable, stats.unstarted),
        (9, 1, 3, 5),
        "{stats}"
    );
    assert_eq!((stats.idle_procs, stats.threads, stats.running_threads), (0, 1, 1), "{stats}");
    assert!(!stats.overseer_asleep, "{stats}");
    enough.store(true, Relaxed);
    hog.join().expect("no panic");
    others.into_iter().for_each(|other| other.join().expect("no panic"));
    let stats = wait_for(&rt, |stats| is_idle(stats) && stats.overseer_asleep);
    assert_eq!((stats.goroutines, stats.retaken_computing), (0, 0), "{stats}");
}

#[test]
fn a_processor_that_is_taken_is_counted_with_who_took_it() {
    each_procs(settled(), |rt| {
        let procs = rt.stats().procs;
        let began = Arc::new(AtomicBool::new(false));
        // More than there are processors. None gives up its own before the last one has begun.
        let hogs: Vec<_> = (0..procs)
            .map(|_| Arc::clone(&began))
            .map(|began| {
                rt.handle().go(move || {
                    while !began.load(Relaxed) {
                        std::hint::spin_loop();
                    }
                })
            })
            .collect();
        wait_for(rt, |stats| stats.running == procs as u64 && stats.unstarted == 0);
        let last = rt.handle().go(move || began.store(true, Relaxed));
        last.join().expect("no panic");
        hogs.into_iter().for_each(|hog| hog.join().expect("no panic"));
        let stats = rt.stats();
        assert!(stats.retaken_blocked + stats.retaken_computing > 0, "{stats}");
        // With more than one, the others wait for what is to do, and the last one begins there.
        assert!(procs > 1 || stats.hand_overs > 0, "{stats}");
        wait_for(rt, |stats| is_idle(stats) && stats.threads <= procs + 1);
    });
}

#[test]
fn goroutines_that_others_take_are_steals() {
    let rt = Runtime::builder(settled()).procs(2).build().expect("a runtime");
    rt.run(|| {
        let handle = rt.handle();
        let began = Instant::now();
        while handle.stats().steals == 0 {
            let ran = Arc::new(AtomicBool::new(false));
            let note = Arc::clone(&ran);
            let other = go(move || note.store(true, Relaxed));
            while !ran.load(Relaxed) {
                std::hint::spin_loop();
            }
            other.join().expect("no panic");
            assert!(began.elapsed() < Duration::from_secs(30), "{}", handle.stats());
        }
    });
}

#[test]
fn threads_are_counted_by_what_they_are_for() {
    let rt = Runtime::builder(settled()).procs(2).build().expect("a runtime");
    let handle = rt.handle();
    rt.run(|| {
        let stats = handle.stats();
        assert_eq!((stats.lent_threads, stats.running, stats.owning_threads), (1, 1, 1), "{stats}");
        let stats = blocking(|| wait_with(&handle, |stats| stats.waiting == 1));
        assert_eq!((stats.helper_threads, stats.goroutines), (1, 1), "{stats}");
    });
    assert_eq!(rt.stats().lent_threads, 0);
    let bridge = Bridge::new(&rt).with_binding(Binding::PerCall);
    let stats = std::thread::spawn(move || bridge.enter(|| handle.stats()))
        .join()
        .expect("no panic")
        .expect("entered");
    assert_eq!((stats.callbacks, stats.goroutines), (1, 0), "{stats}");
    assert_eq!(rt.stats().callbacks, 0);
}

/// In a process of its own: what is bound is counted for all runtimes of a process.
#[test]
fn threads_of_others_are_counted_by_where_they_are() {
    const NAME: &str = "threads_of_others_are_counted_by_where_they_are";
    let Some(output) = in_child(NAME) else { return count_threads_of_others() };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn count_threads_of_others() {
    let figures = |stats: &Stats| {
        [
            stats.callbacks,
            stats.waiting_callbacks,
            stats.bound_threads,
            stats.idle_bound_threads,
            stats.threads,
        ]
    };
    // Callbacks need none of its threads.
    let rt = Runtime::builder(settled()).procs(1).max_threads(1).build().expect("a runtime");
    let other = Runtime::builder(Mode::threads()).build().expect("a runtime");
    let (bridge, elsewhere) = (Bridge::new(&rt), Bridge::new(&other));
    assert_eq!(figures(&rt.stats()), [0; 5], "Ms that nobody has are not seen");
    let (tx, rx) = chan::bounded::<()>(0);
    let (go_on, may_end) = (AtomicBool::new(false), AtomicBool::new(false));
    std::thread::scope(|scope| {
        let until = |flag: &AtomicBool| {
            while !flag.load(Relaxed) {
                std::thread::yield_now();
            }
        };
        for wait in [true, true, false] {
            let (bridge, elsewhere, rx) = (bridge.clone(), elsewhere.clone(), rx.clone());
            let (go_on, may_end) = (&go_on, &may_end);
            scope.spawn(move || {
                elsewhere.enter(|| ()).expect("let in");
                let inside = || if wait { assert!(rx.recv().is_err()) } else { until(go_on) };
                bridge.enter(inside).expect("let in");
                until(may_end);
            });
        }
        let strict = bridge.clone().with_binding(Binding::PerCall);
        let go_on = &go_on;
        scope.spawn(move || strict.enter(|| until(go_on)).expect("let in"));
        let inside = wait_for(&rt, |stats| figures(stats) == [4, 2, 3, 0, 0]);
        assert_eq!(figures(&other.stats()), [0, 0, 3, 0, 0], "they are inside of another one");
        assert_eq!((inside.goroutines, inside.refused_callbacks), (0, 0), "{inside}");
        drop(tx);
        wait_for(&rt, |stats| figures(stats) == [2, 0, 3, 2, 0]);
        go_on.store(true, Relaxed);
        wait_for(&rt, |stats| figures(stats) == [0, 0, 3, 3, 0]);
        may_end.store(true, Relaxed);
    });
    wait_for(&rt, |stats| figures(stats) == [0; 5]);
}

/// In a process of its own, as above.
#[test]
fn refused_callbacks_are_counted() {
    let Some(output) = in_child("refused_callbacks_are_counted") else { return count_refusals() };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn count_refusals() {
    let rt = Runtime::builder(settled()).procs(1).build().expect("a runtime");
    let refused = |calls: u64| {
        let stats = rt.stats();
        assert_eq!(stats.refused_callbacks, calls, "{stats}");
    };
    let strict = |bridge: &Bridge| bridge.clone().with_binding(Binding::PerCall);
    let bridge = Bridge::new(&rt);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            assert!(Bridge::unbound().enter(|| ()).is_err());
            refused(1);
            // They came in.
            bridge.enter(|| ()).expect("let in");
            let panics: Result<(), _> = bridge.enter(|| std::panic::resume_unwind(Box::new(())));
            assert!(panics.is_err());
            let (_tx, rx) = chan::bounded::<()>(0);
            assert!(bridge.enter_timeout(Duration::from_millis(1), || rx.recv()).is_err());
            refused(1);
            let closed = Bridge::new(&rt);
            closed.close(Duration::ZERO).expect("nobody is inside");
            assert!(closed.enter(|| ()).is_err());
            assert!(strict(&closed).enter(|| ()).is_err());
            assert!(closed.attach().is_err());
            assert!(closed.enter_on_worker(|| ()).is_err());
            refused(5);
            rt.shutdown(Duration::from_secs(30)).expect("nobody is inside");
            assert!(bridge.enter(|| ()).is_err());
            assert!(strict(&bridge).enter(|| ()).is_err());
            assert!(bridge.attach().is_err());
            assert!(bridge.enter_on_worker(|| ()).is_err());
            refused(9);
        });
    });
}

#[test]
fn a_locked_goroutine_that_waits_does_not_run() {
    let rt = Runtime::builder(settled()).procs(1).build().expect("a runtime");
    let (tx, rx) = chan::bounded::<()>(0);
    let locked = rt.handle().go(move || {
        let _locked = lock_thread();
        rx.recv()
    });
    let stats = wait_for(&rt, |stats| {
        stats.waiting == 1 && stats.owning_threads == 1 && stats.idle_procs == 1
    });
    // The lock has made a thread for other goroutines.
    assert_eq!((stats.running, stats.running_threads, stats.idle_threads), (0, 0, 1), "{stats}");
    drop(tx);
    assert!(locked.join().expect("no panic").is_err());
}

#[test]
fn in_threads_mode_goroutines_are_threads_of_their_own() {
    let rt = Runtime::builder(Mode::threads()).procs(1).build().expect("a runtime");
    let (tx, rx) = chan::bounded::<()>(0);
    let waits: Vec<_> =
        (0..3).map(|_| rx.clone()).map(|rx| rt.handle().go(move || rx.recv())).collect();
    let stats = wait_for(&rt, |stats| stats.waiting == 3);
    assert_eq!((stats.goroutines, stats.running, stats.threads), (3, 0, 0), "{stats}");
    drop(tx);
    waits.into_iter().for_each(|waits| assert!(waits.join().expect("no panic").is_err()));
    // They are joined a moment before their threads leave.
    wait_for(&rt, |stats| (stats.goroutines, stats.running) == (0, 0));
    let running = rt.handle().go({
        let handle = rt.handle();
        move || handle.stats().running
    });
    assert_eq!(running.join().expect("no panic"), 1);
}

#[test]
fn it_is_shown_as_a_table() {
    let rt = Runtime::builder(settled()).procs(3).build().expect("a runtime");
    let shown = rt.run(|| {
        yield_now();
        rt.stats().to_string()
    });
    let lines: Vec<_> = shown.lines().collect();
    assert_eq!(lines.len(), 5, "{shown}");
    assert!(
        lines[0].starts_with("goroutines       1: 1 running, 0 runnable, 0 waiting, 0 unstarted"),
        "{shown}"
    );
    assert!(lines[1].starts_with("processors       3: 2 idle"), "{shown}");
    assert!(lines[2].contains("1 lent"), "{shown}");
}
