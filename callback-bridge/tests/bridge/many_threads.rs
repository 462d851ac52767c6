//! Many threads at once: one M is on the list, and a hundred are asked for.

use crate::support::{Child, bridge, on_c_thread};
use gosched_callback_bridge::{Binding, Bridge};
use gosched_scheduler::chan;
use gosched_scheduler::current_id;
use std::collections::HashSet;
use std::sync::{Barrier, Mutex};
use std::time::{Duration, Instant};

const THREADS: usize = 100;

/// Returns only if all threads are inside at the same time.
fn all_inside(bridge: &Bridge) {
    let barrier = Barrier::new(THREADS);
    let ids = Mutex::new(HashSet::new());
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                on_c_thread(|| {
                    for _ in 0..3 {
                        bridge
                            .enter(|| {
                                ids.lock().expect("ids").insert(current_id());
                                barrier.wait();
                            })
                            .expect("enter");
                    }
                });
            });
        }
    });
    let ids = ids.into_inner().expect("ids");
    assert!(ids.len() >= THREADS && !ids.contains(&None));
}

#[test]
fn a_hundred_threads_are_inside_at_once() {
    Child::run("many_threads::a_hundred_threads_are_inside_at_once", || {
        let (_runtime, bridge) = bridge();
        all_inside(&bridge.clone().with_binding(Binding::PerCall));
        all_inside(&bridge);
    })
    .assert_success();
}

fn mappings() -> usize {
    std::fs::read_to_string("/proc/self/maps").expect("Linux").lines().count()
}

/// What a crowd has needed goes when threads come that need less.
#[test]
fn the_signal_stacks_of_a_crowd_go_back() {
    Child::run("many_threads::the_signal_stacks_of_a_crowd_go_back", || {
        let (_runtime, bridge) = bridge();
        let a_few = || (0..8).for_each(|_| on_c_thread(|| bridge.enter(|| ()).expect("enter")));
        a_few();
        let before = mappings();
        for binding in [Binding::PerCall, Binding::UntilThreadExit, Binding::PerCall] {
            all_inside(&bridge.clone().with_binding(binding));
            let after = mappings();
            assert!(after >= before + 2 * THREADS, "{before}, {after}: the crowd was no crowd");
            let began = Instant::now();
            while mappings() >= before + THREADS {
                assert!(began.elapsed() < Duration::from_secs(60), "{before}, {}", mappings());
                a_few();
            }
        }
    })
    .assert_success();
}

#[test]
fn callbacks_talk_to_goroutines() {
    let (runtime, bridge) = bridge();
    let (requests, inbox) = chan::bounded::<(u64, chan::Sender<u64>)>(4);
    let server = runtime.handle().go(move || {
        while let Ok((number, reply)) = inbox.recv() {
            reply.send(number + 1).expect("the caller waits");
        }
    });
    std::thread::scope(|scope| {
        for thread in 0..8_u64 {
            let (requests, bridge) = (requests.clone(), bridge.clone());
            scope.spawn(move || {
                on_c_thread(|| {
                    for round in 0..200 {
                        let number = thread * 1000 + round;
                        let answer = bridge.enter(|| {
                            let (reply, answer) = chan::bounded(1);
                            requests.send((number, reply)).expect("the server listens");
                            answer.recv().expect("the server answers")
                        });
                        assert_eq!(answer.expect("enter"), number + 1);
                    }
                });
            });
        }
    });
    drop(requests);
    server.join().expect("the server");
}
