//! The G that an M runs next, and how the M looks for it: in the order of `proc::find`.

use super::{admission, apart, hand_over, timers};
use crate::gmp::g::Gid;
use crate::gmp::world::World;
use crate::policy;
use crate::policy::head_age::HeadAge;
use crate::policy::keeps_up::{KeepsUp, LOOK_NS, Verdict};

/// The result of a look at the other queues.
pub(crate) enum Look {
    Found(Gid),
    /// A G that may be taken at this time.
    Young(u64),
    /// Gs that the M of their P gets through by itself.
    KeptUp,
    Nothing,
}

pub(crate) fn local(world: &mut World, m: usize) -> Option<Gid> {
    let p = world.ms[m].p.expect("it has one");
    let machine = &mut world.ms[m];
    machine.tick = machine.tick.wrapping_add(1);
    machine.take_inbox();
    let look = &mut world.ps[p].look_everywhere;
    if machine.urged {
        look.ask();
    }
    if look.is_due(machine.tick) {
        let oldest = pop_global(world, m)
            .or_else(|| waited(world, m, p))
            .or_else(|| overdue(world, m, p))
            .or_else(|| offered(world, m, p));
        if oldest.is_some() {
            return oldest;
        }
        if world.is_relieved(m) && world.has_new() {
            world.ps[p].look_everywhere.left_to_another();
            hand_over::kick_home(world, m);
            return None;
        }
    }
    if let Some(g) = pop_next(world, m, p) {
        return Some(g);
    }
    world.ms[m].choices += 1;
    let first = if world.ms[m].may_go_first() { pop_fresh(world, m, p) } else { None };
    world.ms[m].went_first(first.is_some());
    first
        .or_else(|| pop_yielded(world, m, p))
        .or_else(|| pop_fresh(world, m, p))
        .or_else(|| world.ms[m].mail())
}

fn pop_fresh(world: &mut World, m: usize, p: usize) -> Option<Gid> {
    let g = if world.ms[m].choices.is_multiple_of(2) {
        start(world, m, p, false).or_else(|| pop_woken(world, m, p))
    } else {
        pop_woken(world, m, p).or_else(|| start(world, m, p, false))
    };
    g.or_else(|| if world.is_relieved(m) { None } else { pop_global(world, m) })
}

fn pop_yielded(world: &mut World, m: usize, p: usize) -> Option<Gid> {
    if world.ms[m].choices & 2 == 0 {
        world.ms[m].pop_yielded().or_else(|| world.ps[p].take_yielded())
    } else {
        world.ps[p].take_yielded().or_else(|| world.ms[m].pop_yielded())
    }
}

/// Takes the G that was woken last, of the M or of its P.
fn pop_next(world: &mut World, m: usize, p: usize) -> Option<Gid> {
    let now = world.now;
    let migratory = if world.ms[m].next.is_some() { None } else { world.ps[p].next.take() };
    let of_p = world.ps[p].queued();
    let Some(g) = migratory else { return world.ms[m].pop_next(of_p, now) };
    world.ps[p].taken = world.ps[p].taken.wrapping_add(1);
    if world.ms[m].follows_chain(of_p, now) {
        return Some(g);
    }
    world.ps[p].yielded.push_back(g);
    None
}

fn pop_woken(world: &mut World, m: usize, p: usize) -> Option<Gid> {
    if world.ms[m].choices & 2 == 0 {
        world.ms[m].pop_woken().or_else(|| pop_migratory(world, m, p))
    } else {
        pop_migratory(world, m, p).or_else(|| world.ms[m].pop_woken())
    }
}

fn pop_migratory(world: &mut World, m: usize, p: usize) -> Option<Gid> {
    if world.woken.is_empty() {
        return world.ps[p].take_migratory();
    }
    if world.ms[m].choices & 4 == 0 {
        return world.woken.pop_front();
    }
    world.ps[p].take_migratory().or_else(|| world.woken.pop_front())
}

