//! Wait groups, and what is done once.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use gosched::chan;
use gosched::sync::{Barrier, LazyLock, Once, OnceCell, WaitGroup};

use crate::other_side::{Side, each_blocking_side, each_side};

/// TestWaitGroup: nobody passes before the last one is done; and the group serves again.
#[test]
fn nobody_passes_before_all_are_done() {
    const EACH: usize = 4;
    each_side(|pair| {
        let group = WaitGroup::new();
        for _ in 0..3 {
            let done = Arc::new(AtomicUsize::new(0));
            group.add(2 * EACH);
            let others: Vec<_> = (0..EACH)
                .map(|_| {
                    let (group, done) = (group.clone(), Arc::clone(&done));
                    pair.start(async move |side: Side| {
                        side.yield_now().await;
                        done.fetch_add(1, Ordering::Relaxed);
                        group.done();
                    })
                })
                .collect();
            let (theirs, theirs_done) = (group.clone(), Arc::clone(&done));
            let seen = pair.rt.run(move || {
                for _ in 0..EACH {
                    let (group, done) = (theirs.clone(), Arc::clone(&theirs_done));
                    drop(gosched::go(move || {
                        done.fetch_add(1, Ordering::Relaxed);
                        group.done();
                    }));
                }
                theirs.wait();
                theirs_done.load(Ordering::Relaxed)
            });
            assert_eq!(seen, 2 * EACH, "passed before all were done");
            others.into_iter().for_each(|one| one.join());
        }
    });
}

/// TestWaitGroup, the other way round: the other side waits.
#[test]
fn the_other_side_waits_for_goroutines() {
    each_side(|pair| {
        let (group, done) = (WaitGroup::new(), Arc::new(AtomicUsize::new(0)));
        group.add(1);
        let theirs = (group.clone(), Arc::clone(&done));
        let part = async move |side: Side| {
            side.wait(&theirs.0).await;
            theirs.1.load(Ordering::Relaxed)
        };
        let ours = move || {
            // Counted by who is counted: the group is not at zero in between.
            for _ in 0..5 {
                let done = Arc::clone(&done);
                drop(group.go(move || done.fetch_add(1, Ordering::Relaxed)));
            }
            group.done();
        };
        assert_eq!(pair.beside(part, ours).0, 5);
    });
}

/// TestWaitGroupRace: who is counted is done at once, before the next is counted; still the wait
/// ends after both.
#[test]
fn a_group_that_touches_zero_is_waited_for() {
    each_side(|pair| {
        let (rounds, round) = chan::bounded::<(WaitGroup, Arc<AtomicUsize>)>(1);
        let part = async move |side: Side| {
            while let Ok((group, count)) = side.recv(&round).await {
                count.fetch_add(1, Ordering::Relaxed);
                group.done();
            }
        };
        let ours = move || {
            for _ in 0..200 {
                let (group, count) = (WaitGroup::new(), Arc::new(AtomicUsize::new(0)));
                for _ in 0..2 {
                    group.add(1);
                    rounds.send((group.clone(), Arc::clone(&count))).expect("it is received");
                }
                group.wait();
                assert_eq!(count.load(Ordering::Relaxed), 2);
            }
        };
        pair.beside(part, ours);
    });
}

/// What `TestWaitGroup` does with the same group again, at once: a wait is for the round that it
/// began in, though the last one of the round before may still be about to let others go.
#[test]
fn a_group_that_is_used_again_keeps_its_rounds_apart() {
    each_side(|pair| {
        let group = WaitGroup::new();
        let done = Arc::new(AtomicUsize::new(0));
        let (rounds, round) = chan::bounded::<()>(0);
        let theirs = (group.clone(), Arc::clone(&done));
        let part = async move |side: Side| {
            while side.recv(&round).await.is_ok() {
                theirs.1.fetch_add(1, Ordering::Relaxed);
                theirs.0.done();
            }
        };
        let ours = move || {
            for n in 1..=200 {
                group.add(1);
                rounds.send(()).expect("it is received");
                group.wait();
                assert_eq!(done.load(Ordering::Relaxed), n, "passed with the round before");
            }
        };
        pair.beside(part, ours);
    });
}

