//! The condition variable: Go's scenarios for `sync.Cond`.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use gosched::sync::{Condvar, Mutex};
use gosched::{go, yield_now};
use test_support::each_mode;

const SHORT: Duration = Duration::from_millis(5);
const LONG: Duration = Duration::from_secs(60);

type Shared = Arc<(Mutex<Counts>, Condvar)>;

#[derive(Default)]
struct Counts {
    waiting: usize,
    let_go: usize,
    woken: Vec<usize>,
}

/// Waits for its own being let go, and notes the order.
fn waiter(shared: &Shared, n: usize) {
    let (mutex, condvar) = &**shared;
    let mut counts = mutex.lock().unwrap();
    counts.waiting += 1;
    counts = condvar.wait(counts).unwrap();
    counts.woken.push(n);
}

fn waiting(shared: &Shared, n: usize) {
    while shared.0.lock().unwrap().waiting < n {
        yield_now();
    }
}

#[test]
fn notified_one_by_one_in_order() {
    each_mode(|rt, mode| {
        rt.run(move || {
            let shared: Shared = Arc::default();
            let (mut gs, mut threads) = (Vec::new(), Vec::new());
            for n in 0..5 {
                let theirs = shared.clone();
                // Goroutines and plain threads alike.
                if n == 3 {
                    threads.push(thread::spawn(move || waiter(&theirs, n)));
                } else {
                    gs.push(go(move || waiter(&theirs, n)));
                }
                waiting(&shared, n + 1);
            }
            for n in 0..5 {
                shared.1.notify_one();
                while shared.0.lock().unwrap().woken.len() <= n {
                    yield_now();
                }
            }
            assert_eq!(shared.0.lock().unwrap().woken, [0, 1, 2, 3, 4], "{mode:?}");
            gs.into_iter().for_each(|g| g.join().unwrap());
            threads.into_iter().for_each(|thread| thread.join().unwrap());
        });
    });
}

#[test]
fn notified_all_at_once() {
    each_mode(|rt, _| {
        rt.run(|| {
            let shared: Shared = Arc::default();
            let waiters: Vec<_> = (0..20)
                .map(|n| {
                    let shared = shared.clone();
                    go(move || waiter(&shared, n))
                })
                .collect();
            waiting(&shared, 20);
            shared.1.notify_all();
            waiters.into_iter().for_each(|waiter| waiter.join().unwrap());
            let mut woken = std::mem::take(&mut shared.0.lock().unwrap().woken);
            woken.sort_unstable();
            assert!(woken.into_iter().eq(0..20));
        });
    });
}

/// Go's TestCondSignalStealing: what comes running does not take a notification from who waited.
#[test]
fn a_notification_is_not_stolen() {
    each_mode(|rt, _| {
        rt.run(|| {
            for _ in 0..50 {
                let shared: Shared = Arc::default();
                let theirs = shared.clone();
                let first = go(move || {
                    waiter(&theirs, 0);
                    let mut counts = theirs.0.lock().unwrap();
                    counts.let_go = 1;
                    theirs.1.notify_all();
                });
                waiting(&shared, 1);
                let theirs = shared.clone();
                let second = go(move || {
                    let counts = theirs.0.lock().unwrap();
                    drop(theirs.1.wait_while(counts, |counts| counts.let_go == 0).unwrap());
                });
                shared.1.notify_one();
                first.join().unwrap();
                second.join().unwrap();
            }
        });
    });
}

#[test]
fn time_limits() {
    each_mode(|rt, _| {
        rt.run(|| {
            let shared: Shared = Arc::default();
            let (mutex, condvar) = &*shared;
            let began = Instant::now();
            let (guard, result) = condvar.wait_timeout(mutex.lock().unwrap(), SHORT).unwrap();
            assert!(result.timed_out());
            let (guard, result) = condvar.wait_deadline(guard, began + 2 * SHORT).unwrap();
            assert!(result.timed_out() && began.elapsed() >= 2 * SHORT);
            let (guard, result) =
                condvar.wait_timeout_while(guard, SHORT, |counts| counts.let_go == 0).unwrap();
            assert!(result.timed_out() && guard.let_go == 0);
            let theirs = shared.clone();
            let notifier = go(move || {
                theirs.0.lock().unwrap().let_go = 1;
                theirs.1.notify_one();
            });
            let (guard, result) =
                condvar.wait_timeout_while(guard, LONG, |counts| counts.let_go == 0).unwrap();
            assert!(!result.timed_out() && guard.let_go == 1);
            drop(guard);
            notifier.join().unwrap();
        });
    });
}

#[test]
fn a_notification_is_not_lost_with_a_cancelled_waiter() {
    each_mode(|rt, _| {
        rt.run(|| {
            for _ in 0..50 {
                let shared: Shared = Arc::default();
                let waiters: Vec<_> = (0..2)
                    .map(|n| {
                        let theirs = shared.clone();
                        let g = go(move || waiter(&theirs, n));
                        waiting(&shared, n + 1);
                        g
                    })
                    .collect();
                let [first, second] = <[_; 2]>::try_from(waiters).expect("two");
                let held = shared.0.lock().unwrap();
                shared.1.notify_one();
                first.cancel();
                drop(held);
                // The first had the notification and the mutex before its cancel, or the second has
                // the notification.
                match first.join() {
                    Ok(()) => shared.1.notify_one(),
                    Err(payload) => assert!(payload.is::<gosched::Cancelled>()),
                }
                second.join().unwrap();
            }
        });
    });
}
