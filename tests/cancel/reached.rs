//! What a token's cancel reaches besides those that wait: channels, functions, and those who ask
//! why.

use std::error::Error;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use gosched::callback::{Binding, Bridge};
use gosched::cancel::{Cause, Token};
use gosched::chan::{self, RecvError, Select, TryRecvError};
use gosched::future::block_on;
use gosched::{go, select, time};
use test_support::each_mode;

static STOP: Token = Token::new();

#[test]
fn a_static_token_is_one_token() {
    let clone = STOP.clone();
    assert_eq!(STOP.id(), clone.id());
    let child = STOP.child();
    clone.cancel();
    assert!(STOP.is_cancelled() && child.is_cancelled());
    let (one, other) = (Token::new(), Token::default());
    assert_ne!(one.id(), other.id());
}

#[test]
fn done_is_a_case_of_a_select() {
    each_mode(|rt, _| {
        rt.run(|| {
            let (tx, rx) = chan::bounded::<u32>(0);
            let token = Token::new();
            let theirs = token.clone();
            let worker = go(move || {
                let mut sum = 0;
                loop {
                    select! {
                        recv(rx) -> number => sum += number.expect("the sender is there"),
                        recv(theirs.done()) -> done => {
                            assert_eq!(done, Err(RecvError));
                            break sum;
                        }
                    }
                }
            });
            (1..=10).for_each(|n| tx.send(n).expect("it receives"));
            assert_eq!(token.done().try_recv(), Err(TryRecvError::Empty));
            token.cancel();
            assert_eq!(worker.join().expect("no panic"), 55);
            assert_eq!(token.done().try_recv(), Err(TryRecvError::Disconnected));
            let done = token.done();
            let mut list = Select::new();
            let case = list.recv(&done);
            let chosen = list.select();
            assert_eq!(chosen.index(), case);
            assert!(chosen.recv(&done).is_err());
        });
    });
}

#[test]
fn done_is_heard_of_everywhere() {
    each_mode(|rt, _| {
        let token = Token::new();
        let bridge = Bridge::new(rt).with_binding(Binding::PerCall);
        thread::scope(|threads| {
            threads.spawn(|| assert!(token.done().recv().is_err()));
            threads.spawn(|| assert!(block_on(token.done().recv_async()).is_err()));
            threads.spawn(|| {
                let heard = bridge.enter(|| token.child().done().recv().is_err());
                assert!(heard.expect("no panic"));
            });
            rt.run(|| {
                let waits: Vec<_> = (0..4)
                    .map(|_| {
                        let token = token.clone();
                        go(move || token.done().recv_timeout(Duration::from_secs(60)))
                    })
                    .collect();
                token.cancel();
                let heard = |wait: gosched::JoinHandle<_>| wait.join().expect("no panic");
                let disconnected = Err(chan::RecvTimeoutError::Disconnected);
                assert!(waits.into_iter().all(|wait| heard(wait) == disconnected));
            });
        });
    });
}

fn counting(count: &Arc<AtomicUsize>) -> impl FnOnce() + Send + 'static {
    let count = count.clone();
    move || _ = count.fetch_add(1, Relaxed)
}

#[test]
fn a_function_is_called_once_or_not_at_all() {
    let (token, count) = (Token::new(), Arc::new(AtomicUsize::new(0)));
    let called = token.on_cancel(counting(&count));
    drop(token.on_cancel(counting(&count)));
    assert!(token.on_cancel(counting(&count)).unregister());
    token.on_cancel(counting(&count)).keep();
    let _of_a_child = token.child().child().on_cancel(counting(&count));
    assert_eq!(count.load(Relaxed), 0);
    token.cancel();
    token.cancel();
    assert_eq!(count.load(Relaxed), 3);
    assert!(!called.unregister(), "it was called");
    let at_once = token.on_cancel(counting(&count));
    assert_eq!(count.load(Relaxed), 4, "called here and now");
    at_once.keep();
    assert_eq!(count.load(Relaxed), 4);
}

#[test]
fn functions_are_called_when_all_is_woken_whatever_they_do() {
    each_mode(|rt, _| {
        rt.run(|| {
            let token = Token::new();
            let theirs = token.clone();
            let waits = go(move || theirs.run(|| time::sleep(Duration::MAX)).is_err());
            let count = Arc::new(AtomicUsize::new(0));
            token.on_cancel(|| panic!("of a function")).keep();
            token.on_cancel(counting(&count)).keep();
            let again = token.clone();
            token.on_cancel(move || again.cancel()).keep();
            let canceller = go(move || token.cancel());
            assert!(canceller.wait().expect_err("it panics").is_panic());
            assert!(waits.join().expect("no panic"), "it was woken");
            assert_eq!(count.load(Relaxed), 1, "the others are called, too");
        });
    });
}

#[test]
fn a_token_that_is_gone_calls_nothing() {
    let held = Arc::new(());
    let theirs = held.clone();
    let token = Token::new();
    token.on_cancel(move || drop(theirs)).keep();
    let _done = token.done();
    assert_eq!(Arc::strong_count(&held), 2);
    drop(token);
    assert_eq!(Arc::strong_count(&held), 1, "dropped with its token");
}

#[test]
fn the_first_cause_counts_and_is_inherited() {
    let (parent, other) = (Token::new(), Token::new());
    let child = parent.child();
    assert!(parent.cause().is_none());
    let early = parent.child();
    early.cancel();
    parent.cancel_with(io::Error::from(io::ErrorKind::StorageFull));
    parent.cancel();
    assert!(matches!(early.cause(), Some(Cause::Cancelled)));
    for token in [&parent, &child, &child.child()] {
        let Some(Cause::Error(error)) = token.cause() else { unreachable!("it was given") };
        let error = error.downcast_ref::<io::Error>().expect("what was given");
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    }
    other.cancel_with("a text");
    let cause: Box<dyn Error + Send + Sync> = Box::new(other.cause().expect("cancelled"));
    assert_eq!(cause.to_string(), "a text");
}
