//! Sets: each goroutine is joined once, in the order in which they end.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

use gosched::callback::{Binding, Bridge};
use gosched::cancel::Token;
use gosched::chan;
use gosched::future::block_on;
use gosched::{JoinSet, JoinSetTimeoutError, go, time, yield_now};
use test_support::each_mode;

const MINUTE: Duration = Duration::from_secs(60);

#[test]
fn they_come_in_the_order_of_ending() {
    each_mode(|rt, _| {
        rt.run(|| {
            let mut set = JoinSet::new();
            let ends: Vec<_> = (0..8)
                .map(|n| {
                    let (tx, rx) = chan::bounded(1);
                    set.spawn(move || {
                        rx.recv().expect("sent");
                        n
                    });
                    tx
                })
                .collect();
            assert_eq!(set.len(), 8);
            assert!(set.try_join_next().is_none(), "none has ended");
            for n in [3, 0, 7, 1, 2, 6, 5, 4] {
                ends[n].send(()).expect("it receives");
                assert_eq!(set.join_next().expect("one is left").expect("no panic"), n);
            }
            assert!(set.is_empty() && set.join_next().is_none());
            assert_eq!(set.join_next_timeout(MINUTE).map(|none| none.is_none()), Ok(true));
        });
    });
}

#[test]
fn those_that_ended_before_the_join_come_in_their_order() {
    each_mode(|rt, _| {
        let handle = rt.handle().clone();
        rt.run(|| {
            let mut set = JoinSet::new();
            let ends: Vec<_> = (0..4)
                .map(|n| {
                    let (tx, rx) = chan::bounded(1);
                    set.spawn(move || {
                        rx.recv().expect("sent");
                        n
                    });
                    tx
                })
                .collect();
            for (ended, n) in [2, 0, 3, 1].into_iter().enumerate() {
                ends[n].send(()).expect("it receives");
                let left = 1 + ends.len() - (ended + 1);
                while handle.stats().goroutines > left as u64 {
                    yield_now();
                }
            }
            let joined: Vec<_> = std::iter::from_fn(|| set.join_next()).collect();
            assert!(joined.into_iter().map(|n| n.expect("no panic")).eq([2, 0, 3, 1]));
        });
    });
}

#[test]
fn places_are_used_again() {
    each_mode(|rt, _| {
        rt.run(|| {
            let mut set = JoinSet::new();
            let mut sum = 0;
            for n in 0..300 {
                set.spawn(move || n);
                if n % 3 != 0 {
                    sum += set.join_next().expect("some are left").expect("no panic");
                }
            }
            assert_eq!(set.len(), 100);
            while let Some(n) = set.join_next() {
                sum += n.expect("no panic");
            }
            assert_eq!(sum, 300 * 299 / 2);
        });
    });
}

#[test]
fn errors_are_sorted() {
    each_mode(|rt, _| {
        rt.run(|| {
            let mut set = JoinSet::new();
            set.spawn(|| -> u8 { panic!("one of them") });
            let error = set.join_next().expect("one").expect_err("it panics");
            assert!(error.is_panic());
            set.spawn(|| {
                time::sleep(Duration::MAX);
                0
            });
            assert_eq!(set.join_next_timeout(Duration::ZERO).err(), Some(JoinSetTimeoutError));
            assert!(set.join_next_deadline(Instant::now()).is_err());
            set.abort_all();
            let error = set.join_next().expect("one").expect_err("it was cancelled");
            assert!(error.is_cancelled());
        });
    });
}

/// Counts those that are alive.
struct Alive(Arc<AtomicUsize>);

impl Alive {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Relaxed);
        Self(count.clone())
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

#[test]
fn a_drop_cancels_and_does_not_wait() {
    each_mode(|rt, _| {
        rt.run(|| {
            let count = Arc::new(AtomicUsize::new(0));
            let mut set = JoinSet::new();
            let (begun, has_begun) = chan::bounded(0);
            let (tx, rx) = chan::bounded::<()>(0);
            for _ in 0..4 {
                let (alive, begun, rx) = (Alive::new(&count), begun.clone(), rx.clone());
                set.spawn(move || {
                    begun.send(()).expect("awaited");
                    let _cancelled = rx.recv();
                    drop(alive);
                });
            }
            (0..4).for_each(|_| has_begun.recv().expect("they begin"));
            drop(set);
            let deadline = Instant::now() + MINUTE;
            while count.load(Relaxed) > 0 {
                assert!(Instant::now() < deadline, "one waits on");
                yield_now();
            }
            drop(tx);
        });
    });
}

#[test]
fn a_join_that_is_cancelled_loses_no_outcome() {
    each_mode(|rt, _| {
        rt.run(|| {
            for _ in 0..50 {
                let mut set = JoinSet::new();
                let token = Token::new();
                (0..3).for_each(|n| _ = set.spawn(move || n));
                let theirs = token.clone();
                let canceller = go(move || theirs.cancel());
                let mut sum = 0;
                let _cancelled_or_not = token.run(|| {
                    while let Some(n) = set.join_next() {
                        sum += n.expect("no panic");
                    }
                });
                while let Some(n) = set.join_next_timeout(MINUTE).expect("in time") {
                    sum += n.expect("no panic");
                }
                assert_eq!(sum, 3);
                canceller.join().expect("no panic");
            }
        });
    });
}

#[test]
fn plain_threads_callbacks_and_tasks_join() {
    each_mode(|rt, _| {
        let mut set = rt.handle().join_set();
        (1..=4).for_each(|n| _ = set.spawn(move || n));
        let mut sum = 0;
        for _ in 0..2 {
            sum += set.join_next_timeout(MINUTE).expect("in time").expect("one").expect("no panic");
        }
        let bridge = Bridge::new(rt).with_binding(Binding::PerCall);
        let mut set = thread::spawn(move || {
            let joined = bridge.enter(|| {
                set.spawn(|| 5);
                let one = set.join_next().expect("one").expect("no panic");
                (one, set)
            });
            joined.expect("no panic")
        })
        .join()
        .expect("no panic");
        sum += set.0;
        let rest = block_on(async {
            let mut rest = 0;
            while let Some(n) = set.1.join_next_async().await {
                rest += n.expect("no panic");
            }
            rest
        });
        assert_eq!(sum + rest, 15);
    });
}

#[test]
fn a_future_that_is_dropped_loses_no_outcome() {
    each_mode(|rt, _| {
        let mut set = rt.handle().join_set();
        let (tx, rx) = chan::bounded(0);
        set.spawn(move || rx.recv());
        let mut context = Context::from_waker(Waker::noop());
        for _ in 0..2 {
            let mut next = set.join_next_async();
            assert!(std::pin::Pin::new(&mut next).poll(&mut context).is_pending());
        }
        tx.send(9).expect("it receives");
        let outcome = set.join_next().expect("one").expect("no panic");
        assert_eq!(outcome, Ok(9));
        let empty = set.poll_join_next(&mut context);
        assert!(matches!(empty, Poll::Ready(None)));
    });
}
