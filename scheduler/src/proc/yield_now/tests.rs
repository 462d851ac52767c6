//! What is ready at once gives its turn when sysmon asks for it.
//!
//! # Safety
//!
//! No goroutine here waits in an initialiser or in code that relies on nesting.
#![expect(unsafe_code, reason = "promises what the mode wants promised")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::Waker;
use std::time::{Duration, Instant};

use super::*;
use crate::cancel::Token;
use crate::goroutine::Builder;
use crate::scope::JoinSet;
use crate::sync::{Mutex, Semaphore, WaitGroup};
use crate::{JoinHandle, Mode, Runtime, blocking, chan, go, scope, time};

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
    let soon = || Instant::now() + Duration::from_secs(9);
    assert!(gives_its_turn(ended, |ended| ended.join().expect("no panic")), "join");
    assert!(
        gives_its_turn(ended, |ended| _ = ended.join_timeout(Duration::from_secs(9))),
        "join_timeout"
    );
    assert!(gives_its_turn(cancelled, |token| token.wait()), "Token::wait");
    assert!(gives_its_turn(|| (), |()| scope(|_| ())), "scope");
    assert!(gives_its_turn(|| (), |()| blocking(|| ())), "blocking");
    assert!(gives_its_turn(soon, |_| time::sleep(Duration::ZERO)), "sleep");
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
        let mut poll =
            || std::pin::Pin::new(&mut ended).poll(&mut Context::from_waker(Waker::noop()));
        assert!(poll().is_pending(), "it answers the request");
        assert!(poll().is_ready());
    };
    gives_its_turn(ended, polled);
}
