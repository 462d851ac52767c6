//! Sysmon, after `proc::sysmon` and `gmp::admission`: it looks, revokes Ps that are kept too long,
//! and admits new goroutines.

use super::{apart, hand_over};
use crate::cost;
use crate::gmp::m::Phase;
use crate::gmp::sysmon::Seen;
use crate::gmp::world::{Next, World};
use crate::policy::behaviour::Run;
use crate::policy::chain::CHAIN_NS;
use crate::policy::retake::{
    BLOCKED_NS, Cpu, LEFT_NS, Looked, SLICE_NS, Stay, Verdict, admission_ns, is_overloaded, judge,
    slice_ends,
};

/// Ps revoked of blocked Ms.
pub(crate) const BLOCKED: &str = "retaken, blocked";
/// Ps revoked of computing Ms.
pub(crate) const COMPUTING: &str = "retaken, computing";

pub(crate) fn step_sysmon(world: &mut World) -> Next {
    if !std::mem::replace(&mut world.sysmon.looks, true) {
        return Next::Run(cost::SYSMON_LOOK);
    }
    world.sysmon.looks = false;
    let looked = look_at_ms(world);
    let now = world.now;
    match world.sysmon.pace.next(looked, now) {
        Some(ns) => {
            let fresh = |(_, since): &(_, u64)| world.apart.waits() && now - since < LEFT_NS;
            let left = world.apart.head.filter(fresh);
            let left = left.map_or(u64::MAX, |(_, since)| since.max(now) + LEFT_NS - now);
            Next::Block(ns.min(left) + cost::TIMER_SLACK)
        }
        None => {
            world.sysmon.seen.clear();
            world.sysmon.asleep = true;
            Next::Sleep
        }
    }
}

/// Wakes an M for free work that has been left to others and that nobody has run in time.
fn wake_for_leftovers(world: &mut World) {
    let (now, idle) = (world.now, !world.dispatch.idle.is_empty());
    let left = world.has_free_work() && idle && world.searching == 0;
    let since = left.then(|| world.sysmon.leftover_since.unwrap_or(now));
    let due = since.is_some_and(|since| now - since >= LEFT_NS);
    world.sysmon.leftover_since = since.filter(|_| !due);
    if due {
        hand_over::submit(world, None);
    }
}

fn look_at_ms(world: &mut World) -> Looked {
    world.totals.count("looks");
    let keeps_waiting = world.ms.iter().any(|m| m.in_user_code && m.ready() > 0);
    let waits = keeps_waiting
        || world.excess() > 0
        || !world.dispatch.line.is_empty()
        || world.has_free_work()
        || world.apart.waits()
        || world.timers_are_due();
    let mut looked = Looked { waits, blocked: false, busy: false };
    let free = if world.has_free_work() { world.free_work() } else { 0 };
    let mut wanted = free + world.dispatch.line.len() + usize::from(world.timers_are_due());
    let now = world.now;
    let since = (wanted > 0).then(|| world.sysmon.wanted_since.unwrap_or(now));
    world.sysmon.wanted_since = since;
    let neglected = since.is_some_and(|since| slice_ends(now - since));
    if neglected {
        world.sysmon.wanted_since = Some(now);
    }
    wake_for_leftovers(world);
    apart::bring_left(world);
    let mut computing = 0;
    for m in 0..world.ms.len() {
        if world.ms[m].ended {
            continue;
        }
        world.ms[m].urged |= neglected && world.ms[m].in_user_code;
        let Some(seen) = see(world, m) else {
            end_chain(world, m);
            continue;
        };
        looked.busy |= waits;
        let ends = slice_ends(world.now - seen.slice_since);
        world.ms[m].urged |= ends && (world.ms[m].ready() > 0 || wanted > 0);
        let stuck_ns = world.now - seen.round_since;
        let verdict = judge(Stay { stuck_ns, cpu: seen.cpu });
        let blocked = seen.cpu == Cpu::Stands;
        let cpu_ns = Some(stuck_ns).filter(|_| !blocked);
        let run = Run { lasted_ns: stuck_ns, cpu_ns, blocked, timed: false };
        if run.keeps_thread() && !seen.told {
            tell_call_site(world, m);
        }
        if world.ms[m].p.is_none() {
            computing += usize::from(seen.cpu != Cpu::Stands);
            continue;
        }
        if verdict == Verdict::Leave {
            continue;
        }
        looked.blocked |= verdict == Verdict::Blocked;
        retake(world, m, verdict, &mut wanted);
    }
    let_in(world, computing);
    looked
}

