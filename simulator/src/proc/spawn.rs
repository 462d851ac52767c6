//! Goroutines are made: from outside of the runtime, and as threads of C's.

use super::{hand_over, wake};
use crate::gmp::g::{Gid, Script};
use crate::gmp::world::{Event, Role, World};

/// A settled goroutine made from outside of the runtime.
pub(crate) fn go(world: &mut World, script: impl Script + 'static) {
    let g = world.new_g(Box::new(script));
    publish_new(world, g);
}

/// A migratory one.
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

/// A thread of C's that does what the script says, in callbacks.
pub(crate) fn foreign(world: &mut World, script: impl Script + 'static) {
    let g = world.new_g(Box::new(script));
    let t = world.new_thread(Role::Foreign(g));
    world.gs[g].thread = Some(t);
    world.at(world.now, Event::Wake(t));
}
