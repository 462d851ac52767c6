//! The start of new goroutines: free, or one at a time while the start gate is closed.

use super::hand_over;
use crate::gmp::world::World;

/// True if M `m` may start a goroutine now.
pub(crate) fn admit(world: &mut World, m: usize) -> bool {
    if !world.sysmon.crowded {
        return true;
    }
    let admitted = !std::mem::replace(&mut world.sysmon.permit_is_out, true);
    world.ms[m].permit |= admitted;
    admitted
}

/// What was started by permit has given the M back.
pub(crate) fn give_permit_back(world: &mut World, m: usize) {
    if std::mem::take(&mut world.ms[m].permit) {
        world.sysmon.permit_is_out = false;
        if world.has_free_work() {
            hand_over::submit(world, Some(m));
        }
    }
}