/// A barrier opens for all of a round, with one leader, whoever they are. Go has none.
#[test]
fn a_barrier_opens_for_everybody() {
    const ROUNDS: usize = 50;
    each_side(|pair| {
        let shared = Arc::new((Barrier::new(4), AtomicUsize::new(0)));
        let others: Vec<_> = (0..2)
            .map(|_| {
                let shared = Arc::clone(&shared);
                pair.start(async move |side: Side| {
                    let mut led = 0;
                    for round in 1..=ROUNDS {
                        shared.1.fetch_add(1, Ordering::SeqCst);
                        led += usize::from(side.meet(&shared.0).await);
                        assert!(shared.1.load(Ordering::SeqCst) >= 4 * round, "opened early");
                    }
                    led
                })
            })
            .collect();
        let ours: Vec<_> = (0..2)
            .map(|_| {
                let shared = Arc::clone(&shared);
                pair.rt.handle().go(move || {
                    let turns = (1..=ROUNDS).map(|round| {
                        shared.1.fetch_add(1, Ordering::SeqCst);
                        let leads = shared.0.wait().is_leader();
                        assert!(shared.1.load(Ordering::SeqCst) >= 4 * round, "opened early");
                        usize::from(leads)
                    });
                    turns.sum::<usize>()
                })
            })
            .collect();
        let led = ours.into_iter().map(|one| one.join().expect("no panic")).sum::<usize>();
        assert_eq!(
            led + others.into_iter().map(|one| one.join()).sum::<usize>(),
            ROUNDS,
            "one leads each round"
        );
    });
}

/// TestOnce: many call, one runs, and nobody passes before it has.
#[test]
fn what_is_done_once_is_done_when_anybody_passes() {
    each_blocking_side(|pair| {
        let shared = Arc::new((Once::new(), AtomicUsize::new(0)));
        let call = |shared: &(Once, AtomicUsize)| {
            shared.0.call_once(|| {
                gosched::yield_now();
                shared.1.fetch_add(1, Ordering::Relaxed);
            });
            assert_eq!(shared.1.load(Ordering::Relaxed), 1);
        };
        let others: Vec<_> = (0..3)
            .map(|_| {
                let shared = Arc::clone(&shared);
                pair.start(async move |_| call(&shared))
            })
            .collect();
        let ours: Vec<_> = (0..3)
            .map(|_| {
                let shared = Arc::clone(&shared);
                pair.rt.handle().go(move || call(&shared))
            })
            .collect();
        ours.into_iter().for_each(|one| one.join().expect("no panic"));
        others.into_iter().for_each(|one| one.join());
        assert!(shared.0.is_completed());
    });
}

/// TestOncePanic, as `std` has it: who panicked is the last that tries; the other side is told.
#[test]
fn a_once_that_panicked_says_so() {
    each_blocking_side(|pair| {
        let once = Arc::new(Once::new());
        let theirs = Arc::clone(&once);
        let part = async move |_| {
            let call = AssertUnwindSafe(|| theirs.call_once(|| resume_unwind(Box::new(3_u8))));
            catch_unwind(call).expect_err("it unwinds").is::<u8>()
        };
        assert!(pair.start(part).join(), "with what the closure unwound with");
        let ours = pair.rt.handle().go(move || once.call_once(|| unreachable!("it is poisoned")));
        let told = ours.join().expect_err("it is told");
        assert!(
            told.downcast_ref::<&str>().is_some_and(|message| message.contains("poisoned")),
            "{told:?}"
        );
    });
}

/// TestOnceValue, TestOnceValues: whoever asks first makes it, once; and everybody has the same.
#[test]
fn a_value_is_made_once_and_seen_by_all() {
    each_blocking_side(|pair| {
        let shared = Arc::new((OnceCell::new(), AtomicUsize::new(0)));
        let get = |shared: &(OnceCell<String>, AtomicUsize)| {
            let made = shared.0.get_or_init(|| {
                gosched::yield_now();
                format!("made {}", shared.1.fetch_add(1, Ordering::Relaxed) + 1)
            });
            made.clone()
        };
        let (ours, theirs) = (Arc::clone(&shared), Arc::clone(&shared));
        let both = pair.beside(async move |_| get(&theirs), move || get(&ours));
        assert_eq!(both, ("made 1".to_owned(), "made 1".to_owned()));
    });
}

/// TestOnceValuePanic: a value that could not be made is not made the next time either, by whoever.
#[test]
fn a_lazy_value_whose_closure_panicked_panics_again() {
    each_blocking_side(|pair| {
        let lazy = Arc::new(LazyLock::<u32>::new(|| resume_unwind(Box::new(3_u8))));
        let (ours, theirs) = (Arc::clone(&lazy), lazy);
        let force = |lazy: &LazyLock<u32>| catch_unwind(AssertUnwindSafe(|| **lazy)).is_err();
        assert_eq!(pair.beside(async move |_| force(&theirs), move || force(&ours)), (true, true));
    });
}

/// TestOnceXGC: what the closure held is dropped when it has run, not with what it made.
#[test]
fn a_lazy_value_lets_go_of_its_closure() {
    each_blocking_side(|pair| {
        let held = Arc::new(5);
        let theirs = Arc::clone(&held);
        let lazy = Arc::new(LazyLock::new(move || *theirs + 1));
        let asked = Arc::clone(&lazy);
        assert_eq!(pair.start(async move |_| **asked).join(), 6);
        assert_eq!(Arc::strong_count(&held), 1, "the closure is gone");
        assert_eq!(**lazy, 6);
    });
}
