//! The loop of an M, and how the M gets its P. The order is that of the scheduler's `proc::run`,
//! and `policy` decides.

use std::mem;

use super::find::{self, Look};
use super::ops::{self, After};
use super::{admission, apart, hand_over, set_procs, timers, wake};
use crate::cost;
use crate::gmp::dispatch::{Standing, Why};
use crate::gmp::g::Gid;
use crate::gmp::m::Phase;
use crate::gmp::world::{Event, Next, World};
use crate::policy;
use crate::policy::behaviour::Behaviour;
use crate::policy::time_with_p::{TimeWithP, Waited};

pub(crate) fn step_m(world: &mut World, m: usize) -> Next {
    match mem::replace(&mut world.ms[m].phase, Phase::Loop) {
        Phase::Loop => round(world, m),
        Phase::Op(g, op) => match ops::finish_op(world, m, g, op) {
            After::KeepsM(next) => next,
            After::LeavesM => round(world, m),
        },
        Phase::Back(g) => ops::begin_op(world, m, g),
        Phase::Search(began) => search(world, m, began),
        Phase::Mail(began) => await_mail(world, m, began),
    }
}

/// Does one round of the loop.
pub(crate) fn round(world: &mut World, m: usize) -> Next {
    world.ms[m].in_user_code = false;
    world.ms[m].debt += cost::ROUND;
    if admission::give_permit_back(world, m) {
        apart::bring(world, Some(m));
    }
    apart::end_first_run(world, m);
    apart::end_burst(world, m);
    set_procs::shed(world, m);
    if world.ms[m].p.is_none() && !get_p(world, m) {
        return Next::Sleep;
    }
    if let Some(since) = world.ms[m].gave_way.take() {
        begin_turn(world, m, since);
    }
    // An M that was handed a P first runs what it came for.
    if !world.ms[m].came && give_way(world, m) {
        return Next::Sleep;
    }
    timers::run_timers(world, m);
    if let Some(g) = apart::arrive(world, m).or_else(|| find::local(world, m)) {
        return execute(world, m, g);
    }
    if leaves_work(world, m) {
        return relieve(world, m);
    }
    if !world.ms[m].searching {
        let limit = policy::search_limit(world.procs);
        if world.searching >= limit {
            return await_mail(world, m, world.now);
        }
        world.searching += 1;
        world.ms[m].searching = true;
    }
    search(world, m, world.now)
}

/// Looks everywhere else, for as long as the policy lets it spin.
fn search(world: &mut World, m: usize, began: u64) -> Next {
    let spin_budget = world.ms[m].thrift.spin_budget(world.spin_budget());
    let by_time = world.timers_are_due();
    if let Some(p) = world.ms[m].p {
        world.ps[p].keeps_up = false;
    }
    let young = match find::look(world, m) {
        Look::Found(g) => {
            searched(world, m, began, !by_time);
            stop_search(world, m);
            return execute(world, m, g);
        }
        Look::Young(due) => Some(due),
        Look::KeptUp => {
            searched(world, m, began, false);
            return retire(world, m);
        }
        Look::Nothing => None,
    };
    let end = began + spin_budget.total_ns;
    if world.now >= end && young.is_none() {
        searched(world, m, began, false);
        return retire(world, m);
    }
    world.ms[m].phase = Phase::Search(began);
    let again = young.unwrap_or(end).max(world.now + cost::LOOK);
    Next::Spin(again - world.now)
}

fn await_mail(world: &mut World, m: usize, began: u64) -> Next {
    let spin_budget = world.ms[m].thrift.spin_budget(world.spin_budget());
    if let Some(g) = apart::take(world, m) {
        return execute(world, m, g);
    }
    if let Some(g) = world.ms[m].mail() {
        searched(world, m, began, true);
        return execute(world, m, g);
    }
    let end = began + spin_budget.total_ns;
    if world.ms[m].settled == 0 || world.now >= end {
        searched(world, m, began, false);
        return retire(world, m);
    }
    world.ms[m].phase = Phase::Mail(began);
    Next::Spin(end - world.now)
}

/// Notes the end of a search that began at `began`.
fn searched(world: &mut World, m: usize, began: u64, paid: bool) {
    let by_time = mem::take(&mut world.ms[m].by_time);
    if world.now > began {
        world.ms[m].thrift.searched(paid && !by_time);
    }
}

/// Ends the search of an M that found something. A publisher may have relied on the search for
/// more.
fn stop_search(world: &mut World, m: usize) {
    if mem::take(&mut world.ms[m].searching) {
        world.searching -= 1;
        if world.searching == 0 && world.has_work_for_others() {
            hand_over::submit(world, Some(m));
        }
    }
}

