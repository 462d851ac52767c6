//! Spawns goroutines: from outside of the runtime, and as C threads.

use super::{apart, hand_over, wake};
use crate::gmp::g::{Gid, Script};
use crate::gmp::world::{Event, Role, World};

/// Spawns a settled goroutine from outside of the runtime.
pub(crate) fn go(world: &mut World, script: impl Script + 'static) {
    let g = world.new_g(Box::new(script));
    publish_new(world, g);
}

/// Spawns a migratory goroutine.
pub(crate) fn go_migratory(world: &mut World, script: impl Script + 'static) {
    let g = world.new_g(Box::new(script));
    world.gs[g].migratory = true;
    publish_new(world, g);
}

pub(crate) fn publish_new(world: &mut World, g: Gid) {
    if apart::push(world, g, None) {
        return;
    }
    world.global.push_back(g);
    wake::poke_searchers(world);
    hand_over::submit(world, None);
}

/// Lends a thread to the runtime: makes an M on which the script has settled.
pub(crate) fn lend(world: &mut World, script: impl Script + 'static) -> usize {
    let m = hand_over::start_m(world, None);
    hand_over::fall_asleep(world, m);
    beside(world, m, script);
    m
}

/// Makes a goroutine that has settled on M `m`.
pub(crate) fn beside(world: &mut World, m: usize, script: impl Script + 'static) {
    let g = world.new_g(Box::new(script));
    world.gs[g].home = Some(m);
    world.ms[m].settled += 1;
    world.ms[m].inbox.push_back(g);
    hand_over::rouse_for_inbox(world, m, None);
}

/// Makes a C thread that runs the script in callbacks.
pub(crate) fn foreign(world: &mut World, script: impl Script + 'static) {
    let g = world.new_g(Box::new(script));
    let t = world.new_thread(Role::Foreign(g));
    world.gs[g].thread = Some(t);
    world.at(world.now, Event::Wake(t));
}
