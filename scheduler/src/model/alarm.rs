//! The thread that calls futures' wakers at their time, against callers that put something in while
//! it goes to sleep.

use gosched_runtime_sys::sync::primitive::{AtomicU32, Ordering, thread};
// Not loom's: its `Arc` aborts when it is dropped by a model that failed.
use std::sync::Arc;
use std::task::{Wake, Waker};

use super::models;
use crate::wait::alarm::WakerTimers;

/// A waker that counts its calls.
struct Calls(AtomicU32);

impl Wake for Calls {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// The time that the thread reads: all that is put in here is due by then.
const NOW: u64 = 100;

/// Several threads put something in, in whatever order of times. The timer thread, which sleeps for
/// as long as it sees nothing, calls all wakers.
fn put_in<const N: usize>(times: [u64; N]) {
    let (timers, calls) = (Arc::new(WakerTimers::new()), Arc::new(Calls(AtomicU32::new(0))));
    let others = times.map(|at| {
        let (timers, waker) = (timers.clone(), Waker::from(calls.clone()));
        thread::spawn(move || assert!(timers.add(at, waker).is_some()))
    });
    loop {
        timers.call_due(NOW);
        if calls.0.load(Ordering::Relaxed) == N as u32 {
            break;
        }
        timers.sleep();
    }
    others.into_iter().for_each(|other| other.join().expect("its asserts hold"));
}

fn one() {
    put_in([5]);
}

fn two() {
    put_in([10, 5]);
}

/// A future is polled, and, about when its time has come, polled again with another waker: that one
/// is called, whatever became of the first.
fn polled_by_another() {
    let timers = Arc::new(WakerTimers::new());
    let [first, second] = [(); 2].map(|()| Arc::new(Calls(AtomicU32::new(0))));
    let timer = timers.add(5, Waker::from(first.clone())).expect("there is memory");
    let (theirs, last) = (timers.clone(), second.clone());
    let poll = thread::spawn(move || {
        if let Err(again) = theirs.replace(timer, Waker::from(last)) {
            assert!(theirs.add(5, again).is_some());
        }
    });
    loop {
        timers.call_due(NOW);
        if second.0.load(Ordering::Relaxed) == 1 {
            break;
        }
        timers.sleep();
    }
    poll.join().expect("its asserts hold");
    assert!(first.0.load(Ordering::Relaxed) <= 1);
}

models! {
    holds one_holds = one;
    holds two_hold = two within 3 preemptions;
    holds polled_by_another_holds = polled_by_another within 3 preemptions;
    catches a_wake_up_before_there_is_something = "alarm.wakes_first" in one;
    catches a_waker_put_in_too_late = "alarm.replaces_what_is_out"
        in polled_by_another within 3 preemptions;
}
