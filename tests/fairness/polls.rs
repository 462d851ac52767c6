//! A thread that looks at a channel again and again has the channel's lock most of the time. Those
//! that send and receive have it all the same.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use gosched::{Runtime, chan};
use test_support::each_mode;

use crate::support::{alone, at_most, measured};

/// How many values pass while the threads poll.
const VALUES: usize = 2000;

/// Returns the longest time that a value takes to a goroutine and back, while two threads look at
/// both channels as often as they can.
fn longest_round_trip(rt: &Runtime) -> Duration {
    let (tx, rx) = chan::bounded::<usize>(1);
    let (back, answers) = chan::bounded::<usize>(1);
    let stop = Arc::new(AtomicBool::new(false));
    let pollers = [(); 2].map(|()| {
        let (stop, tx, answers) = (stop.clone(), tx.clone(), answers.clone());
        thread::spawn(move || {
            while !stop.load(Relaxed) {
                let _both = (tx.len(), answers.len());
            }
        })
    });
    let echo = rt.handle().go(move || rx.iter().for_each(|value| back.send(value).unwrap()));
    let trip = |value| {
        let began = Instant::now();
        tx.send(value).unwrap();
        assert_eq!(answers.recv(), Ok(value));
        began.elapsed()
    };
    let longest = (0..VALUES).map(trip).max();
    stop.store(true, Relaxed);
    pollers.into_iter().for_each(|poller| poller.join().unwrap());
    drop(tx);
    echo.join().unwrap();
    longest.unwrap_or_default()
}

#[test]
fn a_thread_that_polls_a_channel_starves_nobody_on_its_lock() {
    let _one = alone();
    measured("round trips beside threads that poll", || {
        let longest = Cell::new(Duration::ZERO);
        each_mode(|rt, _| longest.set(longest.get().max(longest_round_trip(rt))));
        at_most("the longest", longest.get(), Duration::from_millis(150))
    });
}