/// Takes an unstarted G of the M's own P, if it may.
fn start(world: &mut World, m: usize, p: usize, oldest: bool) -> Option<Gid> {
    if let Some(g) = apart::take(world, m) {
        return Some(g);
    }
    if world.ps[p].unstarted.is_empty() || world.is_relieved(m) {
        return None;
    }
    let room = has_room(world, m, p);
    world.ps[p].offers = !room;
    if !room || !admission::admit(world, m) {
        return None;
    }
    let queue = &mut world.ps[p].unstarted;
    if oldest { queue.pop_front() } else { queue.pop_back() }
}

/// Takes the oldest unstarted G of the M's own P, if that has waited for long.
fn waited(world: &mut World, m: usize, p: usize) -> Option<Gid> {
    let (queued, now) = (world.ps[p].unstarted.len(), world.now);
    if queued == 0 || !world.ps[p].oldest.is_due(queued, now) {
        return None;
    }
    start(world, m, p, true).inspect(|_| world.ps[p].oldest.went_first())
}

fn has_room(world: &mut World, m: usize, p: usize) -> bool {
    let (mine, least) = (world.ms[m].load(), world.least_home().1);
    let now = world.now;
    if world.ms[m].p == Some(p) && world.ps[p].spreads(now) {
        return policy::keeps_evenly(mine, world.least_load_beside(m));
    }
    policy::may_start(mine, least, world.ps[p].spreads)
}

fn pop_global(world: &mut World, m: usize) -> Option<Gid> {
    if let Some(woken) = world.woken.pop_front() {
        return Some(woken);
    }
    let room = policy::may_start_global(world.ms[m].load(), world.least_home().1);
    if world.global.is_empty() || world.is_relieved(m) || !room || !admission::admit(world, m) {
        return None;
    }
    world.global.pop_front()
}

/// Looks at the oldest G of the global queue, for an M that has its share.
fn look_at_global(world: &mut World, m: usize) -> Look {
    let Some(head) = world.global.front().copied() else { return Look::Nothing };
    if !world.sysmon.admits() || world.is_relieved(m) {
        return Look::Nothing;
    }
    if world.ms[m].global_head.0 != head {
        world.ms[m].global_head = (head, world.now);
        hand_over::wake_least_home(world, m);
    }
    let since = world.ms[m].global_head.1;
    if !policy::may_take_head(since, world.now, false, false, false) {
        return Look::Young(since + still(false, false));
    }
    if !admission::admit(world, m) {
        return Look::Nothing;
    }
    world.global.pop_front().map_or(Look::Nothing, Look::Found)
}

/// Takes what other Ms offer, for an M that is busy.
fn offered(world: &mut World, m: usize, p: usize) -> Option<Gid> {
    let procs = world.ps.len();
    let offers = |p: &usize| world.ps[*p].offers && !world.ps[*p].unstarted.is_empty();
    let victim = (1..procs).map(|i| (p + i) % procs).find(offers)?;
    if world.is_relieved(m)
        || !policy::may_take_offered(world.ms[m].load(), world.least_home().1)
        || !admission::admit(world, m)
    {
        return None;
    }
    world.ps[victim].unstarted.pop_front()
}

fn overdue(world: &mut World, m: usize, p: usize) -> Option<Gid> {
    if world.is_relieved(m) {
        return None;
    }
    let is_own = !world.ps[p].unstarted.is_empty() && !has_room(world, m, p);
    let own = if is_own { look_at_unstarted(world, m, p) } else { Look::Nothing };
    match own {
        Look::Found(g) => Some(g),
        Look::Young(_) | Look::KeptUp | Look::Nothing => match look_at_global(world, m) {
            Look::Found(g) => Some(g),
            Look::Young(_) | Look::KeptUp | Look::Nothing => None,
        },
    }
}

