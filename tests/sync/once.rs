//! What is done once.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use gosched::sync::{LazyLock, Once, OnceCell};
use gosched::{Cancelled, chan, go, yield_now};
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
