//! What lies in the queues of others: the global ones, and those of other Ps.

use std::sync::atomic::Ordering::Relaxed;

use gosched_runtime_sys::clock::monotonic_ns;

use super::unstarted::{Wants, has_room, resident_is_free, take_admitted};
use crate::gmp::current::Current;
use crate::gmp::g::Runnable;
use crate::gmp::m::{M, MOwned};
use crate::gmp::p::{P, PShared};
use crate::gmp::sched::Sched;
use crate::gmp::wait_reason::WaitReason;
use crate::policy;
use crate::policy::head_age::HeadAge;
use crate::policy::keeps_up::{KeepsUp, Verdict};
use crate::proc::wake;
use crate::proc::wake_sysmon::wake_sysmon;

/// What a look at the queues of others found.
pub(super) enum Scan {
    Found(Runnable),
    /// A G that no other goroutine woke: its time has come.
    Due(Runnable),
    /// There is a G that may not be taken yet, or not by this M.
    TooYoung,
    /// There are only Gs that the M of their P gets through by itself.
    KeptUp,
    Nothing,
}

impl Scan {
    /// A G from a queue for any M. It may lie there because its time had come: an M that finds
    /// several due at a time queues them.
    pub(super) fn of(g: Runnable) -> Self {
        if g.has_begun() && g.g().wait_reason() == WaitReason::Sleep {
            Scan::Due(g)
        } else {
            Scan::Found(g)
        }
    }
}

/// Takes a G from the global queues: first those that have started.
pub(super) fn take_global(cx: &Current, owned: &mut MOwned) -> Option<Runnable> {
    let sched = cx.sched();
    if let Some(woken) = sched.pop_migratory() {
        return Some(woken);
    }
    if !sched.has_global_unstarted()
        || !policy::may_start_global(cx.m.load(), sched.least_loaded_resident().1)
    {
        return None;
    }
    take_admitted(sched, owned, || sched.pop_unstarted())
}

/// Takes what another M offers, for an M that is busy and comes to no search. An M takes nothing
/// while one with fewer settled Gs could.
pub(super) fn take_offered(
    cx: &Current,
    owned: &mut MOwned,
    p: &P,
    wants: Wants,
) -> Option<Runnable> {
    let sched = cx.sched();
    if !wants.free || resident_is_free(cx) {
        return None;
    }
    let ps = sched.all_ps.len();
    let others = (1..ps).filter_map(|i| sched.all_ps.get((p.index + i) % ps));
    let offers = others.filter(|other| other.offers()).find(|other| other.has_unstarted())?;
    if !policy::may_take_offered(cx.m.load(), sched.least_loaded_resident().1) {
        return None;
    }
    let taken = take_admitted(sched, owned, || offers.steal_unstarted());
    if taken.is_some() {
        cx.m.count_stolen();
    }
    taken
}

/// Takes the oldest unstarted G for an M that owns more than its share, has always something ready,
/// and so comes to no search. It does so when no other M has come, as when no M can be made.
pub(super) fn take_overdue(
    cx: &Current,
    owned: &mut MOwned,
    p: &P,
    wants: Wants,
) -> Option<Runnable> {
    let sched = cx.sched();
    let mine = p.has_unstarted() && !has_room(cx, p);
    if !wants.free || !(mine || sched.has_global_unstarted()) || resident_is_free(cx) {
        return None;
    }
    let now = monotonic_ns();
    // What is ready here besides comes by itself.
    match if mine { scan_unstarted(sched, cx.m, owned, p.index, now) } else { Scan::Nothing } {
        Scan::Found(g) | Scan::Due(g) => Some(g),
        Scan::TooYoung | Scan::KeptUp | Scan::Nothing => scan_global(sched, owned, now),
    }
}

/// Takes a G from the queues of the P with the number `victim`, if an M that has the P with the
/// number `me` may take one.
pub(super) fn scan_p(
    sched: &Sched,
    m: &M,
    owned: &mut MOwned,
    (me, victim): (usize, usize),
    now: u64,
) -> Scan {
    let Some(shared) = sched.all_ps.get(victim) else { return Scan::Nothing };
    let mut nothing = Scan::Nothing;
    if shared.has_migratory() {
        match verdict(sched, owned, shared, (me, victim), now) {
            Verdict::Early => return Scan::TooYoung,
            Verdict::KeepsUp => nothing = Scan::KeptUp,
            Verdict::IsBehind => {
                if let Some(g) = shared.steal_migratory() {
                    return Scan::of(g);
                }
            }
        }
    }
    match scan_unstarted(sched, m, owned, victim, now) {
        Scan::Nothing => nothing,
        found => found,
    }
}

/// Takes the oldest unstarted G of the P with the number `victim`, if the M may take it.
fn scan_unstarted(sched: &Sched, m: &M, owned: &mut MOwned, victim: usize, now: u64) -> Scan {
    let Some(shared) = sched.all_ps.get(victim) else { return Scan::Nothing };
    owned.head_ages.resize(sched.all_ps.len(), HeadAge::default());
    let seen = &mut owned.head_ages[victim];
    // The P's M writes the cache lines that a look reads, with each G it starts. Two cores would
    // pass them to and fro.
    if seen.is_too_young(now) && !shared.offers() {
        return Scan::TooYoung;
    }
    let queued = shared.unstarted();
    if queued == 0 || !sched.start_gate.admits() {
        return Scan::Nothing;
    }
    let least = sched.least_loaded_resident().1;
    let mine = policy::may_start(m.load(), least, shared.spreads());
    if seen.observe_queue(shared.head(), queued, now) && !mine {
        wake::kick_least_loaded(sched);
    }
    if policy::may_take_head(seen.first_seen(), now, mine, shared.offers(), seen.is_behind()) {
        seen.take();
        return take_admitted(sched, owned, || shared.steal_unstarted())
            .map_or(Scan::Nothing, Scan::Found);
    }
    seen.hold_for(policy::STEAL_AGE_NS);
    Scan::TooYoung
}

/// Returns whether the migratory Gs of the P with the number `victim` are left to its M. If so,
/// what that one wakes wakes nobody from now on; sysmon sees to it that this does not last.
fn verdict(
    sched: &Sched,
    owned: &mut MOwned,
    shared: &PShared,
    (me, victim): (usize, usize),
    now: u64,
) -> Verdict {
    if me == victim || !sched.has_sysmon.load(Relaxed) {
        return Verdict::IsBehind;
    }
    owned.keeps_up.resize(sched.all_ps.len(), KeepsUp::default());
    let verdict = owned.keeps_up[victim].observe(shared.taken(), shared.migratory(), now);
    if verdict != Verdict::Early {
        shared.set_keeps_up(verdict == Verdict::KeepsUp);
    }
    if verdict == Verdict::KeepsUp {
        wake_sysmon(sched);
    }
    verdict
}

/// Takes the oldest unstarted G of the global queue for an M that has its share already. It first
/// kicks the resident M with the fewest settled Gs, and takes the G itself if that M has not come
/// after 200 us.
pub(super) fn scan_global(sched: &Sched, owned: &mut MOwned, now: u64) -> Option<Runnable> {
    if !sched.has_global_unstarted() || !sched.start_gate.admits() {
        return None;
    }
    if owned.global_head_age.observe(sched.global_head(), now) {
        wake::kick_least_loaded(sched);
    }
    if !policy::may_take_head(owned.global_head_age.first_seen(), now, false, false, false) {
        return None;
    }
    owned.global_head_age.clear();
    take_admitted(sched, owned, || sched.pop_unstarted())
}
