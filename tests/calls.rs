//! Requests of C's threads to goroutines: who gets which value, in each way to end, and what a call
//! takes from the allocator.
//!
//! # Safety
//!
//! The allocator is the system's, and counts.
#![expect(unsafe_code, reason = "a global allocator")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::error::Error;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::{RecvTimeoutError, TryRecvError};
use std::thread;
use std::time::{Duration, Instant};

use gosched::callback::{Binding, Bridge, CallError, EnterError, Requests, Service};
use gosched::cancel::Token;
use gosched::future::block_on;
use gosched::goroutine::current_id;
use gosched::{Handle, JoinHandle, Mode, Runtime, chan};
use test_support::{each_mode, in_child, modes};

const LONG: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_millis(5);

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call goes to the system's allocator as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Relaxed);
        // SAFETY: the caller's contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: the caller's contract.
        unsafe { System.dealloc(memory, layout) }
    }
}

fn runtime() -> Runtime {
    Runtime::builder(Mode::threads()).build().expect("a runtime")
}

/// A value that is not copied, and its account.
#[derive(Debug, PartialEq)]
struct Value(u64);

/// Answers each request with its double, until all services are gone.
fn serve(handle: &Handle, requests: Requests<Value, Value>) -> JoinHandle<u64> {
    handle.go(move || {
        let mut served = 0;
        while let Ok(request) = requests.recv() {
            let double = Value(2 * request.value().0);
            request.reply(double).expect("the caller waits");
            served += 1;
        }
        served
    })
}

#[test]
fn each_caller_gets_the_reply_to_its_own_request() {
    const THREADS: u64 = 4;
    const CALLS: u64 = 100;
    for capacity in [0, 1, 64] {
        each_mode(|rt, _| {
            for binding in [Binding::PerCall, Binding::UntilThreadExit] {
                let bridge = Bridge::new(rt).with_binding(binding);
                let (service, requests) = Service::bounded(capacity);
                let servers = [requests.clone(), requests].map(|it| serve(&rt.handle(), it));
                thread::scope(|scope| {
                    for thread in 0..THREADS {
                        let (bridge, service) = (&bridge, service.clone());
                        scope.spawn(move || {
                            for call in 0..CALLS {
                                let value = Value(thread * CALLS + call);
                                let reply = match call % 4 {
                                    0 => bridge.call(&service, value),
                                    1 => bridge.call_timeout(&service, value, LONG),
                                    2 => bridge.call_timeout(&service, value, Duration::MAX),
                                    _ => {
                                        bridge.call_deadline(&service, value, Instant::now() + LONG)
                                    }
                                };
                                let double = Value(2 * (thread * CALLS + call));
                                assert_eq!(reply.expect("a reply"), double);
                            }
                        });
                    }
                });
                assert!(current_id().is_none(), "the thread is C's again");
                drop(service);
                let served: u64 = servers.map(|it| it.join().expect("no panic")).iter().sum();
                assert_eq!(served, THREADS * CALLS);
            }
        });
    }
}

