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

/// Gives the permit back: the G that M `m` started with it has given the M back. True if it had
/// one.
pub(crate) fn give_permit_back(world: &mut World, m: usize) -> bool {
    let had = std::mem::take(&mut world.ms[m].permit);
    if had {
        world.sysmon.permit_is_out = false;
        if world.has_free_work() {
            hand_over::submit(world, Some(m));
        }
    }
    had
}