/// Ends the search of an M that found nothing: its P becomes idle, and the M looks once more.
fn retire(world: &mut World, m: usize) -> Next {
    let p = world.ms[m].p.take().expect("only an M with a P looks for work");
    world.ps[p].look_everywhere.found_nothing();
    hand_over::put_back(world, p, Some(m));
    if mem::take(&mut world.ms[m].searching) {
        world.searching -= 1;
    }
    let has_work = world.has_work_for_others() && !world.is_relieved(m) || apart::is_for(world, m);
    if has_work && hand_over::try_take(world, m) {
        world.searching += 1;
        world.ms[m].searching = true;
        return search(world, m, world.now);
    }
    round(world, m)
}

fn leaves_work(world: &World, m: usize) -> bool {
    world.is_relieved(m) && world.has_new()
}

fn relieve(world: &mut World, m: usize) -> Next {
    let p = world.ms[m].p.take().expect("it has one");
    hand_over::hand_off(world, p, Some(m));
    if mem::take(&mut world.ms[m].searching) {
        world.searching -= 1;
    }
    round(world, m)
}

/// Notes that M `m`, which gave way at `since`, has a P again.
fn begin_turn(world: &mut World, m: usize, since: u64) {
    let others = world.dispatch.line.len();
    let waited = Waited { ns: world.now - since, others, procs: world.procs };
    world.ms[m].turn = Some(TimeWithP::after_wait(waited, world.ms[m].tick, world.now));
}

/// While others stand in the line, makes an M with ready work give way in time. True if the M
/// sleeps.
fn give_way(world: &mut World, m: usize) -> bool {
    if world.dispatch.line.is_empty() {
        return false;
    }
    let relieved = !world.is_home(m) && world.dispatch.returning > 0;
    let (turn, tick) = (world.ms[m].turn, world.ms[m].tick);
    if !TimeWithP::wants_clock(turn, tick) && !relieved {
        return false;
    }
    let turn = TimeWithP::after(turn, tick, world.now);
    world.ms[m].turn = Some(turn);
    if !turn.is_over() && !relieved {
        return false;
    }
    let p = world.ms[m].p.take().expect("it has one");
    if world.ms[m].urged {
        world.ps[p].look_everywhere.ask();
    }
    world.ms[m].gave_way = Some(world.now);
    hand_over::hand_off(world, p, Some(m));
    !get_p(world, m)
}

/// Gets a P for an M without one: an idle P, if the M has something to run. False if the M sleeps.
fn get_p(world: &mut World, m: usize) -> bool {
    let taken_over = mem::take(&mut world.ms[m].taken_over);
    world.ms[m].turn = None;
    match world.ms[m].standing {
        Standing::InLine => return hand_over::take_turn(world, m),
        Standing::Asleep => return false,
        Standing::Awake => {}
    }
    if world.ms[m].ready() > 0 {
        if hand_over::try_take(world, m) {
            return true;
        }
        let returns = world.is_home(m) && world.ms[m].gave_way.is_none() && !taken_over;
        let why = if returns { Why::Returns } else { Why::LetsPass };
        hand_over::stand_in_line(world, m, why);
        world.sysmon_is_told();
        return false;
    }
    hand_over::fall_asleep(world, m);
    if !world.is_home(m) && world.ms[m].settled == 0 {
        let linger = u64::try_from(policy::LINGER.as_nanos()).expect("it is short");
        world.at(world.now + linger, Event::Lingered(m, world.ms[m].slept));
    }
    false
}

/// Handles a spare M that has slept for long: it ends if there are more spares than are kept.
pub(crate) fn lingered(world: &mut World, m: usize, slept: u64) {
    let alive = world.ms.iter().filter(|m| !m.ended).count();
    let machine = &world.ms[m];
    if machine.slept != slept
        || machine.standing != Standing::Asleep
        || !policy::is_surplus(alive, world.procs)
    {
        return;
    }
    hand_over::take_asleep(world, m);
    world.ms[m].ended = true;
    world.os.end_asleep(world.ms[m].thread);
}

/// Has a G begin on M `m`.
fn begin(world: &mut World, m: usize, g: Gid) {
    let burst = world.gs[g].burst;
    world.gs[g].home = Some(m);
    let machine = &mut world.ms[m];
    if !world.gs[g].migratory {
        let behaviour = machine.first_run.map_or(Behaviour::Talks, |run| run.behaviour);
        if behaviour != Behaviour::Talks || machine.company.computes {
            machine.company = machine.company.joined_by(machine.settled, behaviour, burst);
        }
        machine.settled += 1;
    }
    machine.debt += cost::BEGIN;
    // An M that offers its own Gs may have room again.
    wake::poke_searchers(world);
}

/// Runs a G.
fn execute(world: &mut World, m: usize, g: Gid) -> Next {
    stop_search(world, m);
    if world.ms[m].first_run.is_some() {
        apart::leave_others(world, m);
    }
    if world.gs[g].home.is_none() {
        begin(world, m, g);
    }
    let machine = &mut world.ms[m];
    machine.round += 1;
    machine.in_user_code = true;
    if !mem::take(&mut machine.inherits) {
        machine.slice += 1;
        machine.urged = false;
    }
    ops::begin_op(world, m, g)
}
