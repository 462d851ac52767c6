//! Channels that bring each value to each receiver.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::Poll;
use std::thread;
use std::time::{Duration, Instant};

use gosched::callback::Bridge;
use gosched::cancel::Token;
use gosched::chan::SendError;
use gosched::chan::broadcast::{self, Receiver, RecvError, RecvTimeoutError, TryRecvError};
use gosched::{future::block_on, go};
use test_support::each_mode;

use crate::waker::{self, Count};

const SHORT: Duration = Duration::from_millis(3);
const LONG: Duration = Duration::from_secs(3600);

type Receives<T> = fn(&mut Receiver<T>) -> Result<T, RecvError>;

fn in_time(error: RecvTimeoutError) -> RecvError {
    match error {
        RecvTimeoutError::Lagged(n) => RecvError::Lagged(n),
        RecvTimeoutError::Closed => RecvError::Closed,
        RecvTimeoutError::Timeout => panic!("the time was over"),
    }
}

/// Each way to receive that there is.
fn receives<T: Clone>() -> [Receives<T>; 5] {
    [
        |rx| rx.recv(),
        |rx| rx.recv_timeout(LONG).map_err(in_time),
        |rx| rx.recv_deadline(Instant::now() + LONG).map_err(in_time),
        |rx| block_on(rx.recv_async()),
        |rx| waker::block_on(rx.recv_async()),
    ]
}

/// All there is to try, by whoever calls it.
fn each_has_each() {
    for receive in receives() {
        let (tx, mut first) = broadcast::channel(4);
        let (mut second, mut late) = (tx.subscribe(), first.resubscribe());
        let sender = thread::spawn(move || (1..=4).for_each(|n| assert_eq!(tx.send(n), Ok(3))));
        for rx in [&mut first, &mut second, &mut late] {
            (1..=4).for_each(|n| assert_eq!(receive(rx), Ok(n)));
            assert_eq!(receive(rx), Err(RecvError::Closed));
        }
        sender.join().expect("its asserts hold");

        let (tx, mut slow) = broadcast::channel(2);
        (1..=5).for_each(|n| assert_eq!(tx.send(n), Ok(1)));
        assert_eq!((slow.len(), receive(&mut slow)), (5, Err(RecvError::Lagged(3))));
        assert_eq!((receive(&mut slow), slow.len()), (Ok(4), 1));
        assert_eq!(tx.send(6), Ok(1));
        drop(tx);
        assert!(slow.is_closed());
        assert_eq!([(); 3].map(|()| receive(&mut slow)), [Ok(5), Ok(6), Err(RecvError::Closed)]);
    }
    let (tx, mut rx) = broadcast::channel::<u32>(1);
    assert_eq!(rx.recv_timeout(SHORT), Err(RecvTimeoutError::Timeout));
    assert_eq!(rx.recv_deadline(Instant::now()), Err(RecvTimeoutError::Timeout));
    assert_eq!(rx.try_recv(), Err(TryRecvError::Empty));
    assert_eq!((tx.send(1), tx.send(2)), (Ok(1), Ok(1)));
    assert_eq!(rx.try_recv(), Err(TryRecvError::Lagged(1)));
    assert_eq!(rx.try_recv(), Ok(2));
    drop(tx);
    assert_eq!(rx.try_recv(), Err(TryRecvError::Closed));
    assert_eq!(rx.recv_timeout(LONG), Err(RecvTimeoutError::Closed));
}

#[test]
fn everybody_receives_each_value() {
    each_has_each();
    each_mode(|rt, _| {
        rt.run(|| go(each_has_each).join().expect("its asserts hold"));
        let bridge = Bridge::new(rt);
        let caller = thread::spawn(move || bridge.enter(each_has_each).expect("let in"));
        caller.join().expect("its asserts hold");
    });
}

