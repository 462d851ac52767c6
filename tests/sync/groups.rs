//! Waiting for others: wait groups, barriers, notifications.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

use gosched::sync::{Barrier, Notify, WaitGroup};
use gosched::{Cancelled, go, yield_now};
use test_support::each_mode;

const SHORT: Duration = Duration::from_millis(5);

/// Go's testWaitGroup: nobody passes before the last one is done; and the group serves again.
#[test]
fn a_group_is_waited_for_and_used_again() {
    each_mode(|rt, _| {
        rt.run(|| {
            let (first, second) = (WaitGroup::new(), WaitGroup::new());
            for _ in 0..8 {
                first.add(16);
                second.add(16);
                let exited = Arc::new(AtomicUsize::new(0));
                let gs: Vec<_> = (0..16)
                    .map(|_| {
                        let (first, second, exited) =
                            (first.clone(), second.clone(), exited.clone());
                        go(move || {
                            first.done();
                            second.wait();
                            exited.fetch_add(1, Ordering::Relaxed);
                        })
                    })
                    .collect();
                first.wait();
                for _ in 0..16 {
                    assert_eq!(exited.load(Ordering::Relaxed), 0, "passed before all were done");
                    second.done();
                }
                gs.into_iter().for_each(|g| g.join().unwrap());
                assert_eq!(exited.load(Ordering::Relaxed), 16);
            }
        });
    });
}

#[test]
fn a_group_counts_goroutines_and_threads_also_when_they_panic() {
    each_mode(|rt, _| {
        let group = WaitGroup::new();
        let sum = Arc::new(AtomicUsize::new(0));
        group.add(1);
        let theirs = (group.clone(), sum.clone());
        let thread = thread::spawn(move || {
            theirs.1.fetch_add(100, Ordering::Relaxed);
            theirs.0.done();
        });
        let theirs = (group.clone(), sum.clone());
        rt.run(move || {
            let (group, sum) = theirs;
            for n in 1..=10 {
                let sum = sum.clone();
                drop(group.go(move || {
                    sum.fetch_add(n, Ordering::Relaxed);
                    if n == 5 {
                        std::panic::resume_unwind(Box::new(()));
                    }
                }));
            }
            group.wait();
            assert_eq!(sum.load(Ordering::Relaxed), 155);
            group.add(1);
            assert!(group.wait_timeout(SHORT).is_err());
            assert!(group.wait_deadline(std::time::Instant::now()).is_err());
            group.done();
            assert_eq!((group.wait_timeout(Duration::ZERO), group.count()), (Ok(()), 0));
        });
        thread.join().unwrap();
    });
}

/// Go's TestWaitGroupMisuse.
#[test]
fn a_group_that_is_done_too_often_says_so() {
    let group = WaitGroup::new();
    group.add(1);
    group.done();
    let theirs = group.clone();
    let message = thread::spawn(move || theirs.done()).join().unwrap_err();
    assert!(message.downcast_ref::<&str>().is_some_and(|message| message.contains("more often")));
    group.wait();
}

#[test]
fn a_future_waits_for_the_group_as_it_was() {
    let group = WaitGroup::new();
    let mut context = Context::from_waker(Waker::noop());
    assert!(
        Box::pin(group.wait_async()).as_mut().poll(&mut context).is_ready(),
        "nobody is counted"
    );
    group.add(1);
    let (mut waits, mut dropped) = (Box::pin(group.wait_async()), Box::pin(group.wait_async()));
    assert!(
        waits.as_mut().poll(&mut context).is_pending()
            && dropped.as_mut().poll(&mut context).is_pending()
    );
    drop(dropped);
    group.done();
    group.add(1);
    assert!(waits.as_mut().poll(&mut context).is_ready(), "the count was zero");
    let mut waits = Box::pin(group.wait_async());
    assert!(waits.as_mut().poll(&mut context).is_pending(), "and is not now");
    group.done();
    assert!(waits.as_mut().poll(&mut context).is_ready());
}

