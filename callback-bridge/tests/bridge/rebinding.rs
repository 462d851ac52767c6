//! Bridges that are bound to another runtime.
#![expect(unsafe_code, reason = "fork")]

use crate::support::{Child, bridge, on_c_thread, runtime};
use gosched_callback_bridge::{Binding, Bridge, CloseError, EnterError};
use gosched_scheduler::{chan, go};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

const BINDINGS: [Binding; 2] = [Binding::PerCall, Binding::UntilThreadExit];
const LONG: Duration = Duration::from_secs(20);

/// Enters, and asks a goroutine of the bridge's runtime.
fn answers(bridge: &Bridge) -> bool {
    let asked = bridge.enter(|| {
        let (tx, rx) = chan::bounded(0);
        let asked = go(move || tx.send(7));
        let answer = rx.recv();
        asked.join().expect("it ends").expect("somebody receives");
        answer
    });
    asked.is_ok_and(|answer| answer == Ok(7))
}

#[test]
fn what_c_holds_goes_on_with_the_next_runtime() {
    static BRIDGE: Bridge = Bridge::unbound();
    let first = runtime();
    assert!(BRIDGE.rebind(first.handle()), "it was unbound");
    let copy = BRIDGE.clone().with_binding(Binding::PerCall);
    let _up = on_c_thread(|| {
        let mut up = first;
        for _ in 0..3 {
            assert!(answers(&BRIDGE) && answers(&copy));
            let next = runtime();
            assert!(!BRIDGE.rebind(next.handle()), "it leads into a runtime that is up");
            assert!(!copy.bind(next.handle()), "it is bound");
            up.shutdown(LONG).expect("nobody is inside");
            for bridge in [&BRIDGE, &copy] {
                assert!(matches!(bridge.enter(|| ()), Err(EnterError::ShutDown)));
            }
            assert!(copy.rebind(next.handle()), "a copy is bound with the others");
            up = next;
        }
        assert!(answers(&BRIDGE));
        up
    });
    let late = BRIDGE.clone();
    assert!(on_c_thread(|| answers(&late)), "another thread, and a later copy");
}

#[test]
fn a_closed_bridge_opens_again() {
    let (runtime, open) = bridge();
    open.close(LONG).expect("nobody is inside");
    assert!(open.rebind(runtime.handle()), "the same runtime serves");
    assert!(answers(&open));
    drop(runtime);
    assert!(open.rebind(self::runtime().handle()), "one that is dropped is shut down");
    assert!(matches!(open.enter(|| ()), Err(EnterError::ShutDown)));
}

/// What a shutdown has left inside stays there, and is waited for.
#[test]
fn what_is_left_inside_is_still_waited_for() {
    for binding in BINDINGS {
        let (old, open) = bridge();
        let bridge = open.with_binding(binding);
        let (inside, is_inside) = std::sync::mpsc::channel();
        let (leave, may_leave) = std::sync::mpsc::channel::<()>();
        std::thread::scope(|scope| {
            let bridge = &bridge;
            let left = scope.spawn(move || {
                on_c_thread(move || {
                    bridge.enter(|| {
                        inside.send(()).expect("awaited");
                        may_leave.recv().expect("sent");
                        assert!(answers(bridge), "a call of the next runtime in one of the former");
                    })
                })
            });
            is_inside.recv().expect("sent");
            old.shutdown(Duration::ZERO).expect_err("a callback is inside");
            let new = runtime();
            assert!(bridge.rebind(new.handle()));
            on_c_thread(|| assert!(answers(bridge), "it waits for nobody"));
            let attached = bridge.attach().expect("it is up");
            assert_eq!(bridge.close(Duration::ZERO), Err(CloseError::Running { calls: 2 }));
            assert!(bridge.rebind(new.handle()));
            leave.send(()).expect("awaited");
            left.join().expect("no panic").expect("what is inside is not ended");
            drop(attached);
            bridge.close(LONG).expect("all have left");
        });
    }
}

/// Ends the callers, also where the test fails.
struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

#[test]
fn no_call_is_lost_while_threads_come_and_go() {
    for binding in BINDINGS {
        let mut up = runtime();
        let bridge = Bridge::new(&up).with_binding(binding);
        let (over, calls) = (AtomicBool::new(false), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            let _end = End(&over);
            for _ in 0..3 {
                scope.spawn(|| {
                    on_c_thread(|| {
                        while !over.load(Relaxed) {
                            match bridge.enter(|| calls.fetch_add(1, Relaxed)) {
                                Ok(_) => {}
                                Err(EnterError::ShutDown) => std::thread::yield_now(),
                                Err(error) => panic!("{error}"),
                            }
                        }
                    });
                });
            }
            for _ in 0..20 {
                let before = calls.load(Relaxed);
                while calls.load(Relaxed) < before + 10 {
                    std::thread::yield_now();
                }
                up.shutdown(LONG).expect("calls are short");
                let next = runtime();
                assert!(bridge.rebind(next.handle()));
                up = next;
                assert!(answers(&bridge), "who knows of it comes in");
            }
        });
        bridge.close(LONG).expect("nobody is inside");
    }
}

/// Forks; `body` says in the child whether all is well.
fn forked(body: impl FnOnce() -> bool) -> bool {
    // SAFETY: the child goes on with what the C library and the bridge keep usable in a child, and
    // ends below.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let code = i32::from(!body());
        // SAFETY: has no precondition.
        unsafe { libc::_exit(code) }
    }
    let mut status = 0;
    // SAFETY: a child of ours, waited for once.
    assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
    libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0
}

#[test]
fn in_a_forked_child() {
    Child::run("rebinding::in_a_forked_child", || {
        static BRIDGE: Bridge = Bridge::unbound();
        let parents = runtime();
        assert!(BRIDGE.bind(parents.handle()));
        let goes_on = || {
            let refused = matches!(BRIDGE.enter(|| ()), Err(EnterError::Forked));
            let childs = runtime();
            let well = refused && BRIDGE.rebind(childs.handle()) && answers(&BRIDGE);
            well && !BRIDGE.rebind(childs.handle()) && BRIDGE.close(LONG).is_ok()
        };
        on_c_thread(|| assert!(forked(goes_on), "on a thread that was never inside"));
        on_c_thread(|| {
            BRIDGE.enter(|| ()).expect("enter");
            assert!(forked(goes_on), "on a bound thread");
            let well = forked(|| goes_on() && forked(|| BRIDGE.rebind(runtime().handle())));
            assert!(well, "and a child of a child");
        });
        on_c_thread(|| {
            let inside = BRIDGE.enter(|| forked(goes_on));
            assert!(inside.expect("enter"), "inside of a callback");
            assert!(answers(&BRIDGE), "the parent goes on");
        });
        on_c_thread(|| {
            // SAFETY: as in `forked`.
            let child = BRIDGE.enter(|| unsafe { libc::fork() }).expect("leaving works");
            if child == 0 {
                let code = i32::from(!goes_on());
                // SAFETY: has no precondition.
                unsafe { libc::_exit(code) }
            }
            let mut status = 0;
            // SAFETY: a child of ours, waited for once.
            assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
            assert_eq!(status, 0, "in a child that has left the callback");
        });
    })
    .assert_success();
}
