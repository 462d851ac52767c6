//! Goroutines are cancelled: by their handles, by tokens, and not where a cancel must not get through.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Waker};
use std::thread;
use std::time::{Duration, Instant};

use gosched::callback::{Binding, Bridge, EnterError};
use gosched::cancel::{Token, shield};
use gosched::chan::{self, Receiver, Sender};
use gosched::{CancelScope, Cancelled, JoinHandle, Mode, go, goroutine, yield_now};
use test_support::each_mode;

/// What a cancelled goroutine unwound with.
fn cancelled(payload: Box<dyn Any + Send>) -> Cancelled {
    *payload.downcast::<Cancelled>().expect("cancelled, not panicked")
}

/// Counts when it is dropped.
struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_add(1, Relaxed);
    }
}

/// A goroutine that has begun and waits for what never comes, unless the sender is used.
fn waiting<T: Send + 'static>(body: impl FnOnce(Receiver<u32>) -> T + Send + 'static) -> (JoinHandle<T>, Sender<u32>) {
    let (tx, rx) = chan::bounded(0);
    let (begun, has_begun) = chan::bounded(1);
    let waits = go(move || {
        begun.send(()).expect("awaited");
        body(rx)
    });
    has_begun.recv().expect("it begins");
    (waits, tx)
}

#[test]
fn a_handle_cancels_its_goroutine() {
    each_mode(|rt, _| {
        rt.run(|| {
            let drops = Arc::new(AtomicUsize::new(0));
            let counted = Counted(drops.clone());
            let (waits, _tx) = waiting(move |rx| {
                let _dropped_when_unwound = counted;
                rx.recv()
            });
            let id = waits.id();
            assert!(waits.cancel());
            // The second one may find that it has ended.
            let _ended_or_not = waits.cancel();
            let payload = cancelled(waits.join().expect_err("it was cancelled"));
            assert_eq!((payload.g, payload.scope), (id, CancelScope::Goroutine));
            assert_eq!(drops.load(Relaxed), 1);
        });
    });
}

#[test]
fn a_handle_knows_the_number() {
    each_mode(|rt, _| {
        let handle = rt.handle().go(goroutine::current_id);
        let id = handle.id();
        assert_eq!(handle.join().expect("no panic"), Some(id));
        let inside = rt.run(|| {
            let handle = go(goroutine::current_id);
            (handle.id(), handle.join().expect("no panic"))
        });
        assert_eq!(inside.1, Some(inside.0));
    });
}

#[test]
fn an_outcome_is_had_without_waiting() {
    each_mode(|rt, _| {
        rt.run(|| {
            let (waits, tx) = waiting(|rx| rx.recv().expect("sent"));
            let waits = waits.try_join().expect_err("it waits");
            tx.send(5).expect("it receives");
            let mut waits = Some(waits);
            let outcome = loop {
                match waits.take().expect("it was given back").try_join() {
                    Ok(outcome) => break outcome,
                    Err(handle) => waits = Some(handle),
                }
                yield_now();
            };
            assert_eq!(outcome.expect("no panic"), 5);
        });
    });
}

#[test]
fn an_outcome_is_waited_for_with_a_limit() {
    each_mode(|rt, _| {
        let limits = || {
            let (tx, rx) = chan::bounded(0);
            let waits = rt.handle().go(move || rx.recv());
            let began = Instant::now();
            let waits = waits.join_timeout(Duration::from_millis(2)).expect_err("it waits");
            assert!(began.elapsed() >= Duration::from_millis(2));
            let waits = waits.join_timeout(Duration::ZERO).expect_err("it waits");
            let waits = waits.join_deadline(began).expect_err("it waits, and that has passed");
            tx.send(5).expect("received");
            // No limit that the clock can reach.
            assert_eq!(waits.join_timeout(Duration::MAX).expect("it ends").expect("no panic"), Ok(5));
            let ended = rt.handle().go(|| 6);
            while !ended.is_finished() {
                yield_now();
            }
            assert_eq!(ended.join_deadline(began).expect("it has ended").expect("no panic"), 6);
            scope_with_limits(rt);
        };
        limits();
        rt.run(limits);
    });
}

fn scope_with_limits(rt: &gosched::Runtime) {
    let (tx, rx) = chan::bounded(0);
    rt.handle().scope(|s| {
        let waits = s.go(|| rx.recv());
        let waits = waits.join_timeout(Duration::from_millis(1)).expect_err("it waits");
        tx.send(7).expect("received");
        let later = Instant::now() + Duration::from_secs(3600);
        assert_eq!(waits.join_deadline(later).expect("in time").expect("no panic"), Ok(7));
    });
}

