//! Selects, through the engine that ships: against other selects, plain operations, disconnects,
//! deadlines and cancels.

use gosched_runtime_sys::sync::primitive::thread;
use std::panic::{AssertUnwindSafe, catch_unwind};
// Not loom's: its `Arc` aborts when it is dropped by a model that failed.
use std::sync::Arc;
use std::time::Instant;

use super::models;
use crate::chan::raw::Channel;
use crate::chan::select::model::{Both, Done, recv_or_recv, recv_or_send};
use crate::testing::TestWaiter;

type Chans = Arc<Both>;

fn rendezvous() -> Chans {
    Arc::new([Channel::new(Some(0)), Channel::new(Some(0))])
}

fn nobody_waits(channels: &Chans) {
    for channel in channels.iter() {
        assert_eq!(channel.waiting(), (0, 0), "a node was left behind");
    }
}

fn ended<T>(thread: thread::JoinHandle<T>) -> T {
    thread.join().expect("its asserts hold")
}

/// A deadline that passes as soon as it is looked at.
fn at_once() -> Option<Instant> {
    Some(Instant::now())
}

/// A select on two channels and a sender on each: each value is received once or comes back.
fn two_senders() {
    let both = rendezvous();
    let [a, b] = &*both;
    let senders = [(0, 1), (1, 2)].map(|(channel, value)| {
        let both = both.clone();
        thread::spawn(move || {
            TestWaiter::new().send(&both[channel], value).expect("nobody cancels this one")
        })
    });
    let got = recv_or_recv(&both, None, &TestWaiter::new()).expect("a sender comes");
    let Done::Received(got) = got else { unreachable!("both receive") };
    a.remove_receiver();
    b.remove_receiver();
    let sent = senders.map(ended);
    assert_eq!((sent[0], sent[1]), (got == Some(1), got == Some(2)), "{got:?}");
    nobody_waits(&both);
}

/// Two selects, each of which would send on one channel or receive from the other, meet in one of
/// the two ways.
fn two_selects() {
    let both = rendezvous();
    let other = {
        let both = both.clone();
        thread::spawn(move || {
            recv_or_send(&both, 0, 2, &TestWaiter::new()).expect("the other comes")
        })
    };
    let mine = recv_or_send(&both, 1, 1, &TestWaiter::new()).expect("the other comes");
    match (mine, ended(other)) {
        (Done::Sent(true), Done::Received(Some(1)))
        | (Done::Received(Some(2)), Done::Sent(true)) => {}
        pair => unreachable!("they did not meet: {pair:?}"),
    }
    nobody_waits(&both);
}

/// A select that gives up at its deadline has received nothing, and a select that received did not
/// give up.
fn deadline() {
    let both = rendezvous();
    let sender = {
        let both = both.clone();
        thread::spawn(move || TestWaiter::new().send(&both[0], 7).expect("nobody cancels this one"))
    };
    let got = recv_or_recv(&both, at_once(), &TestWaiter::new());
    both[0].remove_receiver();
    assert_eq!(ended(sender), matches!(got, Some(Done::Received(Some(7)))), "{got:?}");
    nobody_waits(&both);
}

/// The same with a cancel.
fn cancelled() {
    let both = rendezvous();
    let sender = {
        let both = both.clone();
        thread::spawn(move || TestWaiter::new().send(&both[0], 7).expect("nobody cancels this one"))
    };
    let waiter = TestWaiter::new();
    let canceller = {
        let waiter = waiter.clone();
        thread::spawn(move || waiter.cancel())
    };
    let got = catch_unwind(AssertUnwindSafe(|| recv_or_recv(&both, None, &waiter)));
    both[0].remove_receiver();
    let received = matches!(got, Ok(Some(Done::Received(Some(7)))));
    assert_eq!(ended(sender), received);
    ended(canceller);
    nobody_waits(&both);
}

/// A channel that is disconnected ends a select on it. The value that another channel's sender
/// offers goes to the select or comes back.
fn close() {
    let both = rendezvous();
    let closer = {
        let both = both.clone();
        thread::spawn(move || both[0].remove_sender())
    };
    let sender = {
        let both = both.clone();
        thread::spawn(move || TestWaiter::new().send(&both[1], 7).expect("nobody cancels this one"))
    };
    let got = recv_or_recv(&both, None, &TestWaiter::new()).expect("one of the two comes");
    both[1].remove_receiver();
    let sent = ended(sender);
    match got {
        Done::Received(Some(7)) => assert!(sent),
        Done::Received(None) => assert!(!sent, "the value was lost"),
        other => unreachable!("{other:?}"),
    }
    ended(closer);
    nobody_waits(&both);
}

models! {
    holds two_senders_hold = two_senders within 2 preemptions;
    holds two_selects_hold = two_selects within 3 preemptions;
    holds deadline_holds = deadline within 3 preemptions;
    holds cancelled_holds = cancelled within 2 preemptions;
    holds close_holds = close within 2 preemptions;
    catches a_claim_by_store = "race.claim_by_store" in deadline within 3 preemptions;
    catches a_claim_regardless = "race.claim_regardless" in two_senders within 2 preemptions;
    catches a_look_that_is_stale = "select.unlocked_between" in two_selects within 3 preemptions;
}
