//! `Parker` and its `Unparker`.

use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use gosched::cancel::Token;
use gosched::future::block_on;
use gosched::sync::Parker;
use gosched::time::timeout_async;
use gosched::{go, yield_now};
use test_support::each_mode;

const SOON: Duration = Duration::from_millis(1);

#[test]
fn a_token_is_kept_and_is_one() {
    let mut parker = Parker::default();
    assert!(!parker.park_timeout(Duration::ZERO) && !parker.park_timeout(SOON));
    assert!(!parker.park_deadline(Instant::now()));
    parker.unparker().unpark();
    parker.unparker().unpark();
    parker.park();
    assert!(!parker.park_timeout(Duration::ZERO), "two are one");
    parker.unparker().unpark();
    assert!(parker.park_deadline(Instant::now()), "it is there");
    // A future that is given up takes none.
    assert!(block_on(timeout_async(SOON, parker.park_async())).is_err());
    parker.unparker().unpark();
    block_on(parker.park_async());
    drop(parker.park_async());
    assert!(!parker.park_timeout(SOON));
}

#[test]
fn two_park_in_turn() {
    const ROUNDS: u32 = 1_000;
    each_mode(|rt, _| {
        rt.run(|| {
            let (mine, theirs) = (Parker::new(), Parker::new());
            let (wake_me, wake_them) = (mine.unparker().clone(), theirs.unparker().clone());
            let other = go(move || {
                for _ in 0..ROUNDS {
                    theirs.park();
                    wake_me.unpark();
                }
            });
            for _ in 0..ROUNDS {
                wake_them.unpark();
                mine.park();
            }
            other.join().unwrap();
        });
    });
}

#[test]
fn what_was_written_is_seen_and_a_cancel_takes_no_token() {
    each_mode(|rt, _| {
        rt.run(|| {
            let parker = Parker::new();
            let unparker = parker.unparker().clone();
            let token = Token::new();
            let theirs = token.clone();
            let parked = go(move || {
                let cancelled = theirs.run(|| parker.park());
                assert!(cancelled.is_err(), "nobody unparks it");
                parker
            });
            yield_now();
            token.cancel();
            let parker = parked.join().unwrap();
            let value = AtomicU32::new(0);
            thread::scope(|scope| {
                scope.spawn(|| {
                    value.store(7, Ordering::Relaxed);
                    unparker.unpark();
                });
                parker.park();
                assert_eq!(value.load(Ordering::Relaxed), 7);
            });
        });
    });
}
