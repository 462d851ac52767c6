//! What is done once.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use gosched::sync::{LazyLock, Once, OnceCell, OnceLock};
use gosched::{Cancelled, chan, go, time, yield_now};
use test_support::each_mode;

#[test]
fn many_call_and_one_runs_while_the_others_wait() {
    each_mode(|rt, _| {
        let shared = Arc::new((Once::new(), AtomicUsize::new(0)));
        let call = |shared: Arc<(Once, AtomicUsize)>| {
            move || {
                shared.0.call_once(|| {
                    // It may wait: a sibling on the same thread that calls, too, parks.
                    yield_now();
                    shared.1.fetch_add(1, Ordering::Relaxed);
                });
                assert_eq!(
                    shared.1.load(Ordering::Relaxed),
                    1,
                    "it was done before the call returned"
                );
            }
        };
        let thread = thread::spawn(call(shared.clone()));
        let theirs = shared.clone();
        rt.run(move || {
            let callers: Vec<_> = (0..10).map(|_| go(call(theirs.clone()))).collect();
            theirs.0.wait();
            callers.into_iter().for_each(|caller| caller.join().unwrap());
        });
        thread.join().unwrap();
        assert!(shared.0.is_completed());
    });
}

#[test]
fn a_panic_poisons_a_once() {
    each_mode(|rt, _| {
        rt.run(|| {
            let once = Arc::new(Once::new());
            let theirs = once.clone();
            assert!(
                go(move || theirs.call_once(|| std::panic::resume_unwind(Box::new(()))))
                    .join()
                    .is_err()
            );
            let theirs = once.clone();
            assert!(go(move || theirs.call_once(|| unreachable!())).join().is_err());
            let mut told = false;
            once.call_once_force(|state| told = state.is_poisoned());
            assert!(told && once.is_completed());
            once.call_once(|| unreachable!());
        });
    });
}

#[test]
fn who_waits_learns_of_a_panic() {
    each_mode(|rt, _| {
        rt.run(|| {
            let once = Arc::new(Once::new());
            let (running_tx, running) = chan::bounded(0);
            let (fails_tx, fails) = chan::bounded::<()>(0);
            let theirs = once.clone();
            let fails = go(move || {
                theirs.call_once(|| {
                    running_tx.send(()).unwrap();
                    fails.recv().unwrap();
                    std::panic::resume_unwind(Box::new("the closure's"));
                })
            });
            running.recv().unwrap();
            let theirs = once.clone();
            let waits = go(move || theirs.wait());
            let theirs = once.clone();
            let forces = go(move || theirs.wait_force());
            yield_now();
            fails_tx.send(()).unwrap();
            assert!(fails.join().is_err());
            assert!(waits.join().is_err(), "it would wait for ever");
            let theirs = once.clone();
            assert!(go(move || theirs.wait()).join().is_err(), "nor does it begin to");
            assert!(!forces.is_finished(), "nothing has returned");
            once.call_once_force(|_| ());
            forces.join().unwrap();
            once.wait();
            once.wait_force();
        });
    });
}

/// What ended the wait of a closure that waits for `opens`, by a cancel that comes meanwhile.
fn a_cancel_ends_no(use_it: impl Fn(&dyn Fn()) + Send + 'static) {
    let (running_tx, running) = chan::bounded(0);
    let (opens_tx, opens) = chan::bounded::<()>(0);
    let user = go(move || {
        use_it(&|| {
            running_tx.send(()).unwrap();
            opens.recv().unwrap();
        });
        // The cancel stays pending.
        chan::never::<()>().recv()
    });
    running.recv().unwrap();
    user.cancel();
    yield_now();
    opens_tx.send(()).expect("the closure still waits");
    assert!(user.join().unwrap_err().is::<Cancelled>());
}

#[test]
fn a_cancel_poisons_neither_a_once_nor_a_lazy_value() {
    each_mode(|rt, _| {
        rt.run(|| {
            let once = Arc::new(Once::new());
            let theirs = once.clone();
            a_cancel_ends_no(move |wait| theirs.call_once(wait));
            once.call_once(|| unreachable!("it has run"));
            a_cancel_ends_no(|wait| Once::new().call_once_force(|_| wait()));
            a_cancel_ends_no(|wait| {
                let lazy = LazyLock::new(|| {
                    wait();
                    7
                });
                assert_eq!(*lazy, 7);
            });
        });
    });
}

