//! Sleeping and time limits, as users see them: nothing is early, nothing is lost, nobody is kept
//! from running.

use std::panic::catch_unwind;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use gosched::callback::{Binding, Bridge, EnterError};
use gosched::cancel::{CancelScope, Cancelled, shield};
use gosched::goroutine::Builder;
use gosched::{Mode, Runtime, chan, go, scope, time, yield_now};
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
                    // On threads of their own, those that are due together would race.
                    Builder::new().talks().go(move || {
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
            assert!(
                sleepers.into_iter().all(|sleeper| sleeper.join().expect("it ended") >= deadline)
            );
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
            // Each of these ends only if its timer is looked at while there is always something
            // else to run.
            let sleepers: Vec<_> = (0..10).map(|n| go(move || slept(ms(n)))).collect();
            sleepers.into_iter().for_each(|sleeper| assert!(sleeper.join().is_ok()));
            stop.store(true, Relaxed);
            yielders.into_iter().for_each(|yielder| yielder.join().expect("it ended"));
        });
    });
}

/// Each of these ends only if the timer comes to pass, and its goroutine runs, while user code has
/// every M.
#[test]
fn computing_goroutines_do_not_hold_sleepers_up() {
    each_procs(migratory(), |rt| {
        rt.run(|| {
            let (began, has_begun) = chan::bounded(1);
            let stop = Arc::new(AtomicBool::new(false));
            let stopped = Arc::clone(&stop);
            let sleeper = go(move || {
                began.send(()).expect("it is received");
                time::sleep(ms(5));
                stopped.store(true, Relaxed);
            });
            has_begun.recv().expect("it is sent");
            let hogs: Vec<_> = (0..8)
                .map(|_| {
                    let stop = Arc::clone(&stop);
                    go(move || {
                        while !stop.load(Relaxed) {
                            std::hint::spin_loop();
                        }
                    })
                })
                .collect();
            sleeper.join().expect("it ended");
            hogs.into_iter().for_each(|hog| hog.join().expect("it ended"));
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
        let slept =
            thread::spawn(move || bridge.enter(|| slept(ms(10))).expect("it entered")).join();
        assert!(slept.expect("no panic") >= ms(10));
        rt.shutdown(Duration::from_secs(30)).expect("nothing is left");
    }
}

#[test]
fn many_sleepers_wake() {
    for mode in [settled(), migratory()] {
        let rt = Runtime::builder(mode).procs(4).stack_size(64 * 1024).build().expect("a runtime");
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

/// Ends by its limit alone.
fn for_ever() {
    time::sleep(Duration::MAX);
}

#[test]
fn a_limit_ends_a_wait_and_no_later_one() {
    each_mode(|rt, _| {
        rt.run(|| {
            let (tx, rx) = chan::bounded::<u32>(1);
            let began = Instant::now();
            assert_eq!(time::timeout(ms(5), || rx.recv()), Err(time::Elapsed));
            assert!(began.elapsed() >= ms(5));
            assert!(slept(ms(10)) >= ms(10), "nothing is left of it");
            tx.send(7).expect("there is room");
            assert_eq!(time::timeout(LONG, || rx.recv()), Ok(Ok(7)));
        });
    });
}

#[test]
fn what_runs_out_of_time_is_dropped_in_order() {
    struct Notes(Arc<Mutex<Vec<u32>>>, u32);
    impl Drop for Notes {
        fn drop(&mut self) {
            self.0.lock().expect("no panic").push(self.1);
        }
    }
    each_mode(|rt, _| {
        let order = Arc::new(Mutex::new(Vec::new()));
        let result = rt.run(|| {
            time::timeout(ms(1), || {
                let _first = Notes(Arc::clone(&order), 1);
                let _second = Notes(Arc::clone(&order), 2);
                for_ever();
            })
        });
        assert_eq!(result, Err(time::Elapsed));
        assert_eq!(*order.lock().expect("no panic"), [2, 1]);
    });
}

#[test]
fn of_two_limits_the_first_to_pass_counts() {
    each_mode(|rt, _| {
        rt.run(|| {
            let inner = time::timeout(LONG, || (time::timeout(ms(2), for_ever), 7));
            assert_eq!(inner, Ok((Err(time::Elapsed), 7)));
            let outer = time::timeout(ms(2), || {
                let inner = time::timeout(LONG, for_ever);
                unreachable!("the outer one has passed: {inner:?}");
            });
            assert_eq!(outer, Err::<(), _>(time::Elapsed));
        });
    });
}

#[test]
fn without_a_wait_nothing_is_ended() {
    each_mode(|rt, _| {
        rt.run(|| {
            let late = time::timeout(ms(1), || {
                let began = Instant::now();
                while began.elapsed() < ms(3) {
                    std::hint::spin_loop();
                }
                7
            });
            assert_eq!(late, Ok(7), "late, and there all the same");
            let yielding = time::timeout(ms(1), || {
                loop {
                    yield_now();
                }
            });
            assert_eq!(yielding, Err::<(), _>(time::Elapsed));
            assert_eq!(time::timeout(Duration::ZERO, || 7), Ok(7));
            assert_eq!(time::timeout(Duration::ZERO, for_ever), Err(time::Elapsed));
            assert_eq!(time::timeout(Duration::MAX, || 7), Ok(7));
            assert_eq!(time::timeout_at(Instant::now(), for_ever), Err(time::Elapsed));
        });
    });
}

#[test]
fn a_shield_holds_a_limit_off() {
    each_mode(|rt, _| {
        rt.run(|| {
            let mut through = false;
            let result = time::timeout(ms(2), || {
                assert!(shield(|| slept(ms(10))) >= ms(10));
                through = true;
                for_ever();
            });
            assert_eq!((result, through), (Err(time::Elapsed), true));
        });
    });
}

#[test]
fn a_limit_inside_a_shield_ends_no_wait() {
    each_mode(|rt, _| {
        rt.run(|| {
            let slept = shield(|| time::timeout(Duration::ZERO, || slept(ms(5))));
            assert!(slept.expect("it slept to the end") >= ms(5));
            // Limits of operations' own do.
            let (_tx, rx) = chan::bounded::<u32>(0);
            assert!(shield(|| rx.recv_timeout(ms(1))).is_err());
        });
    });
}

#[test]
fn a_limit_around_a_scope_waits_for_the_children() {
    each_mode(|rt, _| {
        rt.run(|| {
            let mut slept_for = Duration::ZERO;
            let outcome = time::timeout(Duration::ZERO, || {
                scope(|s| {
                    s.go(|| slept_for = slept(ms(5)));
                    7
                })
            });
            assert_eq!(outcome, Ok(7), "it returned late");
            assert!(slept_for >= ms(5));
        });
    });
}

#[test]
fn a_limit_that_was_caught_stays_until_its_region_is_left() {
    let mode = settled();
    let rt = Runtime::builder(mode).build().expect("a runtime");
    rt.run(|| {
        let result = time::timeout(ms(2), || {
            for _ in 0..3 {
                assert!(catch_unwind(for_ever).expect_err("time is up").is::<Cancelled>());
            }
            7
        });
        assert_eq!(result, Ok(7), "it returned");
    });
}

#[test]
fn a_cancel_goes_through_a_limit() {
    each_mode(|rt, _| {
        let (tx, rx) = chan::bounded(0);
        let goroutine = rt.handle().go(move || {
            time::timeout(LONG, || {
                tx.send(()).expect("the test receives");
                for_ever();
            })
        });
        rx.recv().expect("it has begun");
        goroutine.cancel();
        let payload = goroutine.join().expect_err("it was cancelled");
        assert_eq!(
            payload.downcast::<Cancelled>().expect("cancelled").scope,
            CancelScope::Goroutine
        );
    });
}

#[test]
fn a_thread_in_a_callback_has_limits() {
    let rt = Runtime::builder(settled()).build().expect("a runtime");
    let bridge = Bridge::new(&rt);
    let outcome =
        thread::spawn(move || bridge.enter(|| time::timeout(ms(5), for_ever)).expect("it entered"))
            .join();
    assert_eq!(outcome.expect("no panic"), Err(time::Elapsed));
}

/// A callback in a goroutine waits in place, on the goroutine's own thread.
#[test]
fn a_callback_in_a_goroutine_has_limits() {
    each_procs(settled(), |rt| {
        let bridge = Bridge::new(rt);
        rt.run(|| {
            let inside = bridge.enter(|| {
                assert!(slept(ms(3)) >= ms(3));
                time::timeout(ms(3), for_ever)
            });
            assert_eq!(inside.expect("it entered"), Err(time::Elapsed));
            let around = time::timeout(ms(3), || bridge.enter(for_ever).expect_err("time is up"));
            assert!(matches!(around, Ok(EnterError::Cancelled(_))), "the callback ended with it");
        });
    });
}

#[test]
fn a_plain_thread_is_not_ended() {
    assert!(time::timeout(ms(1), || slept(ms(5))).expect("it slept to the end") >= ms(5));
}
