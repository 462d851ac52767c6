//! Cancelling by tokens: regions under them, who waits for them, and their children.

use std::collections::HashSet;
use std::task::{Context, Waker};
use std::thread;
use std::time::{Duration, Instant};

use gosched::callback::{Binding, Bridge};
use gosched::cancel::{Token, shield};
use gosched::chan;
use gosched::{CancelScope, Mode, go, yield_now};
use test_support::each_mode;

use crate::{cancelled, waiting};

#[test]
fn a_token_cancels_what_runs_under_it_and_no_more() {
    each_mode(|rt, _| {
        rt.run(|| {
            let token = Token::new();
            let theirs = token.clone();
            let (first, _tx) = waiting(move |rx| {
                let outcome = theirs.run(|| rx.recv());
                yield_now();
                (outcome, theirs.run(|| 5))
            });
            let (second, tx) = waiting(|rx| rx.recv());
            assert!(!token.is_cancelled());
            token.cancel();
            assert!(token.is_cancelled());
            let (outcome, again) = first.join().expect("it goes on after what was cancelled");
            let cancelled = outcome.expect_err("it was cancelled");
            assert_eq!(cancelled.scope, CancelScope::Token(token.id()));
            assert_eq!(again, Err(cancelled), "what is cancelled does not begin");
            tx.send(3).expect("it receives");
            assert_eq!(second.join().expect("it was not under the token"), Ok(3));
        });
    });
}

#[test]
fn a_token_under_which_nothing_waits_any_more_cancels_nothing() {
    each_mode(|rt, _| {
        rt.run(|| {
            let token = Token::new();
            let theirs = token.clone();
            let (waits, tx) = waiting(move |rx| {
                assert_eq!(theirs.run(|| rx.recv()).expect("not yet"), Ok(1));
                theirs.cancel();
                // The token's cancel does not concern these waits.
                yield_now();
                (rx.recv(), shield(|| rx.recv()))
            });
            (1..=3).for_each(|n| tx.send(n).expect("it receives"));
            assert_eq!(waits.join().expect("not cancelled"), (Ok(2), Ok(3)));
        });
    });
}

#[test]
fn tokens_nest() {
    each_mode(|rt, _| {
        rt.run(|| {
            let (outer, inner) = (Token::new(), Token::new());
            let (outer_of, inner_of) = (outer.clone(), inner.clone());
            let (waits, _tx) = waiting(move |rx| {
                let mut stopped_inside = None;
                let outcome = outer_of.run(|| {
                    stopped_inside = Some(inner_of.run(|| rx.recv()));
                    // It goes on if only the inner token was cancelled.
                    inner_of.run(|| ()).expect_err("it stays cancelled");
                    rx.recv()
                });
                (outcome, stopped_inside)
            });
            inner.cancel();
            // It may be in either wait when the outer token is cancelled.
            outer.cancel();
            let (outcome, _either) = waits.join().expect("no panic");
            assert_eq!(outcome.expect_err("cancelled").scope, CancelScope::Token(outer.id()));
            // The widest of several cancelled tokens.
            let (outer_of, inner_of) = (Token::new(), Token::new());
            let outcome = outer_of.run(|| {
                inner_of.run(|| {
                    outer_of.cancel();
                    inner_of.cancel();
                    yield_now();
                })
            });
            assert_eq!(outcome.expect_err("cancelled").scope, CancelScope::Token(outer_of.id()));
        });
    });
}

#[test]
fn a_cancel_of_the_goroutine_goes_through_its_tokens() {
    each_mode(|rt, _| {
        rt.run(|| {
            let token = Token::new();
            let (waits, _tx) = waiting(move |rx| token.run(|| rx.recv()));
            waits.cancel();
            let payload = cancelled(waits.join().expect_err("not stopped by the token"));
            assert_eq!(payload.scope, CancelScope::Goroutine);
        });
    });
}

#[test]
fn children_are_cancelled_with_their_token() {
    let token = Token::new();
    let child = token.child();
    let (alone, grandchild) = (token.child(), child.child());
    alone.cancel();
    assert!(alone.is_cancelled() && !token.is_cancelled() && !grandchild.is_cancelled());
    drop(child);
    token.cancel();
    assert!(grandchild.is_cancelled(), "its own parent is nobody's any more");
    assert!(token.child().is_cancelled());
}

#[test]
fn a_long_line_of_tokens_is_cancelled_and_dropped() {
    let root = Token::new();
    let mut last = root.clone();
    for _ in 0..100_000 {
        last = last.child();
    }
    root.cancel();
    assert!(last.is_cancelled());
    drop((root, last));
    let root = Token::new();
    // Those that are gone take no place.
    for _ in 0..100_000 {
        drop(root.child());
    }
    let mine: Vec<_> = (0..100).map(|_| root.child()).collect();
    root.cancel();
    assert!(mine.iter().all(Token::is_cancelled));
}

