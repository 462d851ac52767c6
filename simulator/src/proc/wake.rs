//! Makes a waiting G ready, and wakes its M or its thread.

use super::hand_over;
use crate::cost;
use crate::gmp::g::{Gid, Wait};
use crate::gmp::m::Phase;
use crate::gmp::world::{Event, World};
use crate::os::Tid;

/// Makes a waiting G ready.
pub(crate) fn ready(world: &mut World, g: Gid, by: Option<usize>) {
    if let Some(t) = world.gs[g].thread {
        world.gs[g].wait = Wait::Served;
        return rouse(world, t, by);
    }
    if world.gs[g].migratory {
        match by.and_then(|m| world.ms[m].p) {
            Some(p) => {
                let before = world.ps[p].next.replace(g);
                world.ps[p].migratory.extend(before);
                if world.ps[p].keeps_up {
                    return world.sysmon_is_told();
                }
            }
            None => {
                world.woken.push_back(g);
                if world.dispatch.idle.is_empty() {
                    hand_over::take_over(world, by);
                }
            }
        }
        return published(world, by);
    }
    let home = world.gs[g].home.expect("what waited has started");
    if by == Some(home) {
        if let Some(before) = world.ms[home].next.replace(g) {
            world.ms[home].woken.push_back(before);
        }
        return;
    }
    world.ms[home].inbox.push_back(g);
    let t = world.ms[home].thread;
    if world.spins(t) {
        world.at(world.now + cost::SEEN, Event::Look(t, world.os.threads[t].epoch));
    } else {
        hand_over::rouse_for_inbox(world, home, by);
    }
}

/// Wakes somebody for free work.
pub(crate) fn published(world: &mut World, by: Option<usize>) {
    poke_searchers(world);
    hand_over::submit(world, by);
}

/// Has the thread look: soon if it spins, later if it sleeps.
fn rouse(world: &mut World, t: Tid, by: Option<usize>) {
    if world.spins(t) {
        world.at(world.now + cost::SEEN, Event::Look(t, world.os.threads[t].epoch));
    } else {
        hand_over::wake_thread(world, t, by);
    }
}

/// Lets spinning threads see what was published. Only a few of them: the others would come too
/// late.
pub(crate) fn poke_searchers(world: &mut World) {
    let spinning = |m: &usize| {
        matches!(world.ms[*m].phase, Phase::Search(_)) && world.spins(world.ms[*m].thread)
    };
    let few: Vec<usize> = (0..world.ms.len()).filter(spinning).take(4).collect();
    for m in few {
        let t = world.ms[m].thread;
        world.at(world.now + cost::SEEN, Event::Look(t, world.os.threads[t].epoch));
    }
}
