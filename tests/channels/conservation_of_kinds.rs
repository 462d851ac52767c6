//! Conservation in the channels of a special kind: whatever is dropped, cancelled or given up, no
//! value is lost and none comes twice.
//!
//! `GOSCHED_SEED` repeats the choices.

use gosched::cancel::Token;
use gosched::chan::broadcast::{self, RecvError, RecvTimeoutError};
use gosched::chan::{oneshot, watch};
use gosched::future::block_on;
use gosched::time::timeout_async;
use gosched::{Runtime, go, yield_now};

use crate::conservation::{Item, Random, account, ledger};

/// A token that another goroutine cancels, soon or never.
fn cancelled_soon(random: &mut Random) -> Token {
    let token = Token::new();
    let (theirs, rounds) = (token.clone(), random.below(12));
    if rounds < 8 {
        go(move || {
            (0..rounds).for_each(|_| yield_now());
            theirs.cancel();
        });
    }
    token
}

/// Receives a value in one of several ways, or gives it up.
fn receive(rx: oneshot::Receiver<Item>, random: &mut Random) -> Option<Item> {
    match random.below(6) {
        0 => cancelled_soon(random).run(|| rx.recv().ok()).ok().flatten(),
        1 => rx.recv_timeout(random.pause()).ok(),
        2 => block_on(async { timeout_async(random.pause(), rx).await.ok()?.ok() }),
        3 => {
            // What comes after the time is over is still had.
            let early = block_on(timeout_async(random.pause(), rx.recv_async()));
            early.map_or_else(|_| rx.try_recv().ok(), Result::ok)
        }
        4 => {
            rx.close();
            rx.recv().ok()
        }
        _ => rx.recv().ok(),
    }
}

fn replies(rt: &Runtime, items: usize, random: &mut Random) -> usize {
    let (ledger, mut seed) = (ledger(items), random.split());
    let theirs = ledger.clone();
    rt.run(move || {
        for n in 0..items {
            let (tx, rx) = oneshot::channel();
            let (ledger, rounds, sends) = (theirs.clone(), seed.below(3), seed.below(8) > 0);
            let sender = go(move || {
                (0..rounds).for_each(|_| yield_now());
                let item = Item(n, ledger);
                if sends {
                    // What nobody wants comes back, and is dropped.
                    drop(tx.send(item));
                }
            });
            let mut own = seed.split();
            let receiver = go(move || receive(rx, &mut own).into_iter().for_each(Item::receive));
            sender.join().expect("no panic");
            receiver.join().expect("no panic");
        }
    });
    account(&ledger)
}

#[test]
fn each_reply_comes_once_or_is_dropped_once() {
    let mut random = Random::new();
    for mode in test_support::modes() {
        for procs in [1, 2, 8] {
            let rt = Runtime::builder(mode).procs(procs).build().expect("a runtime");
            let received = replies(&rt, 400, &mut random);
            assert!((80..400).contains(&received), "{received} of 400: nothing is shown");
        }
    }
}

/// Receives numbers in several ways, some of which are given up, until all senders are gone. Each
/// number was received, in order, or counted as missed.
fn follow(mut rx: broadcast::Receiver<u64>, numbers: u64, mut random: Random) -> u64 {
    let (mut next, mut received) = (0, 0);
    loop {
        let found = match random.below(4) {
            0 => cancelled_soon(&mut random).run(|| rx.recv()).ok(),
            1 => match rx.recv_timeout(random.pause()) {
                Ok(n) => Some(Ok(n)),
                Err(RecvTimeoutError::Lagged(n)) => Some(Err(RecvError::Lagged(n))),
                Err(RecvTimeoutError::Closed) => Some(Err(RecvError::Closed)),
                Err(RecvTimeoutError::Timeout) => None,
            },
            2 => block_on(timeout_async(random.pause(), rx.recv_async())).ok(),
            _ => Some(rx.recv()),
        };
        match found {
            Some(Ok(n)) => {
                assert_eq!(n, next, "in order, and once");
                (next, received) = (next + 1, received + 1);
            }
            Some(Err(RecvError::Lagged(n))) => next += n,
            Some(Err(RecvError::Closed)) => break,
            None => {}
        }
    }
    assert_eq!(next, numbers, "each was received or counted");
    received
}

#[test]
fn each_number_comes_to_each_or_is_counted() {
    const NUMBERS: u64 = 2_000;
    let mut random = Random::new();
    let mut total = 0;
    for mode in test_support::modes() {
        for procs in [1, 2, 8] {
            let rt = Runtime::builder(mode).procs(procs).build().expect("a runtime");
            let mut seed = random.split();
            total += rt.run(move || {
                let (tx, rx) = broadcast::channel(16);
                let receivers: Vec<_> = (0..4).map(|_| (tx.subscribe(), seed.split())).collect();
                let follow_all = receivers.into_iter();
                let followers: Vec<_> =
                    follow_all.map(|(rx, own)| go(move || follow(rx, NUMBERS, own))).collect();
                // One that goes in the middle is counted no more.
                let mut goes = Some(rx);
                for n in 0..NUMBERS {
                    assert_eq!(tx.send(n), Ok(4 + usize::from(goes.is_some())));
                    if n == NUMBERS / 2 {
                        goes = None;
                    }
                    if seed.below(8) == 0 {
                        yield_now();
                    }
                }
                drop(tx);
                followers.into_iter().map(|f| f.join().expect("its asserts hold")).sum::<u64>()
            });
        }
    }
    assert!(total > NUMBERS, "{total} received: nothing is shown");
}

/// Follows a value in several ways until all senders are gone: it goes up, and the last is seen.
fn watch_to_the_end(mut rx: watch::Receiver<u64>, mut random: Random) -> u64 {
    let mut last = 0;
    loop {
        let changed = match random.below(4) {
            0 => cancelled_soon(&mut random).run(|| rx.changed()).ok(),
            1 => match rx.changed_timeout(random.pause()) {
                Err(gosched::chan::RecvTimeoutError::Timeout) => None,
                changed => Some(changed.map_err(|_| gosched::chan::RecvError)),
            },
            2 => block_on(timeout_async(random.pause(), rx.changed_async())).ok(),
            _ => Some(rx.changed()),
        };
        match changed {
            Some(Ok(())) => {
                let value = *rx.borrow_and_update();
                assert!(value >= last, "{value} after {last}");
                last = value;
            }
            Some(Err(_)) => return last,
            None => {}
        }
    }
}

#[test]
fn the_last_value_is_seen_whatever_is_given_up() {
    const LAST: u64 = 2_000;
    let mut random = Random::new();
    for mode in test_support::modes() {
        for procs in [1, 2, 8] {
            let rt = Runtime::builder(mode).procs(procs).build().expect("a runtime");
            let mut seed = random.split();
            rt.run(move || {
                let (tx, rx) = watch::channel(0);
                let watchers: Vec<_> = (0..4)
                    .map(|_| (rx.clone(), seed.split()))
                    .map(|(rx, own)| go(move || watch_to_the_end(rx, own)))
                    .collect();
                for n in 1..=LAST {
                    tx.send(n).expect("receivers are there");
                    if seed.below(8) == 0 {
                        yield_now();
                    }
                }
                drop(tx);
                let seen = watchers.into_iter().map(|w| w.join().expect("its asserts hold"));
                assert!(seen.into_iter().all(|last| last == LAST), "the last was missed");
            });
        }
    }
}
