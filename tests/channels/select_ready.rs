//! `Select::ready` and its kind: who only looks takes nothing from anybody, and is told.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use gosched::chan::{self, ReadyTimeoutError, Select, TryReadyError, TryRecvError};
use gosched::{Cancelled, go, select};
use test_support::each_mode;

use crate::until;
use crate::waker::{Count, poll};

const SOON: Duration = Duration::from_millis(1);

#[test]
fn what_is_ready_is_told_and_not_done() {
    let ((a_tx, a), (b_tx, b)) = (chan::bounded::<u32>(1), chan::bounded::<u32>(1));
    let mut list = Select::new();
    let (from_a, from_b) = (list.recv(&a), list.recv(&b));
    assert_eq!(list.try_ready(), Err(TryReadyError));
    assert_eq!(list.ready_timeout(SOON), Err(ReadyTimeoutError));
    assert_eq!(list.ready_deadline(Instant::now()), Err(ReadyTimeoutError));
    b_tx.send(1).unwrap();
    for _ in 0..3 {
        assert_eq!(list.ready(), from_b);
    }
    assert_eq!(b.try_recv(), Ok(1));
    // A case that sends keeps its value.
    let into_a = list.send(&a_tx, 5);
    assert_eq!((list.try_ready(), list.ready()), (Ok(into_a), into_a));
    assert!(a.is_empty());
    assert_eq!(list.take_back(into_a, &a_tx), 5);
    assert!(a_tx.close());
    assert_eq!(list.ready(), from_a, "the end is something to be had");
    assert_eq!(a.try_recv(), Err(TryRecvError::Disconnected));
    // Without a case nothing is ever ready.
    assert_eq!(Select::new().ready_timeout(SOON), Err(ReadyTimeoutError));
}

#[test]
fn each_of_the_ready_is_told() {
    let (tx, rx) = chan::unbounded::<u32>();
    tx.send(1).unwrap();
    let mut list = Select::new();
    list.recv(&rx);
    list.send(&tx, 2);
    list.recv(&rx);
    let mut times = [0; 3];
    (0..600).for_each(|_| times[list.ready()] += 1);
    assert!(times.iter().all(|times| *times > 100), "{times:?}");
}

/// Runs `events` while so many observe, each with one case; asserts that all are told.
fn all_are_told(
    observe: impl Fn() -> usize + Send + Sync + 'static,
    observers: usize,
    event: impl FnOnce(),
) {
    let (observe, about) = (Arc::new(observe), Arc::new(AtomicUsize::new(0)));
    let observers: Vec<_> = (0..observers)
        .map(|_| {
            let (observe, about) = (observe.clone(), about.clone());
            go(move || {
                about.fetch_add(1, Ordering::SeqCst);
                observe()
            })
        })
        .collect();
    while about.load(Ordering::SeqCst) < observers.len() {
        gosched::yield_now();
    }
    event();
    observers.into_iter().for_each(|observer| assert_eq!(observer.join().unwrap(), 0));
}

#[test]
fn all_who_observe_are_told_of_each_kind_of_event() {
    const OBSERVERS: usize = 5;
    each_mode(|rt, _| {
        rt.run(|| {
            for _ in 0..20 {
                // A value comes.
                let (tx, rx) = chan::bounded::<u32>(1);
                let theirs = rx.clone();
                let observe = move || {
                    let mut list = Select::new();
                    list.recv(&theirs);
                    list.ready()
                };
                all_are_told(observe, OBSERVERS, || tx.send(1).unwrap());
                // There is room.
                let theirs = tx.clone();
                let observe = move || {
                    let mut list = Select::new();
                    list.send(&theirs, 2);
                    list.ready()
                };
                all_are_told(observe, OBSERVERS, || assert_eq!(rx.recv(), Ok(1)));
                // The other side goes.
                tx.send(3).unwrap();
                let theirs = tx.clone();
                let observe = move || {
                    let mut list = Select::new();
                    list.send(&theirs, 2);
                    list.ready()
                };
                all_are_told(observe, OBSERVERS, || drop(rx));
                // It is closed.
                let (tx, rx) = chan::bounded::<u32>(1);
                let observe = move || {
                    let mut list = Select::new();
                    list.recv(&rx);
                    list.ready()
                };
                all_are_told(observe, OBSERVERS, || assert!(tx.close()));
            }
        });
    });
}

