//! Values of 64 KiB through everything that takes a closure or gives back a result, on a stack of
//! the default size.

use std::hint::black_box;

use gosched::{JoinHandle, blocking, future, go, goroutine, scope, yield_now};
use test_support::each_mode;

const SIZE: usize = 64 * 1024;

type Big = [u8; SIZE];

#[inline(never)]
fn big(n: u8) -> Big {
    [n; SIZE]
}

/// A closure that has captured a large value, on its caller's stack once.
#[inline(never)]
fn captures(n: u8) -> impl FnOnce() -> u8 + Send + 'static {
    let captured = big(n);
    move || sum(&captured)
}

#[inline(never)]
fn sum(big: &Big) -> u8 {
    assert!(big.iter().all(|byte| *byte == big[0]));
    black_box(big)[SIZE / 2]
}

/// Looks at a large result where it lies.
#[inline(never)]
fn joined(handle: JoinHandle<Big>) -> u8 {
    let outcome = handle.join();
    outcome.as_ref().map(sum).unwrap_or_else(|_| panic!("it returned"))
}

/// Calls each in a goroutine of its own, of a stack that is as large as that of any other.
fn in_goroutines(cases: &'static [(&str, fn())]) {
    each_mode(|rt, _| {
        for (name, case) in cases {
            println!("{name}");
            let ended = rt.handle().go(case).join();
            ended.unwrap_or_else(|_| panic!("{name}"));
            rt.run(case);
        }
    });
}

#[test]
fn captures_and_results_of_go() {
    in_goroutines(&[
        ("capture", || assert_eq!(go(captures(1)).join().expect("no panic"), 1)),
        ("result", || assert_eq!(joined(go(|| big(2))), 2)),
        ("result, ended before", || {
            let handle = go(|| big(3));
            while !handle.is_finished() {
                yield_now();
            }
            assert_eq!(joined(handle), 3);
        }),
        ("builder, capture", || {
            let handle = goroutine::Builder::new().go(captures(5));
            assert_eq!(handle.join().expect("no panic"), 5);
        }),
        ("builder, result", || assert_eq!(joined(goroutine::Builder::new().go(|| big(6))), 6)),
        ("not joined", || {
            drop(go(|| big(7)));
            drop(go(captures(8)));
        }),
        ("cancelled before it began", || {
            let handle = go(captures(9));
            handle.cancel();
            drop(handle.join());
        }),
    ]);
}

#[test]
fn captures_and_results_of_a_scope() {
    in_goroutines(&[
        ("capture", || {
            scope(|s| assert_eq!(s.go(captures(1)).join().expect("no panic"), 1));
        }),
        ("result", || {
            scope(|s| {
                let outcome = s.go(|| big(2)).join();
                assert_eq!(outcome.as_ref().map(sum).expect("no panic"), 2);
            });
        }),
    ]);
}

#[test]
fn captures_and_results_of_blocking() {
    in_goroutines(&[
        ("capture", || assert_eq!(blocking(captures(1)), 1)),
        ("result", || assert_eq!(sum(&blocking(|| big(2))), 2)),
    ]);
}

#[test]
fn results_of_a_handle_that_is_tried_or_polled() {
    in_goroutines(&[
        ("polled", || {
            let outcome = future::block_on(go(|| big(1)));
            assert_eq!(outcome.as_ref().map(sum).expect("no panic"), 1);
        }),
        ("tried", || {
            let mut handle = go(|| big(2));
            loop {
                let tried = handle.try_join();
                match tried {
                    Ok(ref outcome) => {
                        return assert_eq!(outcome.as_ref().map(sum).expect("no panic"), 2);
                    }
                    Err(again) => handle = again,
                }
                yield_now();
            }
        }),
    ]);
}
