//! Channels' futures, polled by hand and by executors of other threads.

use std::mem;
use std::task::Poll;
use std::thread;

use gosched::chan::{self, RecvError, SendError, TrySendError};
use gosched::go;
use test_support::each_mode;

use crate::waker::{Count, block_on, poll};

#[test]
fn values_come_out_in_order_between_goroutines_and_async_tasks() {
    const VALUES: u32 = 2_000;
    each_mode(|rt, mode| {
        for capacity in [0, 1, 16] {
            let (to_task, at_task) = chan::bounded(capacity);
            let (to_g, at_g) = chan::bounded(capacity);
            let task = thread::spawn(move || {
                block_on(async {
                    while let Ok(n) = at_task.recv_async().await {
                        to_g.send_async(n + 1).await.expect("the goroutine receives");
                    }
                });
            });
            let received = rt.run(move || {
                let sender = go(move || {
                    (0..VALUES).for_each(|n| to_task.send(n).expect("the task receives"))
                });
                let received: Vec<_> = at_g.iter().collect();
                sender.join().unwrap();
                received
            });
            task.join().unwrap();
            assert!(received.into_iter().eq(1..=VALUES), "{mode:?}, capacity {capacity}");
        }
    });
}

#[test]
fn two_tasks_meet_without_a_buffer() {
    let (tx, rx) = chan::bounded(0);
    let sender = thread::spawn(move || {
        block_on(async {
            for n in 0..10_000 {
                tx.send_async(n).await.expect("the other task receives");
            }
        });
    });
    block_on(async {
        for n in 0..10_000 {
            assert_eq!(rx.recv_async().await, Ok(n));
        }
        assert_eq!(rx.recv_async().await, Err(RecvError));
    });
    sender.join().unwrap();
}

#[test]
fn dropping_a_woken_receiver_wakes_the_next() {
    let (tx, rx) = chan::bounded(2);
    let (first_count, second_count) = (Count::new(), Count::new());
    let (mut first, mut second) = (Box::pin(rx.recv_async()), Box::pin(rx.recv_async()));
    assert!(poll(&mut first, &first_count).is_pending());
    assert!(poll(&mut second, &second_count).is_pending());
    tx.send(1).unwrap();
    assert_eq!((first_count.times(), second_count.times()), (1, 0));
    drop(first);
    assert_eq!(second_count.times(), 1, "the wake-up was passed on");
    assert_eq!(poll(&mut second, &second_count), Poll::Ready(Ok(1)));
}

#[test]
fn dropping_a_receiver_that_waits_loses_nothing() {
    let (tx, rx) = chan::bounded(0);
    let count = Count::new();
    let mut waits = Box::pin(rx.recv_async());
    assert!(poll(&mut waits, &count).is_pending());
    assert_eq!(tx.try_send(1), Err(TrySendError::Full(1)), "nothing is handed into a future");
    drop(waits);
    let mut sends = Box::pin(tx.send_async(2));
    assert!(poll(&mut sends, &count).is_pending());
    assert_eq!(rx.try_recv(), Ok(2));
    assert_eq!(poll(&mut sends, &count), Poll::Ready(Ok(())));
}

#[test]
fn a_forgotten_receiver_keeps_nothing_from_a_goroutine() {
    each_mode(|rt, _| {
        rt.run(|| {
            let (tx, rx) = chan::bounded(1);
            let rx: &'static chan::Receiver<u32> = Box::leak(Box::new(rx));
            let mut forgotten = Box::pin(rx.recv_async());
            assert!(poll(&mut forgotten, &Count::new()).is_pending());
            mem::forget(forgotten);
            let receiver = go(move || [rx.recv(), rx.recv()]);
            tx.send(1).unwrap();
            tx.send(2).unwrap();
            assert_eq!(receiver.join().unwrap(), [Ok(1), Ok(2)]);
        });
    });
}

#[test]
fn a_dropped_sender_has_sent_or_drops_its_value() {
    let (tx, rx) = chan::bounded(0);
    let count = Count::new();
    let value = std::rc::Rc::new(());
    let mut unsent = Box::pin(tx.send_async(value.clone()));
    assert!(poll(&mut unsent, &count).is_pending());
    drop(unsent);
    assert_eq!(std::rc::Rc::strong_count(&value), 1, "dropped with the future");
    assert!(rx.try_recv().is_err());
    let mut sent = Box::pin(tx.send_async(value.clone()));
    assert!(poll(&mut sent, &count).is_pending());
    let received = rx.try_recv().expect("it waits to be taken");
    drop(sent);
    assert_eq!(std::rc::Rc::strong_count(&value), 2, "received once");
    drop(received);
}

#[test]
fn a_disconnect_wakes_tasks() {
    let (tx, rx) = chan::bounded::<u32>(0);
    let count = Count::new();
    let mut receives = Box::pin(rx.recv_async());
    assert!(poll(&mut receives, &count).is_pending());
    drop(tx);
    assert_eq!(count.times(), 1);
    assert_eq!(poll(&mut receives, &count), Poll::Ready(Err(RecvError)));
    let (tx, rx) = chan::bounded(0);
    let mut sends = Box::pin(tx.send_async(5));
    assert!(poll(&mut sends, &count).is_pending());
    drop(rx);
    assert_eq!(count.times(), 2);
    assert_eq!(poll(&mut sends, &count), Poll::Ready(Err(SendError(5))));
}

#[test]
fn the_latest_waker_is_woken() {
    let (tx, rx) = chan::bounded(1);
    let (old, new) = (Count::new(), Count::new());
    let mut receives = Box::pin(rx.recv_async());
    assert!(poll(&mut receives, &old).is_pending());
    assert!(poll(&mut receives, &new).is_pending());
    tx.send(1).unwrap();
    assert_eq!((old.times(), new.times()), (0, 1));
}

/// Uses the scheduler when it is woken: sends into a channel for which somebody must be woken, and
/// waits.
struct Busybody {
    ask: chan::Sender<u32>,
    answer: chan::Receiver<u32>,
}

impl std::task::Wake for Busybody {
    fn wake(self: std::sync::Arc<Self>) {
        self.ask.send(20).expect("a goroutine answers");
        assert_eq!(self.answer.recv(), Ok(21));
    }
}

#[test]
fn a_waker_may_wait_between_the_beginning_and_the_end_of_its_callers_wait() {
    each_mode(|rt, _| {
        rt.run(|| {
            let (ask, asked) = chan::bounded(0);
            let (answers, answer) = chan::bounded(0);
            let oracle =
                go(move || asked.iter().for_each(|n| answers.send(n + 1).expect("it is asked")));
            let (tx, rx) = chan::bounded(0);
            let receiver = rx.clone();
            let mut pending = Box::pin(rx.recv_async());
            let waker = std::sync::Arc::new(Busybody { ask, answer }).into();
            assert!(
                pending.as_mut().poll(&mut std::task::Context::from_waker(&waker)).is_pending()
            );
            drop(waker);
            // The sender begins to wait, wakes the future's task in the midst of it, and is served
            // by the goroutine meanwhile.
            let other = go(move || receiver.recv());
            tx.send(7).unwrap();
            assert_eq!(other.join().unwrap(), Ok(7));
            drop(pending);
            oracle.join().unwrap();
        });
    });
}
