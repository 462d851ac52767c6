//! A broadcast: values against receivers that wait, are too slow, or go.
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
use crate::chan::broadcast::ring::{Found, Next, Ring};
use crate::testing::TestWaiter;
use crate::wait::polled::PolledNode;

type Shared = Arc<Ring<u32, TestWaiter>>;

/// A future that receives.
struct Receiving {
    ring: Shared,
    next: Next,
    node: PolledNode<(), TestWaiter>,
}

impl Receiving {
    /// Not dropped by a failed model, whose lock is gone then.
    fn new(ring: &Shared, next: Next) -> ManuallyDrop<Pin<Box<Self>>> {
        let (ring, node) = (ring.clone(), PolledNode::new(None));
        ManuallyDrop::new(Box::pin(Self { ring, next, node }))
    }

    fn poll(self: &Pin<Box<Self>>, waker: Waker) -> Poll<Found<u32>> {
        // SAFETY: pinned; `drop` leaves.
        match unsafe { self.ring.poll(&self.node, &self.next, waker) } {
            Found::Nothing => Poll::Pending,
            found => Poll::Ready(plain(found)),
        }
    }
}

impl Drop for Receiving {
    fn drop(&mut self) {
        self.ring.leave(&self.node);
        self.ring.remove_receiver(&self.next);
    }
}

fn plain(found: Found<Arc<u32>>) -> Found<u32> {
    match found {
        Found::Value(value) => Found::Value(*value),
        Found::Missed(n) => Found::Missed(n),
        Found::Closed => Found::Closed,
        Found::Nothing => Found::Nothing,
    }
}

/// Sends so many values on another thread, and goes.
fn sender(ring: &Shared, values: u32) -> thread::JoinHandle<()> {
    let ring = ring.clone();
    thread::spawn(move || {
        (0..values).for_each(|n| assert_eq!(ring.send(n), Ok(1)));
        ring.remove_sender();
    })
}

/// Receives until all senders are gone. Each value is received in order, or counted as missed.
fn account(values: u32, mut receive: impl FnMut() -> Found<u32>) {
    let mut next = 0;
    loop {
        match receive() {
            Found::Value(value) => {
                assert_eq!(value, next, "in order, and once");
                next += 1;
            }
            Found::Missed(missed) => next += missed as u32,
            Found::Closed => break,
            Found::Nothing => unreachable!("it waits without a limit"),
        }
    }
    assert_eq!(next, values, "each was received or counted");
}

/// A receiver that parks has every value of two, or is told which it has missed.
fn parked(capacity: usize) {
    let ring: Shared = Arc::new(Ring::new(capacity));
    let sender = sender(&ring, 2);
    let (waiter, next) = (TestWaiter::new(), Next::first());
    account(2, || plain(ring.recv(&next, None, || waiter.begin())));
    sender.join().expect("its asserts hold");
    assert_eq!(ring.held(), (0, 0), "a value or a node was left behind");
}

fn room_for_all() {
    parked(2);
}

fn room_for_one() {
    parked(1);
}

/// The same of a future.
fn polled() {
    let ring: Shared = Arc::new(Ring::new(1));
    let sender = sender(&ring, 2);
    let (executor, future) = (Executor::new(), Receiving::new(&ring, Next::first()));
    account(2, || executor.block_on(|waker| future.poll(waker)));
    sender.join().expect("its asserts hold");
    drop(ManuallyDrop::into_inner(future));
    assert_eq!(ring.held(), (0, 0), "a value or a node was left behind");
}

/// Of two receivers one, a future that waits, goes while a value is sent: the other one has the
/// value, and then nobody does.
fn one_goes() {
    let ring: Shared = Arc::new(Ring::new(2));
    let (stays, goes) = (Next::first(), ring.add_receiver());
    let future = Receiving::new(&ring, goes);
    assert!(future.poll(Executor::new().waker()).is_pending());
    let theirs = ring.clone();
    let sender = thread::spawn(move || assert!(theirs.send(7).is_ok()));
    drop(ManuallyDrop::into_inner(future));
    let waiter = TestWaiter::new();
    assert_eq!(plain(ring.recv(&stays, None, || waiter.begin())), Found::Value(7));
    sender.join().expect("its asserts hold");
    assert_eq!(ring.held(), (0, 0), "a value or a node was left behind");
}

/// A receiver whose time is over has the value, or finds it later.
fn out_of_time() {
    let ring: Shared = Arc::new(Ring::new(1));
    let theirs = ring.clone();
    let sender = thread::spawn(move || assert_eq!(theirs.send(7), Ok(1)));
    let (waiter, next) = (TestWaiter::new(), Next::first());
    let in_time = ring.recv(&next, Some(std::time::Instant::now()), || waiter.begin());
    sender.join().expect("its asserts hold");
    let later = plain(ring.try_recv(&next));
    match plain(in_time) {
        Found::Nothing => assert_eq!(later, Found::Value(7)),
        found => assert_eq!((found, later), (Found::Value(7), Found::Nothing)),
    }
    assert_eq!(ring.held(), (0, 0), "a value or a node was left behind");
}

models! {
    holds room_for_all_holds = room_for_all within 3 preemptions;
    holds room_for_one_holds = room_for_one within 3 preemptions;
    holds polled_holds = polled within 3 preemptions;
    holds one_goes_holds = one_goes within 3 preemptions;
    holds out_of_time_holds = out_of_time within 3 preemptions;
    catches a_wake_up_before_the_value = "broadcast.wakes_first"
        in room_for_all within 3 preemptions;
    catches values_missed_in_silence = "broadcast.misses_in_silence"
        in room_for_one within 3 preemptions;
    catches a_value_kept_for_who_is_gone = "broadcast.awaits_the_gone"
        in one_goes within 3 preemptions;
}
