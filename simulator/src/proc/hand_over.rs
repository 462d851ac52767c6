//! Which M gets which P: idle Ps, sleeping Ms, and the line. As in `dispatch` and `proc::wake` of
//! the scheduler.

use std::mem;

use crate::cost;
use crate::gmp::dispatch::{InLine, Standing, Why};
use crate::gmp::m::{M, Phase};
use crate::gmp::world::{Event, Role, World};
use crate::policy;
use crate::policy::behaviour::Behaviour;
use crate::policy::retake::may_take_over;

/// Notes that M `by`, or a thread outside, published work that any M may take.
pub(crate) fn submit(world: &mut World, by: Option<usize>) {
    if !world.dispatch.idle.is_empty() && world.searching == 0 {
        wake_p(world, by);
    }
}

/// Hands an idle P to an M, which then searches.
fn wake_p(world: &mut World, by: Option<usize>) {
    let p = world.dispatch.idle.pop().expect("the caller has looked");
    let m = pop_asleep(world).unwrap_or_else(|| start_m(world, by));
    world.searching += 1;
    world.ms[m].searching = true;
    hand(world, p, m, by);
}

/// Hands a P to a sleeping M, in any way.
fn hand(world: &mut World, p: usize, m: usize, by: Option<usize>) {
    world.ms[m].p = Some(p);
    world.ms[m].taken_over = false;
    world.ps[p].hand();
    world.ms[m].came = true;
    world.ms[m].standing = Standing::Awake;
    world.totals.count("hand-overs");
    let asleep = world.now + cost::WOKEN - world.ms[m].asleep_since;
    if !mem::take(&mut world.ms[m].by_time) {
        world.ms[m].thrift.woken_after(asleep);
    }
    wake_thread(world, world.ms[m].thread, by);
}

/// Wakes a thread; the waker pays for it.
pub(crate) fn wake_thread(world: &mut World, t: usize, by: Option<usize>) {
    if let Some(by) = by {
        world.ms[by].debt += cost::WAKE;
    }
    let latency = if world.os.threads[t].epoch == 0 { cost::THREAD_STARTED } else { cost::WOKEN };
    world.at(world.now + latency, Event::Wake(t));
}

/// Makes a new M, whose thread begins when it is handed a P.
pub(crate) fn start_m(world: &mut World, by: Option<usize>) -> usize {
    let m = world.ms.len();
    let thread = world.new_thread(Role::M(m));
    world.ms.push(M::new(thread));
    if let Some(by) = by {
        world.ms[by].debt += cost::THREAD_MADE;
    }
    world.totals.count("threads made");
    m
}

/// Places a P that no M has: at the line's head if that was passed over, else among the idle Ps,
/// unless the P is in excess.
pub(crate) fn put_back(world: &mut World, p: usize, by: Option<usize>) {
    if world.excess() > 0 {
        return retire_p(world, p, by);
    }
    if world.dispatch.line.front().is_some_and(|head| policy::passed_over(head.since, world.now)) {
        let head = leave_line(world, 0);
        hand(world, p, head, by);
    } else {
        world.dispatch.idle.push(p);
    }
    line_changed(world, by);
}

/// Moves what the P has to the global queues.
pub(crate) fn retire_p(world: &mut World, p: usize, by: Option<usize>) {
    world.global.append(&mut world.ps[p].unstarted);
    while let Some(g) = world.ps[p].pop_migratory() {
        world.woken.push_back(g);
    }
    world.retired.push(p);
    if world.has_free_work() {
        submit(world, by);
    }
}

/// Wakes the head of the line while a P is idle: the head looks.
fn line_changed(world: &mut World, by: Option<usize>) {
    if world.dispatch.idle.is_empty() {
        return;
    }
    let Some(head) = world.dispatch.line.front_mut() else { return };
    if !mem::replace(&mut head.woken, true) {
        let t = world.ms[head.m].thread;
        wake_thread(world, t, by);
    }
}

/// Hands a P that has work to an M: the line's head, a sleeping M, or a new one.
pub(crate) fn hand_off(world: &mut World, p: usize, by: Option<usize>) {
    if world.excess() > 0 {
        return retire_p(world, p, by);
    }
    let needed = world.has_free_work() || !world.dispatch.line.is_empty() || world.timers_are_due();
    if !needed {
        return put_back(world, p, by);
    }
    let m =
        if world.dispatch.line.is_empty() { pop_asleep(world) } else { Some(leave_line(world, 0)) };
    let m = m.unwrap_or_else(|| start_m(world, by));
    hand(world, p, m, by);
    line_changed(world, by);
}

/// Takes an idle P for an M that is awake.
pub(crate) fn try_take(world: &mut World, m: usize) -> bool {
    world.ms[m].p = world.dispatch.idle.pop();
    world.ms[m].p.is_some()
}

/// Handles the wake-up of an M in the line: an idle P goes to it, wherever it stands.
pub(crate) fn take_turn(world: &mut World, m: usize) -> bool {
    let at = world.dispatch.line.iter().position(|l| l.m == m).expect("it stands in the line");
    if !try_take(world, m) {
        world.dispatch.line[at].woken = false;
        return false;
    }
    leave_line(world, at);
    if let Some(p) = world.ms[m].p {
        world.ps[p].hand();
    }
    world.ms[m].came = true;
    world.ms[m].standing = Standing::Awake;
    world.totals.count("hand-overs");
    line_changed(world, Some(m));
    true
}

