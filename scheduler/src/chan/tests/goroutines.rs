//! Channels between goroutines, and between them and plain threads, in each mode.
//!
//! # Safety
//!
//! The modes' promises: the goroutines here touch no thread-local and hold nothing bound to a
//! thread across a wait.

#![expect(unsafe_code, reason = "makes the promises of the switching modes")]

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use super::{Counted, ROUNDS, assert_dropped_once, counters, until};
use crate::chan::{RecvError, Sender, bounded, unbounded};
use crate::{Cancelled, Mode, Runtime, go};

fn modes() -> [Mode; 3] {
    // SAFETY: see the head of this file.
    let settled = unsafe { Mode::settled() };
    // SAFETY: see the head of this file.
    let migratory = unsafe { Mode::migratory() };
    [Mode::threads(), settled, migratory]
}

fn runtime(mode: Mode) -> Runtime {
    Runtime::builder(mode).procs(2).build().expect("a runtime")
}

#[test]
fn values_travel_in_order_between_goroutines_and_threads() {
    for mode in modes() {
        for capacity in [0, 1, 16] {
            let (first_tx, first_rx) = bounded(capacity);
            let (last_tx, last_rx) = bounded(capacity);
            let runtime = runtime(mode);
            let plain = thread::spawn(move || {
                (0..ROUNDS).for_each(|n| first_tx.send(n).expect("a goroutine receives"))
            });
            let stages = runtime.run(move || {
                let (tx, rx) = bounded(capacity);
                [
                    go(move || {
                        first_rx
                            .iter()
                            .for_each(|n| tx.send(n + 1).expect("the next stage receives"))
                    }),
                    go(move || {
                        rx.iter().for_each(|n| last_tx.send(n + 1).expect("the thread receives"))
                    }),
                ]
            });
            assert!(last_rx.iter().eq(2..ROUNDS + 2), "{mode:?}, capacity {capacity}");
            plain.join().expect("no panic");
            stages.into_iter().for_each(|stage| stage.join().expect("no panic"));
        }
    }
}

#[test]
fn goroutines_that_wait_for_each_other_switch() {
    for mode in modes() {
        let sum: usize = runtime(mode).run(|| {
            let (tx, rx) = unbounded();
            let pairs: Vec<_> = (0..10)
                .map(|pair| {
                    let (ping_tx, ping) = bounded(0);
                    let (pong_tx, pong) = bounded(0);
                    let results = tx.clone();
                    go(move || {
                        ping.iter()
                            .for_each(|n: usize| pong_tx.send(n + 1).expect("its pair receives"))
                    });
                    go(move || {
                        let last = (0..ROUNDS / 5).fold(pair, |n, _| {
                            ping_tx.send(n).expect("its pair receives");
                            pong.recv().expect("its pair sends")
                        });
                        results.send(last).expect("the root receives");
                    })
                })
                .collect();
            drop(tx);
            let sum = rx.iter().sum();
            pairs.into_iter().for_each(|pair| pair.join().expect("no panic"));
            sum
        });
        assert_eq!(sum, 45 + 10 * (ROUNDS / 5), "{mode:?}");
    }
}

#[test]
fn cancelled_goroutines_leave_the_channel() {
    for mode in modes() {
        let drops = counters(2);
        let (tx, rx) = bounded::<Counted>(0);
        let (_keeps_connected, never) = bounded::<()>(0);
        let runtime = runtime(mode);
        let value = |n| Counted(Arc::clone(&drops), n);
        let (offer, sender) = (value(0), tx.clone());
        let (waits_to_send, waits_to_receive) = runtime.run(|| {
            let receiver = never.clone();
            (go(move || sender.send(offer).is_ok()), go(move || receiver.recv()))
        });
        until(|| rx.channel.waiting().0 == 1 && never.channel.waiting().1 == 1);
        runtime.shutdown(Duration::from_secs(60)).expect("both can be cancelled");
        let payloads = [waits_to_send.join().map(drop), waits_to_receive.join().map(drop)];
        for payload in payloads {
            assert!(payload.expect_err("it was cancelled").is::<Cancelled>(), "{mode:?}");
        }
        assert_eq!((rx.channel.waiting(), never.channel.waiting()), ((0, 0), (0, 0)), "{mode:?}");
        assert_eq!(drops[0].load(Ordering::Relaxed), 1, "the value goes with the wait");
        assert!(tx.try_send(value(1)).is_err(), "nobody receives");
        assert_dropped_once(&drops);
    }
}

#[test]
fn a_goroutine_that_ends_disconnects() {
    for mode in modes() {
        let (tx, rx) = bounded(1);
        runtime(mode).run(|| {
            let sender = |tx: Sender<u32>| move || tx.send(7).expect("the root receives");
            let sent = go(sender(tx));
            assert_eq!((rx.recv(), rx.recv()), (Ok(7), Err(RecvError)), "{mode:?}");
            sent.join().expect("no panic");
        });
    }
}
