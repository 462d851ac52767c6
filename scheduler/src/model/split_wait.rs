//! A wait in two parts, with the switch in between, against a hand-over and a cancel.
//!
//! # Safety
//!
//! A wait here lies in memory that is never freed, and both parts have the same list.

#![expect(unsafe_code, reason = "begins and ends waits")]

use gosched_runtime_sys::lock::Mutex;
use gosched_runtime_sys::primitive::thread;
// Not loom's, which aborts when it is dropped by a model that failed.
use std::sync::Arc;

use super::models;
use crate::testing::Seat;
use crate::wait::park::Parks;
use crate::wait::parked::{TwoPart, Waited};
use crate::wait::waiter::WaitList;

type List = WaitList<u32, Seat>;

fn whole(list: &mut List) -> &mut List {
    list
}

/// Waits; none if it was cancelled.
fn received(queue: &Mutex<List>, seat: &Seat) -> Option<u32> {
    // For ever: the mistake leaves a node behind.
    let wait: &TwoPart<u32, Seat> = Box::leak(Box::new(TwoPart::new()));
    let seat = seat.sit();
    // SAFETY: it is this lock's, and new.
    let parks =
        unsafe { wait.begin(queue, queue.lock(), whole, (None, seat.target()), || seat, None) };
    assert!(parks, "nobody was woken meanwhile");
    seat.park_until(None);
    // SAFETY: it was begun.
    match unsafe { wait.end(queue, whole, || seat) } {
        (Waited::Served(value), _) => Some(value.expect("who serves it gives a value")),
        (Waited::Cancelled(value), Some(_)) => {
            assert_eq!(value, None, "it was lost");
            None
        }
        _ => unreachable!("there is no deadline"),
    }
}

/// Whoever comes first of the two, the value is with the one who waits, or nobody took it.
fn served_or_cancelled() {
    let (queue, seat) = (Arc::new(Mutex::new(List::new())), Seat::new());
    let waiter = {
        let (queue, seat) = (queue.clone(), seat.clone());
        thread::spawn(move || received(&queue, &seat))
    };
    let canceller = thread::spawn(move || seat.cancel());
    let mut list = queue.lock();
    let served = list.pop().map(|waiter| waiter.give(7));
    drop(list);
    let gave = served.map(|roused| roused.now()).is_some();
    let received = waiter.join().expect("its asserts hold");
    canceller.join().expect("no panic");
    assert_eq!(received, gave.then_some(7));
    assert!(queue.lock().is_empty(), "a node was left behind");
}

models! {
    holds served_or_cancelled_holds = served_or_cancelled within 3 preemptions;
    catches an_end_that_takes_a_wake_up_for_a_value = "waiter.end_unseen" in served_or_cancelled within 3 preemptions;
}