#[test]
fn without_receivers_the_value_comes_back() {
    let (tx, rx) = broadcast::channel(1);
    let other = tx.clone();
    assert!(tx.same_channel(&other) && !rx.is_closed());
    drop(rx);
    assert_eq!((tx.send(5), tx.receiver_count()), (Err(SendError(5)), 0));
    let mut later = other.subscribe();
    assert_eq!(tx.send(6), Ok(1));
    drop((tx, other));
    assert_eq!((later.recv(), later.recv()), (Ok(6), Err(RecvError::Closed)));
    assert!(catch_unwind(|| broadcast::channel::<u32>(0)).is_err());
}

#[test]
fn the_last_receiver_has_the_value_itself() {
    let (tx, mut one) = broadcast::channel(2);
    let mut other = tx.subscribe();
    let value = Arc::new(());
    assert_eq!(tx.send(value.clone()), Ok(2));
    let first = one.recv().expect("it is there");
    assert_eq!(Arc::strong_count(&value), 3, "here, in the channel, and a clone");
    let last = other.recv().expect("it is there");
    assert_eq!(Arc::strong_count(&value), 3, "nothing is left in the channel");
    drop((first, last));
    assert_eq!(tx.send(value.clone()), Ok(2));
    drop(one);
    assert_eq!(Arc::strong_count(&value), 2, "the other one has yet to have it");
    drop(other);
    assert_eq!(Arc::strong_count(&value), 1);
}

#[test]
fn a_future_that_is_dropped_has_taken_nothing() {
    let count = Count::new();
    let (tx, mut rx) = broadcast::channel(1);
    let mut future = Box::pin(rx.recv_async());
    assert!(waker::poll(&mut future, &count).is_pending());
    assert_eq!(tx.send(5), Ok(1));
    assert_eq!(count.times(), 1);
    drop(future);
    let mut future = Box::pin(rx.recv_async());
    assert_eq!(waker::poll(&mut future, &count), Poll::Ready(Ok(5)));
    assert!(waker::poll(&mut future, &count).is_pending());
    drop(tx);
    assert_eq!(waker::poll(&mut future, &count), Poll::Ready(Err(RecvError::Closed)));
    assert_eq!(count.times(), 2);
}

#[test]
fn a_cancelled_receiver_goes_on_later() {
    each_mode(|rt, _| {
        rt.run(|| {
            let (tx, mut rx) = broadcast::channel(1);
            let token = Token::new();
            let theirs = token.clone();
            let waits = go(move || {
                let cancelled = theirs.run(|| rx.recv()).is_err();
                (cancelled, rx)
            });
            token.cancel();
            let (cancelled, mut rx) = waits.join().expect("no panic");
            assert!(cancelled);
            assert_eq!((tx.send(5), rx.recv()), (Ok(1), Ok(5)));
        });
    });
}

/// A value whose clone and whose drop may panic.
struct Bad {
    clone_panics: bool,
    drop_panics: bool,
}

impl Clone for Bad {
    fn clone(&self) -> Self {
        assert!(!self.clone_panics, "a clone");
        Self { drop_panics: false, ..*self }
    }
}

impl Drop for Bad {
    fn drop(&mut self) {
        assert!(!self.drop_panics || thread::panicking(), "a drop");
    }
}

#[test]
fn panics_of_values_spoil_nothing() {
    let (tx, mut one) = broadcast::channel(1);
    let mut other = tx.subscribe();
    let good = || Bad { clone_panics: false, drop_panics: false };
    assert!(tx.send(Bad { clone_panics: true, ..good() }).is_ok());
    assert!(catch_unwind(AssertUnwindSafe(|| one.recv())).is_err());
    assert!(other.recv().is_ok(), "the last one clones nothing");
    assert!(tx.send(Bad { drop_panics: true, ..good() }).is_ok());
    let sent = catch_unwind(AssertUnwindSafe(|| tx.send(good())));
    assert!(sent.is_err(), "the old one has made room");
    assert!(matches!(one.recv(), Err(RecvError::Lagged(1))));
    assert!(one.recv().is_ok() && matches!(other.recv(), Err(RecvError::Lagged(1))));
    assert!(other.recv().is_ok());
}
