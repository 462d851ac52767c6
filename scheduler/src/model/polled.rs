//! Futures that receive: a value against a poll, and against the drop of a future that was woken for it.
//!
//! # Safety
//!
//! The futures here are pinned.

#![expect(unsafe_code, reason = "polls what is in a pinned future")]

use gosched_runtime_sys::primitive::{Futex, Ordering, thread};
use std::mem::ManuallyDrop;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Poll, Wake, Waker};

use super::models;
use crate::chan::future::Receiving;
use crate::chan::raw::Channel;
use crate::chan::seat::Seat;

/// Who polls: woken, it polls again.
struct Executor(Futex);

impl Wake for Executor {
    fn wake(self: Arc<Self>) {
        self.0.word.swap(1, Ordering::Release);
        self.0.wake();
    }
}

impl Executor {
    fn new() -> Arc<Self> {
        Arc::new(Self(Futex::new(0)))
    }

    fn poll(self: &Arc<Self>, future: &Pin<Box<Receiving<'_, u32, Seat>>>) -> Poll<Option<u32>> {
        // SAFETY: pinned.
        unsafe { future.poll(Waker::from(self.clone())) }.0.map(Result::ok)
    }

    fn block_on(self: &Arc<Self>, future: &Pin<Box<Receiving<'_, u32, Seat>>>) -> Option<u32> {
        loop {
            if let Poll::Ready(received) = self.poll(future) {
                return received;
            }
            self.sleep();
        }
    }

    /// Until it is woken.
    fn sleep(&self) {
        while self.0.word.swap(0, Ordering::Acquire) == 0 {
            self.0.wait(0);
        }
    }
}

fn sender(channel: &Arc<Channel<u32, Seat>>) -> thread::JoinHandle<()> {
    let channel = channel.clone();
    thread::spawn(move || assert_eq!(Seat::new().send(&channel, 7), Some(true)))
}

/// A future has the value, with and without a buffer, whoever comes first.
fn received(capacity: usize) {
    let channel = Arc::new(Channel::new(Some(capacity)));
    let sender = sender(&channel);
    let future = Box::pin(Receiving::new(&channel));
    assert_eq!(Executor::new().block_on(&future), Some(7));
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
    let one = Box::pin(Receiving::new(&channel));
    // Not dropped by a model that failed: its lock is gone then.
    let other = ManuallyDrop::new(Box::pin(Receiving::new(&channel)));
    if first.poll(&one).is_pending() {
        let early = second.poll(&other);
        drop(one);
        let got = match early {
            Poll::Ready(got) => got,
            Poll::Pending => {
                second.sleep();
                second.block_on(&other)
            }
        };
        assert_eq!(got, Some(7));
    }
    drop(ManuallyDrop::into_inner(other));
    sender.join().expect("its asserts hold");
    assert_eq!(channel.waiting(), (0, 0), "a node was left behind");
}

models! {
    holds buffered_holds = buffered within 3 preemptions;
    holds rendezvous_holds = rendezvous within 3 preemptions;
    holds dropped_holds = dropped within 3 preemptions;
    catches a_wake_up_that_is_kept = "polled.keeps_wake_up" in dropped within 3 preemptions;
}
