//! A wait inside of a wait: a sender that begins to wait wakes a future, whose waker waits on the
//! sender's own park word, and the sender is served meanwhile.
//!
//! # Safety
//!
//! The futures here are pinned.

#![expect(unsafe_code, reason = "polls what is in a pinned future")]

use gosched_runtime_sys::sync::primitive::thread;
// Not loom's: its `Arc` aborts when it is dropped by a model that failed.
use std::mem::ManuallyDrop;
use std::sync::Arc;
use std::task::{Wake, Waker};

use super::models;
use crate::chan::future::Receiving;
use crate::chan::raw::Channel;
use crate::chan::select::model::{Both, Done, recv_or_recv};
use crate::testing::TestWaiter;

fn channel(capacity: usize) -> Channel<u32, TestWaiter> {
    Channel::new(Some(capacity))
}

/// A waker that waits for a value of the first of two channels, as the party that calls it.
struct Waits {
    party: TestWaiter,
    inner: Arc<Both>,
    selects: bool,
}

impl Wake for Waits {
    fn wake(self: Arc<Self>) {
        let (party, inner) = (&self.party, &self.inner);
        let received = if self.selects {
            let done = recv_or_recv(inner, None, party).expect("there is no deadline");
            let Done::Received(received) = done else { unreachable!("both receive") };
            received
        } else {
            party.recv(&inner[0]).expect("nobody cancels this one")
        };
        assert_eq!(received, Some(7));
    }
}

/// Whenever the outer wait is served, the inner one parks until it has its value.
fn a_waker_waits(selects: bool) {
    let outer = Arc::new(channel(0));
    let (inner, party) = (Arc::new([channel(1), channel(0)]), TestWaiter::new());
    let waits = Arc::new(Waits { party: party.clone(), inner: inner.clone(), selects });
    // Not dropped by a failed model, whose lock is gone then.
    let future = ManuallyDrop::new(Box::pin(Receiving::new(&*outer)));
    // SAFETY: pinned.
    assert!(unsafe { future.poll(Waker::from(waits)) }.0.is_pending());
    let receiver = {
        let outer = outer.clone();
        thread::spawn(move || TestWaiter::new().recv(&outer))
    };
    let sender = thread::spawn(move || TestWaiter::new().send(&inner[0], 7));
    assert_eq!(party.send(&outer, 1), Some(true));
    assert_eq!(receiver.join().expect("its asserts hold"), Some(Some(1)));
    assert_eq!(sender.join().expect("its asserts hold"), Some(true));
    drop(ManuallyDrop::into_inner(future));
    assert_eq!(outer.waiting(), (0, 0), "a node was left behind");
}

fn a_waker_receives() {
    a_waker_waits(false);
}

fn a_waker_selects() {
    a_waker_waits(true);
}

models! {
    holds a_waker_receives_holds = a_waker_receives within 3 preemptions;
    holds a_waker_selects_holds = a_waker_selects within 2 preemptions;
    catches a_notification_that_sticks = "waiter.notification_sticks"
        in a_waker_receives within 3 preemptions;
    catches a_notification_that_sticks_in_a_select = "select.notification_sticks"
        in a_waker_selects within 2 preemptions;
}
