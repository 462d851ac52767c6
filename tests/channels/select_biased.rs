//! `select_biased!`: the first in the program's order.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use gosched::{chan, go, select_biased};
use test_support::each_mode;

const TURNS: usize = 200;

/// Channels in the order of their addresses, both ways, so that the order of locks is not that of
/// the program.
fn both_orders(test: impl Fn(&Pair, &Pair)) {
    let [one, another] = [chan::bounded(1), chan::bounded(1)];
    test(&one, &another);
    test(&another, &one);
}

type Pair = (chan::Sender<u32>, chan::Receiver<u32>);

#[test]
fn of_the_ready_the_first_is_done() {
    each_mode(|rt, _| {
        rt.run(|| {
            both_orders(|(first_tx, first), (second_tx, second)| {
                let (_never_tx, never) = chan::bounded::<()>(1);
                for turn in 0..TURNS as u32 {
                    first_tx.send(turn).unwrap();
                    second_tx.send(turn).unwrap();
                    // The one ahead is not ready: the look is at all channels.
                    let got = select_biased! {
                        recv(never) -> _ => unreachable!(),
                        recv(first) -> n => n,
                        recv(second) -> n => unreachable!("{n:?}"),
                    };
                    assert_eq!(got, Ok(turn));
                    // Directions make no difference, and `default` comes after all of them.
                    select_biased! {
                        recv(first) -> n => unreachable!("{n:?}"),
                        send(first_tx, turn) -> sent => sent.unwrap(),
                        recv(second) -> n => unreachable!("{n:?}"),
                        default => unreachable!(),
                    }
                    assert_eq!((first.recv(), second.recv()), (Ok(turn), Ok(turn)));
                }
            });
        });
    });
}

#[test]
fn the_forms_are_those_of_select() {
    let (tx, rx) = chan::bounded::<u32>(0);
    let mut slot = Some(7);
    let got = select_biased! {
        recv(rx) -> n => n.is_ok(),
        offer(tx, slot) -> sent => sent.is_ok(),
        default(Duration::from_millis(1)) => false,
    };
    assert_eq!((got, slot), (false, Some(7)), "a select does not meet itself");
    // A disconnected channel is ready; what stands before an operation in the list comes first.
    drop(tx);
    select_biased! {
        recv(rx) -> n => assert!(n.is_err()),
        recv(chan::after(Duration::ZERO)) -> _ => unreachable!(),
    }
    select_biased! { default => {} }
}

/// Several cases that wait for the same side of one channel: the first of them is served.
#[test]
fn of_cases_that_wait_for_the_same_the_first_is_done() {
    each_mode(|rt, _| {
        rt.run(|| {
            let (tx, rx) = chan::bounded(0);
            let (start, started) = chan::bounded(0);
            let receiver = go(move || {
                (0..TURNS)
                    .filter(|_| {
                        start.send(()).unwrap();
                        select_biased! {
                            recv(rx) -> n => { let () = n.unwrap(); true }
                            recv(rx) -> n => { let () = n.unwrap(); false }
                            recv(rx) -> n => { let () = n.unwrap(); false }
                        }
                    })
                    .count()
            });
            for _ in 0..TURNS {
                started.recv().unwrap();
                tx.send(()).unwrap();
            }
            assert_eq!(receiver.join().unwrap(), TURNS);
        });
    });
}

#[test]
fn one_that_waits_does_what_becomes_ready() {
    each_mode(|rt, _| {
        rt.run(|| {
            both_orders(|(_, first), (second_tx, second)| {
                let (waits, waiting) = chan::bounded(0);
                let (first, second) = (first.clone(), second.clone());
                let selects = go(move || {
                    waits.send(()).unwrap();
                    select_biased! {
                        recv(first) -> n => unreachable!("{n:?}"),
                        recv(second) -> n => n,
                    }
                });
                waiting.recv().unwrap();
                second_tx.send(5).unwrap();
                assert_eq!(selects.join().unwrap(), Ok(5));
            });
        });
    });
}

/// A case that is always ready keeps no other goroutine from running.
#[test]
fn a_biased_loop_gives_turns() {
    each_mode(|rt, _| {
        rt.run(|| {
            let (tx, rx) = chan::bounded(1);
            let stop = Arc::new(AtomicBool::new(false));
            let theirs = stop.clone();
            let spins = go(move || {
                while !theirs.load(Ordering::Relaxed) {
                    tx.send(()).unwrap();
                    select_biased! {
                        recv(rx) -> n => n.unwrap(),
                        default => unreachable!(),
                    }
                }
            });
            go(move || stop.store(true, Ordering::Relaxed)).join().unwrap();
            spins.join().unwrap();
        });
    });
}

#[test]
fn plain_threads_select_too() {
    let (tx, rx) = chan::bounded(0);
    let (_other_tx, other) = chan::bounded::<()>(0);
    let thread = thread::spawn(move || {
        select_biased! {
            recv(other) -> _ => unreachable!(),
            recv(rx) -> n => n,
        }
    });
    tx.send(3).unwrap();
    assert_eq!(thread.join().unwrap(), Ok(3));
}
