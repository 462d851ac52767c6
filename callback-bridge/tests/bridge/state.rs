//! Mask, signal stack and errno: before, inside, after.

use crate::support::{
    State, block, bridge, on_c_thread, own_signal_stack, signal_stack_at, stack_memory,
};
use gosched_callback_bridge::{Binding, Bridge, EnterError};
use gosched_runtime_sys::errno;
use gosched_runtime_sys::signal::mask::SignalMask;
use gosched_runtime_sys::signal::stack::{Registered, large_enough, registered};

/// Makes three calls, one of which panics. Inside, there is a good signal stack, and faults are let
/// through.
#[track_caller]
fn calls_leave_no_trace(bridge: &Bridge) {
    errno::set(libc::ENOTTY);
    let before = State::now();
    for round in 0..3 {
        let outcome = bridge.enter(|| {
            let stack = registered();
            assert!(stack.enabled && large_enough(stack.size), "{stack:?}");
            let inside = SignalMask::current();
            assert!(!inside.contains(libc::SIGSEGV) && !inside.contains(libc::SIGBUS));
            assert_eq!(inside.contains(libc::SIGUSR1), before.mask.contains(libc::SIGUSR1));
            assert!(
                !before.stack.enabled || !large_enough(before.stack.size) || stack == before.stack
            );
            errno::set(libc::EPERM);
            if round == 1 {
                std::panic::resume_unwind(Box::new("boo"));
            }
        });
        assert_eq!(outcome.is_err(), round == 1);
        assert!(outcome.is_ok() || matches!(outcome, Err(EnterError::Panicked(_))));
        assert_eq!(State::now(), before, "round {round}");
    }
}

#[test]
#[cfg_attr(gosched_shared_signal_stacks, ignore = "the part is taken away")]
fn per_call_is_strict_whatever_signal_stack_the_thread_has() {
    let (_runtime, bridge) = bridge();
    let bridge = bridge.with_binding(Binding::PerCall);
    for size in [None, Some(64 << 10), Some(8 << 10)] {
        on_c_thread(|| {
            if let Some(size) = size {
                own_signal_stack(size);
            }
            calls_leave_no_trace(&bridge);
            block(&[libc::SIGUSR1, libc::SIGSEGV]);
            calls_leave_no_trace(&bridge);
        });
    }
    std::thread::scope(|scope| {
        scope.spawn(|| calls_leave_no_trace(&bridge));
    });
}

#[test]
#[cfg_attr(gosched_shared_signal_stacks, ignore = "the part is taken away")]
fn per_call_is_strict_on_a_bound_thread() {
    let (_runtime, until_exit) = bridge();
    let per_call = until_exit.clone().with_binding(Binding::PerCall);
    assert_eq!(
        (until_exit.binding(), per_call.binding()),
        (Binding::UntilThreadExit, Binding::PerCall)
    );
    on_c_thread(|| {
        until_exit.enter(|| ()).expect("first");
        calls_leave_no_trace(&per_call);
        until_exit.enter(|| calls_leave_no_trace(&per_call)).expect("around");
        calls_leave_no_trace(&per_call);
    });
}

/// Calls twice, and returns the stacks that were registered before and inside.
fn stick(bridge: &Bridge) -> (Registered, Registered) {
    errno::set(libc::ENOTTY);
    let before = State::now();
    let inside = [(); 2].map(|()| bridge.enter(registered).expect("enter"));
    let after = State::now();
    assert_eq!((after.errno, after.mask), (before.errno, before.mask));
    assert_eq!(inside, [after.stack; 2], "the signal stack stays");
    (before.stack, after.stack)
}

#[test]
#[cfg_attr(gosched_shared_signal_stacks, ignore = "the part is taken away")]
fn a_bound_thread_keeps_a_good_signal_stack_and_is_given_one_for_a_bad_one() {
    let (_runtime, bridge) = bridge();
    on_c_thread(|| {
        let (before, after) = stick(&bridge);
        assert!(!before.enabled && after.enabled && large_enough(after.size));
    });
    on_c_thread(|| {
        own_signal_stack(64 << 10);
        let (before, after) = stick(&bridge);
        assert_eq!(before, after);
    });
    on_c_thread(|| {
        own_signal_stack(8 << 10);
        let (before, after) = stick(&bridge);
        assert!(before.enabled && !large_enough(before.size) && large_enough(after.size));
    });
}

/// Two threads begin with the same signal stack, as where a thread inherits its maker's. Handlers
/// that ran on both at the same time would write over each other's frames.
#[test]
#[cfg_attr(
    not(gosched_shared_signal_stacks),
    ignore = "cargo xtask without shared_signal_stacks, which takes the part away"
)]
fn a_signal_stack_that_two_threads_have_is_kept_by_neither() {
    let (_runtime, bridge) = bridge();
    let memory = stack_memory(64 << 10);
    let address = memory.as_ptr().addr();
    for binding in [Binding::PerCall, Binding::UntilThreadExit] {
        let bridge = bridge.clone().with_binding(binding);
        let both_inside = std::sync::Barrier::new(2);
        let inside = || {
            on_c_thread(|| {
                signal_stack_at(memory);
                let inside = bridge.enter(|| {
                    both_inside.wait();
                    registered().base.addr()
                });
                (inside.expect("enter"), registered().base.addr())
            })
        };
        let both = std::thread::scope(|scope| {
            let other = scope.spawn(inside);
            [inside(), other.join().expect("no panic")]
        });
        assert!(both.iter().all(|(inside, _)| *inside != address), "{both:?}, {address}");
        assert_ne!(both[0].0, both[1].0, "each has one of its own");
        if binding == Binding::PerCall {
            assert!(both.iter().all(|(_, after)| *after == address), "it is the thread's again");
        }
    }
}

#[test]
fn errno_survives_a_refusal() {
    errno::set(libc::ENOTTY);
    assert!(matches!(Bridge::unbound().enter(|| ()), Err(EnterError::NotRunning)));
    assert_eq!(errno::get(), libc::ENOTTY);
}
