//! Channels for one value.

use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::thread;
use std::time::{Duration, Instant};

use gosched::cancel::Token;
use gosched::chan::{RecvError, RecvTimeoutError, Select, SendError, TryRecvError, oneshot};
use gosched::{future::block_on, go, select};
use test_support::each_mode;

use crate::waker::{self, Count};

const SHORT: Duration = Duration::from_millis(3);
const LONG: Duration = Duration::from_secs(3600);

type Receives<T> = fn(oneshot::Receiver<T>) -> Result<T, RecvError>;

/// Each way to receive that there is.
fn receives<T>() -> [Receives<T>; 6] {
    [
        |rx| rx.recv(),
        |rx| rx.recv_timeout(LONG).map_err(|_| RecvError),
        |rx| rx.recv_deadline(Instant::now() + LONG).map_err(|_| RecvError),
        |rx| block_on(rx.into_future()),
        |rx| waker::block_on(async { rx.recv_async().await }),
        |rx| {
            select! {
                recv(rx.channel()) -> value => value,
            }
        },
    ]
}

/// All there is to try, by whoever calls it.
fn one_value() {
    for receive in receives() {
        let (tx, rx) = oneshot::channel();
        let sender = thread::spawn(move || tx.send(5));
        assert_eq!(receive(rx), Ok(5));
        assert_eq!(sender.join().expect("no panic"), Ok(()));

        let (tx, rx) = oneshot::channel::<u32>();
        let sender = thread::spawn(move || drop(tx));
        assert_eq!(receive(rx), Err(RecvError));
        sender.join().expect("no panic");

        let (tx, rx) = oneshot::channel();
        assert!(!tx.is_closed());
        tx.send(6).expect("the receiver is there");
        assert_eq!(receive(rx), Ok(6), "the sender is gone, the value is not");
    }
    let (tx, rx) = oneshot::channel();
    assert_eq!(rx.recv_timeout(SHORT), Err(RecvTimeoutError::Timeout));
    assert_eq!(rx.recv_deadline(Instant::now()), Err(RecvTimeoutError::Timeout));
    assert_eq!(rx.try_recv(), Err(TryRecvError::Empty));
    tx.send(7).expect("the receiver is there");
    rx.close();
    assert_eq!(rx.recv_timeout(Duration::ZERO), Ok(7), "closed after it was sent");
    assert_eq!(rx.try_recv(), Err(TryRecvError::Disconnected));
    assert_eq!(rx.recv(), Err(RecvError));

    let (tx, rx) = oneshot::channel();
    rx.close();
    assert!(tx.is_closed());
    assert_eq!(tx.send(8), Err(SendError(8)));
}

#[test]
fn goroutines_and_plain_threads_send_one_value() {
    one_value();
    each_mode(|rt, _| rt.run(|| go(one_value).join().expect("its asserts hold")));
}

#[test]
fn what_is_not_received_is_dropped_once() {
    let value = Arc::new(());
    let (tx, rx) = oneshot::channel();
    tx.send(value.clone()).expect("the receiver is there");
    assert_eq!(Arc::strong_count(&value), 2);
    drop(rx);
    assert_eq!(Arc::strong_count(&value), 1);

    let (tx, rx) = oneshot::channel();
    let future = rx.into_future();
    tx.send(value.clone()).expect("the receiver is there");
    drop(future);
    assert_eq!(Arc::strong_count(&value), 1, "with a future that was not polled");

    let (tx, rx) = oneshot::channel();
    drop(rx);
    assert_eq!(tx.send(value.clone()).map_err(SendError::into_inner), Err(value));
}

#[test]
fn a_future_is_woken_and_its_drop_is_seen() {
    let count = Count::new();
    let (tx, rx) = oneshot::channel();
    let mut future = Box::pin(rx.into_future());
    assert!(waker::poll(&mut future, &count).is_pending());
    tx.send(5).expect("the receiver is there");
    assert_eq!(count.times(), 1);
    assert_eq!(waker::poll(&mut future, &count), Poll::Ready(Ok(5)));

    let (tx, rx) = oneshot::channel::<u32>();
    let mut future = Box::pin(rx.into_future());
    assert!(waker::poll(&mut future, &count).is_pending());
    drop(future);
    assert!(tx.is_closed(), "the receiver went with it");

    let (tx, rx) = oneshot::channel::<u32>();
    let mut future = pin!(rx.recv_async());
    assert!(waker::poll(&mut future, &count).is_pending());
    drop(tx);
    assert_eq!(count.times(), 2, "and a sender that goes");
    assert_eq!(waker::poll(&mut future, &count), Poll::Ready(Err(RecvError)));
}

#[test]
fn a_cancelled_receiver_is_gone() {
    each_mode(|rt, _| {
        rt.run(|| {
            let (tx, rx) = oneshot::channel::<u32>();
            let token = Token::new();
            let theirs = token.clone();
            let waits = go(move || theirs.run(|| rx.recv()).is_err());
            token.cancel();
            assert!(waits.join().expect("no panic"));
            assert_eq!(tx.send(5), Err(SendError(5)));
        });
    });
}

#[test]
fn it_takes_part_in_a_select_of_many() {
    let (senders, receivers): (Vec<_>, Vec<_>) =
        (0..8).map(|_| oneshot::channel::<usize>()).unzip();
    let mut senders: Vec<_> = senders.into_iter().map(Some).collect();
    let mut open: Vec<usize> = (0..8).collect();
    for n in [3, 0, 7] {
        senders[n].take().expect("once").send(n).expect("the receiver is there");
        let mut list = Select::new();
        open.iter().for_each(|n| _ = list.recv(receivers[*n].channel()));
        let chosen = list.select();
        let index = open.remove(chosen.index());
        assert_eq!((index, chosen.recv(receivers[index].channel())), (n, Ok(n)));
    }
}