#[test]
fn a_future_counts_at_a_barrier_from_its_first_poll_until_it_is_dropped() {
    let barrier = Barrier::new(2);
    let mut context = Context::from_waker(Waker::noop());
    let (mut first, second) = (Box::pin(barrier.wait_async()), barrier.wait_async());
    drop(second);
    assert!(first.as_mut().poll(&mut context).is_pending(), "the other one never came");
    drop(first);
    let (mut first, mut second) = (Box::pin(barrier.wait_async()), Box::pin(barrier.wait_async()));
    assert!(first.as_mut().poll(&mut context).is_pending(), "the one before has left");
    let Poll::Ready(leads) = second.as_mut().poll(&mut context) else { panic!("both are there") };
    assert!(leads.is_leader());
    // Of the next round, though the first has not learned yet that its own is over.
    let mut third = Box::pin(barrier.wait_async());
    assert!(third.as_mut().poll(&mut context).is_pending());
    let Poll::Ready(follows) = first.as_mut().poll(&mut context) else {
        panic!("its round is over")
    };
    assert!(!follows.is_leader());
    drop((first, second));
    assert!(
        barrier.wait_timeout(Duration::ZERO).is_ok_and(|result| result.is_leader()),
        "the third is counted"
    );
}

#[test]
fn a_barrier_opens_for_all_with_one_leader_each_round() {
    each_mode(|rt, _| {
        const ROUNDS: usize = 100;
        let shared = Arc::new((Barrier::new(5), AtomicUsize::new(0), AtomicUsize::new(0)));
        let work = |shared: Arc<(Barrier, AtomicUsize, AtomicUsize)>| {
            move || {
                for round in 1..=ROUNDS {
                    shared.1.fetch_add(1, Ordering::SeqCst);
                    let leads = shared.0.wait().is_leader();
                    assert!(shared.1.load(Ordering::SeqCst) >= 5 * round, "opened early");
                    shared.2.fetch_add(usize::from(leads), Ordering::SeqCst);
                    shared.0.wait();
                    assert_eq!(shared.2.load(Ordering::SeqCst), round);
                    shared.0.wait();
                }
            }
        };
        let thread = thread::spawn(work(shared.clone()));
        let theirs = shared.clone();
        rt.run(move || {
            let gs: Vec<_> = (0..4).map(|_| go(work(theirs.clone()))).collect();
            gs.into_iter().for_each(|g| g.join().unwrap());
        });
        thread.join().unwrap();
    });
}

#[test]
fn who_leaves_a_barrier_is_not_counted() {
    each_mode(|rt, _| {
        rt.run(|| {
            let barrier = Arc::new(Barrier::new(2));
            assert!(barrier.wait_timeout(SHORT).is_err());
            assert!(barrier.wait_deadline(std::time::Instant::now()).is_err());
            let theirs = barrier.clone();
            let cancelled = go(move || theirs.wait());
            yield_now();
            cancelled.cancel();
            assert!(cancelled.join().unwrap_err().is::<Cancelled>());
            let theirs = barrier.clone();
            let other = go(move || theirs.wait().is_leader());
            assert!(barrier.wait().is_leader() != other.join().unwrap());
            assert!(Barrier::new(1).wait().is_leader() && Barrier::new(0).wait().is_leader());
        });
    });
}

#[test]
fn notifications_are_kept_once_and_go_in_order() {
    each_mode(|rt, _| {
        rt.run(|| {
            let notify = Arc::new(Notify::new());
            notify.notify_one();
            notify.notify_one();
            notify.wait();
            assert!(!notify.try_wait() && notify.wait_timeout(SHORT).is_err());
            notify.notify_waiters();
            assert!(!notify.try_wait(), "nobody waited");
            let theirs = notify.clone();
            let waiter = go(move || theirs.wait());
            let theirs = notify.clone();
            let cancelled = go(move || theirs.wait());
            yield_now();
            cancelled.cancel();
            // One of two that may have come in either order, or nobody yet: it is kept then.
            let cancelled = cancelled.join();
            notify.notify_one();
            waiter.join().unwrap();
            assert!(cancelled.unwrap_err().is::<Cancelled>());
        });
    });
}

#[test]
fn everybody_who_waits_is_notified() {
    let notify = Notify::new();
    let mut context = Context::from_waker(Waker::noop());
    let (mut first, mut second) = (Box::pin(notify.notified()), Box::pin(notify.notified()));
    assert!(first.as_mut().poll(&mut context).is_pending());
    notify.notify_waiters();
    assert!(first.as_mut().poll(&mut context).is_ready());
    assert!(second.as_mut().poll(&mut context).is_ready(), "made before, polled after");
    let (mut third, mut fourth) = (Box::pin(notify.notified()), Box::pin(notify.notified()));
    assert!(third.as_mut().poll(&mut context).is_pending());
    assert!(fourth.as_mut().poll(&mut context).is_pending());
    notify.notify_one();
    drop(third);
    assert!(fourth.as_mut().poll(&mut context).is_ready(), "what the third was woken for");
    assert!(!notify.try_wait());
}

