//! Rust calls C, and C calls back: into the same runtime, into another runtime, and from a
//! goroutine's own stack.

use crate::support::{bridge, on_c_thread};
use gosched_callback_bridge::{Binding, Bridge, EnterError};
use gosched_scheduler::chan;
use gosched_scheduler::current_id;

fn id(bridge: &Bridge) -> u64 {
    bridge.enter(current_id).expect("enter").expect("a goroutine")
}

#[test]
fn a_callback_in_a_callback_is_the_same_goroutine() {
    let (_runtime, bridge) = bridge();
    for binding in [Binding::PerCall, Binding::UntilThreadExit] {
        let bridge = bridge.clone().with_binding(binding);
        on_c_thread(|| {
            let ids = bridge.enter(|| {
                (current_id(), id(&bridge), bridge.enter(|| id(&bridge)).expect("third"))
            });
            let (outer, inner, innermost) = ids.expect("first");
            assert!(outer == Some(inner) && inner == innermost);
            assert_eq!(current_id(), None);
        });
    }
}

#[test]
fn a_callback_into_another_runtime_is_another_goroutine() {
    let (_first, one) = bridge();
    let (_second, other) = bridge();
    for binding in [Binding::PerCall, Binding::UntilThreadExit] {
        let (one, other) = (one.clone().with_binding(binding), other.clone().with_binding(binding));
        on_c_thread(|| {
            let ids = one.enter(|| {
                let there_and_back =
                    other.enter(|| (id(&other), id(&one), id(&other))).expect("other");
                (there_and_back, current_id())
            });
            let ((there, back, again), here) = ids.expect("one");
            assert!(there == again && Some(there) != here && there != back);
            assert_eq!(current_id(), None);
        });
    }
}

#[test]
fn a_goroutine_may_call_c_and_c_may_call_back() {
    let (runtime, bridge) = bridge();
    let (_other_runtime, other) = crate::support::bridge();
    let (questions, question) = chan::bounded(0);
    let (answers, answer) = chan::bounded(0);
    let teacher = std::thread::spawn(move || {
        while let Ok(number) = question.recv() {
            answers.send(number * 2).expect("somebody asks");
        }
    });
    runtime.run(|| {
        assert_eq!(Some(id(&bridge)), current_id());
        assert_ne!(Some(id(&other)), current_id());
        for bridge in [&bridge, &other] {
            let waits = bridge.enter(|| {
                questions.send(21).expect("the teacher listens");
                answer.recv().expect("the teacher answers")
            });
            assert_eq!(waits.expect("enter"), 42);
            let panics: Result<(), _> = bridge.enter(|| std::panic::resume_unwind(Box::new(())));
            assert!(matches!(panics, Err(EnterError::Panicked(_))));
        }
    });
    drop(questions);
    teacher.join().expect("the teacher");
}
