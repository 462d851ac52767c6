//! Conservation in the channels of a special kind: whatever is dropped, cancelled or given up, no
//! value is lost and none comes twice.
//!
//! `GOSCHED_SEED` repeats the choices.

use gosched::cancel::Token;
use gosched::chan::oneshot;
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
