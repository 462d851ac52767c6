//! Changes the number of Ps while Ms work, as `proc::set_procs` and `proc::excess_p` do.

use std::mem;

use super::hand_over;
use crate::gmp::m::P;
use crate::gmp::world::World;

/// Sets the number of Ps. An excess P goes when its M is between two goroutines.
pub(crate) fn set_procs(world: &mut World, procs: usize) {
    world.procs = procs;
    while world.in_use() < procs {
        let p = world.retired.pop().unwrap_or_else(|| {
            world.ps.push(P::default());
            world.ps.len() - 1
        });
        hand_over::put_back(world, p, None);
    }
    while world.excess() > 0
        && let Some(p) = world.dispatch.idle.pop()
    {
        hand_over::retire_p(world, p, None);
    }
    if world.excess() > 0 {
        world.sysmon_is_told();
    }
    if world.has_free_work() {
        hand_over::submit(world, None);
    }
}

/// Retires the P of an M between two goroutines, if that P is in excess.
pub(crate) fn shed(world: &mut World, m: usize) {
    if world.excess() == 0 {
        return;
    }
    let Some(p) = world.ms[m].p.take() else { return };
    if mem::take(&mut world.ms[m].searching) {
        world.searching -= 1;
    }
    hand_over::retire_p(world, p, Some(m));
}