#[test]
fn what_has_not_begun_never_does() {
    // With one P nothing else runs before the root waits.
    let rt = gosched::Runtime::builder(test_support::settled()).procs(1).build().expect("a runtime");
    rt.run(|| {
        let drops = Arc::new(AtomicUsize::new(0));
        let counted = Counted(drops.clone());
        let ran = Arc::new(AtomicBool::new(false));
        let theirs = ran.clone();
        let unstarted = go(move || {
            theirs.store(true, Relaxed);
            drop(counted);
        });
        assert!(unstarted.cancel());
        let scope = cancelled(unstarted.join().expect_err("it was cancelled")).scope;
        assert_eq!(scope, CancelScope::Goroutine);
        assert!(!ran.load(Relaxed));
        assert_eq!(drops.load(Relaxed), 1);
    });
}

#[test]
fn who_has_ended_is_not_cancelled() {
    each_mode(|rt, _| {
        rt.run(|| {
            let (waits, tx) = waiting(|rx| rx.recv());
            tx.send(7).expect("it receives");
            while !waits.is_finished() {
                yield_now();
            }
            assert!(!waits.cancel());
            assert_eq!(waits.join().expect("it was not cancelled"), Ok(7));
        });
    });
}

#[test]
fn a_running_goroutine_ends_at_its_next_wait() {
    each_mode(|rt, _| {
        rt.run(|| {
            let told = Arc::new(AtomicBool::new(false));
            let passed = Arc::new(AtomicUsize::new(0));
            let (theirs, counter) = (told.clone(), passed.clone());
            let runs = go(move || {
                while !theirs.load(Relaxed) {
                    thread::yield_now();
                    if let Err(payload) = catch_unwind(yield_now) {
                        // Cancelled before it was told; the payload leaves the cancel pending.
                        drop(payload);
                    }
                }
                counter.fetch_add(1, Relaxed);
                yield_now();
                counter.fetch_add(1, Relaxed);
            });
            // With one P it may not have begun; it does now.
            yield_now();
            runs.cancel();
            told.store(true, Relaxed);
            cancelled(runs.join().expect_err("it was cancelled"));
            assert!(passed.load(Relaxed) < 2, "it went on after a wait");
        });
    });
}

#[test]
fn a_caught_cancel_stays_pending() {
    each_mode(|rt, _| {
        rt.run(|| {
            let (waits, _tx) = waiting(|rx| {
                let waits = || cancelled(catch_unwind(AssertUnwindSafe(|| rx.recv())).expect_err("it is cancelled"));
                let first = waits();
                let second = waits();
                let third = cancelled(catch_unwind(yield_now).expect_err("it still is"));
                (first, second, third)
            });
            waits.cancel();
            let (first, second, third) = waits.join().expect("it caught all of them");
            assert!(first == second && second == third);
        });
    });
}

#[test]
fn a_shield_keeps_it_off() {
    each_mode(|rt, _| {
        rt.run(|| {
            let after = Arc::new(AtomicBool::new(false));
            let theirs = after.clone();
            let (waits, tx) = waiting(move |rx| {
                let got = shield(|| {
                    yield_now();
                    (rx.recv(), shield(|| rx.recv()), rx.recv())
                });
                assert_eq!(got, (Ok(1), Ok(2), Ok(3)));
                theirs.store(true, Relaxed);
                rx.recv()
            });
            waits.cancel();
            (1..=3).for_each(|n| tx.send(n).expect("it receives"));
            cancelled(waits.join().expect_err("the next wait unwinds"));
            assert!(after.load(Relaxed));
        });
    });
}

/// Receives while it is dropped.
struct ReceivesInDrop(Receiver<u32>, Arc<AtomicU64>);

impl Drop for ReceivesInDrop {
    fn drop(&mut self) {
        self.1.store(self.0.recv().expect("sent").into(), Relaxed);
    }
}

#[test]
fn a_wait_while_panicking_is_not_ended() {
    each_mode(|rt, _| {
        let got = Arc::new(AtomicU64::new(0));
        let theirs = got.clone();
        let (tx, rx) = chan::bounded(0);
        let (begun, has_begun) = chan::bounded(1);
        // It keeps its thread to itself while it waits: the other side is a plain thread.
        let waits: JoinHandle<()> = rt.handle().go(move || {
            let _receives = ReceivesInDrop(rx, theirs);
            begun.send(()).expect("awaited");
            resume_unwind(Box::new(3_u8));
        });
        has_begun.recv().expect("it begins");
        waits.cancel();
        tx.send(9).expect("it receives");
        let payload = waits.join().expect_err("it panicked");
        assert_eq!(payload.downcast_ref::<u8>(), Some(&3));
        assert_eq!(got.load(Relaxed), 9);
    });
}

