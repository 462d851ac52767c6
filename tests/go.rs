//! Goroutines begin, end, wait and are waited for, in every mode and with 1, 2, 4 and 8 Ps.

use gosched::{Mode, chan, go, yield_now};
use test_support::each_mode;

#[test]
fn join_gives_the_result() {
    each_mode(|rt, _| {
        let sum = rt.run(|| {
            let handles: Vec<_> = (0..100_u64).map(|i| go(move || i * i)).collect();
            handles.into_iter().map(|h| h.join().unwrap()).sum::<u64>()
        });
        assert_eq!(sum, 328_350);
    });
}

#[test]
fn join_gives_the_payload_of_a_panic() {
    each_mode(|rt, _| {
        let payload =
            rt.run(|| go(|| std::panic::resume_unwind(Box::new(7_i32))).join().unwrap_err());
        assert_eq!(*payload.downcast::<i32>().unwrap(), 7);
    });
}

#[test]
fn a_plain_thread_makes_and_joins_goroutines() {
    each_mode(|rt, _| {
        let handle = rt.handle();
        let inner = rt.handle();
        let outcome = handle.go(move || inner.go(|| 5).join().unwrap() + go(|| 6).join().unwrap());
        assert_eq!(outcome.join().unwrap(), 11);
    });
}

#[test]
fn yields_take_turns() {
    each_mode(|rt, _| {
        let count = rt.run(|| {
            let handles: Vec<_> = (0..10)
                .map(|_| {
                    go(|| {
                        for _ in 0..1000 {
                            yield_now();
                        }
                        1
                    })
                })
                .collect();
            handles.into_iter().map(|h| h.join().unwrap()).sum::<i32>()
        });
        assert_eq!(count, 10);
    });
}

/// The root is settled in every mode, and what waits on it may be migratory.
#[test]
fn a_root_that_yields_until_something_is_done_lets_it_be_done() {
    each_mode(|rt, _| {
        rt.run(|| {
            let (tx, rx) = chan::bounded(0);
            let (begun, has_begun) = chan::bounded(1);
            let waits = go(move || {
                begun.send(()).unwrap();
                rx.recv().unwrap()
            });
            has_begun.recv().unwrap();
            tx.send(5).unwrap();
            while !waits.is_finished() {
                yield_now();
            }
            assert_eq!(waits.join().unwrap(), 5);
        });
    });
}

#[test]
fn ping_pong_over_channels() {
    each_mode(|rt, _| {
        let last = rt.run(|| {
            let (ping, pinged) = chan::bounded::<u32>(0);
            let (pong, ponged) = chan::bounded::<u32>(0);
            let echo = go(move || {
                for v in pinged {
                    pong.send(v + 1).unwrap();
                }
            });
            let mut v = 0;
            for _ in 0..2000 {
                ping.send(v).unwrap();
                v = ponged.recv().unwrap();
            }
            drop(ping);
            echo.join().unwrap();
            v
        });
        assert_eq!(last, 2000);
    });
}

#[test]
fn a_fork_join_tree() {
    fn tree(depth: u32) -> u64 {
        if depth == 0 {
            return 1;
        }
        let left = go(move || tree(depth - 1));
        let right = tree(depth - 1);
        left.join().unwrap() + right
    }
    each_mode(|rt, mode| {
        let depth = if mode == Mode::threads() { 6 } else { 12 };
        assert_eq!(rt.run(|| tree(depth)), 1 << depth);
    });
}
