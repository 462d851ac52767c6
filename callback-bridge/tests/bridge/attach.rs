//! A thread that stays a goroutine until a guard is dropped.

use crate::support::{Child, State, block, bridge, on_c_thread, runtime};
use gosched_callback_bridge::{Attached, Binding, Bridge, CloseError, EnterError};
use gosched_runtime_sys::errno;
use gosched_runtime_sys::signal::mask::SignalMask;
use gosched_runtime_sys::signal::stack::{large_enough, registered};
use gosched_scheduler::{JoinHandle, chan, current_id, go, goroutine_local};
use std::cell::{Cell, RefCell};
use std::os::unix::process::ExitStatusExt;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

const BINDINGS: [Binding; 2] = [Binding::PerCall, Binding::UntilThreadExit];
const LONG: Duration = Duration::from_secs(20);

fn attach(bridge: &Bridge) -> Attached {
    bridge.attach().expect("attached")
}

#[test]
fn a_thread_is_a_goroutine_between() {
    let (_runtime, bridge) = bridge();
    for binding in BINDINGS {
        let bridge = bridge.clone().with_binding(binding);
        on_c_thread(|| {
            block(&[libc::SIGUSR1, libc::SIGSEGV]);
            // The first time binds the thread, which may change it for good.
            drop(attach(&bridge));
            errno::set(libc::ENOTTY);
            let before = State::now();
            for _ in 0..3 {
                let attached = attach(&bridge);
                assert_eq!(errno::get(), libc::ENOTTY);
                assert!(current_id().is_some());
                let stack = registered();
                assert!(stack.enabled && large_enough(stack.size), "{stack:?}");
                assert!(SignalMask::current().contains(libc::SIGUSR1));
                assert!(!SignalMask::current().contains(libc::SIGSEGV));
                let (tx, rx) = chan::bounded(0);
                let sent = go(move || tx.send(7).is_ok());
                assert_eq!((rx.recv(), sent.join().ok()), (Ok(7), Some(true)));
                errno::set(libc::ENOTTY);
                drop(attached);
                assert_eq!(current_id(), None);
                assert_eq!(State::now(), before, "{binding:?}");
            }
        });
    }
}

#[test]
fn guards_and_calls_are_one_goroutine_in_any_order() {
    let (_runtime, bridge) = bridge();
    for binding in BINDINGS {
        let bridge = bridge.clone().with_binding(binding);
        on_c_thread(|| {
            for first_of_three in [0, 1, 2] {
                let mut guards = vec![attach(&bridge)];
                let id = current_id();
                guards.push(attach(&bridge));
                // Made in a call, and outlives it.
                let made = bridge.enter(|| (attach(&bridge), current_id())).expect("a call");
                guards.push(made.0);
                assert_eq!(made.1, id);
                while !guards.is_empty() {
                    assert_eq!(current_id(), id);
                    assert_eq!(bridge.enter(current_id).expect("a call"), id);
                    drop(guards.swap_remove(first_of_three % guards.len()));
                }
                assert_eq!(current_id(), None);
            }
        });
    }
}

thread_local! {
    static KEPT: Cell<Option<Attached>> = const { Cell::new(None) };
}

#[test]
fn a_thread_may_end_with_its_guard_in_a_thread_local() {
    let (runtime, bridge) = bridge();
    for binding in BINDINGS {
        let bridge = bridge.clone().with_binding(binding);
        on_c_thread(|| KEPT.set(Some(attach(&bridge))));
    }
    bridge.close(LONG).expect("both have left");
    runtime.shutdown(LONG).expect("both have left");
}

static DROPPED: AtomicUsize = AtomicUsize::new(0);

struct Counts;

impl Drop for Counts {
    fn drop(&mut self) {
        DROPPED.fetch_add(1, Relaxed);
    }
}

goroutine_local! {
    static LOCAL: RefCell<Option<Counts>> = RefCell::new(None);
}

#[test]
fn locals_last_from_the_first_guard_to_the_last() {
    let (_runtime, bridge) = bridge();
    on_c_thread(|| {
        let one = attach(&bridge);
        bridge.enter(|| LOCAL.with(|local| local.replace(Some(Counts)).is_none())).expect("a call");
        let other = attach(&bridge);
        drop(one);
        assert_eq!(
            (LOCAL.with(|local| local.borrow().is_some()), DROPPED.load(Relaxed)),
            (true, 0)
        );
        drop(other);
        assert_eq!(DROPPED.load(Relaxed), 1);
        let _again = attach(&bridge);
        assert!(!LOCAL.with(|local| local.borrow().is_some()), "the next one is another goroutine");
    });
}