#[test]
fn a_time_limit_poisons_no_static() {
    static LAZY: LazyLock<u32> = LazyLock::new(|| {
        time::sleep(Duration::from_millis(5));
        7
    });
    each_mode(|rt, _| {
        rt.run(|| {
            // Late, and right.
            assert_eq!(time::timeout(Duration::ZERO, || *LAZY), Ok(7));
            assert_eq!(*LAZY, 7);
        });
    });
}

#[test]
fn a_cell_is_filled_once() {
    each_mode(|rt, _| {
        rt.run(|| {
            let cell = Arc::new(OnceCell::new());
            let theirs = cell.clone();
            let waits = go(move || *theirs.wait());
            let theirs = cell.clone();
            assert!(
                go(move || *theirs.get_or_init(|| std::panic::resume_unwind(Box::new(()))))
                    .join()
                    .is_err()
            );
            assert_eq!((cell.get(), cell.wait_timeout(Duration::from_millis(1))), (None, None));
            let fillers: Vec<_> = (0..10)
                .map(|n| {
                    let cell = cell.clone();
                    go(move || {
                        *cell.get_or_init(|| {
                            yield_now();
                            n
                        })
                    })
                })
                .collect();
            let values: Vec<_> = fillers.into_iter().map(|filler| filler.join().unwrap()).collect();
            assert!(values.iter().all(|value| Some(value) == cell.get()), "{values:?}");
            assert_eq!((waits.join().unwrap(), cell.set(99)), (values[0], Err(99)));
            let mut cell = Arc::try_unwrap(cell).expect("the others are gone");
            assert_eq!(
                (cell.take(), cell.get().copied(), cell.set(5)),
                (Some(values[0]), None, Ok(()))
            );
            assert_eq!(cell.into_inner(), Some(5));
            assert_eq!(OnceCell::from(3).get(), Some(&3));
        });
    });
}

#[test]
fn a_failure_leaves_it_to_those_that_wait() {
    const CALLERS: usize = 8;
    each_mode(|rt, _| {
        rt.run(|| {
            let (cell, calls) = (Arc::new(OnceLock::new()), Arc::new(AtomicUsize::new(0)));
            let callers: Vec<_> = (0..CALLERS)
                .map(|_| {
                    let (cell, calls) = (cell.clone(), calls.clone());
                    go(move || {
                        cell.get_or_try_init(|| {
                            // It may wait: so the others come meanwhile.
                            yield_now();
                            let call = calls.fetch_add(1, Ordering::Relaxed);
                            if call < CALLERS / 2 { Err(call) } else { Ok(call) }
                        })
                        .copied()
                    })
                })
                .collect();
            let ends: Vec<_> = callers.into_iter().map(|caller| caller.join().unwrap()).collect();
            // Each failure is told to the caller whose closure it was, and to no other.
            let mut failures: Vec<_> = ends.iter().filter_map(|end| end.err()).collect();
            failures.sort_unstable();
            assert!(failures.into_iter().eq(0..CALLERS / 2), "{ends:?}");
            assert_eq!(ends.iter().filter(|end| **end == Ok(CALLERS / 2)).count(), CALLERS / 2);
            assert_eq!(calls.load(Ordering::Relaxed), CALLERS / 2 + 1);
        });
    });
}

#[test]
fn cells_are_cloned_and_compared_by_what_is_there() {
    each_mode(|rt, _| {
        rt.run(|| {
            let cell = OnceLock::new();
            let empty = cell.clone();
            assert_eq!((&cell, empty.get()), (&OnceLock::default(), None));
            cell.set("value".to_owned()).unwrap();
            assert_ne!(cell, empty, "a clone made before has no value");
            let full = cell.clone();
            assert_eq!((&full, &OnceLock::from("value".to_owned())), (&cell, &cell));
            assert_eq!(full.set("other".to_owned()), Err("other".to_owned()));

            // One that is being made is not there yet, and is not waited for.
            let cell = Arc::new(OnceLock::new());
            let (making_tx, making) = chan::bounded(0);
            let (made_tx, made) = chan::bounded::<()>(0);
            let theirs = cell.clone();
            let maker = go(move || {
                theirs.get_or_init(|| {
                    making_tx.send(()).unwrap();
                    made.recv().unwrap();
                    1
                });
            });
            making.recv().unwrap();
            assert_eq!(OnceLock::clone(&cell), OnceLock::new());
            made_tx.send(()).unwrap();
            maker.join().unwrap();
            assert_eq!(OnceLock::clone(&cell), OnceLock::from(1));
        });
    });
}