/// Asks a chain of goroutines that wake each other to end, if it keeps others waiting.
fn end_chain(world: &mut World, m: usize) {
    let since = world.sysmon.seen.get(&m).map_or(world.now, |seen| seen.slice_since);
    let machine = &mut world.ms[m];
    machine.urged |= machine.in_user_code && world.now - since >= CHAIN_NS && machine.ready() > 0;
}

/// Returns what is known of an M, if this look finds it in the same round of user code as the last
/// look.
fn see(world: &mut World, m: usize) -> Option<Seen> {
    let now = world.now;
    let (round, slice, thread) = (world.ms[m].round, world.ms[m].slice, world.ms[m].thread);
    let first = Seen {
        round,
        round_since: now,
        slice,
        slice_since: now,
        clock: None,
        cpu: Cpu::Unknown,
        told: false,
    };
    let seen = world.sysmon.seen.entry(m).or_insert(first);
    let same_round = seen.round == round;
    if !same_round {
        let slice_since = if seen.slice == slice { seen.slice_since } else { now };
        *seen = Seen { slice_since, ..first };
    }
    if !world.ms[m].in_user_code || !same_round {
        return None;
    }
    let apart = if world.ms[m].p.is_some() { BLOCKED_NS } else { SLICE_NS };
    if seen.clock.is_none_or(|(at, _)| now - at >= apart) {
        let shows = world.os.cpu(thread, now);
        if let Some((_, showed)) = seen.clock {
            let stands = shows == showed && world.os.is_blocked(thread);
            seen.cpu = if stands { Cpu::Stands } else { Cpu::Runs };
        }
        seen.clock = Some((now, shows));
    }
    Some(*seen)
}

/// Records of the call site of the G on M `m` that it computes, or blocks its thread.
fn tell_call_site(world: &mut World, m: usize) {
    if let Some(seen) = world.sysmon.seen.get_mut(&m) {
        seen.told = true;
    }
    if let Phase::Op(g, _) | Phase::Back(g) = world.ms[m].phase {
        let made_at = world.gs[g].made_at;
        world.apart.computes(made_at);
    }
}

fn retake(world: &mut World, m: usize, verdict: Verdict, wanted: &mut usize) {
    let p = world.ms[m].p.take().expect("it is on the table");
    world.totals.count(if verdict == Verdict::Blocked { BLOCKED } else { COMPUTING });
    if *wanted > 0 {
        *wanted -= 1;
        hand_over::hand_off(world, p, None);
    } else {
        hand_over::put_back(world, p, None);
    }
}

/// Opens and closes the gate for new goroutines.
fn let_in(world: &mut World, computing: usize) {
    let crowded = is_overloaded(computing, world.procs, world.config.cores);
    let opened = world.sysmon.crowded && !crowded;
    if world.sysmon.crowded != crowded {
        world.sysmon.crowded = crowded;
        world.sysmon.permit_is_out = false;
    }
    if !crowded {
        world.sysmon.hogs = 0;
    }
    if !(crowded && world.sysmon.permit_is_out) {
        world.sysmon.permit_since = None;
    }
    let now = world.now;
    let sysmon = &mut world.sysmon;
    let overdue = crowded
        && sysmon.permit_is_out
        && now - *sysmon.permit_since.get_or_insert(now) >= admission_ns(sysmon.hogs);
    if overdue {
        sysmon.hogs += 1;
        sysmon.permit_since = None;
        sysmon.permit_is_out = false;
    }
    if opened || overdue {
        hand_over::submit(world, None);
        apart::bring(world, None);
    }
}
