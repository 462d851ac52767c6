//! What is ready at once gives its turn when sysmon asks for it.
//!
//! # Safety
//!
//! No goroutine here waits in an initialiser or in code that relies on nesting.
#![expect(unsafe_code, reason = "promises what the mode wants promised")]

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::Waker;
use std::time::Duration;

use super::*;
use crate::cancel::Token;
use crate::goroutine::Builder;
use crate::scope::JoinSet;
use crate::sync::{Mutex, Semaphore, WaitGroup};
use crate::{Handle, JoinHandle, Mode, Runtime, blocking, chan, go, scope, time};

/// Calls `ready` in a goroutine that was asked for its turn and has a sibling that has not begun,
/// on one P without sysmon. True if the sibling has run by then.
fn gives_its_turn<T>(prepare: fn() -> T, ready: fn(T)) -> bool {
    // SAFETY: see the module's head.
    let mode = unsafe { Mode::settled() };
    let rt = Runtime::builder(mode).procs(1).build().expect("a runtime");
    rt.handle().sched().sysmon_not_before.store(u64::MAX, Relaxed);
    rt.run(|| {
        let prepared = prepare();
        let ran = Arc::new(AtomicBool::new(false));
        let runs = ran.clone();
        // On this thread, or the turn would be another one's.
        let sibling = Builder::new().talks().go(move || runs.store(true, Relaxed));
        current::with(|cx| cx.expect("a goroutine").m.progress.request_preempt());
        ready(prepared);
        let has_run = ran.load(Relaxed);
        sibling.join().expect("no panic");
        has_run
    })
}

fn ended() -> JoinHandle<()> {
    let ended = go(|| ());
    while !ended.is_finished() {
        yield_now();
    }
    ended
}

fn cancelled() -> Token {
    let token = Token::new();
    token.cancel();
    token
}

#[test]
fn what_is_ready_at_once() {
    assert!(gives_its_turn(ended, |ended| ended.join().expect("no panic")), "join");
    assert!(
        gives_its_turn(ended, |ended| _ = ended.join_timeout(Duration::from_secs(9))),
        "join_timeout"
    );
    assert!(gives_its_turn(cancelled, |token| token.wait()), "Token::wait");
    assert!(gives_its_turn(|| (), |()| scope(|_| ())), "scope");
    assert!(gives_its_turn(|| (), |()| blocking(|| ())), "blocking");
    assert!(gives_its_turn(|| (), |()| time::sleep(Duration::ZERO)), "sleep");
    let filled = || {
        let (tx, rx) = chan::bounded(1);
        tx.send(()).expect("there is room");
        rx
    };
    assert!(gives_its_turn(filled, |rx| rx.recv().expect("a value")), "recv");
    assert!(gives_its_turn(Mutex::<()>::default, |lock| drop(lock.lock())), "lock");
    assert!(
        gives_its_turn(|| Semaphore::new(1), |free| drop(free.acquire().expect("open"))),
        "acquire"
    );
    assert!(gives_its_turn(WaitGroup::new, |nobody| nobody.wait()), "WaitGroup::wait");
    assert!(
        gives_its_turn(JoinSet::<()>::new, |mut none| assert!(none.join_next().is_none())),
        "join_next"
    );
}

#[test]
fn futures_are_pending_once() {
    let polled = |mut ended: JoinHandle<()>| {
        let mut poll = || Pin::new(&mut ended).poll(&mut Context::from_waker(Waker::noop()));
        assert!(poll().is_pending(), "it answers the request");
        assert!(poll().is_ready());
    };
    assert!(!gives_its_turn(ended, polled), "a poll does not suspend");
}

fn one_ended() -> JoinSet<()> {
    let mut set = JoinSet::new();
    set.spawn(|| ());
    // One goroutine is left, which is this: nothing is left of the other, so the set knows.
    let left = || Handle::current().stats().goroutines;
    while left() > 1 {
        yield_now();
    }
    set
}

/// The members that have ended are joined in a poll, and where nothing may wait.
#[test]
fn what_has_ended_is_taken_without_a_turn() {
    let polled = |mut set: JoinSet<()>| {
        let mut poll = || set.poll_join_next(&mut Context::from_waker(Waker::noop()));
        assert!(poll().is_pending(), "it answers the request");
        assert!(matches!(poll(), Poll::Ready(Some(Ok(())))));
    };
    assert!(!gives_its_turn(one_ended, polled), "a poll does not suspend");
    let tried = |mut set: JoinSet<()>| {
        assert!(matches!(crate::no_wait(|| set.try_join_next()), Some(Ok(()))));
    };
    assert!(!gives_its_turn(one_ended, tried), "nothing waits");
}
