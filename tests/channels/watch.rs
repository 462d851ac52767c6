//! Channels that hold the latest value.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::Poll;
use std::thread;
use std::time::{Duration, Instant};

use gosched::callback::Bridge;
use gosched::cancel::Token;
use gosched::chan::watch::{self, Receiver};
use gosched::chan::{RecvError, RecvTimeoutError, SendError};
use gosched::{chan, future::block_on, go};
use test_support::each_mode;

use crate::waker::{self, Count};

const SHORT: Duration = Duration::from_millis(3);
const LONG: Duration = Duration::from_secs(3600);

type Changes<T> = fn(&mut Receiver<T>) -> Result<(), RecvError>;

/// Each way to wait for a change that there is.
fn changes<T>() -> [Changes<T>; 5] {
    [
        |rx| rx.changed(),
        |rx| rx.changed_timeout(LONG).map_err(|_| RecvError),
        |rx| rx.changed_deadline(Instant::now() + LONG).map_err(|_| RecvError),
        |rx| block_on(rx.changed_async()),
        |rx| waker::block_on(rx.changed_async()),
    ]
}

fn may_be_sent<F: Future + Send>(future: F) -> F {
    future
}

/// All there is to try, by whoever calls it.
fn the_last_is_seen() {
    for changed in changes() {
        let (tx, mut rx) = watch::channel(0);
        let sender = thread::spawn(move || (1..=9).for_each(|n| tx.send(n).expect("it is there")));
        let mut last = 0;
        while changed(&mut rx) == Ok(()) {
            let value = *rx.borrow_and_update();
            // Once more if it was sent between the change and the look.
            assert!(value >= last && value > 0, "{value} after {last}");
            last = value;
        }
        assert_eq!((last, rx.has_changed()), (9, Err(RecvError)));
        sender.join().expect("its asserts hold");
    }
    let (tx, mut rx) = watch::channel(0);
    assert_eq!(rx.has_changed(), Ok(false), "the first value was seen");
    assert_eq!(rx.changed_timeout(SHORT), Err(RecvTimeoutError::Timeout));
    assert_eq!(rx.changed_deadline(Instant::now()), Err(RecvTimeoutError::Timeout));
    tx.send(1).expect("it is there");
    let mut copy = rx.clone();
    assert_eq!((*rx.borrow(), rx.has_changed()), (1, Ok(true)), "a look changes nothing");
    assert_eq!(*rx.borrow_and_update(), 1);
    assert_eq!(rx.has_changed(), Ok(false));
    assert_eq!(copy.changed_timeout(Duration::ZERO), Ok(()), "a clone has seen what it had");
    copy.mark_changed();
    assert_eq!((copy.changed(), copy.has_changed()), (Ok(()), Ok(false)));
    assert_eq!(tx.send_replace(2), 1);
    copy.mark_unchanged();
    assert_eq!((copy.has_changed(), copy.cloned()), (Ok(false), 2));
    assert_eq!(*rx.wait_for(|n| *n == 2).expect("it is there"), 2);
    assert_eq!(*block_on(rx.wait_for_async(|n| *n == 2)).expect("it is there"), 2);
    let late = may_be_sent(rx.wait_for_async(|n| *n == 3));
    assert!(block_on(gosched::time::timeout_async(SHORT, late)).is_err());
    let sender = thread::spawn(move || (3..=5).for_each(|n| tx.send(n).expect("it is there")));
    assert_eq!(*waker::block_on(rx.wait_for_async(|n| *n == 5)).expect("it comes"), 5);
    sender.join().expect("its asserts hold");
    assert!(block_on(rx.wait_for_async(|n| *n == 6)).is_err());
    assert!(rx.wait_for(|n| *n == 6).is_err());
    assert!(rx.wait_for(|n| *n == 5).is_ok(), "the last one stays");
    assert_eq!(rx.changed_timeout(LONG), Err(RecvTimeoutError::Disconnected));
}

