//! A goroutine whose P was revoked can do everything.

use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use gosched::{Runtime, blocking, chan, go, goroutine, lock_thread, scope, sync, time, yield_now};
use test_support::{death, each_procs, in_child, migratory, settled, without_memory_for_threads};

use crate::support::{alone, compute, eventually};

/// Keeps its thread until its P has certainly been revoked. It computes until a goroutine that
/// could not run before has run, while other goroutines of the same kind keep every other P.
fn lose_p(rt: &gosched::Handle) {
    let before = rt.go(|| ());
    while !before.is_finished() {
        compute(Duration::from_millis(1));
    }
    // Once more, when this goroutine is the oldest.
    compute(Duration::from_millis(25));
}

/// Runs `then` in goroutines that have lost their Ps, in both modes, one more at a time than there
/// are Ps.
fn without_p(then: impl Fn(u32) -> u32 + Send + Sync + Copy + 'static) {
    let _alone = alone();
    for mode in [settled(), migratory()] {
        for procs in [1, 2, 4] {
            let rt = Runtime::builder(mode).procs(procs).build().expect("a runtime");
            let handle = rt.handle();
            let one = |n| {
                let handle = handle.clone();
                rt.handle().go(move || {
                    lose_p(&handle);
                    then(n)
                })
            };
            let all: Vec<_> = (0..=procs as u32).map(one).collect();
            for (n, one) in (0..).zip(all) {
                assert_eq!(one.join().expect("no panic"), n + 1, "{mode:?}, {procs} Ps");
            }
            rt.shutdown(Duration::from_secs(30)).expect("all have ended");
        }
    }
}

#[test]
fn it_makes_goroutines_and_talks_to_them() {
    without_p(|n| {
        let (tx, rx) = chan::bounded(0);
        let child = go(move || tx.send(n + 1));
        let answer = rx.recv().expect("it is sent");
        child.join().expect("no panic").expect("it was received");
        answer
    });
}

#[test]
fn it_ends_at_once() {
    without_p(|n| n + 1);
}

#[test]
fn it_panics() {
    without_p(|n| {
        let child = go(move || {
            compute(Duration::from_millis(15));
            std::panic::panic_any(n + 1);
        });
        let payload = child.join().expect_err("it panics");
        let caught = catch_unwind(AssertUnwindSafe(|| std::panic::resume_unwind(payload)))
            .expect_err("again");
        *caught.downcast::<u32>().expect("its number")
    });
}

#[test]
fn it_yields_sleeps_and_blocks() {
    without_p(|n| {
        yield_now();
        time::sleep(Duration::from_micros(200));
        blocking(|| std::thread::sleep(Duration::from_millis(1)));
        assert!(goroutine::current_id().is_some());
        n + 1
    });
}

#[test]
fn it_opens_a_scope() {
    without_p(|n| {
        let mut sum = 0;
        scope(|s| {
            s.go(|| sum = n + 1);
        });
        sum
    });
}

#[test]
fn it_locks_its_thread() {
    without_p(|n| {
        let _lock = lock_thread();
        let here = std::thread::current().id();
        time::sleep(Duration::from_micros(200));
        yield_now();
        assert_eq!(std::thread::current().id(), here);
        n + 1
    });
}

/// Every goroutine takes the lock, and each loses its P while it holds the lock.
#[test]
fn it_holds_a_lock_that_others_wait_for() {
    let _alone = alone();
    each_procs(settled(), |rt| {
        let count = Arc::new(sync::Mutex::new(0));
        let one = || {
            let count = count.clone();
            rt.handle().go(move || {
                let mut held = count.lock().expect("nobody panics with it");
                compute(Duration::from_millis(12));
                *held += 1;
            })
        };
        let all: Vec<_> = (0..12).map(|_| one()).collect();
        assert!(all.into_iter().all(|one| one.join().is_ok()));
        assert_eq!(*count.lock().expect("nobody panicked with it"), 12);
    });
}

/// Work that keeps the P while no M can take over: it all runs, one after the other.
fn hogs_and_naps(rt: &Runtime) {
    let naps: Vec<_> =
        (0..5).map(|_| rt.handle().go(|| std::thread::sleep(Duration::from_millis(15)))).collect();
    let hogs: Vec<_> =
        (0..5).map(|_| rt.handle().go(|| compute(Duration::from_millis(15)))).collect();
    let woken = rt.handle().go(|| time::sleep(Duration::from_millis(1)));
    eventually("all of them run, one after the other", || {
        naps.iter().chain(&hogs).all(gosched::JoinHandle::is_finished) && woken.is_finished()
    });
    assert!(naps.into_iter().chain(hogs).chain([woken]).all(|one| one.join().is_ok()));
}

/// The system refuses a thread for the M that would take over, in the middle of it. Sysmon has a
/// thread.
#[test]
fn when_the_system_gives_no_more_threads_nothing_is_lost() {
    let Some(output) = in_child("lost_p::when_the_system_gives_no_more_threads_nothing_is_lost")
    else {
        for mode in [settled(), migratory()] {
            let rt =
                Runtime::builder(mode).procs(1).stack_size(64 * 1024).build().expect("a runtime");
            // The M and sysmon exist: goroutines had to share the P.
            let pair: Vec<_> = (0..3).map(|_| rt.handle().go(yield_now)).collect();
            assert!(pair.into_iter().all(|one| one.join().is_ok()));
            without_memory_for_threads(1 << 20, || hogs_and_naps(&rt));
            assert_eq!(rt.handle().go(|| 4).join().expect("there is memory again"), 4);
        }
        writeln!(std::io::stderr(), "all ran").expect("it is open");
        return;
    };
    assert!(
        output.status.success() && death(&output).1.contains("all ran"),
        "{}",
        death(&output).1
    );
}

/// No thread may be made, so no M can take over. Nothing is lost, and work goes on when threads can
/// be made again.
#[test]
fn without_a_thread_for_who_takes_over_all_waits_and_nothing_is_lost() {
    let Some(output) =
        in_child("lost_p::without_a_thread_for_who_takes_over_all_waits_and_nothing_is_lost")
    else {
        for mode in [settled(), migratory()] {
            let rt = Runtime::builder(mode).procs(1).max_threads(1).build().expect("a runtime");
            hogs_and_naps(&rt);
        }
        writeln!(std::io::stderr(), "all ran").expect("it is open");
        return;
    };
    assert!(
        output.status.success() && death(&output).1.contains("all ran"),
        "{}",
        death(&output).1
    );
}
