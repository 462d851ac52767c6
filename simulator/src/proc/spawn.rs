//! Spawns goroutines: from outside of the runtime, and as C threads.

use super::{hand_over, wake};
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
    world.global.push_back(g);
    wake::poke_searchers(world);
    hand_over::submit(world, None);
}

/// Makes a C thread that runs the script in callbacks.
pub(crate) fn foreign(world: &mut World, script: impl Script + 'static) {
    let g = world.new_g(Box::new(script));
    let t = world.new_thread(Role::Foreign(g));
    world.gs[g].thread = Some(t);
    world.at(world.now, Event::Wake(t));
}