/// Looks everywhere.
pub(crate) fn look(world: &mut World, m: usize) -> Look {
    timers::run_timers(world, m);
    world.ms[m].rest();
    if let Some(g) = world.ms[m].mail().or_else(|| pop_global(world, m)) {
        return Look::Found(g);
    }
    let mut young: Option<u64> = None;
    match look_at_global(world, m) {
        Look::Found(g) => return Look::Found(g),
        Look::Young(due) => young = Some(due),
        Look::KeptUp | Look::Nothing => {}
    }
    if let Some(g) = apart::take(world, m) {
        return Look::Found(g);
    }
    // Publishers rely on an M that searches, and this one is the wrong one.
    apart::bring(world, Some(m));
    let own = world.ms[m].p.filter(|p| world.ps[*p].offers);
    if let Some(g) = own.and_then(|p| start(world, m, p, false)) {
        return Look::Found(g);
    }
    let (me, procs) = (world.ms[m].p.unwrap_or(0), world.ps.len());
    let mut nothing = Look::Nothing;
    for i in 0..procs {
        match look_at(world, m, (me + i) % procs) {
            Look::Found(g) => return Look::Found(g),
            Look::Young(due) => young = Some(young.map_or(due, |other| other.min(due))),
            Look::KeptUp => nothing = Look::KeptUp,
            Look::Nothing => {}
        }
    }
    young.map_or(nothing, Look::Young)
}

/// Looks at the oldest unstarted G of a P. It may be taken once the head has not changed for long
/// enough.
fn look_at(world: &mut World, m: usize, victim: usize) -> Look {
    let mut nothing = Look::Nothing;
    if world.ps[victim].migratory() > 0 {
        match verdict(world, m, victim) {
            Verdict::Early => return Look::Young(world.now + LOOK_NS),
            Verdict::KeepsUp => nothing = Look::KeptUp,
            Verdict::IsBehind => {
                return world.ps[victim].pop_migratory().map_or(Look::Nothing, Look::Found);
            }
        }
    }
    match look_at_unstarted(world, m, victim) {
        Look::Nothing => nothing,
        found => found,
    }
}

/// Looks at the oldest unstarted G of a P.
fn look_at_unstarted(world: &mut World, m: usize, victim: usize) -> Look {
    let Some(head) = world.ps[victim].unstarted.front().copied() else { return Look::Nothing };
    if !world.sysmon.admits() || world.is_relieved(m) {
        return Look::Nothing;
    }
    let mine = has_room(world, m, victim);
    let now = world.now;
    world.ms[m].heads.resize(world.ps.len(), HeadAge::default());
    let queued = world.ps[victim].unstarted.len();
    let seen = &mut world.ms[m].heads[victim];
    if seen.is_too_young(now) && !world.ps[victim].offers {
        return Look::Young(seen.first_seen() + still(mine, false));
    }
    if seen.observe_queue(head as u32, queued, now) && !mine {
        hand_over::wake_least_home(world, m);
    }
    let since = world.ms[m].heads[victim].first_seen();
    let offered = world.ps[victim].offers;
    let behind = world.ms[m].heads[victim].is_behind();
    if !policy::may_take_head(since, now, mine, offered, behind) {
        world.ms[m].heads[victim].hold_for(policy::STEAL_AGE_NS);
        return Look::Young(since + still(mine, offered));
    }
    if !admission::admit(world, m) {
        return Look::Nothing;
    }
    world.ms[m].heads[victim].take();
    world.ps[victim].unstarted.pop_front().map_or(Look::Nothing, Look::Found)
}

/// Returns whether the migratory Gs of a P are left to its M.
fn verdict(world: &mut World, m: usize, victim: usize) -> Verdict {
    if world.ms[m].p == Some(victim) || !world.config.sysmon {
        return Verdict::IsBehind;
    }
    let (p, now) = (&world.ps[victim], world.now);
    let (taken, left) = (p.taken, p.migratory());
    world.ms[m].keeps_up.resize(world.ps.len(), KeepsUp::default());
    let verdict = world.ms[m].keeps_up[victim].observe(taken, left, now);
    if verdict != Verdict::Early {
        world.ps[victim].keeps_up = verdict == Verdict::KeepsUp;
    }
    if verdict == Verdict::KeepsUp {
        world.sysmon_is_told();
    }
    verdict
}

/// Returns how long a head must not have changed. The policy is asked for it: the constants are its
/// own.
fn still(share: bool, offered: bool) -> u64 {
    let enough = |ns: &u64| policy::may_take_head(0, *ns, share, offered, false);
    (0..).map(|n| n * 1_000).find(enough).expect("some time is enough")
}
