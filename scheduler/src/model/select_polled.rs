//! Selects that are polled, through the engine that ships: against those who take what they offer,
//! a value that comes, and their own drop.

use gosched_runtime_sys::sync::primitive::thread;
use std::mem::ManuallyDrop;
// Not loom's: its `Arc` aborts when it is dropped by a model that failed.
use std::sync::Arc;
use std::task::Poll;

use super::executor::Executor;
use super::models;
use crate::chan::raw::Channel;
use crate::chan::select::model::{Both, Done, PolledSelect, recv_or_send};
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

fn receiver(both: &Chans, from: usize) -> thread::JoinHandle<Option<u32>> {
    let both = both.clone();
    thread::spawn(move || TestWaiter::new().recv(&both[from]).expect("nobody cancels this one"))
}

/// Of two values that a select offers one is taken, whoever comes first, and however late it is
/// polled.
fn two_receivers() {
    let both = channels(0);
    let [a, b] = &*both;
    let receivers = [receiver(&both, 0), receiver(&both, 1)];
    // Not dropped by a failed model, whose lock is gone then.
    let select = ManuallyDrop::new(PolledSelect::new(&[], &[(a, 1), (b, 2)]));
    let done = Executor::new().block_on(|waker| select.poll(&waker));
    drop(ManuallyDrop::into_inner(select));
    a.remove_sender();
    b.remove_sender();
    assert_eq!(done, Done::Sent(true));
    let got = receivers.map(ended);
    assert!([[Some(1), None], [None, Some(2)]].contains(&got), "{got:?}");
    nobody_waits(&both);
}

/// A select is dropped when it has been polled once: its value was taken, or was not sent.
fn dropped() {
    let both = channels(0);
    let receiver = receiver(&both, 0);
    let select = PolledSelect::new(&[&both[1]], &[(&both[0], 1)]);
    let polled = select.poll(&Executor::new().waker());
    let sent = polled == Poll::Ready(Done::Sent(true)) || select.leave();
    both[0].remove_sender();
    assert_eq!(ended(receiver), sent.then_some(1));
    nobody_waits(&both);
}

/// A value wakes a select, which was done otherwise or is dropped: the future behind it has it.
fn passed_on() {
    let both = channels(1);
    let sender = {
        let both = both.clone();
        thread::spawn(move || assert_eq!(TestWaiter::new().send(&both[0], 7), Some(true)))
    };
    let (first, second) = (Executor::new(), Executor::new());
    let one = PolledSelect::new(&[&both[0], &both[1]], &[]);
    let other = ManuallyDrop::new(PolledSelect::new(&[&both[0]], &[]));
    if one.poll(&first.waker()).is_pending() {
        let early = other.poll(&second.waker());
        assert!(!one.leave(), "it sends nothing");
        let got = match early {
            Poll::Ready(got) => got,
            Poll::Pending => {
                second.sleep();
                second.block_on(|waker| other.poll(&waker))
            }
        };
        assert_eq!(got, Done::Received(Some(7)));
    } else {
        drop(one);
    }
    drop(ManuallyDrop::into_inner(other));
    ended(sender);
    nobody_waits(&both);
}

/// A select that would send into a channel or receive from it is polled again and again: its value
/// goes to another.
fn alone() {
    let both = channels(0);
    let receiver = receiver(&both, 0);
    let select = ManuallyDrop::new(PolledSelect::new(&[&both[0]], &[(&both[0], 1)]));
    let executor = Executor::new();
    let early = [(); 2].map(|()| executor.waker()).iter().find_map(|waker| {
        let polled = select.poll(waker);
        polled.is_ready().then_some(polled)
    });
    let done = match early {
        Some(Poll::Ready(done)) => done,
        _ => executor.block_on(|waker| select.poll(&waker)),
    };
    drop(ManuallyDrop::into_inner(select));
    both[0].remove_sender();
    assert_eq!((done, ended(receiver)), (Done::Sent(true), Some(1)));
    nobody_waits(&both);
}

/// A select that is polled meets one that parks, in one of the two ways.
fn two_selects() {
    let both = channels(0);
    let other = {
        let both = both.clone();
        thread::spawn(move || {
            recv_or_send(&both, 0, 2, &TestWaiter::new()).expect("the other comes")
        })
    };
    let select = ManuallyDrop::new(PolledSelect::new(&[&both[1]], &[(&both[0], 1)]));
    let mine = Executor::new().block_on(|waker| select.poll(&waker));
    drop(ManuallyDrop::into_inner(select));
    match (mine, ended(other)) {
        (Done::Sent(true), Done::Received(Some(1)))
        | (Done::Received(Some(2)), Done::Sent(true)) => {}
        pair => unreachable!("they did not meet: {pair:?}"),
    }
    nobody_waits(&both);
}

models! {
    holds two_receivers_hold = two_receivers within 2 preemptions;
    holds dropped_holds = dropped within 3 preemptions;
    holds passed_on_holds = passed_on within 2 preemptions;
    holds alone_holds = alone within 3 preemptions;
    holds two_selects_hold = two_selects within 2 preemptions;
    catches an_offer_without_a_race = "select.polled_unraced" in two_receivers
        within 2 preemptions;
    catches a_wake_up_that_is_kept = "select.polled_keeps_wake_up" in passed_on
        within 2 preemptions;
    catches a_select_that_meets_itself = "select.polled_meets_itself" in alone
        within 2 preemptions;
}