#[test]
fn in_the_long_run_calls_allocate_nothing() {
    const CALLS: u64 = 500;
    let Some(output) = in_child("in_the_long_run_calls_allocate_nothing") else {
        for mode in modes() {
            let rt = Runtime::builder(mode).procs(2).build().expect("a runtime");
            let bridge = Bridge::new(&rt);
            let (service, requests) = Service::bounded(4);
            let server = serve(&rt.handle(), requests);
            let round = || {
                for call in 0..CALLS {
                    let reply = bridge.call(&service, Value(call));
                    assert_eq!(reply.expect("a reply"), Value(2 * call));
                    let reply = bridge.call_timeout(&service, Value(call), LONG);
                    assert_eq!(reply.expect("a reply"), Value(2 * call));
                }
            };
            let rounds = chan::bounded::<()>(0);
            let (done, is_done) = chan::bounded(2);
            // Asserted outside: a panic would wait for the threads.
            let allocated = thread::scope(|scope| {
                for _ in 0..2 {
                    let (next, done) = (rounds.1.clone(), done.clone());
                    scope.spawn(move || {
                        while next.recv().is_ok() {
                            round();
                            done.send(()).expect("awaited");
                        }
                    });
                }
                let both = || {
                    (0..2).for_each(|_| rounds.0.send(()).expect("awaited"));
                    (0..2).for_each(|_| is_done.recv().expect("sent"));
                };
                (0..3).for_each(|_| both());
                let before = ALLOCATIONS.load(Relaxed);
                both();
                let allocated = ALLOCATIONS.load(Relaxed) - before;
                rounds.0.close();
                allocated
            });
            // In a debug build a channel boxes a value on its way: three times for each call. A few
            // come from lists of the runtime's that grow when more threads wait than before.
            let calls = 4 * CALLS as usize;
            let most = if cfg!(debug_assertions) { 3 * calls } else { 0 } + 50;
            assert!(allocated <= most, "{allocated} in {calls} calls, {mode:?}");
            drop(service);
            server.join().expect("no panic");
        }
        return;
    };
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn a_request_that_no_server_has_comes_back() {
    let rt = runtime();
    let bridge = Bridge::new(&rt);
    let (service, requests) = Service::<Value, Value>::bounded(1);
    let outcome = bridge.call_timeout(&service, Value(1), SHORT);
    assert!(matches!(&outcome, Err(CallError::TimedOut(Some(Value(1))))), "{outcome:?}");
    // What was withdrawn lies there until a server comes.
    let outcome = bridge.try_call(&service, Value(2));
    assert!(matches!(&outcome, Err(CallError::Full(Value(2)))), "{outcome:?}");
    let outcome = bridge.call_deadline(&service, Value(3), Instant::now());
    assert!(matches!(&outcome, Err(CallError::TimedOut(Some(Value(3))))), "{outcome:?}");
    assert!(matches!(requests.try_recv(), Err(TryRecvError::Empty)), "it was withdrawn");
    let timeout = requests.recv_timeout(SHORT);
    assert!(matches!(timeout, Err(RecvTimeoutError::Timeout)), "{timeout:?}");
    thread::scope(|scope| {
        let waits = scope.spawn(|| bridge.call(&service, Value(4)));
        while format!("{service:?}") != "Service { waiting: 1, .. }" {
            thread::yield_now();
        }
        drop(requests);
        let outcome = waits.join().expect("no panic");
        assert!(matches!(&outcome, Err(CallError::Disconnected(Value(4)))), "{outcome:?}");
    });
    let outcome = bridge.try_call(&service, Value(5));
    assert!(matches!(&outcome, Err(CallError::Disconnected(Value(5)))), "{outcome:?}");
    let error = bridge.call(&service, Value(6)).expect_err("nobody serves");
    assert_eq!(error.to_string(), "nobody serves the request");
    assert_eq!(error.into_value(), Some(Value(6)));
}

#[test]
fn a_reply_that_nobody_waits_for_stays_with_the_server() {
    let rt = runtime();
    let bridge = Bridge::new(&rt);
    let (service, requests) = Service::<Value, Value>::bounded(1);
    thread::scope(|scope| {
        let waits = scope.spawn(|| bridge.call_timeout(&service, Value(1), 10 * SHORT));
        let request = requests.recv_timeout(LONG);
        // It may have timed out before, on a slow machine.
        let Ok(request) = request else { return };
        let (value, reply) = request.into_parts();
        assert_eq!(value, Value(1));
        let outcome = waits.join().expect("no panic");
        assert!(matches!(&outcome, Err(CallError::TimedOut(None))), "{outcome:?}");
        assert!(!reply.is_awaited());
        assert_eq!(reply.send(Value(2)), Err(Value(2)));
    });
}

#[test]
fn a_server_that_panics_or_drops_the_request_is_reported() {
    each_mode(|rt, _| {
        let bridge = Bridge::new(rt);
        let (service, requests) = Service::<Value, Value>::bounded(1);
        let again = requests.clone();
        let panics = rt.handle().go(move || {
            let request = again.recv().expect("a request");
            assert_eq!(*request.value(), Value(1));
            std::panic::resume_unwind(Box::new(request.value().0));
        });
        let outcome = bridge.call(&service, Value(1));
        assert!(matches!(&outcome, Err(CallError::NoReply)), "{outcome:?}");
        assert!(panics.join().is_err());
        let drops = rt.handle().go(move || drop(requests.recv().expect("a request")));
        let outcome = bridge.call(&service, Value(2));
        assert!(matches!(&outcome, Err(CallError::NoReply)), "{outcome:?}");
        drops.join().expect("no panic");
    });
}

#[test]
fn a_call_that_cannot_enter_keeps_its_value() {
    let (service, _requests) = Service::<Value, Value>::bounded(1);
    let rt = runtime();
    let outcome = Bridge::unbound().call(&service, Value(1));
    let Err(CallError::Enter(EnterError::NotRunning, Some(Value(1)))) = outcome else {
        panic!("{outcome:?}")
    };
    let bridge = Bridge::new(&rt);
    rt.shutdown(LONG).expect("nobody is inside");
    let error = bridge.call(&service, Value(2)).expect_err("it is shut down");
    assert!(matches!(&error, CallError::Enter(EnterError::ShutDown, Some(Value(2)))), "{error:?}");
    assert!(error.source().is_some());
}

/// The runtime shuts down while a call waits for room, for a server, and for the reply.
#[test]
fn a_shutdown_ends_a_call_and_conserves_the_value() {
    each_mode(|_, mode| {
        for binding in [Binding::PerCall, Binding::UntilThreadExit] {
            let rt = Runtime::builder(mode).build().expect("a runtime");
            let bridge = Bridge::new(&rt).with_binding(binding);
            let (service, requests) = Service::<Value, Value>::bounded(1);
            thread::scope(|scope| {
                let waits = [1, 2, 3].map(|value| {
                    let (bridge, service) = (&bridge, &service);
                    scope.spawn(move || bridge.call(service, Value(value)))
                });
                // One is taken, one lies there, one waits for room.
                let taken = requests.recv().expect("a request");
                while rt.stats().callbacks < 3 {
                    thread::yield_now();
                }
                rt.shutdown(LONG).expect("they unwind");
                let mut back = 0;
                for outcome in waits.map(|it| it.join().expect("no panic")) {
                    match outcome {
                        Err(CallError::Enter(EnterError::Cancelled(_), value)) => {
                            back += u64::from(value.is_some());
                        }
                        other => panic!("{other:?}"),
                    }
                }
                assert_eq!(back, 2);
                assert_eq!(taken.reply(Value(1)), Err(Value(1)));
                assert!(requests.try_recv().is_err(), "they were withdrawn");
            });
        }
    });
}

/// A token around the call: the caller is a goroutine that C calls back in.
#[test]
fn a_cancel_ends_a_call_in_a_goroutine() {
    let rt = runtime();
    let bridge = Bridge::new(&rt);
    let (service, requests) = Service::<Value, Value>::bounded(1);
    let token = Token::new();
    rt.run(|| {
        thread::scope(|scope| {
            let canceller = scope.spawn(|| {
                let request = requests.recv().expect("a request");
                token.cancel();
                request
            });
            let mut outcome = None;
            let _unwound = token.run(|| outcome = Some(bridge.call(&service, Value(1))));
            let request = canceller.join().expect("no panic");
            let outcome = outcome.expect("a call does not unwind");
            let Err(CallError::Enter(EnterError::Cancelled(_), None)) = outcome else {
                panic!("{outcome:?}")
            };
            assert!(request.reply(Value(2)).is_err());
        });
    });
}

#[test]
fn servers_may_be_async_and_goroutines_may_call() {
    let rt = runtime();
    let bridge = Bridge::new(&rt);
    let (service, requests) = Service::<Value, Value>::bounded(1);
    thread::scope(|scope| {
        scope.spawn(|| {
            block_on(async {
                while let Ok(request) = requests.recv_async().await {
                    let next = Value(request.value().0 + 1);
                    request.reply(next).expect("the caller waits");
                }
            });
        });
        let calls = || {
            bridge.enter(|| bridge.call(&service, Value(1)).expect("a reply")).expect("it is open")
        };
        assert_eq!(calls(), Value(2));
        assert_eq!(rt.run(calls), Value(2));
        drop(service);
    });
}
