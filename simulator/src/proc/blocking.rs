//! Calls that block: on a helper, or in place.

use super::hand_over;
use crate::cost;
use crate::gmp::g::Gid;
use crate::gmp::m::Phase;
use crate::gmp::world::{Event, Helper, Next, Role, World};
use crate::policy;

/// Has a helper block for the G. False if there is no helper.
pub(crate) fn help(world: &mut World, m: usize, g: Gid, ns: u64) -> bool {
    let now = world.now;
    let latency = if let Some(helper) = world.helpers.iter_mut().rfind(|helper| helper.until <= now)
    {
        helper.until = now + cost::WOKEN + ns + cost::TIMER_SLACK;
        world.ms[m].debt += cost::WAKE;
        cost::WOKEN
    } else if world.helpers.len() < policy::MAX_HELPERS {
        let until = now + cost::THREAD_STARTED + ns + cost::TIMER_SLACK;
        let thread = world.new_thread(Role::Helper);
        world.helpers.push(Helper { thread, until });
        world.ms[m].debt += cost::THREAD_MADE;
        cost::THREAD_STARTED
    } else {
        return false;
    };
    let done = now + latency + ns + cost::TIMER_SLACK;
    world.at(done, Event::Helped(g));
    let idle = u64::try_from(policy::HELPER_IDLE.as_nanos()).expect("it is short");
    world.at(done + idle, Event::HelpersLinger(idle));
    true
}

/// Ends the helpers that have been idle for long enough.
pub(crate) fn helpers_linger(world: &mut World, idle: u64) {
    let (now, os) = (world.now, &mut world.os);
    world.helpers.retain(|helper| {
        let stays = helper.until + idle > now;
        if !stays {
            os.end_asleep(helper.thread);
        }
        stays
    });
}

pub(crate) fn block_in_place(world: &mut World, m: usize, g: Gid, ns: u64) -> Next {
    if let Some(p) = world.ms[m].p.take() {
        hand_over::hand_off(world, p, Some(m));
    }
    world.ms[m].phase = Phase::Back(g);
    Next::Block(ns + cost::TIMER_SLACK)
}
