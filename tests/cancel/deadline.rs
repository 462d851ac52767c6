//! Tokens with a deadline: whatever waits under them or for them is reached in time.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use gosched::cancel::{Cause, Token};
use gosched::chan;
use gosched::future::block_on;
use gosched::{CancelScope, Deadlock, Runtime, go, select, yield_now};
use test_support::{each_mode, modes};

const SOON: Duration = Duration::from_millis(10);
const HOUR: Duration = Duration::from_secs(3600);

/// Has a deadline in an hour, and `f` is called once at each way to wait for a token that is
/// cancelled soon.
fn each_wait(f: impl Fn(&str, &dyn Fn(&Token))) {
    f("run", &|token| {
        let (_tx, rx) = chan::bounded::<()>(0);
        let cancelled = token.run(|| rx.recv()).expect_err("nothing is sent");
        assert_eq!(cancelled.scope, CancelScope::Token(token.id()));
    });
    f("wait", &|token| token.wait());
    f("wait_timeout", &|token| assert!(token.wait_timeout(HOUR)));
    f("wait_async", &|token| block_on(token.wait_async()));
    f("recv of done", &|token| assert!(token.done().recv().is_err()));
    f("select of done", &|token| {
        let (_tx, rx) = chan::bounded::<()>(0);
        select! {
            recv(rx) -> _ => unreachable!("nothing is sent"),
            recv(token.done()) -> done => assert!(done.is_err()),
        }
    });
    f("recv_async of done", &|token| assert!(block_on(token.done().recv_async()).is_err()));
    f("a loop that asks", &|token| {
        while !token.is_cancelled() {
            yield_now();
        }
    });
    f("on_cancel", &|token| {
        let (tx, rx) = chan::bounded(1);
        let _guard = token.on_cancel(move || tx.send(()).expect("there is room"));
        rx.recv().expect("it is called");
    });
}

#[test]
fn every_wait_ends_at_the_deadline() {
    each_mode(|rt, _| {
        rt.run(|| {
            each_wait(|what, wait| {
                let began = Instant::now();
                let token = Token::new().with_timeout(SOON);
                assert!(token.deadline().is_some_and(|deadline| deadline >= began + SOON));
                wait(&token);
                assert!(began.elapsed() >= SOON, "{what}: too early");
                assert!(began.elapsed() < HOUR, "{what}: much too late");
                assert!(token.is_cancelled(), "{what}");
                assert!(matches!(token.cause(), Some(Cause::Deadline)), "{what}");
            });
        });
    });
}

#[test]
fn on_a_plain_thread_too() {
    each_wait(|what, wait| {
        // Nothing wakes a plain thread out of another wait.
        if what != "run" {
            let token = Token::new().with_deadline(Instant::now() + SOON);
            wait(&token);
            assert!(token.is_cancelled(), "{what}");
        }
    });
}

#[test]
fn children_have_the_first_deadline() {
    each_mode(|rt, _| {
        rt.run(|| {
            let near = Token::new().with_timeout(SOON);
            let far = near.with_timeout(HOUR);
            assert_eq!(far.deadline(), near.deadline());
            assert_eq!(near.child().deadline(), near.deadline());
            let nearer = far.with_timeout(Duration::ZERO);
            assert!(nearer.is_cancelled() && nearer.deadline() < far.deadline());
            assert!(nearer.run(|| ()).is_err(), "what is over does not begin");
            assert!(!far.is_cancelled());
            far.wait();
            assert!(matches!(far.cause(), Some(Cause::Deadline)));
            let unbounded = Token::new().with_timeout(Duration::MAX);
            assert_eq!((unbounded.deadline(), unbounded.is_cancelled()), (None, false));
        });
    });
}

#[test]
fn a_cancel_comes_before_the_deadline() {
    each_mode(|rt, _| {
        rt.run(|| {
            each_wait(|what, wait| {
                let parent = Token::new();
                let token = parent.with_timeout(HOUR);
                let canceller = go(move || parent.cancel());
                wait(&token);
                canceller.join().expect("no panic");
                assert!(matches!(token.cause(), Some(Cause::Cancelled)), "{what}");
            });
        });
    });
}

/// The runtime is told that nothing comes from outside; the clock does.
#[test]
fn a_deadline_is_no_deadlock() {
    for mode in modes() {
        let rt = Runtime::builder(mode).deadlock(Deadlock::Panic).procs(2).build();
        rt.expect("a runtime").run(|| {
            each_wait(|_, wait| wait(&Token::new().with_timeout(SOON)));
        });
    }
}

#[test]
fn tokens_with_deadlines_end_in_any_order() {
    let root = Token::new();
    let called = Arc::new(());
    let threads: Vec<_> = (0..4)
        .map(|thread| {
            let (root, called) = (root.clone(), called.clone());
            thread::spawn(move || {
                for n in 0..500_u64 {
                    let token = root.with_timeout(Duration::from_micros(n * thread));
                    let called = called.clone();
                    let guard = token.on_cancel(move || drop(called));
                    match n % 4 {
                        0 => token.cancel(),
                        1 => token.wait(),
                        2 => guard.keep(),
                        _ => drop(guard),
                    }
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().expect("no panic"));
    let deadline = Instant::now() + Duration::from_secs(60);
    while Arc::strong_count(&called) > 1 {
        assert!(Instant::now() < deadline, "a function was neither called nor dropped");
        thread::yield_now();
    }
}
