//! Wakers against the wait of the polling thread.

use gosched_runtime_sys::sync::primitive::thread;
// Not loom's: its `Arc` aborts when it is dropped by a model that failed.
use std::sync::Arc;

use super::models;
use crate::future::Signal;
use crate::testing::TestWaiter;

fn waker(signal: &Arc<Signal<TestWaiter>>) -> thread::JoinHandle<()> {
    let signal = signal.clone();
    thread::spawn(move || signal.wake_up())
}

/// One waker wakes: the wait is over, whenever that was.
fn woken() {
    let signal = Arc::new(Signal::<TestWaiter>::new());
    let waker = waker(&signal);
    let waiter = TestWaiter::new();
    signal.wait(|| waiter.begin());
    waker.join().unwrap();
}

/// Two wakers wake, the second perhaps after all is over. A wake-up after the end of a wait is not
/// lost on the next wait.
fn woken_twice() {
    let signal = Arc::new(Signal::<TestWaiter>::new());
    let wakers = [waker(&signal), waker(&signal)];
    let waiter = TestWaiter::new();
    signal.wait(|| waiter.begin());
    for waker in wakers {
        waker.join().unwrap();
    }
    signal.wake_up();
    signal.wait(|| waiter.begin());
}

models! {
    holds a_waker_and_a_wait = woken;
    holds two_wakers_and_two_waits = woken_twice within 3 preemptions;
    catches a_wake_that_is_forgotten = "future.wake_forgotten" in woken;
    catches a_wait_that_looks_once = "future.looks_once" in woken;
}
