//! Groups: the first error cancels the rest, and is returned when all have ended.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

use gosched::chan::{self, Receiver};
use gosched::future::block_on;
use gosched::{Group, go, yield_now};
use test_support::each_mode;

const MINUTE: Duration = Duration::from_secs(60);

fn never() -> (chan::Sender<()>, Receiver<()>) {
    chan::bounded(0)
}

#[test]
fn without_an_error_all_have_run() {
    each_mode(|rt, _| {
        rt.run(|| {
            let done = Arc::new(AtomicUsize::new(0));
            let group = Group::<()>::new();
            for _ in 0..50 {
                let done = done.clone();
                group.go(move || {
                    yield_now();
                    done.fetch_add(1, Relaxed);
                    Ok(())
                });
            }
            assert_eq!(group.wait(), Ok(()));
            assert_eq!(done.load(Relaxed), 50);
            assert_eq!(Group::<()>::new().wait(), Ok(()), "an empty one is over");
        });
    });
}

#[test]
fn the_first_error_cancels_the_rest() {
    each_mode(|rt, _| {
        rt.run(|| {
            let (_tx, rx) = never();
            let group = Group::new();
            for _ in 0..3 {
                let rx = rx.clone();
                group.go(move || rx.recv().map_err(|_| "a late one"));
            }
            assert!(!group.is_cancelled());
            let group = group.wait_timeout(Duration::from_millis(1)).expect_err("all wait");
            group.go(|| Err("the first"));
            assert_eq!(group.wait_deadline(Instant::now() + MINUTE).expect("in time"), {
                Err("the first")
            });
        });
    });
}

#[test]
fn a_failed_group_runs_no_more() {
    each_mode(|rt, _| {
        rt.run(|| {
            let group = Group::new();
            group.go(|| Err(1));
            while !group.is_empty() {
                yield_now();
            }
            assert!(group.is_cancelled());
            let ran = Arc::new(AtomicUsize::new(0));
            let theirs = ran.clone();
            group.go(move || {
                theirs.fetch_add(1, Relaxed);
                Err(2)
            });
            assert_eq!((group.wait(), ran.load(Relaxed)), (Err(1), 0));
        });
    });
}

#[test]
fn panics_travel() {
    each_mode(|rt, _| {
        rt.run(|| {
            let (_tx, rx) = never();
            let group = Group::<()>::new();
            group.go(move || rx.recv().map_err(|_| ()));
            group.go(|| resume_unwind(Box::new(4_u8)));
            let payload = catch_unwind(AssertUnwindSafe(|| group.wait()));
            let payload = payload.expect_err("it panics").downcast::<u8>();
            assert_eq!(*payload.expect("of the goroutine"), 4);
        });
    });
}

#[test]
fn a_limit_makes_go_wait_and_try_go_fail() {
    each_mode(|rt, _| {
        rt.run(|| {
            let group = Arc::new(Group::<()>::new());
            group.set_limit(2);
            let ends: Vec<_> = (0..2)
                .map(|_| {
                    let (tx, rx) = never();
                    group.go(move || rx.recv().map_err(|_| ()));
                    tx
                })
                .collect();
            assert!(group.try_go(|| Ok(())).is_err());
            let (theirs, came) = (group.clone(), Arc::new(AtomicUsize::new(0)));
            let comers: Vec<_> = (0..3)
                .map(|_| {
                    let (group, came) = (theirs.clone(), came.clone());
                    go(move || {
                        group.go(|| Ok(()));
                        came.fetch_add(1, Relaxed);
                    })
                })
                .collect();
            let one = go(move || theirs.go(|| Ok(())));
            (0..20).for_each(|_| yield_now());
            assert_eq!(came.load(Relaxed), 0, "there is no place");
            one.cancel();
            assert!(one.join().is_err(), "it waited, and its closure is dropped");
            ends[0].send(()).expect("it receives");
            comers.into_iter().for_each(|comer| comer.join().expect("no panic"));
            ends[1].send(()).expect("it receives");
            let group = Arc::into_inner(group).expect("nobody else has it");
            assert_eq!(group.wait(), Ok(()));
        });
    });
}

#[test]
fn a_drop_cancels_and_does_not_wait() {
    each_mode(|rt, _| {
        rt.run(|| {
            let (tx, rx) = never();
            let group = Group::<()>::new();
            group.go(move || rx.recv().map_err(|_| ()));
            drop(group);
            let deadline = Instant::now() + MINUTE;
            // Its receiver goes with it.
            while tx.try_send(()) != Err(chan::TrySendError::Disconnected(())) {
                assert!(Instant::now() < deadline, "it waits on");
            }
        });
    });
}

#[test]
fn plain_threads_and_tasks_wait() {
    each_mode(|rt, _| {
        let group = rt.handle().group();
        group.go(|| Err("on a plain thread"));
        assert_eq!(group.wait(), Err("on a plain thread"));
        let (tx, rx) = never();
        let group = rt.handle().group();
        group.go(move || rx.recv());
        let mut waits = group.wait_async();
        let mut context = Context::from_waker(Waker::noop());
        assert!(std::pin::Pin::new(&mut waits).poll(&mut context).is_pending());
        tx.send(()).expect("it receives");
        assert_eq!(block_on(waits), Ok(()));
        let group = rt.handle().group::<()>();
        let group = match group.try_wait() {
            Ok(over) => over,
            Err(_) => unreachable!("it is empty"),
        };
        assert_eq!(group, Ok(()));
    });
}
