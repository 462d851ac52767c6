//! Selects that only look, through the engine that ships: against what they look for, and against
//! each other's giving up.

use gosched_runtime_sys::sync::primitive::thread;
use std::panic::{AssertUnwindSafe, catch_unwind};
// Not loom's: its `Arc` aborts when it is dropped by a model that failed.
use std::sync::Arc;
use std::time::Instant;

use super::models;
use crate::chan::raw::Channel;
use crate::chan::select::model::{Both, ready_to_recv, ready_to_send};
use crate::testing::TestWaiter;

type Chans = Arc<Both>;

fn channels(capacity: usize) -> Chans {
    Arc::new([Channel::new(Some(capacity)), Channel::new(Some(capacity))])
}

fn nobody_waits(channels: &Chans) {
    for channel in channels.iter() {
        assert_eq!(channel.waiting(), (0, 0), "a node was left behind");
    }
}

fn ended<T>(thread: thread::JoinHandle<T>) -> T {
    thread.join().expect("its asserts hold")
}

fn observer(both: &Chans) -> thread::JoinHandle<()> {
    let both = both.clone();
    thread::spawn(move || {
        assert_eq!(ready_to_recv(&[&both[0]], None, &TestWaiter::new()), Some(0));
    })
}

/// Two observe, and a value comes: both are told.
fn two_observers() {
    let both = channels(1);
    let observers = [observer(&both), observer(&both)];
    assert_eq!(TestWaiter::new().send(&both[0], 7), Some(true));
    observers.into_iter().for_each(ended);
    nobody_waits(&both);
}

/// One of two gives up as the value comes: the other is told.
fn one_gives_up() {
    let both = channels(1);
    let stays = observer(&both);
    let goes = {
        let both = both.clone();
        thread::spawn(move || {
            let [a, b] = &*both;
            ready_to_recv(&[a, b], Some(Instant::now()), &TestWaiter::new())
        })
    };
    assert_eq!(TestWaiter::new().send(&both[0], 7), Some(true));
    assert!(ended(goes).is_none_or(|told| told == 0));
    ended(stays);
    nobody_waits(&both);
}

/// The same by a cancel.
fn one_is_cancelled() {
    let both = channels(1);
    let waiter = TestWaiter::new();
    let goes = {
        let (both, waiter) = (both.clone(), waiter.clone());
        thread::spawn(move || {
            let _told_or_not =
                catch_unwind(AssertUnwindSafe(|| ready_to_recv(&[&both[0]], None, &waiter)));
        })
    };
    let stays = observer(&both);
    waiter.cancel();
    assert_eq!(TestWaiter::new().send(&both[0], 7), Some(true));
    ended(goes);
    ended(stays);
    nobody_waits(&both);
}

/// Without a buffer: one that waits to receive is seen by one that would send, and is served.
fn a_receiver_is_seen() {
    let both = channels(0);
    let receiver = {
        let both = both.clone();
        thread::spawn(move || TestWaiter::new().recv(&both[0]).expect("nobody cancels this one"))
    };
    ready_to_send(&both[0], &TestWaiter::new());
    assert_eq!(TestWaiter::new().send(&both[0], 7), Some(true));
    assert_eq!(ended(receiver), Some(7));
    nobody_waits(&both);
}

/// Room comes, and is seen.
fn room_is_seen() {
    let both = channels(1);
    assert_eq!(TestWaiter::new().send(&both[0], 7), Some(true));
    let receiver = {
        let both = both.clone();
        thread::spawn(move || TestWaiter::new().recv(&both[0]).expect("nobody cancels this one"))
    };
    ready_to_send(&both[0], &TestWaiter::new());
    assert_eq!(ended(receiver), Some(7));
    nobody_waits(&both);
}

models! {
    holds two_observers_hold = two_observers within 2 preemptions;
    holds one_gives_up_holds = one_gives_up within 2 preemptions;
    holds one_is_cancelled_holds = one_is_cancelled within 2 preemptions;
    holds a_receiver_is_seen_holds = a_receiver_is_seen within 3 preemptions;
    holds room_is_seen_holds = room_is_seen within 3 preemptions;
    catches news_that_are_kept = "observers.keeps_news" in two_observers within 2 preemptions;
    catches news_that_end_with_a_cancel = "observers.keeps_news" in one_is_cancelled
        within 2 preemptions;
    catches news_that_end_with_a_limit = "observers.keeps_news" in one_gives_up
        within 2 preemptions;
}
