//! Sleeping and time limits, as users see them: nothing is early, nothing is lost, nobody is kept from running.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use gosched::callback::{Binding, Bridge};
use gosched::{Cancelled, Mode, Runtime, chan, go, time, yield_now};
use test_support::{each_mode, each_procs, migratory, settled};

const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// Far more than anything here takes, and not for ever.
const LONG: Duration = Duration::from_secs(3600);

fn slept(duration: Duration) -> Duration {
    let began = Instant::now();
    time::sleep(duration);
    began.elapsed()
}

#[test]
fn a_sleep_is_never_too_short() {
    each_mode(|rt, _| {
        rt.run(|| {
            let sleepers: Vec<_> = (0..20).map(|n| go(move || (slept(ms(n)), ms(n)))).collect();
            for sleeper in sleepers {
                let (slept, wanted) = sleeper.join().expect("it ended");
                assert!(slept >= wanted, "{slept:?} in place of {wanted:?}");
            }
        });
    });
}

#[test]
fn on_one_p_sleepers_wake_in_the_order_of_their_deadlines() {
    for mode in [settled(), migratory()] {
        let rt = Runtime::builder(mode).procs(1).build().expect("a runtime");
        let order = rt.run(|| {
            let order = Arc::new(Mutex::new(Vec::new()));
            let began = Instant::now();
            let sleepers: Vec<_> = [5, 2, 4, 1, 3]
                .into_iter()
                .map(|n| {
                    let order = Arc::clone(&order);
                    go(move || {
                        time::sleep_until(began + ms(20 + n));
                        order.lock().expect("no panic").push(n);
                    })
                })
                .collect();
            sleepers.into_iter().for_each(|sleeper| sleeper.join().expect("it ended"));
            Arc::into_inner(order).expect("all have ended").into_inner().expect("no panic")
        });
        assert_eq!(order, [1, 2, 3, 4, 5]);
    }
}

#[test]
fn equal_deadlines_all_come() {
    each_procs(migratory(), |rt| {
        rt.run(|| {
            let deadline = Instant::now() + ms(50);
            let sleepers: Vec<_> = (0..1000)
                .map(|_| {
                    go(move || {
                        time::sleep_until(deadline);
                        Instant::now()
                    })
                })
                .collect();
            assert!(sleepers.into_iter().all(|sleeper| sleeper.join().expect("it ended") >= deadline));
        });
    });
}

#[test]
fn what_is_over_lets_others_run() {
    each_procs(settled(), |rt| {
        rt.run(|| {
            let done = Arc::new(AtomicBool::new(false));
            let theirs = Arc::clone(&done);
            let other = go(move || theirs.store(true, Relaxed));
            let past = Instant::now();
            while !done.load(Relaxed) {
                time::sleep(Duration::ZERO);
                time::sleep_until(past);
            }
            other.join().expect("it ended");
        });
    });
}

#[test]
fn a_sleep_without_end_ends_with_the_runtime() {
    for mode in test_support::modes() {
        let rt = Runtime::builder(mode).procs(2).build().expect("a runtime");
        let (tx, rx) = chan::bounded(3);
        let sleepers = [Duration::MAX, Duration::MAX / 2, LONG].map(|d| {
            let tx = tx.clone();
            rt.handle().go(move || {
                tx.send(()).expect("the test receives");
                time::sleep(d);
            })
        });
        assert_eq!(rx.iter().take(3).count(), 3, "all have begun");
        rt.shutdown(Duration::from_secs(30)).expect("they were cancelled");
        for sleeper in sleepers {
            let payload = sleeper.join().expect_err("it did not sleep to the end");
            assert!(payload.is::<Cancelled>());
        }
    }
}

#[test]
fn yielding_goroutines_do_not_hold_sleepers_up() {
    each_procs(settled(), |rt| {
        rt.run(|| {
            let stop = Arc::new(AtomicBool::new(false));
            let yielders: Vec<_> = (0..16)
                .map(|_| {
                    let stop = Arc::clone(&stop);
                    go(move || {
                        while !stop.load(Relaxed) {
                            yield_now();
                        }
                    })
                })
                .collect();
            // Each of these ends only if its timer is looked at while there is always something else to run.
            let sleepers: Vec<_> = (0..10).map(|n| go(move || slept(ms(n)))).collect();
            sleepers.into_iter().for_each(|sleeper| assert!(sleeper.join().is_ok()));
            stop.store(true, Relaxed);
            yielders.into_iter().for_each(|yielder| yielder.join().expect("it ended"));
        });
    });
}

#[test]
fn a_sleep_is_kept_when_the_thread_that_began_it_leaves() {
    each_procs(migratory(), |rt| {
        // The timer may lie with the P that the calling thread takes along until it leaves.
        let sleeper = rt.run(|| {
            let sleeper = go(|| slept(ms(30)));
            yield_now();
            sleeper
        });
        assert!(sleeper.join().expect("it ended") >= ms(30));
    });
}

#[test]
fn a_plain_thread_sleeps() {
    assert!(slept(ms(10)) >= ms(10));
    assert!(slept(Duration::ZERO) < Duration::from_secs(60));
}

#[test]
fn a_thread_in_a_callback_sleeps() {
    for binding in [Binding::PerCall, Binding::UntilThreadExit] {
        let rt = Runtime::builder(Mode::threads()).build().expect("a runtime");
        let bridge = Bridge::new(&rt).with_binding(binding);
        let slept = thread::spawn(move || bridge.enter(|| slept(ms(10))).expect("it entered")).join();
        assert!(slept.expect("no panic") >= ms(10));
        rt.shutdown(Duration::from_secs(30)).expect("nothing is left");
    }
}

#[test]
fn many_sleepers_wake() {
    for mode in [settled(), migratory()] {
        let rt = Runtime::builder(mode).procs(4).stack_size(32 * 1024).build().expect("a runtime");
        rt.run(|| {
            let awake = Arc::new(AtomicU32::new(0));
            let sleepers: Vec<_> = (0..5_000_u64)
                .map(|n| {
                    let awake = Arc::clone(&awake);
                    go(move || {
                        time::sleep(ms(n % 100));
                        awake.fetch_add(1, Relaxed);
                    })
                })
                .collect();
            sleepers.into_iter().for_each(|sleeper| sleeper.join().expect("it ended"));
            assert_eq!(awake.load(Relaxed), 5_000);
        });
        rt.shutdown(Duration::from_secs(30)).expect("nothing is left");
    }
}
