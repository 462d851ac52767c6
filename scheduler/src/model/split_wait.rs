//! A wait in two parts, with the switch in between, against a hand-over and a cancel.
//!
//! # Safety
//!
//! A wait here lies in memory that is never freed, and both parts have the same list.

#![expect(unsafe_code, reason = "begins and ends waits")]

use gosched_runtime_sys::sync::lock::Mutex;
use gosched_runtime_sys::sync::primitive::thread;
// Not loom's: its `Arc` aborts when it is dropped by a model that failed.
use std::sync::Arc;

use super::models;
use crate::testing::TestWaiter;
use crate::wait::park::Park;
use crate::wait::parked::{SplitWait, Waited};
use crate::wait::waiter::WaitList;

type List = WaitList<u32, TestWaiter>;

fn whole(list: &mut List) -> &mut List {
    list
}

/// Waits with 7 in its slot. True if that was taken, false if the wait was cancelled.
fn taken(queue: &Mutex<List>, party: &TestWaiter) -> bool {
    // Leaked, because the mistake leaves a node behind.
    let wait: &SplitWait<u32, TestWaiter> = Box::leak(Box::new(SplitWait::new()));
    let party = party.begin();
    // SAFETY: the list is this lock's, and the wait is new.
    let parks = unsafe {
        wait.begin(queue, queue.lock(), whole, (Some(7), party.target()), || party, None)
    };
    assert!(parks, "nobody was woken meanwhile");
    party.park_until(None);
    // SAFETY: the wait was begun.
    match unsafe { wait.end(queue, whole, || party) } {
        (Waited::Served(value), _) => {
            assert_eq!(value, None, "the waker takes it");
            true
        }
        (Waited::Cancelled(value), Some(_)) => {
            assert_eq!(value, Some(7), "it was lost");
            false
        }
        _ => unreachable!("there is no deadline"),
    }
}

/// Whichever of the two comes first, the waker has the value, or the waiter has it back.
fn served_or_cancelled() {
    let (queue, party) = (Arc::new(Mutex::new(List::new())), TestWaiter::new());
    let waiter = {
        let (queue, party) = (queue.clone(), party.clone());
        thread::spawn(move || taken(&queue, &party))
    };
    let canceller = thread::spawn(move || party.cancel());
    let mut list = queue.lock();
    let served = list.pop().map(|waiter| waiter.take());
    drop(list);
    let got = served.map(|(value, wakeup)| {
        wakeup.now();
        value.expect("it is in the slot")
    });
    let taken = waiter.join().expect("its asserts hold");
    canceller.join().expect("no panic");
    assert_eq!(got, taken.then_some(7));
    assert!(queue.lock().is_empty(), "a node was left behind");
}

models! {
    holds served_or_cancelled_holds = served_or_cancelled within 3 preemptions;
    catches an_end_that_takes_a_wake_up_for_a_value = "waiter.end_unseen"
        in served_or_cancelled within 3 preemptions;
}
