//! What operations do: channels, sleeping, spawning, blocking; on an M, and in a callback on a C
//! thread.

use super::{apart, blocking, hand_over, spawn, timers, wake};
use crate::cost;
use crate::gmp::g::{Gid, NOTHING, Op, Wait};
use crate::gmp::m::Phase;
use crate::gmp::world::{Next, World};
use crate::policy::behaviour::Company;

/// How an operation ended.
enum Applied {
    Done,
    Parked,
}

/// What becomes of the M after an operation.
pub(crate) enum After {
    /// The G keeps the M, whose thread does this next.
    KeepsM(Next),
    /// The G has given the M back.
    LeavesM,
}

fn cost_of(op: &Op) -> u64 {
    match op {
        Op::Compute(ns) => *ns,
        Op::Block(_) | Op::Yield => 0,
        Op::Send(..) | Op::Recv(_) | Op::TryRecv(_) | Op::Sleep(_) | Op::Blocking(_) => {
            cost::CHANNEL
        }
        Op::Go(_) => cost::SPAWN,
        Op::Stay | Op::End => cost::END,
    }
}

/// Lets the G on M `m` go on with its next operation.
pub(crate) fn begin_op(world: &mut World, m: usize, g: Gid) -> Next {
    let op = world.next_op(g);
    let machine = &mut world.ms[m];
    let burst = cost_of(&op) + std::mem::take(&mut machine.debt);
    machine.phase = Phase::Op(g, op);
    let behind = machine.ready() + machine.p.map_or(0, |p| world.ps[p].queued());
    if behind > 0 {
        world.sysmon_is_told();
    }
    Next::Run(burst)
}

/// Carries out the operation of the G on M `m`.
pub(crate) fn finish_op(world: &mut World, m: usize, g: Gid, op: Op) -> After {
    match op {
        Op::Compute(_) => return After::KeepsM(begin_op(world, m, g)),
        Op::Block(ns) => {
            world.ms[m].phase = Phase::Back(g);
            return After::KeepsM(Next::Block(ns + cost::TIMER_SLACK));
        }
        Op::Blocking(ns) => {
            if !blocking::help(world, m, g, ns) {
                return After::KeepsM(blocking::block_in_place(world, m, g, ns));
            }
        }
        Op::Yield => queue_yielded(world, m, g),
        Op::Sleep(ns) => timers::sleep(world, g, ns),
        Op::Stay => {}
        Op::End => {
            world.gs[g].ended = true;
            let machine = &mut world.ms[m];
            machine.settled -= usize::from(!world.gs[g].migratory);
            if machine.settled == 0 {
                machine.company = Company::default();
            }
        }
        Op::Go(script) => {
            let child = world.new_g(script);
            if apart::push(world, child, Some(m)) {
                return go_on(world, m, g);
            }
            match world.ms[m].p {
                Some(p) => world.ps[p].push_unstarted(child),
                None => world.global.push_back(child),
            }
            wake::poke_searchers(world);
            hand_over::submit(world, Some(m));
            return go_on(world, m, g);
        }
        Op::Send(..) | Op::Recv(_) | Op::TryRecv(_) => {
            if let Applied::Done = channel_op(world, g, &op, Some(m)) {
                return go_on(world, m, g);
            }
        }
    }
    After::LeavesM
}

/// After an operation that may suspend: suspends the G if its slice is over, or if the P was
/// revoked meanwhile.
fn go_on(world: &mut World, m: usize, g: Gid) -> After {
    if world.ms[m].p.is_some() && !world.ms[m].urged {
        return After::KeepsM(begin_op(world, m, g));
    }
    queue_yielded(world, m, g);
    After::LeavesM
}

fn queue_yielded(world: &mut World, m: usize, g: Gid) {
    match world.ms[m].p {
        _ if !world.gs[g].migratory => world.ms[m].queue.push_back(g),
        Some(p) => world.ps[p].yielded.push_back(g),
        None => {
            world.woken.push_back(g);
            hand_over::submit(world, Some(m));
        }
    }
}

fn channel_op(world: &mut World, g: Gid, op: &Op, by: Option<usize>) -> Applied {
    match *op {
        Op::Send(channel, value) => {
            let (done, served) = world.channels[channel].send(g, value);
            if let Some((receiver, value)) = served {
                world.gs[receiver].received = value;
                wake::ready(world, receiver, by);
            }
            if done { Applied::Done } else { Applied::Parked }
        }
        Op::Recv(channel) => {
            let (value, through) = world.channels[channel].recv(g);
            if let Some(sender) = through {
                wake::ready(world, sender, by);
            }
            let Some(value) = value else { return Applied::Parked };
            world.gs[g].received = value;
            Applied::Done
        }
        Op::TryRecv(channel) => {
            let (value, through) = world.channels[channel].try_recv(g);
            if let Some(sender) = through {
                wake::ready(world, sender, by);
            }
            world.gs[g].received = value.unwrap_or(NOTHING);
            Applied::Done
        }
        _ => Applied::Done,
    }
}

/// Runs a C thread in its callbacks.
pub(crate) fn step_foreign(world: &mut World, g: Gid) -> Next {
    match world.gs[g].wait {
        Wait::Spins => {
            world.gs[g].wait = Wait::Sleeps;
            return Next::Sleep;
        }
        Wait::Sleeps => return Next::Sleep,
        Wait::Served => world.gs[g].wait = Wait::No,
        Wait::No => {}
    }
    if let Some(op) = world.gs[g].op.take() {
        match op {
            Op::Go(script) => {
                let child = world.new_g(script);
                spawn::publish_new(world, child);
            }
            Op::Sleep(ns) | Op::Block(ns) | Op::Blocking(ns) => {
                return Next::Block(ns + cost::TIMER_SLACK);
            }
            Op::Stay => return Next::Sleep,
            Op::End => return Next::End,
            op => {
                if let Applied::Parked = channel_op(world, g, &op, None) {
                    world.gs[g].wait = Wait::Spins;
                    return Next::Spin(world.spin_budget().total_ns);
                }
            }
        }
    }
    let op = world.next_op(g);
    let burst = cost_of(&op);
    world.gs[g].op = Some(op);
    Next::Run(burst)
}