#[test]
fn a_lazy_value_is_changed_by_who_has_it_alone() {
    let mut lazy = LazyLock::new(|| vec![1]);
    assert_eq!(LazyLock::get(&lazy), None);
    assert_eq!(LazyLock::get_mut(&mut lazy), None);
    LazyLock::force_mut(&mut lazy).push(2);
    LazyLock::get_mut(&mut lazy).expect("it was made").push(3);
    assert_eq!((LazyLock::get(&lazy), lazy.len()), (Some(&vec![1, 2, 3]), 3));

    let mut lazy: LazyLock<(), _> = LazyLock::new(|| std::panic::resume_unwind(Box::new(())));
    for _ in 0..2 {
        let forced = std::panic::AssertUnwindSafe(|| *LazyLock::force_mut(&mut lazy));
        assert!(std::panic::catch_unwind(forced).is_err(), "poisoned");
        assert_eq!(LazyLock::get_mut(&mut lazy), None);
    }
}

#[test]
fn a_lazy_value_is_made_when_it_is_asked_for() {
    static MADE: AtomicUsize = AtomicUsize::new(0);
    static LAZY: LazyLock<usize> = LazyLock::new(|| {
        yield_now();
        MADE.fetch_add(1, Ordering::Relaxed) + 41
    });
    each_mode(|rt, _| {
        rt.run(|| {
            let askers: Vec<_> = (0..4).map(|_| go(|| *LAZY)).collect();
            askers.into_iter().for_each(|asker| assert_eq!(asker.join().unwrap(), 41));
        });
    });
    let lazy: LazyLock<(), _> = LazyLock::new(|| std::panic::resume_unwind(Box::new(())));
    for _ in 0..2 {
        assert!(std::panic::catch_unwind(|| *lazy).is_err(), "poisoned");
    }
}

#[test]
fn a_cancelled_maker_leaves_it_to_the_next() {
    each_mode(|rt, _| {
        rt.run(|| {
            let cell = Arc::new(OnceCell::new());
            let (making_tx, making) = chan::bounded(0);
            let theirs = cell.clone();
            let maker = go(move || {
                theirs.get_or_init(|| {
                    making_tx.send(()).unwrap();
                    let (_tx, rx) = chan::bounded::<u32>(0);
                    rx.recv().unwrap()
                });
            });
            making.recv().unwrap();
            let theirs = cell.clone();
            let next = go(move || *theirs.get_or_init(|| 7));
            yield_now();
            maker.cancel();
            assert!(maker.join().unwrap_err().is::<Cancelled>());
            assert_eq!(next.join().unwrap(), 7);
        });
    });
}

#[test]
fn poison_is_told_in_the_words_of_std() {
    let (once, lazy) = (Once::new(), LazyLock::<u32>::new(|| panic!("as it should")));
    let text = |outcome: thread::Result<()>| {
        let payload = outcome.expect_err("it is poisoned");
        payload.downcast_ref::<&str>().map(ToString::to_string).unwrap_or_else(|| {
            payload.downcast_ref::<String>().expect("a panic has a text").clone()
        })
    };
    let uses = || once.call_once(|| panic!("as it should"));
    assert_eq!(text(std::panic::catch_unwind(uses)), "as it should");
    assert_eq!(text(std::panic::catch_unwind(uses)), "Once instance has previously been poisoned");
    let forces = || _ = LazyLock::force(&lazy);
    assert_eq!(text(std::panic::catch_unwind(forces)), "as it should");
    assert_eq!(
        text(std::panic::catch_unwind(forces)),
        "LazyLock instance has previously been poisoned"
    );
}
