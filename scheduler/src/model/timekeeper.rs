//! Ms that fall asleep with timers in their heaps, keep the time, and wake up.
//!
//! A deadline passes as soon as an M sleeps until it, and time has then come to that point. An M
//! ends when every timer has been fired, so a timer that no sleeper keeps is a deadlock, which loom
//! reports. The locks around an M's sleep are left out: they order more than the protocol may rely
//! on.

// Not loom's: its `Arc` panics once more when it is dropped after a reported deadlock.
use std::sync::Arc;

use gosched_runtime_sys::sync::note::Note;
use gosched_runtime_sys::sync::primitive::{AtomicU32, Ordering, mutated, thread};

use super::models;
use crate::ds::timekeeper::Timekeeper;
use crate::ds::timers::Timers;

struct World {
    keeper: Timekeeper,
    heaps: [Timers<()>; 2],
    notes: [Note; 2],
    left: AtomicU32,
}

impl World {
    fn new(timers: u32) -> Arc<Self> {
        let (heaps, notes) = ([Timers::new(), Timers::new()], [Note::new(), Note::new()]);
        Arc::new(Self { keeper: Timekeeper::new(), heaps, notes, left: AtomicU32::new(timers) })
    }

    fn first(&self) -> u64 {
        self.heaps.iter().map(Timers::first).min().expect("two")
    }

    /// A goroutine of an M puts a timer in. It is never removed.
    fn put(&self, heap: usize, at: u64) {
        let _stays = self.heaps[heap].add(at, ());
    }

    /// An M that has nothing to run. It sleeps, and fires what is due when the clock has woken it.
    /// After `times` of these, its thread leaves.
    fn sleep(&self, me: usize, mut times: u32) {
        while self.left.load(Ordering::Relaxed) > 0 {
            let Some(until) = self.keeper.take_over(|| self.first()) else {
                self.notes[me].sleep();
                continue;
            };
            let woken = self.notes[me].sleep_until(std::time::Instant::now());
            self.keeper.step_down(until);
            if woken {
                continue;
            }
            self.fire(until);
            times -= 1;
            if times == 0 {
                return self.leave(me);
            }
        }
    }

    fn leave(&self, me: usize) {
        if !mutated("timekeeper.rules.leaves_silently") && self.keeper.needs_keeper(|| self.first())
        {
            self.notes[1 - me].wake();
        }
    }

    fn fire(&self, now: u64) {
        for heap in &self.heaps {
            while heap.first() <= now && heap.pop_due(now, |()| ()).is_some() {
                if self.left.fetch_sub(1, Ordering::Relaxed) == 1 {
                    self.notes.iter().for_each(Note::wake);
                }
            }
        }
    }
}

fn beside(world: &Arc<World>, f: fn(&World)) -> thread::JoinHandle<()> {
    let world = Arc::clone(world);
    thread::spawn(move || f(&world))
}

/// Two Ms, each with a timer of its own; the second M's timer is due later.
fn asleep(first_leaves_after: u32) {
    let world = World::new(2);
    let other = beside(&world, |world| {
        world.put(1, 20);
        world.sleep(1, u32::MAX);
    });
    world.put(0, 10);
    world.sleep(0, first_leaves_after);
    other.join().unwrap();
    assert_eq!(world.left.load(Ordering::Relaxed), 0);
}

/// Either M may be the timekeeper, and both stay.
fn both_fall_asleep() {
    asleep(u32::MAX);
}

/// The first M leaves as soon as the clock has woken it.
fn one_leaves() {
    asleep(1);
}

models! {
    holds two_that_fall_asleep = both_fall_asleep within 3 preemptions;
    holds one_that_leaves = one_leaves within 3 preemptions;
    catches a_look_without_fence = "timekeeper.take_over_unfenced"
        in both_fall_asleep within 3 preemptions;
    catches a_timekeeper_that_does_not_step_down = "timekeeper.step_down_forgotten"
        in both_fall_asleep within 3 preemptions;
    catches a_departure_without_fence = "timekeeper.leaves_unfenced"
        in one_leaves within 3 preemptions;
    catches a_departure_that_is_kept_secret = "timekeeper.rules.leaves_silently"
        in one_leaves within 3 preemptions;
}