#[test]
fn everybody_sees_the_last_value() {
    the_last_is_seen();
    each_mode(|rt, _| {
        rt.run(|| go(the_last_is_seen).join().expect("its asserts hold"));
        let bridge = Bridge::new(rt);
        let caller = thread::spawn(move || bridge.enter(the_last_is_seen).expect("let in"));
        caller.join().expect("its asserts hold");
    });
}

#[test]
fn without_receivers_only_a_replacement_stays() {
    let (tx, rx) = watch::channel("first");
    drop(rx);
    assert!(tx.is_closed());
    assert_eq!(tx.send("second"), Err(SendError("second")));
    assert_eq!(*tx.borrow(), "first");
    assert_eq!(tx.send_replace("third"), "first");
    let other = tx.clone();
    let mut rx = other.subscribe();
    assert_eq!((rx.has_changed(), rx.cloned(), tx.receiver_count()), (Ok(false), "third", 1));
    drop(tx);
    assert!(!rx.is_closed());
    drop(other);
    assert_eq!((rx.is_closed(), rx.changed()), (true, Err(RecvError)));
}

#[test]
fn a_sender_waits_for_a_look_and_a_closure_that_panics_tells_nobody() {
    each_mode(|rt, _| {
        rt.run(|| {
            let (tx, rx) = watch::channel(vec![1]);
            let (begun_tx, begun) = chan::bounded(1);
            let look = rx.borrow();
            let sender = go(move || {
                begun_tx.send(()).expect("it is awaited");
                tx.send_modify(|list| list.push(2));
                tx
            });
            begun.recv().expect("it begins");
            assert_eq!((look.len(), rx.has_changed()), (1, Ok(false)));
            drop(look);
            let tx = sender.join().expect("no panic");
            assert_eq!((rx.cloned(), rx.has_changed()), (vec![1, 2], Ok(true)));

            let mut rx = tx.subscribe();
            let outcome = catch_unwind(AssertUnwindSafe(|| {
                tx.send_modify(|list| {
                    list.clear();
                    panic!("in the middle");
                });
            }));
            assert!(outcome.is_err());
            assert_eq!((rx.has_changed(), rx.borrow().len()), (Ok(false), 0));
            tx.send(vec![3]).expect("the receiver is there");
            assert_eq!((rx.changed(), rx.cloned()), (Ok(()), vec![3]), "nothing is poisoned");
        });
    });
}

#[test]
fn a_future_that_is_dropped_has_seen_nothing() {
    let count = Count::new();
    let (tx, mut rx) = watch::channel(0);
    let mut future = Box::pin(rx.changed_async());
    assert!(waker::poll(&mut future, &count).is_pending());
    tx.send(1).expect("it is there");
    assert_eq!(count.times(), 1);
    drop(future);
    let mut future = Box::pin(rx.changed_async());
    assert_eq!(waker::poll(&mut future, &count), Poll::Ready(Ok(())));
    assert!(waker::poll(&mut future, &count).is_pending());
    drop(tx);
    assert_eq!(waker::poll(&mut future, &count), Poll::Ready(Err(RecvError)));
    assert_eq!(count.times(), 2);
}

#[test]
fn a_cancelled_receiver_sees_the_change_later() {
    each_mode(|rt, _| {
        rt.run(|| {
            let (tx, mut rx) = watch::channel(0);
            let token = Token::new();
            let theirs = token.clone();
            let waits = go(move || {
                let cancelled = theirs.run(|| rx.changed()).is_err();
                (cancelled, rx)
            });
            token.cancel();
            let (cancelled, mut rx) = waits.join().expect("no panic");
            assert!(cancelled);
            tx.send(1).expect("it is there");
            assert_eq!((rx.changed(), *rx.borrow()), (Ok(()), 1));
        });
    });
}

#[test]
fn old_values_are_dropped_and_the_last_goes_with_the_channel() {
    let value = Arc::new(());
    let (tx, rx) = watch::channel(value.clone());
    tx.send(Arc::new(())).expect("it is there");
    assert_eq!(Arc::strong_count(&value), 1);
    tx.send(value.clone()).expect("it is there");
    drop(tx);
    assert_eq!(Arc::strong_count(&value), 2);
    drop(rx);
    assert_eq!(Arc::strong_count(&value), 1);
}
