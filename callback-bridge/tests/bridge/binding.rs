//! `Binding::UntilThreadExit`: which M a thread has, and what its end leaves behind.
#![expect(unsafe_code, reason = "a pthread key that C would have")]

use crate::support::{Child, State, bridge, no_signal_stack, on_c_thread, own_signal_stack};
use gosched_callback_bridge::{Bridge, EnterError};
use gosched_runtime_sys::signal::stack::{large_enough, registered};
use gosched_runtime_sys::thread::exit::ExitHook;
use gosched_runtime_sys::thread::tls;
use gosched_scheduler::chan;
use std::cell::Cell;
use std::collections::HashSet;
use std::ffi::c_void;

/// The M that is bound to the calling thread, as a number.
fn bound() -> usize {
    tls::bound().addr()
}

#[test]
fn a_thread_keeps_one_m_for_all_bridges() {
    let (_first, one) = bridge();
    let (_second, other) = bridge();
    on_c_thread(|| {
        assert_eq!(bound(), 0);
        let inside = [&one, &other, &one, &other].map(|bridge| bridge.enter(bound).expect("enter"));
        assert!(inside[0] != 0 && inside == [bound(); 4]);
        assert!(tls::current().is_null(), "between calls nobody is there");
    });
}

#[test]
fn two_threads_one_after_the_other_have_the_same_m() {
    // In a child process, where no other test uses the list.
    Child::run("binding::two_threads_one_after_the_other_have_the_same_m", || {
        let (_runtime, bridge) = bridge();
        let visit = || on_c_thread(|| bridge.enter(bound).expect("enter"));
        let (first, second, third) = (visit(), visit(), visit());
        assert!(first != 0 && first == second && second == third);
    })
    .assert_success();
}

#[test]
fn threads_that_come_and_go_cost_no_signal_stack_each() {
    Child::run("binding::threads_that_come_and_go_cost_no_signal_stack_each", || {
        let (_runtime, bridge) = bridge();
        // std takes the registered stack off before the exit hook runs; C leaves it where it is.
        let std_thread = || {
            std::thread::scope(|scope| {
                scope.spawn(|| bridge.enter(|| registered().base.addr())).join().expect("join")
            })
        };
        let c_thread = || on_c_thread(|| bridge.enter(|| registered().base.addr()));
        let stacks: HashSet<usize> = (0..200)
            .map(|round| if round % 2 == 0 { std_thread() } else { c_thread() })
            .map(|outcome| outcome.expect("enter"))
            .collect();
        assert_eq!(stacks.len(), 1, "{stacks:x?}");
    })
    .assert_success();
}

/// The record of a destructor of C that runs after the bridge's: what it uses, and what it finds.
struct Late<'a> {
    bridge: &'a Bridge,
    outcome: Option<Result<bool, EnterError>>,
    before: Option<State>,
    after: Option<State>,
}

