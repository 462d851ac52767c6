//! Sleeping goroutines and their deadlines.

use super::{hand_over, wake};
use crate::gmp::g::Gid;
use crate::gmp::world::{Event, World};

pub(crate) fn sleep(world: &mut World, g: Gid, ns: u64) {
    world.timers.insert((world.now + ns, g));
    world.at(world.now + ns, Event::Timer);
}

/// Handles the end of a sleep: it wakes a sleeping M, or a running M finds it in its next round.
pub(crate) fn timer_is_due(world: &mut World) {
    if !world.timers_are_due() {
        return;
    }
    if world.searching > 0 {
        wake::poke_searchers(world);
    } else if !world.dispatch.idle.is_empty() {
        hand_over::submit(world, None);
    }
    world.sysmon_is_told();
}

pub(crate) fn run_timers(world: &mut World, m: usize) {
    while world.timers_are_due() {
        let (_, g) = world.timers.pop_first().expect("just looked");
        if let Some(home) = world.gs[g].home.filter(|home| *home != m) {
            world.ms[home].by_time = true;
        }
        match world.ms[m].p {
            // What was due before runs before it.
            Some(p) if world.gs[g].migratory => {
                world.ps[p].migratory.push_back(g);
                wake::published(world, Some(m));
            }
            _ => wake::ready(world, g, Some(m)),
        }
    }
}
