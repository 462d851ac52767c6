//! Handles one event after the other.

use super::{blocking, ops, run, sysmon, timers, wake};
use crate::gmp::world::{Event, Next, Role, World};
use crate::os::{ThreadTimer, Tid};

/// Runs until `until`, or until there is no event any more.
pub(crate) fn run(world: &mut World, until: u64) {
    while let Some(event) = world.next_event(until) {
        let now = world.now;
        match event {
            Event::ThreadTimer(ThreadTimer::Burst(t, epoch))
                if world.os.threads[t].epoch == epoch =>
            {
                step(world, t)
            }
            Event::ThreadTimer(ThreadTimer::Quantum(t, epoch))
                if world.os.threads[t].epoch == epoch =>
            {
                world.os.quantum(t, now);
            }
            Event::ThreadTimer(_) => {}
            Event::Wake(t) => {
                world.os.wake(t, now);
            }
            Event::Timer => timers::timer_is_due(world),
            Event::Look(t, epoch) if world.os.threads[t].epoch == epoch => step(world, t),
            Event::Look(..) => {}
            Event::Helped(g) => wake::ready(world, g, None),
            Event::HelpersLinger(idle) => blocking::helpers_linger(world, idle),
            Event::Lingered(m, slept) => run::lingered(world, m, slept),
        }
    }
}

fn step(world: &mut World, t: Tid) {
    let next = match world.role(t) {
        Role::M(m) => run::step_m(world, m),
        Role::Foreign(g) => ops::step_foreign(world, g),
        Role::Helper => unreachable!("it is never woken"),
        Role::Sysmon => sysmon::step_sysmon(world),
    };
    let now = world.now;
    match next {
        Next::Run(ns) => world.os.go_on(t, Some(ns), now),
        Next::Spin(ns) => {
            world.os.go_on(t, None, now);
            // If another thread wants the core, this one looks when it has a core again.
            if world.spins(t) {
                world.at(now + ns, Event::Look(t, world.os.threads[t].epoch));
            }
        }
        Next::Sleep => world.os.leave(t, false, now),
        Next::Block(ns) => {
            world.os.leave(t, false, now);
            world.at(now + ns, Event::Wake(t));
        }
        Next::End => world.os.leave(t, true, now),
    }
}