#[test]
fn without_a_buffer_whoever_waits_to_do_something_is_seen() {
    each_mode(|rt, _| {
        rt.run(|| {
            let (tx, rx) = chan::bounded::<u32>(0);
            for way in 0..4 {
                let theirs = (tx.clone(), rx.clone());
                let waits = go(move || match way {
                    0 => theirs.0.send(1).unwrap(),
                    1 => select! { send(theirs.0, 1) -> sent => sent.unwrap() },
                    2 => assert_eq!(theirs.1.recv(), Ok(2)),
                    _ => select! { recv(theirs.1) -> n => assert_eq!(n, Ok(2)) },
                });
                let mut list = Select::new();
                list.recv(&rx);
                list.send(&tx, 2);
                assert_eq!(list.ready(), way / 2);
                match list.try_select().expect("nobody else is there") {
                    chosen if way < 2 => assert_eq!(chosen.recv(&rx), Ok(1)),
                    chosen => chosen.send(&tx).unwrap(),
                }
                waits.join().unwrap();
            }
        });
    });
}

#[test]
fn the_offer_of_a_future_is_seen_and_its_wish_is_not() {
    let (tx, rx) = chan::bounded::<u32>(0);
    let (count, told) = (Count::new(), Arc::new(AtomicBool::new(false)));
    let observer = {
        let (rx, told) = (rx.clone(), told.clone());
        thread::spawn(move || {
            let mut list = Select::new();
            list.recv(&rx);
            list.ready();
            told.store(true, Ordering::SeqCst);
        })
    };
    // Nothing is handed into a future, so it is nobody to send to.
    let mut wish = Box::pin(rx.recv_async());
    assert!(poll(&mut wish, &count).is_pending());
    let mut list = Select::new();
    list.send(&tx, 1);
    assert_eq!(list.try_ready(), Err(TryReadyError));
    drop(wish);
    assert!(!told.load(Ordering::SeqCst));
    let mut offer = Box::pin(tx.send_async(7));
    assert!(poll(&mut offer, &count).is_pending());
    until(|| told.load(Ordering::SeqCst));
    observer.join().unwrap();
    assert_eq!(rx.try_recv(), Ok(7));
}

#[test]
fn those_who_observe_keep_nothing_from_those_who_receive() {
    each_mode(|rt, _| {
        rt.run(|| {
            let (tx, rx) = chan::bounded::<u32>(0);
            let (stop_tx, stop) = chan::bounded::<()>(0);
            let observers: Vec<_> = (0..3)
                .map(|_| {
                    let (rx, stop) = (rx.clone(), stop.clone());
                    go(move || {
                        let mut list = Select::new();
                        list.recv(&rx);
                        let stopped = list.recv(&stop);
                        // Told of a value, it does nothing with it.
                        while list.ready() != stopped {
                            gosched::yield_now();
                        }
                    })
                })
                .collect();
            let receiver = go(move || rx.iter().sum::<u32>());
            (1..=500).for_each(|n| tx.send(n).unwrap());
            drop((tx, stop_tx));
            assert_eq!(receiver.join().unwrap(), 500 * 501 / 2);
            observers.into_iter().for_each(|observer| observer.join().unwrap());
        });
    });
}

#[test]
fn what_is_given_up_is_passed_on() {
    each_mode(|rt, _| {
        rt.run(|| {
            // Some give up, by a limit or a cancel, while events come: those that stay are told.
            let (tx, rx) = chan::bounded::<u32>(1);
            for n in 0..200 {
                let token = gosched::cancel::Token::new();
                let stays = {
                    let rx = rx.clone();
                    go(move || {
                        let mut list = Select::new();
                        list.recv(&rx);
                        list.ready()
                    })
                };
                let goes: Vec<_> = (0..3)
                    .map(|way| {
                        let (rx, token) = (rx.clone(), token.clone());
                        go(move || {
                            let outcome: Result<_, Cancelled> = token.run(|| {
                                let mut list = Select::new();
                                list.recv(&rx);
                                match way {
                                    0 => list.ready_timeout(Duration::from_micros(n)).is_ok(),
                                    _ => list.ready() == 0,
                                }
                            });
                            outcome.is_ok()
                        })
                    })
                    .collect();
                if n % 2 == 0 {
                    gosched::yield_now();
                }
                let sender = {
                    let tx = tx.clone();
                    go(move || tx.send(1).unwrap())
                };
                token.cancel();
                assert_eq!(stays.join().unwrap(), 0);
                goes.into_iter().for_each(|goes| _ = goes.join().unwrap());
                sender.join().unwrap();
                assert_eq!(rx.recv(), Ok(1));
            }
        });
    });
}

#[test]
fn the_clock_is_observed() {
    let timer = gosched::time::Timer::stopped();
    let (_tx, rx) = chan::bounded::<u32>(0);
    let mut list = Select::new();
    list.recv(&rx);
    let due = list.recv(timer.channel());
    assert_eq!(list.ready_timeout(SOON), Err(ReadyTimeoutError));
    thread::scope(|scope| {
        let told = scope.spawn(|| list.ready());
        timer.reset(SOON);
        assert_eq!(told.join().unwrap(), due);
    });
    assert!(timer.channel().try_recv().is_ok());
}
