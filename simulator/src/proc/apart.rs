//! Where Gs begin that are to begin apart from those that have settled. After `proc::apart` of the
//! scheduler.

use super::{admission, hand_over, wake};
use crate::gmp::apart::FirstRun;
use crate::gmp::dispatch::{Standing, Why};
use crate::gmp::g::Gid;
use crate::gmp::world::World;
use crate::policy::START_SLACK;
use crate::policy::behaviour::{Behaviour, LEFT_TO_ITS_LIKE_NS, Settled, may_make_apart};
use crate::policy::retake::LEFT_NS;

/// Queues a new G, made on M `by`, that is not known to talk. False if it is, or if nothing begins
/// apart here.
pub(crate) fn push(world: &mut World, g: Gid, by: Option<usize>) -> bool {
    if !world.config.apart || behaviour(world, g) == Behaviour::Talks {
        return false;
    }
    world.gs[g].burst = by.map_or(0, |m| burst(world, m));
    world.apart.line.push_back(g);
    match by {
        Some(m) if world.config.sysmon => {
            world.ms[m].brings_apart = true;
            world.sysmon_is_told();
        }
        _ => publish(world, by),
    }
    true
}

/// Has an M come for what a goroutine of this M has made, which has given the M back.
pub(crate) fn end_burst(world: &mut World, m: usize) {
    if !std::mem::take(&mut world.ms[m].brings_apart) {
        return;
    }
    if world.ms[m].settled == 0 && world.config.sysmon {
        world.sysmon_is_told();
    } else {
        publish(world, Some(m));
    }
}

fn publish(world: &mut World, by: Option<usize>) {
    wake::poke_searchers(world);
    if world.searching > 0 {
        world.sysmon_is_told();
    } else {
        bring(world, by);
    }
}

fn behaviour(world: &World, g: Gid) -> Behaviour {
    world.apart.behaviour(world.gs[g].made_at)
}

fn burst(world: &mut World, m: usize) -> u16 {
    let round = world.ms[m].round;
    if world.ms[m].burst.0 != round || world.ms[m].burst.1 == 0 {
        world.ms[m].burst = (round, world.apart.new_burst());
    }
    world.ms[m].burst.1
}

/// Has an M come if Gs wait, unless one is on its way, or has begun with their burst.
pub(crate) fn bring(world: &mut World, by: Option<usize>) {
    let head = world.apart.line.front().copied();
    let in_hand = head.is_some_and(|g| {
        let burst = world.gs[g].burst;
        burst != 0 && burst == world.apart.served && behaviour(world, g) != Behaviour::Computes
    });
    if in_hand && world.config.sysmon {
        return world.sysmon_is_told();
    }
    bring_oldest(world, by, 0);
}

/// Has an M come if Gs wait, unless one is on its way.
fn bring_oldest(world: &mut World, by: Option<usize>, waited: u64) {
    if !world.apart.waits() {
        return;
    }
    if !world.sysmon.admits() && !skip_those_that_compute(world) {
        world.sysmon_is_told();
    } else if !std::mem::replace(&mut world.apart.coming, true) {
        bring_one(world, by, waited);
    }
}

fn bring_one(world: &mut World, by: Option<usize>, waited: u64) {
    if world.dispatch.line.iter().any(|l| l.apart) {
        return world.sysmon_is_told();
    }
    let owning = world.ms.iter().filter(|m| m.settled > usize::from(m.in_user_code)).count();
    // What is known to compute waits behind the unknown, which may be one that serves.
    let passes = skip_those_that_compute(world);
    let why = if passes { Why::Woken } else { Why::LetsPass };
    let vacant = hand_over::pop_vacant(world)
        .or_else(|| may_make_apart(owning, world.procs).then(|| hand_over::start_m(world, by)));
    match vacant {
        Some(m) if hand_over::bring_in(world, m, by, why) => return,
        Some(m) => {
            if let Some(l) = world.dispatch.line.iter_mut().find(|l| l.m == m) {
                l.apart = true;
            }
        }
        None if is_left_to_its_like(world, waited) => world.apart.coming = false,
        None => {
            world.apart.open = true;
            world.apart.coming = false;
            hand_over::submit(world, by);
        }
    }
    world.sysmon_is_told();
}

/// Puts Gs that are known to compute behind the others until the oldest is another. True if it is.
fn skip_those_that_compute(world: &mut World) -> bool {
    let other = world.apart.line.iter().position(|g| behaviour(world, *g) != Behaviour::Computes);
    world.apart.line.rotate_left(other.unwrap_or(0));
    other.is_some()
}