#[test]
fn two_runtimes_are_left_in_order() {
    let (_first, one) = bridge();
    let (_second, other) = bridge();
    for binding in BINDINGS {
        let (one, other) = (one.clone().with_binding(binding), other.clone().with_binding(binding));
        on_c_thread(|| {
            let outer = attach(&one);
            let here = current_id();
            let inner = attach(&other);
            let there = current_id();
            let back = attach(&one);
            assert!(here != there && there != current_id() && current_id() != here);
            drop((back, inner));
            assert_eq!(current_id(), here);
            drop(outer);
            assert_eq!(current_id(), None);
        });
    }
}

#[test]
fn out_of_order_in_two_runtimes_ends_the_process() {
    let path = "attach::out_of_order_in_two_runtimes_ends_the_process";
    let child = Child::run(path, || {
        let (_first, one) = bridge();
        let (_second, other) = bridge();
        on_c_thread(|| {
            let outer = attach(&one);
            let _inner = attach(&other);
            drop(outer);
        });
    });
    assert_eq!(child.status.signal(), Some(libc::SIGABRT), "{child:?}");
    assert!(child.stderr.contains("was left out of turn"), "{child:?}");
}

#[test]
fn a_guard_of_a_goroutine_that_outlives_it_ends_the_process() {
    let path = "attach::a_guard_of_a_goroutine_that_outlives_it_ends_the_process";
    let child = Child::run(path, || {
        let (_runtime, bridge) = bridge();
        on_c_thread(|| drop(bridge.enter(|| attach(&bridge))));
    });
    assert_eq!(child.status.signal(), Some(libc::SIGABRT), "{child:?}");
    assert!(child.stderr.contains("was left out of turn"), "{child:?}");
}

#[test]
fn a_guard_in_a_goroutine_is_a_part_of_it() {
    let runtime = runtime();
    let bridge = Bridge::new(&runtime);
    runtime.run(|| {
        let id = current_id();
        let attached = attach(&bridge);
        assert_eq!(current_id(), id);
        assert!(format!("{attached:?}").contains("nested: true"), "{attached:?}");
        let (tx, rx) = chan::bounded(0);
        let sent: JoinHandle<()> = go(move || tx.send(1).expect("awaited"));
        assert_eq!(rx.recv(), Ok(1));
        drop(attached);
        sent.join().expect("sent");
        assert_eq!(current_id(), id);
    });
}

#[test]
fn attached_threads_are_inside() {
    let (_runtime, bridge) = bridge();
    let copy = bridge.clone();
    on_c_thread(|| {
        let one = attach(&bridge);
        let other = attach(&copy);
        let outcome = bridge.close(Duration::ZERO);
        assert_eq!(outcome, Err(CloseError::Running { calls: 2 }));
        drop(one);
        assert!(matches!(bridge.attach(), Err(EnterError::Closed)));
        assert_eq!(copy.close(Duration::ZERO), Err(CloseError::Running { calls: 1 }));
        drop(other);
        copy.close(LONG).expect("nobody is inside");
    });
    assert!(matches!(Bridge::unbound().attach(), Err(EnterError::NotRunning)));
}

#[test]
fn refused_after_shutdown_and_tells_a_shutdown_of_itself() {
    let (runtime, bridge) = bridge();
    let (attached, is_attached) = chan::bounded(0);
    let (leave, may_leave) = chan::bounded::<()>(0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let _attached = attach(&bridge);
            attached.send(()).expect("awaited");
            // Ended by the shutdown, as every wait inside; in a call that is an error.
            let waits = bridge.enter(|| may_leave.recv());
            assert!(matches!(waits, Err(EnterError::Cancelled(_))), "{waits:?}");
        });
        is_attached.recv().expect("sent");
        runtime.shutdown(LONG).expect("it has left");
        drop(leave);
    });
    for binding in BINDINGS {
        let refused = bridge.clone().with_binding(binding).attach();
        assert!(matches!(refused, Err(EnterError::ShutDown)));
    }
    bridge.close(LONG).expect("what was refused is not inside");
}