/// Joins the line behind the others; a returning resident M, behind the returning residents; one
/// that was woken, before those that let it pass.
pub(crate) fn stand_in_line(world: &mut World, m: usize, why: Why) {
    let (now, line) = (world.now, &mut world.dispatch.line);
    let passed = line.iter().position(|l| l.lets_pass && policy::lets_pass(l.since, now));
    let at = match why {
        Why::Returns => world.dispatch.returning,
        Why::Woken => passed.unwrap_or(line.len()),
        Why::LetsPass => line.len(),
    };
    let (returns, lets_pass) = (why == Why::Returns, why == Why::LetsPass);
    world.dispatch.returning += usize::from(returns);
    line.insert(at, InLine { m, since: now, woken: false, returns, lets_pass, apart: false });
    world.ms[m].standing = Standing::InLine;
}

fn leave_line(world: &mut World, at: usize) -> usize {
    let left = world.dispatch.line.remove(at).expect("somebody stands there");
    world.dispatch.returning -= usize::from(left.returns);
    left.m
}

pub(crate) fn fall_asleep(world: &mut World, m: usize) {
    world.ms[m].standing = Standing::Asleep;
    world.ms[m].slept += 1;
    world.ms[m].asleep_since = world.now;
    world.dispatch.asleep.push(m);
}

/// Takes a sleeping M: a resident M if one sleeps, else the last to fall asleep.
fn pop_asleep(world: &mut World) -> Option<usize> {
    let home = world.dispatch.asleep.iter().rposition(|m| world.is_home(*m));
    let at = home.or_else(|| world.dispatch.asleep.len().checked_sub(1))?;
    let m = world.dispatch.asleep.swap_remove(at);
    world.ms[m].standing = Standing::Awake;
    Some(m)
}

/// Takes a sleeping M on which nothing has settled: a resident M if there is one.
pub(crate) fn pop_vacant(world: &mut World) -> Option<usize> {
    let vacant =
        |world: &World, m: &usize, home| world.ms[*m].settled == 0 && world.is_home(*m) == home;
    let asleep = &world.dispatch.asleep;
    let find = |home| asleep.iter().rposition(|m| vacant(world, m, home));
    let at = find(true).or_else(|| find(false))?;
    let m = world.dispatch.asleep.swap_remove(at);
    world.ms[m].standing = Standing::Awake;
    Some(m)
}

/// Gives an M that slept an idle P, or puts it into the line. True if it has a P.
pub(crate) fn bring_in(world: &mut World, m: usize, by: Option<usize>, why: Why) -> bool {
    match world.dispatch.idle.pop() {
        Some(p) => hand(world, p, m, by),
        None => {
            stand_in_line(world, m, why);
            world.sysmon_is_told();
        }
    }
    world.ms[m].p.is_some()
}

/// Takes this M, which sleeps.
pub(crate) fn take_asleep(world: &mut World, m: usize) {
    world.dispatch.asleep.retain(|other| *other != m);
    world.ms[m].standing = Standing::Awake;
}

/// Notes that `by` put something into the inbox of M `m`.
pub(crate) fn rouse_for_inbox(world: &mut World, m: usize, by: Option<usize>) {
    if world.ms[m].standing != Standing::Asleep {
        return;
    }
    take_asleep(world, m);
    if !bring_in(world, m, by, Why::Woken) {
        take_over(world, by);
    }
}

/// Has somebody who was woken go on with the P of an M whose goroutine is known to compute.
pub(crate) fn take_over(world: &mut World, by: Option<usize>) {
    let without = world.ms.iter().filter(|m| m.taken_over).count();
    let computes = |m: &usize| match world.ms[*m].phase {
        Phase::Op(g, _) | Phase::Back(g) if world.ms[*m].in_user_code => {
            world.ms[*m].p.is_some()
                && world.apart.behaviour(world.gs[g].made_at) == Behaviour::Computes
        }
        _ => false,
    };
    let first = (0..world.ms.len()).find(computes);
    let Some(m) = first.filter(|_| may_take_over(without, world.procs)) else { return };
    world.ms[m].taken_over = true;
    world.ms[m].urged = true;
    if let Some(p) = world.ms[m].p.take() {
        hand_off(world, p, by);
    }
}

/// Brings in a resident M that sleeps, for what the spare M `by` leaves to it.
pub(crate) fn kick_home(world: &mut World, by: usize) {
    let asleep = world.dispatch.asleep.iter().rfind(|m| world.is_home(**m)).copied();
    if let Some(home) = asleep {
        take_asleep(world, home);
        _ = bring_in(world, home, Some(by), Why::Returns);
    }
}

/// Wakes or makes the resident M with the fewest settled Gs.
pub(crate) fn wake_least_home(world: &mut World, by: usize) {
    match world.least_home().0 {
        Some(m) => rouse_for_inbox(world, m, Some(by)),
        // Searching Ms may be as full as this one: the M that shall come does not exist yet.
        None if !world.dispatch.idle.is_empty() => wake_p(world, Some(by)),
        None => {}
    }
}