fn head_computes(world: &World) -> bool {
    world.apart.line.front().is_some_and(|g| behaviour(world, *g) == Behaviour::Computes)
}

/// True if the oldest G is known to compute, and waits until it is taken by an M on which all
/// compute.
fn is_left_to_its_like(world: &World, waited: u64) -> bool {
    waited < LEFT_TO_ITS_LIKE_NS
        && head_computes(world)
        && world.ms.iter().any(|m| m.company.computes && m.standing != Standing::Asleep)
}

/// Takes a G for an M that may have been brought for it, unless woken Gs came with the P: they have
/// waited for longer, and the new G may keep the P for its whole slice.
pub(crate) fn arrive(world: &mut World, m: usize) -> Option<Gid> {
    let came = std::mem::take(&mut world.ms[m].came);
    let p = world.ms[m].p.expect("it was handed one");
    if !world.woken.is_empty() || world.ps[p].migratory() > 0 {
        world.sysmon_is_told();
        return None;
    }
    if !came || !std::mem::take(&mut world.apart.coming) {
        return None;
    }
    let taken = take(world, m);
    if taken.is_none() && world.apart.waits() {
        world.sysmon_is_told();
    }
    taken
}

/// Takes the oldest G for an M that may start it.
pub(crate) fn take(world: &mut World, m: usize) -> Option<Gid> {
    let g = *world.apart.line.front()?;
    let settled = match (world.ms[m].ready(), world.ms[m].settled) {
        (0, 0) => Settled::Nobody,
        (0, _) => Settled::Waiting,
        _ => Settled::Busy,
    };
    let behaviour = behaviour(world, g);
    let admitted = world.ms[m].company.admits(settled, behaviour, world.gs[g].burst);
    // The start gate is for those that compute.
    let passes = !world.sysmon.admits() && behaviour != Behaviour::Computes;
    if !(world.apart.open || admitted) || !passes && !admission::admit(world, m) {
        return None;
    }
    world.apart.served = world.gs[g].burst;
    let made_at = world.gs[g].made_at;
    world.ms[m].first_run = Some(FirstRun { behaviour, since: world.now, made_at });
    world.totals.count("begun apart");
    world.apart.pop()
}

/// True if Gs wait that the M may take, whatever they are.
pub(crate) fn is_for(world: &World, m: usize) -> bool {
    world.ms[m].settled == 0 && world.apart.waits() && world.sysmon.admits()
}

/// Has an M come for the Gs that are left, when the M has taken one that it is about to run.
pub(crate) fn leave_others(world: &mut World, m: usize) {
    if world.apart.waits() {
        bring(world, Some(m));
    }
}

/// Records how long the G ran that was taken last, and frees those of its kind if it talks.
pub(crate) fn end_first_run(world: &mut World, m: usize) {
    let Some(run) = world.ms[m].first_run.take() else { return };
    let works = world.apart.first_run(run.made_at, world.now - run.since);
    let mut freed = 0;
    while let Some(&g) = world.apart.line.front()
        && behaviour(world, g) == Behaviour::Talks
    {
        world.apart.pop();
        match world.ms[m].p {
            Some(p) => world.ps[p].push_unstarted(g),
            None => world.global.push_back(g),
        }
        freed += 1;
    }
    if freed == 0 {
        return;
    }
    if let Some(p) = world.ms[m].p.filter(|_| works) {
        world.ps[p].spreads = true;
        world.ps[p].spreads_since = 0;
    }
    wake::poke_searchers(world);
    if works || freed > START_SLACK || world.ms[m].p.is_none() || !world.config.sysmon {
        hand_over::submit(world, Some(m));
    } else {
        world.sysmon_is_told();
    }
}

/// Has sysmon bring an M for a G that nobody has taken in time.
pub(crate) fn bring_left(world: &mut World) {
    let (now, oldest) = (world.now, world.apart.line.front().copied());
    if world.apart.coming || !world.sysmon.admits() {
        world.apart.head = None;
        return;
    }
    let seen = world.apart.head.filter(|(g, _)| oldest == Some(*g));
    match seen {
        Some((_, since)) if now - since >= LEFT_NS => {
            bring_oldest(world, None, now - since);
        }
        Some(_) => {}
        None => world.apart.head = oldest.map(|g| (g, now)),
    }
}