/// Hand-over and cancel race; what is sent is received once or comes back.
#[test]
fn nothing_is_lost_to_a_cancel() {
    each_mode(|rt, mode| {
        let rounds = if mode == Mode::threads() { 100 } else { 1000 };
        rt.run(|| {
            let received = Arc::new(AtomicU64::new(0));
            let mut given_back = 0;
            for round in 0..rounds {
                let theirs = received.clone();
                let (tx, rx) = chan::bounded::<u64>(0);
                let receiver = go(move || {
                    let value = rx.recv();
                    theirs.fetch_add(value.unwrap_or_default(), Relaxed);
                });
                let sender = go(move || tx.send(round + 1));
                if round % 3 == 0 {
                    yield_now();
                }
                receiver.cancel();
                if let Err(refused) = sender.join().expect("it was not cancelled") {
                    given_back += refused.0;
                }
                let _cancelled_or_not = receiver.join();
            }
            assert_eq!(received.load(Relaxed) + given_back, rounds * (rounds + 1) / 2);
        });
    });
}

/// Records of goroutines are used again: a cancel that comes late must not reach who has the record next.
#[test]
fn a_late_cancel_reaches_nobody_else() {
    each_mode(|rt, mode| {
        let rounds = if mode == Mode::threads() { 10 } else { 50 };
        rt.run(|| {
            for _ in 0..rounds {
                let ends: Vec<_> = (0..8).map(|_| go(yield_now)).collect();
                let (stop, stopped) = chan::bounded::<()>(0);
                let canceller = go(move || {
                    while stopped.try_recv() == Err(chan::TryRecvError::Empty) {
                        ends.iter().for_each(|end| {
                            end.cancel();
                        });
                        yield_now();
                    }
                });
                // These take the records of those that end.
                let innocent: Vec<_> = (0..16).map(|_| waiting(|rx| rx.recv())).collect();
                for (waits, tx) in innocent {
                    tx.send(1).expect("it receives");
                    assert_eq!(waits.join().expect("nobody cancelled it"), Ok(1));
                }
                drop(stop);
                canceller.join().expect("no panic");
            }
        });
    });
}

#[test]
fn at_the_boundary_to_c_a_cancel_becomes_the_callbacks_error() {
    for binding in [Binding::PerCall, Binding::UntilThreadExit] {
        each_mode(|rt, _| {
            let bridge = Bridge::new(rt).with_binding(binding);
            let (_tx, rx) = chan::bounded::<u32>(0);
            let (begun, has_begun) = chan::bounded(1);
            // It keeps its thread to itself while it waits: who cancels it is a plain thread.
            let waits = rt.handle().go(move || {
                begun.send(()).expect("awaited");
                let outcome = c_side::thread::through_c(|| bridge.enter(|| rx.recv()));
                let Err(EnterError::Panicked(payload)) = outcome else { panic!("not cancelled: {outcome:?}") };
                (cancelled(payload), cancelled(catch_unwind(yield_now).expect_err("it stays pending")))
            });
            has_begun.recv().expect("it begins");
            let id = waits.id();
            waits.cancel();
            let (in_c, after) = waits.join().expect("it caught them");
            assert_eq!((in_c, in_c.g), (after, id));
        });
    }
}

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
                // The token's cancel is none of these waits'.
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
                    // Goes on if only the inner one was cancelled.
                    inner_of.run(|| ()).expect_err("it stays cancelled");
                    rx.recv()
                });
                (outcome, stopped_inside)
            });
            inner.cancel();
            // It may be in either wait when the outer one is cancelled.
            outer.cancel();
            let (outcome, _either) = waits.join().expect("no panic");
            assert_eq!(outcome.expect_err("cancelled").scope, CancelScope::Token(outer.id()));
            // The widest of several that are cancelled.
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
    let tokio =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().expect("tokio's runtime is built");
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
        // One that is dropped is in nobody's way.
        let mut dropped = Box::pin(token.wait_async());
        assert!(dropped.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        drop(dropped);
        let theirs = token.clone();
        rt.run(move || go(move || theirs.cancel()).join().expect("no panic"));
        tasks.into_iter().for_each(|task| assert!(tokio.block_on(task).expect("no panic")));
        let mut late = Box::pin(token.wait_async());
        assert!(late.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready(), "it was cancelled before");
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
        assert!(!token.wait_timeout(Duration::from_millis(1)) && !token.wait_deadline(Instant::now()));
        let cancelled = rt.run(|| {
            assert!(!token.wait_timeout(Duration::from_millis(1)) && !token.wait_timeout(Duration::ZERO));
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
                // The next call on this thread is another's business.
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
                            // None of it is left over for what comes after.
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
