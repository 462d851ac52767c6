//! Futures that receive and that send: a value against a poll, and against the drop of a future
//! that was woken for it.
//!
//! # Safety
//!
//! The futures here are pinned.

#![expect(unsafe_code, reason = "polls what is in a pinned future")]

use gosched_runtime_sys::sync::primitive::thread;
use std::mem::ManuallyDrop;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::task::{Poll, Waker};

use super::executor::Executor;
use super::models;
use crate::chan::future::{Receiving, Sending};
use crate::chan::raw::Channel;
use crate::testing::TestWaiter;

/// Polls as somebody's executor does.
fn poll<T>(future: &Pin<Box<Receiving<&Channel<T, TestWaiter>>>>, waker: Waker) -> Poll<Option<T>> {
    // SAFETY: pinned.
    unsafe { future.poll(waker) }.0.map(Result::ok)
}

fn sender(channel: &Arc<Channel<u32, TestWaiter>>) -> thread::JoinHandle<()> {
    let channel = channel.clone();
    thread::spawn(move || assert_eq!(TestWaiter::new().send(&channel, 7), Some(true)))
}

/// A future has the value, with and without a buffer, whichever comes first.
fn received(capacity: usize) {
    let channel = Arc::new(Channel::new(Some(capacity)));
    let sender = sender(&channel);
    let future = Box::pin(Receiving::new(&*channel));
    assert_eq!(Executor::new().block_on(|waker| poll(&future, waker)), Some(7));
    drop(future);
    sender.join().expect("its asserts hold");
    assert_eq!(channel.waiting(), (0, 0), "a node was left behind");
}

fn buffered() {
    received(1);
}

fn rendezvous() {
    received(0);
}

/// Of two futures one is dropped, woken or not: the other has the value.
fn dropped() {
    let channel = Arc::new(Channel::new(Some(1)));
    let sender = sender(&channel);
    let (first, second) = (Executor::new(), Executor::new());
    let one = Box::pin(Receiving::new(&*channel));
    // Not dropped by a failed model, whose lock is gone then.
    let other = ManuallyDrop::new(Box::pin(Receiving::new(&*channel)));
    if poll(&one, first.waker()).is_pending() {
        let early = poll(&other, second.waker());
        drop(one);
        let got = match early {
            Poll::Ready(got) => got,
            Poll::Pending => {
                second.sleep();
                second.block_on(|waker| poll(&other, waker))
            }
        };
        assert_eq!(got, Some(7));
    }
    drop(ManuallyDrop::into_inner(other));
    sender.join().expect("its asserts hold");
    assert_eq!(channel.waiting(), (0, 0), "a node was left behind");
}

/// Two futures meet without a buffer, whichever comes first: a future that begins to wait with a
/// value wakes the other.
fn two_futures() {
    let channel = Arc::new(Channel::new(Some(0)));
    let theirs = channel.clone();
    let receiver = thread::spawn(move || {
        let future = Box::pin(Receiving::new(&*theirs));
        assert_eq!(Executor::new().block_on(|waker| poll(&future, waker)), Some(7));
    });
    // Not dropped by a failed model, whose lock is gone then.
    let future = ManuallyDrop::new(Box::pin(Sending::new(&*channel, 7)));
    // SAFETY: pinned.
    assert!(Executor::new().block_on(|waker| unsafe { future.poll(waker) }).is_ok());
    drop(ManuallyDrop::into_inner(future));
    receiver.join().expect("its asserts hold");
    assert_eq!(channel.waiting(), (0, 0), "a node was left behind");
}

/// A value whose drops are counted.
struct Counted(Arc<AtomicU32>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_add(1, Relaxed);
    }
}

/// A future that sends is dropped while a receiver comes: its value is received, or dropped with
/// it.
fn dropped_sender(capacity: usize) {
    let drops = Arc::new(AtomicU32::new(0));
    let channel = Arc::new(Channel::<_, TestWaiter>::new(Some(capacity)));
    for _ in 0..capacity {
        assert_eq!(TestWaiter::new().send(&channel, Counted(drops.clone())), Some(true));
    }
    let future = Box::pin(Sending::new(&*channel, Counted(drops.clone())));
    // SAFETY: pinned.
    assert!(unsafe { future.poll(Executor::new().waker()) }.is_pending());
    let theirs = channel.clone();
    let receiver = thread::spawn(move || {
        // Kept, so that the values are counted below.
        [theirs.try_recv(|| ()).ok(), theirs.try_recv(|| ()).ok()]
    });
    drop(future);
    let dropped = drops.load(Relaxed);
    let received = receiver.join().expect("it does not panic");
    let left = std::iter::from_fn(|| channel.try_recv(|| ()).ok()).count();
    let had = received.iter().flatten().count();
    assert_eq!(dropped as usize + had + left, capacity + 1, "a value is in one place");
    assert_eq!(channel.waiting(), (0, 0), "a node was left behind");
    drop(received);
    assert_eq!(drops.load(Relaxed) as usize, capacity + 1);
}

fn dropped_before_the_hand_over() {
    dropped_sender(0);
}

fn dropped_before_there_was_room() {
    dropped_sender(1);
}

/// The same, polled once more before: its result says what became of the value.
fn a_sender_learns() {
    let channel = Arc::new(Channel::<_, TestWaiter>::new(Some(0)));
    let future = ManuallyDrop::new(Box::pin(Sending::new(&*channel, 7)));
    // SAFETY: pinned.
    assert!(unsafe { future.poll(Executor::new().waker()) }.is_pending());
    let theirs = channel.clone();
    let receiver = thread::spawn(move || theirs.try_recv(|| ()).ok());
    // SAFETY: pinned.
    let early = unsafe { future.poll(Executor::new().waker()) };
    let received = receiver.join().expect("it does not panic");
    assert_eq!(received, Some(7), "it waited all the time");
    // SAFETY: pinned.
    assert!(early.is_ready() || unsafe { future.poll(Executor::new().waker()) }.is_ready());
    drop(ManuallyDrop::into_inner(future));
}

models! {
    holds buffered_holds = buffered within 3 preemptions;
    holds rendezvous_holds = rendezvous within 3 preemptions;
    holds dropped_holds = dropped within 3 preemptions;
    holds two_futures_hold = two_futures within 3 preemptions;
    holds dropped_before_the_hand_over_holds = dropped_before_the_hand_over within 3 preemptions;
    holds dropped_before_there_was_room_holds = dropped_before_there_was_room within 3 preemptions;
    holds a_sender_learns_holds = a_sender_learns within 3 preemptions;
    catches a_sender_that_says_nothing = "polled.sends_in_silence"
        in two_futures within 3 preemptions;
    catches a_wake_up_that_is_kept = "polled.keeps_wake_up" in dropped within 3 preemptions;
}
