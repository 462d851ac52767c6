//! The count of those that may wake a goroutine, against agents that park at the same time, and
//! against a waker: a standstill is found, and none is found while an agent runs.

// Not loom's: its `Arc` panics once more when it is dropped after a reported deadlock.
use std::sync::Arc;

use gosched_runtime_sys::sync::primitive::{AtomicBool, AtomicU32, Ordering, thread};

use super::models;
use crate::ds::agents::Agents;
use crate::ds::parker::{Claim, Commit, Parker};

struct World {
    agents: Agents,
    /// The park word of the agent that is woken.
    parker: Parker,
    /// Its claimer has given it back.
    resumed: AtomicBool,
    /// What the agent does when it was woken.
    worked: AtomicBool,
    found: AtomicU32,
}

impl World {
    fn new(threads: usize) -> Arc<Self> {
        let world = Self {
            agents: Agents::new(),
            parker: Parker::new(),
            resumed: AtomicBool::new(false),
            worked: AtomicBool::new(false),
            found: AtomicU32::new(0),
        };
        (0..threads).for_each(|_| world.agents.add());
        Arc::new(world)
    }

    /// An agent that has committed parks, and looks.
    fn park(&self) {
        self.agents.park();
        self.look();
    }

    fn look(&self) {
        if self.agents.look().all_parked(0) {
            self.found.fetch_add(1, Ordering::Relaxed);
            assert!(self.worked.load(Ordering::Acquire), "an agent runs");
        }
    }

    fn assert_found(&self) {
        assert_ne!(self.found.load(Ordering::Relaxed), 0, "nobody has seen it");
    }
}

fn beside(world: &Arc<World>, f: fn(&World)) -> thread::JoinHandle<()> {
    let world = Arc::clone(world);
    thread::spawn(move || f(&world))
}

/// Two agents park for good while a third one ends.
fn all_park_or_end() {
    let world = World::new(3);
    world.worked.store(true, Ordering::Release);
    let first = beside(&world, World::park);
    let second = beside(&world, World::park);
    world.agents.remove();
    world.look();
    first.join().unwrap();
    second.join().unwrap();
    world.assert_found();
}

/// An agent parks, is woken by another one, works and parks for good, as its waker does.
fn one_is_woken() {
    let world = World::new(2);
    world.parker.prepare();
    let woken = beside(&world, |world| {
        if world.parker.commit(true) == Commit::Parked {
            world.park();
            while !world.resumed.load(Ordering::Acquire) {
                thread::yield_now();
            }
        }
        world.worked.store(true, Ordering::Release);
        world.park();
    });
    if world.parker.notify() == Claim::Won {
        world.agents.unpark();
        world.resumed.store(true, Ordering::Release);
    }
    world.park();
    woken.join().unwrap();
    world.assert_found();
}

models! {
    holds the_last_one_finds_it = all_park_or_end;
    holds nobody_finds_it_too_early = one_is_woken;
    catches a_change_that_is_lost = "agents.change_lost" in all_park_or_end;
    catches an_agent_that_stays_parked = "agents.unpark_forgotten" in one_is_woken;
}
