//! Who runs user code is shown: a goroutine that goes on, after a commit that was refused or a
//! sleep in place, is seen by sysmon for as long as it runs.
//!
//! The goroutine here computes until sysmon requests that it suspends, and sysmon requests it of
//! whom it sees running. So user code that runs unseen never ends, which loom reports.

// Not loom's: its `Arc` panics once more when it is dropped after a reported deadlock.
use std::sync::Arc;

use gosched_runtime_sys::sync::primitive::thread;

use super::models;
use crate::ds::parker::{Claim, Commit};
use crate::gmp::g::G;
use crate::gmp::progress::Progress;

struct World {
    progress: Progress,
    g: G,
}

impl World {
    fn new() -> Arc<Self> {
        Arc::new(Self { progress: Progress::new(), g: G::vacant() })
    }

    /// User code that computes until it is asked to suspend.
    fn compute(&self) {
        while !self.progress.preempt_requested() {
            thread::yield_now();
        }
    }

    /// Looks until it has seen user code, and requests that it suspends.
    fn sysmon(&self) {
        while !self.progress.runs() {
            thread::yield_now();
        }
        self.progress.request_preempt();
    }
}

fn beside(world: &Arc<World>, f: impl FnOnce(&World) + 'static) -> thread::JoinHandle<()> {
    let world = Arc::clone(world);
    thread::spawn(move || f(&world))
}

/// An M's loop switches from a goroutine that parks, while a waker notifies it. If the commit is
/// refused, the goroutine goes on at once; else its claimer's M resumes it, which is this one.
fn notified_while_it_switches() {
    let world = World::new();
    world.g.parker.prepare();
    let waker = beside(&world, |world| {
        let _either = world.g.parker.notify();
    });
    // The goroutine was shown, and has just given the M back.
    world.progress.switch_in(&world.g, false, 0, 0);
    world.progress.switch_out();
    let sysmon = beside(&world, World::sysmon);
    match world.g.parker.commit(true) {
        Commit::Refused => world.progress.switch_back_in(&world.g),
        Commit::Parked => world.progress.switch_in(&world.g, false, 0, 0),
    }
    world.compute();
    world.progress.switch_out();
    sysmon.join().unwrap();
    waker.join().unwrap();
}

/// A goroutine's thread sleeps in its place, and is woken.
fn woken_in_place() {
    let world = World::new();
    world.progress.switch_in(&world.g, false, 0, 0);
    world.g.parker.prepare();
    world.progress.block(&world.g);
    let sysmon = beside(&world, World::sysmon);
    if world.g.parker.commit(true) == Commit::Parked {
        assert_eq!(world.g.parker.notify(), Claim::Won);
    }
    world.progress.unblock(&world.g);
    world.compute();
    world.progress.switch_out();
    sysmon.join().unwrap();
}

models! {
    holds a_refused_commit_is_shown = notified_while_it_switches within 3 preemptions;
    holds a_sleep_in_place_is_shown = woken_in_place within 3 preemptions;
    catches a_refused_commit_that_is_not_shown = "progress.refused_unseen"
        in notified_while_it_switches within 3 preemptions;
    catches a_sleep_in_place_that_is_not_shown = "progress.unblocked_unseen"
        in woken_in_place within 3 preemptions;
}
