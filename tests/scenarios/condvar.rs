//! The condition variable, and `Notify`, which tasks have in its place.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use gosched::sync::{Condvar, Mutex, Notify};
use gosched::{go, yield_now};

use crate::other_side::{Running, Side, each_blocking_side, each_side};

#[derive(Default)]
struct State {
    waiting: usize,
    woken: Vec<usize>,
    done: bool,
}

type Shared = Arc<(Mutex<State>, Condvar)>;

/// Waits once, and notes when it was woken, counted by wake-ups.
fn wait_once(shared: &Shared, n: usize) {
    let mut state = shared.0.lock().expect("nobody panics with it");
    state.waiting += 1;
    state = shared.1.wait(state).expect("nobody panics with it");
    state.woken.push(n);
}

fn until(shared: &Shared, condition: impl Fn(&State) -> bool) {
    while !condition(&shared.0.lock().expect("nobody panics with it")) {
        std::thread::yield_now();
    }
}

/// TestCondSignal and TestCondSignalGenerations: a signal wakes one, and that is the one that has
/// waited longest.
#[test]
fn a_signal_wakes_the_longest_waiting_one() {
    each_blocking_side(|pair| {
        let shared: Shared = Arc::default();
        let mut ours = Vec::new();
        let mut others: Vec<Running<()>> = Vec::new();
        for n in 0..6 {
            let theirs = Arc::clone(&shared);
            if n % 2 == 0 {
                ours.push(pair.rt.handle().go(move || wait_once(&theirs, n)));
            } else {
                others.push(pair.start(async move |_| wait_once(&theirs, n)));
            }
            until(&shared, |state| state.waiting == n + 1);
        }
        for n in 0..6 {
            shared.1.notify_one();
            until(&shared, |state| state.woken.len() > n);
            assert!(
                shared.0.lock().expect("nobody panics with it").woken.iter().copied().eq(0..=n),
                "one, in order"
            );
        }
        ours.into_iter().for_each(|one| one.join().expect("no panic"));
        others.into_iter().for_each(|one| one.join());
    });
}

/// TestCondBroadcast: everybody is woken, each round, until all are told to end.
#[test]
fn a_broadcast_wakes_everybody() {
    const ROUNDS: usize = 20;
    fn rounds(shared: &Shared) -> usize {
        let mut rounds = 0;
        let mut state = shared.0.lock().expect("nobody panics with it");
        loop {
            state.waiting += 1;
            state = shared.1.wait(state).expect("nobody panics with it");
            if state.done {
                return rounds;
            }
            rounds += 1;
        }
    }
    each_blocking_side(|pair| {
        let shared: Shared = Arc::default();
        let others: Vec<_> = (0..3)
            .map(|_| {
                let theirs = Arc::clone(&shared);
                pair.start(async move |_| rounds(&theirs))
            })
            .collect();
        let ours: Vec<_> = (0..3)
            .map(|_| {
                let theirs = Arc::clone(&shared);
                pair.rt.handle().go(move || rounds(&theirs))
            })
            .collect();
        for round in 0..=ROUNDS {
            until(&shared, |state| state.waiting == 6);
            let mut state = shared.0.lock().expect("nobody panics with it");
            state.waiting = 0;
            state.done = round == ROUNDS;
            drop(state);
            shared.1.notify_all();
        }
        ours.into_iter().for_each(|one| assert_eq!(one.join().expect("no panic"), ROUNDS));
        others.into_iter().for_each(|one| assert_eq!(one.join(), ROUNDS));
    });
}

/// TestRace: a word goes through three hands, each of which waits for what the one before has left.
#[test]
fn a_state_goes_from_hand_to_hand() {
    const ROUNDS: usize = 100;
    type Turn = Arc<(Mutex<usize>, Condvar)>;
    fn hand(turn: &Turn, mine: usize) {
        for round in 0..ROUNDS {
            let now = turn.0.lock().expect("nobody panics with it");
            let mut now =
                turn.1.wait_while(now, |now| *now % 3 != mine).expect("nobody panics with it");
            assert_eq!(*now, 3 * round + mine);
            *now += 1;
            turn.1.notify_all();
        }
    }
    each_blocking_side(|pair| {
        let turn: Turn = Arc::default();
        let (first, second, third) = (Arc::clone(&turn), Arc::clone(&turn), turn);
        let another = pair.start(async move |_| hand(&third, 2));
        pair.beside(async move |_| hand(&first, 0), move || hand(&second, 1));
        another.join();
    });
}

/// TestCondSignalStealing: who comes running does not take the signal of who waited.
#[test]
fn a_signal_is_not_stolen() {
    each_blocking_side(|pair| {
        for _ in 0..10 {
            let shared: Shared = Arc::default();
            let theirs = Arc::clone(&shared);
            let first = async move |_| {
                wait_once(&theirs, 0);
                theirs.0.lock().expect("nobody panics with it").done = true;
                theirs.1.notify_all();
            };
            let first = pair.start(first);
            until(&shared, |state| state.waiting == 1);
            let theirs = Arc::clone(&shared);
            let second = pair.rt.handle().go(move || {
                let state = theirs.0.lock().expect("nobody panics with it");
                drop(
                    theirs.1.wait_while(state, |state| !state.done).expect("nobody panics with it"),
                );
            });
            shared.1.notify_one();
            first.join();
            second.join().expect("no panic");
        }
    });
}

/// TestCondSignal with `Notify`: as many are woken as were notified.
#[test]
fn each_notification_wakes_one() {
    const WAITERS: usize = 6;
    each_side(|pair| {
        let shared = Arc::new((Notify::new(), AtomicUsize::new(0)));
        let others: Vec<_> = (0..WAITERS / 2)
            .map(|_| {
                let shared = Arc::clone(&shared);
                pair.start(async move |side: Side| {
                    side.notified(&shared.0).await;
                    shared.1.fetch_add(1, Ordering::SeqCst);
                })
            })
            .collect();
        let theirs = Arc::clone(&shared);
        pair.rt.run(move || {
            let ours: Vec<_> = (0..WAITERS / 2)
                .map(|_| {
                    let shared = Arc::clone(&theirs);
                    go(move || {
                        shared.0.wait();
                        shared.1.fetch_add(1, Ordering::SeqCst);
                    })
                })
                .collect();
            for n in 1..=WAITERS {
                assert_eq!(
                    theirs.1.load(Ordering::SeqCst),
                    n - 1,
                    "nobody passes without a notification"
                );
                theirs.0.notify_one();
                // It is kept, if nobody waits yet.
                while theirs.1.load(Ordering::SeqCst) < n {
                    yield_now();
                }
            }
            ours.into_iter().for_each(|one| one.join().expect("no panic"));
        });
        others.into_iter().for_each(|one| one.join());
    });
}
