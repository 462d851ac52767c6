//! Bridges that are closed, and calls with a time limit.
#![expect(unsafe_code, reason = "fork")]

use crate::support::{Child, bridge, on_c_thread, runtime};
use gosched_callback_bridge::{Binding, Bridge, CloseError, EnterCode, EnterError};
use gosched_scheduler::{JoinHandle, chan, go};
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

const BINDINGS: [Binding; 2] = [Binding::PerCall, Binding::UntilThreadExit];
const LONG: Duration = Duration::from_secs(20);

fn closed<R>(outcome: &Result<R, EnterError>) -> bool {
    matches!(outcome, Err(EnterError::Closed))
}

#[test]
fn a_closed_bridge_refuses_and_says_who_is_left() {
    for binding in BINDINGS {
        let (runtime, open) = bridge();
        let bridge = open.clone().with_binding(binding);
        let (inside, is_inside) = chan::bounded(0);
        let (leave, may_leave) = chan::bounded::<()>(0);
        std::thread::scope(|scope| {
            let waits = || {
                on_c_thread(|| {
                    // A call in a call counts, too.
                    bridge.enter(|| {
                        let inner = bridge.enter(|| {
                            inside.send(()).expect("awaited");
                            may_leave.recv().expect("sent");
                        });
                        inner.expect("it is open");
                    })
                })
            };
            let callers = [scope.spawn(waits), scope.spawn(waits)];
            (0..2).for_each(|_| is_inside.recv().expect("sent"));
            let outcome = bridge.close(Duration::ZERO);
            assert_eq!(outcome, Err(CloseError::Running { calls: 4 }));
            on_c_thread(|| assert!(closed(&bridge.enter(|| unreachable!("closed")))));
            assert!(closed(&open.enter(|| ())), "a copy is closed with it");
            runtime.run(|| assert!(closed(&open.enter(|| ())), "and to goroutines"));
            let closer = scope.spawn(|| open.close(LONG));
            (0..2).for_each(|_| leave.send(()).expect("awaited"));
            closer.join().expect("no panic").expect("they have left");
            for caller in callers {
                caller.join().expect("no panic").expect("what is inside is not ended");
            }
        });
        bridge.close(Duration::ZERO).expect("again");
        let another = Bridge::new(&runtime);
        assert_eq!(another.enter(|| 7).expect("another bridge is open"), 7);
    }
}

/// After `close` no closure runs: neither one that came in before nor one that comes.
#[test]
fn nothing_runs_after_close_while_threads_come_and_go() {
    for round in 0..20 {
        let (_runtime, open) = bridge();
        let bridge = open.with_binding(BINDINGS[round % 2]);
        let (over, calls) = (AtomicBool::new(false), AtomicUsize::new(0));
        let begin = Barrier::new(4);
        std::thread::scope(|scope| {
            let callers: Vec<_> = (0..3)
                .map(|_| {
                    scope.spawn(|| {
                        begin.wait();
                        loop {
                            let ran = bridge.enter(|| {
                                calls.fetch_add(1, Relaxed);
                                assert!(!over.load(Relaxed), "a call after close");
                            });
                            match ran {
                                Ok(()) => {}
                                Err(EnterError::Closed) => return,
                                Err(error) => panic!("{error}"),
                            }
                        }
                    })
                })
                .collect();
            begin.wait();
            while calls.load(Relaxed) < 50 {
                std::thread::yield_now();
            }
            bridge.close(LONG).expect("they leave");
            over.store(true, Relaxed);
            callers.into_iter().for_each(|caller| caller.join().expect("no panic"));
        });
    }
}

/// Two that close at the same time are both told.
#[test]
fn goroutines_and_threads_close_together() {
    let (runtime, bridge) = bridge();
    let (inside, is_inside) = chan::bounded(0);
    let (leave, may_leave) = chan::bounded::<()>(0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let call = bridge.enter(|| {
                inside.send(()).expect("awaited");
                may_leave.recv()
            });
            call.expect("a call").expect("sent");
        });
        is_inside.recv().expect("sent");
        let (closing, is_closing) = chan::bounded(3);
        let closers: Vec<JoinHandle<_>> = (0..2)
            .map(|_| {
                let (bridge, closing) = (bridge.clone(), closing.clone());
                runtime.handle().go(move || {
                    closing.send(()).expect("awaited");
                    bridge.close(LONG)
                })
            })
            .collect();
        (0..2).for_each(|_| is_closing.recv().expect("sent"));
        leave.send(()).expect("awaited");
        bridge.close(LONG).expect("it leaves");
        closers.into_iter().for_each(|it| it.join().expect("no panic").expect("it leaves"));
    });
}

#[test]
fn an_unbound_bridge_has_nobody_inside() {
    let (bridge, runtime) = (Bridge::unbound(), runtime());
    bridge.close(LONG).expect("nobody");
    assert!(bridge.bind(runtime.handle()));
    assert_eq!(bridge.enter(|| 1).expect("it was not closed"), 1);
}

#[test]
fn a_forked_child_does_not_wait_for_the_parents_threads() {
    Child::run("closing::a_forked_child_does_not_wait_for_the_parents_threads", || {
        let (_runtime, bridge) = bridge();
        let _inside = bridge.attach().expect("attached");
        // SAFETY: the child calls nothing but the bridge, which refuses, and ends.
        let child = unsafe { libc::fork() };
        if child == 0 {
            let code = i32::from(bridge.close(LONG) != Err(CloseError::Forked));
            // SAFETY: has no precondition.
            unsafe { libc::_exit(code) }
        }
        let mut status = 0;
        // SAFETY: a child of ours, waited for once.
        assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
        assert!(libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0);
    })
    .assert_success();
}

#[test]
fn a_call_has_a_time_limit() {
    let (runtime, open) = bridge();
    for binding in BINDINGS {
        let bridge = open.clone().with_binding(binding);
        on_c_thread(|| {
            let (_tx, rx) = chan::bounded::<()>(0);
            for outcome in [
                bridge.enter_timeout(Duration::from_millis(3), || rx.recv()),
                bridge.enter_timeout(Duration::ZERO, || rx.recv()),
                bridge.enter_deadline(Instant::now(), || rx.recv()),
            ] {
                let error = outcome.expect_err("nothing is sent");
                assert_eq!(error.code(), EnterCode::TimedOut, "{error}");
            }
            // It does not wait, so it is not ended.
            assert_eq!(bridge.enter_timeout(Duration::ZERO, || 5).expect("in time"), 5);
            assert_eq!(bridge.enter_timeout(Duration::MAX, || 6).expect("no limit"), 6);
            let panics: Result<(), _> =
                bridge.enter_timeout(LONG, || std::panic::resume_unwind(Box::new(7)));
            assert!(matches!(panics, Err(EnterError::Panicked(_))));
            // Its own limit and one around it are told apart.
            let outer = bridge.enter_timeout(Duration::from_millis(3), || {
                bridge.enter_timeout(LONG, || rx.recv()).map_err(|error| error.code())
            });
            assert!(matches!(outer, Ok(Err(EnterCode::Cancelled))), "{outer:?}");
        });
    }
    runtime.run(|| {
        let (_tx, rx) = chan::bounded::<()>(0);
        let nested = open.enter_timeout(Duration::from_millis(3), || rx.recv());
        assert!(matches!(nested, Err(EnterError::TimedOut)));
        go(|| ()).join().expect("the goroutine goes on");
    });
}