/// Two futures that wait, and the polling of them.
struct Two<'a>([std::pin::Pin<Box<gosched::sync::Notified<'a>>>; 2]);

impl<'a> Two<'a> {
    fn new(notify: &'a Notify) -> Self {
        let mut two = Self([(); 2].map(|()| Box::pin(notify.notified())));
        assert_eq!(two.ready(), [false; 2]);
        two
    }

    fn ready(&mut self) -> [bool; 2] {
        let mut context = Context::from_waker(Waker::noop());
        self.0.each_mut().map(|future| future.as_mut().poll(&mut context).is_ready())
    }
}

#[test]
fn two_futures_have_two_notifications() {
    let notify = Notify::new();
    let mut two = Two::new(&notify);
    notify.notify_one();
    notify.notify_one();
    assert_eq!(two.ready(), [true; 2]);
    assert!(!notify.try_wait(), "both were used");
    // A future that is ready and is polled again waits again.
    assert_eq!(two.ready(), [false; 2]);
    notify.notify_one();
    assert_eq!(two.ready(), [true, false]);
}

#[test]
fn a_woken_future_has_its_notification() {
    let notify = Notify::new();
    let mut two = Two::new(&notify);
    notify.notify_one();
    assert!(!notify.try_wait() && notify.wait_timeout(SHORT).is_err(), "it is the first one's");
    // The second waits on when it is polled of itself.
    let [first, second] = &mut two.0;
    let mut context = Context::from_waker(Waker::noop());
    assert!(second.as_mut().poll(&mut context).is_pending());
    assert!(first.as_mut().poll(&mut context).is_ready());
}

#[test]
fn a_dropped_future_passes_its_notifications_on() {
    let notify = Notify::new();
    let mut two = Two::new(&notify);
    notify.notify_one();
    let [first, mut second] = two.0;
    drop(first);
    let mut context = Context::from_waker(Waker::noop());
    assert!(second.as_mut().poll(&mut context).is_ready());
    two = Two::new(&notify);
    notify.notify_one();
    notify.notify_one();
    drop(two);
    assert!(notify.try_wait() && !notify.try_wait(), "two that nobody had are one");
}

#[test]
fn one_notification_and_one_of_all_leave_nothing() {
    let notify = Notify::new();
    let mut two = Two::new(&notify);
    notify.notify_one();
    notify.notify_waiters();
    assert_eq!(two.ready(), [true; 2]);
    assert!(!notify.try_wait(), "the first had it");
}

#[test]
fn goroutines_that_poll_have_a_notification_each() {
    each_mode(|rt, _| {
        rt.run(|| {
            let notify = Arc::new(Notify::new());
            let (waits_tx, waits) = gosched::chan::bounded(0);
            let pollers = [(); 2].map(|()| {
                let (notify, waits_tx) = (notify.clone(), waits_tx.clone());
                go(move || {
                    let mut notified = Box::pin(notify.notified());
                    assert!(
                        notified
                            .as_mut()
                            .poll(&mut Context::from_waker(Waker::noop()))
                            .is_pending()
                    );
                    waits_tx.send(()).unwrap();
                    gosched::future::block_on(notified);
                })
            });
            pollers.iter().for_each(|_| waits.recv().unwrap());
            notify.notify_one();
            notify.notify_one();
            pollers.into_iter().for_each(|poller| poller.join().unwrap());
        });
    });
}

#[test]
fn a_notification_future_that_holds_its_notify_does_as_one_that_borrows() {
    let notify = Arc::new(Notify::new());
    let mut context = Context::from_waker(Waker::noop());
    let (mut first, mut second) =
        (Box::pin(notify.notified_owned()), Box::pin(notify.notified_owned()));
    assert!(first.as_mut().poll(&mut context).is_pending());
    notify.notify_waiters();
    assert!(first.as_mut().poll(&mut context).is_ready());
    assert!(second.as_mut().poll(&mut context).is_ready(), "made before, polled after");
    let (mut third, mut fourth) = (Box::pin(notify.notified_owned()), Box::pin(notify.notified()));
    assert!(third.as_mut().poll(&mut context).is_pending());
    assert!(fourth.as_mut().poll(&mut context).is_pending());
    notify.notify_one();
    drop((first, second, third));
    assert!(fourth.as_mut().poll(&mut context).is_ready(), "what the third was woken for");
    assert_eq!(Arc::strong_count(&notify), 1);
}