unsafe extern "C" fn late(value: *mut c_void) {
    // SAFETY: the test's own record, which outlives the thread.
    let late = unsafe { &mut *value.cast::<Late<'_>>() };
    assert!(tls::exiting() && bound() == 0);
    late.before = Some(State::now());
    late.outcome = Some(late.bridge.enter(|| bound() == 0));
    late.after = Some(State::now());
}

/// Makes a key whose destructor runs after the bridge's. glibc runs them in the order of their
/// numbers, and the bridge has its key by now.
fn late_key(bridge: &Bridge) -> ExitHook {
    on_c_thread(|| bridge.enter(|| ())).expect("enter");
    ExitHook::register(late).expect("a key")
}

fn at_the_end_of_a_thread(own: Option<usize>) -> State {
    let (_runtime, bridge) = bridge();
    let key = late_key(&bridge);
    let mut record = Late { bridge: &bridge, outcome: None, before: None, after: None };
    let value = (&raw mut record).addr();
    on_c_thread(|| {
        if let Some(size) = own {
            own_signal_stack(size);
        }
        bridge.enter(|| ()).expect("enter");
        let value = std::ptr::with_exposed_provenance_mut(value);
        // SAFETY: the record outlives the thread, and `late` wants it.
        unsafe { key.set(value) }.expect("set");
    });
    assert!(
        matches!(record.outcome, Some(Ok(true))),
        "a late callback is per-call: {:?}",
        record.outcome
    );
    assert_eq!(record.before, record.after);
    record.before.expect("the late destructor ran")
}

#[test]
fn the_end_of_a_thread_takes_our_signal_stack_off_and_puts_no_old_one_back() {
    assert!(!at_the_end_of_a_thread(None).stack.enabled);
    assert!(!at_the_end_of_a_thread(Some(8 << 10)).stack.enabled);
}

#[test]
#[cfg_attr(gosched_shared_signal_stacks, ignore = "the part is taken away")]
fn the_end_of_a_thread_leaves_its_own_signal_stack_alone() {
    let stack = at_the_end_of_a_thread(Some(64 << 10)).stack;
    assert!(stack.enabled && stack.size == 64 << 10);
}

/// True if the thread has a good signal stack in a callback.
fn has_a_stack(bridge: &Bridge) -> bool {
    let stack = bridge.enter(registered).expect("enter");
    stack.enabled && large_enough(stack.size)
}

/// After how many further calls at most a stack that is gone is missed.
const MISSED_WITHIN: u32 = 256;

/// What the host may do to its thread's signal stack between two calls.
fn changes() -> [(&'static str, fn()); 4] {
    fn small() {
        own_signal_stack(4096);
    }
    fn large() {
        own_signal_stack(64 << 10);
    }
    fn small_and_off() {
        small();
        no_signal_stack();
    }
    [("off", no_signal_stack), ("small", small), ("large", large), ("both", small_and_off)]
}

#[test]
fn a_signal_stack_that_is_gone_at_the_second_call_is_replaced() {
    let (_runtime, bridge) = bridge();
    for own in [None, Some(64 << 10), Some(8 << 10)] {
        for (what, change) in changes() {
            on_c_thread(|| {
                if let Some(size) = own {
                    own_signal_stack(size);
                }
                assert!(has_a_stack(&bridge));
                change();
                let before = State::now();
                assert!(has_a_stack(&bridge), "{what}, {own:?} at first");
                let after = State::now();
                assert_eq!((before.errno, before.mask), (after.errno, after.mask));
                assert!(has_a_stack(&bridge));
            });
        }
    }
}

#[test]
fn a_signal_stack_that_is_gone_is_missed_before_long() {
    let (_runtime, bridge) = bridge();
    for calls in (0..12).map(|power| 1 << power).chain([700, 1000]) {
        for (what, change) in changes() {
            on_c_thread(|| {
                (0..calls).for_each(|_| assert!(has_a_stack(&bridge)));
                change();
                let gone = (0..1_000).find(|_| has_a_stack(&bridge)).expect("it is missed");
                assert!(gone <= MISSED_WITHIN.min(calls), "{what}: {gone} calls after {calls}");
            });
        }
    }
}

/// A host that does it again and again.
#[test]
fn a_signal_stack_that_is_taken_away_again_and_again_costs_no_memory() {
    let (_runtime, bridge) = bridge();
    let stacks: HashSet<usize> = on_c_thread(|| {
        let calls = (0..2_000).map(|_| {
            own_signal_stack(4096);
            bridge.enter(registered).expect("enter")
        });
        calls.filter(|stack| large_enough(stack.size)).map(|stack| stack.base.addr()).collect()
    });
    assert_eq!(stacks.len(), 1, "{stacks:x?}");
}

/// Calls in once more when the thread's thread-locals are dropped. By then std has taken the signal
/// stack off that is registered, whoever's it is.
#[test]
fn a_callback_from_the_destructor_of_a_thread_local_has_a_signal_stack() {
    thread_local! {
        static CALLS_IN: Cell<Option<CallsIn>> = const { Cell::new(None) };
    }
    struct CallsIn(Bridge, chan::Sender<[bool; 2]>);
    impl Drop for CallsIn {
        fn drop(&mut self) {
            let outside = registered().enabled;
            self.1.send([outside, has_a_stack(&self.0)]).expect("the test waits");
        }
    }
    let (_runtime, bridge) = bridge();
    let (tx, rx) = chan::bounded(1);
    std::thread::spawn(move || {
        assert!(has_a_stack(&bridge));
        CALLS_IN.set(Some(CallsIn(bridge, tx)));
    });
    assert_eq!(rx.recv(), Ok([false, true]));
}