#[test]
fn async_tasks_wait_for_a_token() {
    let tokio = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .build()
        .expect("tokio's runtime is built");
    each_mode(|rt, _| {
        let token = Token::new();
        let tasks: Vec<_> = [token.clone(), token.child()]
            .into_iter()
            .map(|token| {
                tokio.spawn(async move {
                    token.wait_async().await;
                    token.is_cancelled()
                })
            })
            .collect();
        // A dropped waiter is in no other waiter's way.
        let mut dropped = Box::pin(token.wait_async());
        assert!(dropped.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        drop(dropped);
        let theirs = token.clone();
        rt.run(move || go(move || theirs.cancel()).join().expect("no panic"));
        tasks.into_iter().for_each(|task| assert!(tokio.block_on(task).expect("no panic")));
        let mut late = Box::pin(token.wait_async());
        assert!(
            late.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready(),
            "it was cancelled before"
        );
    });
}

#[test]
fn anybody_may_wait_for_a_token() {
    each_mode(|rt, _| {
        let token = Token::new();
        let threads: Vec<_> = (0..3)
            .map(|_| token.clone())
            .map(|token| {
                thread::spawn(move || {
                    token.wait();
                    token.is_cancelled()
                })
            })
            .collect();
        assert!(
            !token.wait_timeout(Duration::from_millis(1)) && !token.wait_deadline(Instant::now())
        );
        let cancelled = rt.run(|| {
            assert!(
                !token.wait_timeout(Duration::from_millis(1))
                    && !token.wait_timeout(Duration::ZERO)
            );
            let waiting: Vec<_> = (0..10)
                .map(|_| token.child())
                .map(|token| {
                    go(move || {
                        token.wait();
                        token.is_cancelled()
                    })
                })
                .collect();
            yield_now();
            token.cancel();
            waiting.into_iter().all(|waiting| waiting.join().expect("no panic"))
        });
        assert!(cancelled);
        assert!(threads.into_iter().all(|thread| thread.join().expect("no panic")));
        token.wait();
        assert!(token.wait_timeout(Duration::MAX) && token.wait_deadline(Instant::now()));
    });
}

#[test]
fn a_token_cancels_a_wait_in_a_callback() {
    for binding in [Binding::PerCall, Binding::UntilThreadExit] {
        each_mode(|rt, _| {
            let bridge = Bridge::new(rt).with_binding(binding);
            let (begun, has_begun) = chan::bounded(1);
            let (_never, rx) = chan::bounded::<u32>(0);
            let (tx, later) = chan::bounded::<u32>(0);
            let token = Token::new();
            let theirs = token.clone();
            let caller = thread::spawn(move || {
                let first = bridge.enter(|| {
                    begun.send(()).expect("awaited");
                    theirs.run(|| rx.recv())
                });
                // The next call on this thread does not belong to this token.
                (first.expect("let in"), bridge.enter(|| later.recv()).expect("let in"))
            });
            has_begun.recv().expect("it begins");
            token.cancel();
            tx.send(4).expect("the second call receives");
            let (first, second) = caller.join().expect("no panic");
            assert_eq!(first.expect_err("cancelled").scope, CancelScope::Token(token.id()));
            assert_eq!(second, Ok(4));
        });
    }
}

#[test]
fn on_a_plain_thread_a_token_only_refuses() {
    let token = Token::new();
    assert_eq!(token.run(|| 3), Ok(3));
    token.cancel();
    let refused = token.run(|| 3).expect_err("cancelled before");
    assert_eq!((refused.g, refused.scope), (0, CancelScope::Token(token.id())));
}

/// Many goroutines come and go under one token while it is cancelled.
#[test]
fn a_token_may_be_cancelled_while_goroutines_enter_and_leave() {
    each_mode(|rt, mode| {
        let (rounds, many) = if mode == Mode::threads() { (5, 8) } else { (30, 32) };
        rt.run(|| {
            for _ in 0..rounds {
                let token = Token::new();
                let workers: Vec<_> = (0..many)
                    .map(|_| token.clone())
                    .map(|token| {
                        go(move || {
                            let mut done = 0_u32;
                            while token.run(yield_now).is_ok() {
                                done += 1;
                            }
                            // Nothing is left over for the next wait.
                            yield_now();
                            done
                        })
                    })
                    .collect();
                yield_now();
                token.cancel();
                workers.into_iter().for_each(|worker| {
                    let _done = worker.join().expect("only regions are cancelled");
                });
            }
        });
    });
}

#[test]
#[expect(clippy::mutable_key_type, reason = "what is compared and hashed does not change")]
fn clones_are_the_same_token_and_children_are_not() {
    static STATIC: Token = Token::new();
    let (token, other) = (Token::new(), Token::new());
    let found = HashSet::from([token.clone(), token.child(), other.clone(), STATIC.clone()]);
    assert_eq!(found.len(), 4);
    assert!([&token, &other, &STATIC].into_iter().all(|one| found.contains(one)));
    assert_ne!(token, token.with_timeout(Duration::MAX));
}
