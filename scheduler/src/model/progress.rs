//! Who runs user code is shown: a goroutine that goes on, after a commit that was refused or a
//! sleep in place, is seen by sysmon for as long as it runs.
//!
//! The goroutine here computes until sysmon requests that it suspends, and sysmon requests it of
//! whom it sees running. So user code that runs unseen never ends, which loom reports.

// Not loom's: its `Arc` panics once more when it is dropped after a reported deadlock.
use std::sync::Arc;

use gosched_runtime_sys::sync::primitive::{
    AtomicU32, Ordering::Relaxed, light_fence, mutated, thread,
};

use super::models;
use crate::ds::parker::{Claim, Commit};
use crate::ds::sysmon_note::{SysmonNote, WakeOutcome};
use crate::ds::timers::NEVER;
use crate::gmp::g::G;
use crate::gmp::progress::{Keeping, Keeps, Progress};
use crate::gmp::wait_reason::WaitReason;

/// A wait that keeps its thread.
const NESTED: Keeping = Keeping { keeps: Keeps::Nested, waits_for: WaitReason::Unsaid, joins: 0 };

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
    world.progress.block(&world.g, NESTED);
    let sysmon = beside(&world, World::sysmon);
    if world.g.parker.commit(true) == Commit::Parked {
        assert_eq!(world.g.parker.notify(), Claim::Won);
    }
    world.progress.unblock(&world.g);
    world.compute();
    world.progress.switch_out();
    sysmon.join().unwrap();
}

/// A goroutine's thread begins to sleep in its place while another thread sends to its M, and
/// sysmon falls asleep. Sysmon has to see it.
fn kept_while_sysmon_falls_asleep() {
    let world = World::new();
    let (note, sent) = (Arc::new(SysmonNote::new()), Arc::new(AtomicU32::new(0)));
    assert_eq!(note.wake(), WakeOutcome::StartThread);
    world.progress.switch_in(&world.g, false, 0, 0);
    let (its_note, its_sent) = (note.clone(), sent.clone());
    let sysmon = beside(&world, move |world| {
        let kept = || world.progress.keeps_untold() && its_sent.load(Relaxed) > 0;
        while !kept() {
            its_note.sleep(NEVER, kept);
            thread::yield_now();
        }
    });
    let (its_note, its_sent) = (note.clone(), sent.clone());
    let home = beside(&world, move |world| {
        world.progress.block(&world.g, NESTED);
        light_fence();
        if its_sent.load(Relaxed) > 0 && !mutated("progress.rules.kept_without_look") {
            assert_eq!(its_note.wake(), WakeOutcome::Done);
        }
    });
    sent.store(1, Relaxed);
    assert_eq!(note.wake(), WakeOutcome::Done);
    home.join().unwrap();
    sysmon.join().unwrap();
}

models! {
    holds one_that_keeps_others = kept_while_sysmon_falls_asleep within 3 preemptions;
    holds a_refused_commit_is_shown = notified_while_it_switches within 3 preemptions;
    holds a_sleep_in_place_is_shown = woken_in_place within 3 preemptions;
    catches a_refused_commit_that_is_not_shown = "progress.refused_unseen"
        in notified_while_it_switches within 3 preemptions;
    catches a_sleep_in_place_that_is_not_shown = "progress.unblocked_unseen"
        in woken_in_place within 3 preemptions;
    catches one_that_keeps_others_unseen = "progress.blocked_unseen"
        in kept_while_sysmon_falls_asleep within 3 preemptions;
    catches one_that_does_not_look_behind = "progress.rules.kept_without_look"
        in kept_while_sysmon_falls_asleep within 3 preemptions;
}
