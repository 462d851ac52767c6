//! Notifications against the polls of futures, their drops, and goroutines that wait.
//!
//! # Safety
//!
//! The futures here are pinned.

#![expect(unsafe_code, reason = "polls what is pinned")]

use gosched_runtime_sys::sync::primitive::thread;
use std::mem::ManuallyDrop;
use std::pin::Pin;
// Not loom's: its `Arc` aborts when it is dropped by a model that failed.
use std::sync::Arc;
use std::task::{Poll, Waker};

use super::executor::Executor;
use super::models;
use crate::sync::raw::notify::{RawNotify, Round};
use crate::testing::TestWaiter;
use crate::wait::polled::PolledNode;

type Notify = Arc<RawNotify<TestWaiter>>;

/// A future that waits to be notified, with its executor.
struct Waiting {
    notify: Notify,
    made: Round,
    node: PolledNode<Round, TestWaiter>,
    executor: Arc<Executor>,
}

impl Waiting {
    /// Not dropped by a failed model, whose lock is gone then.
    fn new(notify: &Notify) -> ManuallyDrop<Pin<Box<Self>>> {
        let (notify, made, node) = (notify.clone(), notify.round(), PolledNode::new(None));
        ManuallyDrop::new(Box::pin(Self { notify, made, node, executor: Executor::new() }))
    }

    fn poll(self: &Pin<Box<Self>>, waker: Waker) -> Poll<()> {
        // SAFETY: pinned; `drop` leaves.
        let notified = unsafe { self.notify.poll(&self.node, self.made, waker) };
        if notified { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Polls once.
    fn begin(self: &Pin<Box<Self>>) -> Poll<()> {
        self.poll(self.executor.waker())
    }

    /// Ends the wait: polls when it is woken.
    fn end(self: &Pin<Box<Self>>) {
        self.executor.sleep();
        self.executor.block_on(|waker| self.poll(waker));
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.notify.leave(&self.node);
    }
}

fn notify_one(notify: &Notify) -> thread::JoinHandle<()> {
    let notify = notify.clone();
    thread::spawn(move || notify.notify_one())
}

/// Two futures wait and two notifications come: both futures have one.
fn two_for_two() {
    let notify = Notify::new(RawNotify::new());
    let futures = [(); 2].map(|()| Waiting::new(&notify));
    assert!(futures.iter().all(|future| future.begin().is_pending()));
    let other = notify_one(&notify);
    notify.notify_one();
    for future in futures {
        future.end();
        drop(ManuallyDrop::into_inner(future));
    }
    other.join().expect("it does not panic");
    assert!(!notify.try_wait(), "both were used");
}

/// Of two futures one is dropped, woken or not: the other has the notification.
fn dropped() {
    let notify = Notify::new(RawNotify::new());
    let [one, other] = [(); 2].map(|()| Waiting::new(&notify));
    assert!(one.begin().is_pending());
    assert!(other.begin().is_pending());
    let notifier = notify_one(&notify);
    drop(ManuallyDrop::into_inner(one));
    other.end();
    drop(ManuallyDrop::into_inner(other));
    notifier.join().expect("it does not panic");
    assert!(!notify.try_wait(), "it was used");
}

/// All are notified. While they are woken, one of them makes a future and notifies it.
fn one_after_all() {
    let notify = Notify::new(RawNotify::new());
    let [one, other] = [(); 2].map(|()| Waiting::new(&notify));
    assert!(one.begin().is_pending());
    assert!(other.begin().is_pending());
    let theirs = notify.clone();
    let notifier = thread::spawn(move || theirs.notify_waiters());
    if one.begin().is_pending() {
        one.end();
    }
    let third = Waiting::new(&notify);
    assert!(third.begin().is_pending(), "the others were notified before");
    notify.notify_one();
    third.end();
    other.end();
    notifier.join().expect("it does not panic");
    [one, other, third].into_iter().map(ManuallyDrop::into_inner).for_each(drop);
    assert!(!notify.try_wait(), "it was used");
}

/// A goroutine and a future wait, or do not yet; two notifications come.
fn parked_and_polled() {
    let notify = Notify::new(RawNotify::new());
    let theirs = notify.clone();
    let parked = thread::spawn(move || {
        let waiter = TestWaiter::new();
        assert!(theirs.wait(None, || waiter.begin()).is_ok());
    });
    let future = Waiting::new(&notify);
    notify.notify_one();
    let early = future.begin();
    if early.is_pending() {
        notify.notify_one();
        future.end();
    } else {
        notify.notify_one();
    }
    parked.join().expect("its asserts hold");
    drop(ManuallyDrop::into_inner(future));
    assert!(!notify.try_wait(), "both were used");
}

models! {
    holds two_for_two_holds = two_for_two within 3 preemptions;
    holds dropped_holds = dropped within 3 preemptions;
    holds one_after_all_holds = one_after_all within 3 preemptions;
    holds parked_and_polled_holds = parked_and_polled within 3 preemptions;
    catches a_permit_for_two = "notify.one_permit_for_two" in two_for_two within 3 preemptions;
    catches a_notification_that_is_kept = "notify.keeps_notification"
        in dropped within 3 preemptions;
    catches one_given_to_the_notified = "notify.one_for_the_notified"
        in one_after_all within 3 preemptions;
}
