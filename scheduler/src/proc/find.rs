//! What an M runs next.
//!
//! Each round looks in turn at what this M alone may run (its woken settled Gs), at its P's
//! migratory ones and at its P's unstarted ones; woken and unstarted take turns at being first, so
//! that a loop of yields starves no new G. What came into the inbox queues up behind the woken ones
//! before. Then come the global queue, and the other Ps.

use std::mem;
use std::ops::Range;
use std::sync::atomic::Ordering::Relaxed;

use gosched_runtime_sys::clock::monotonic_ns;
use gosched_runtime_sys::thread::yield_thread;

use crate::ds::timers::NEVER;
use crate::gmp::current::{Current, InsideWithP};
use crate::gmp::g::Runnable;
use crate::gmp::m::{M, MOwned};
use crate::gmp::p::{End, P};
use crate::gmp::sched::Sched;
use crate::gmp::wait_reason::WaitReason;
use crate::policy::head_age::HeadAge;
use crate::policy::{self, SpinBudget};
use crate::proc::{timers, wake};

/// What an M may run, and what it wants besides.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wants {
    /// It may start Gs that would then be its own.
    pub(crate) start: bool,
}

/// The next G among what this M and its P have.
#[inline]
pub(crate) fn take_local(cx: &Current, inside: &mut InsideWithP, wants: Wants) -> Option<Runnable> {
    fire_own_timers(cx, inside);
    let (owned, p) = inside.split();
    let p = p.as_deref_mut()?;
    take_inbox(cx.m, owned);
    let preempt_requested = cx.m.progress.preempt_requested();
    owned.look_everywhere |= preempt_requested;
    if policy::looks_everywhere(owned.tick, owned.look_everywhere) {
        owned.look_everywhere = false;
        if let Some(g) = look_everywhere(cx, owned, p, wants) {
            return Some(g);
        }
    }
    if let Some(g) = owned.pop_run_next(preempt_requested) {
        return Some(g);
    }
    if owned.tick % 2 == 0 {
        take_unstarted(cx, owned, p, End::Newest, wants).or_else(|| take_woken(owned, p))
    } else {
        take_woken(owned, p).or_else(|| take_unstarted(cx, owned, p, End::Newest, wants))
    }
}

/// Begins a round with what is due. Without timers it reads no clock, and one word.
#[inline]
fn fire_own_timers(cx: &Current, inside: &mut InsideWithP) {
    let (owned, p) = inside.split();
    let Some(p) = p else { return };
    owned.tick = owned.tick.wrapping_add(1);
    if owned.tick % policy::GLOBAL_INTERVAL == 0 {
        // Those of an idle P are nobody's else, as long as the others have work.
        fire_due(cx, inside, 0..cx.sched().all_ps.len());
    } else if p.shared.timers.first() != NEVER && owned.timer_polling.is_due(owned.tick) {
        let heap = p.index;
        fire_due(cx, inside, heap..heap + 1);
    }
}

#[cold]
fn fire_due(cx: &Current, inside: &mut InsideWithP, heaps: Range<usize>) {
    let all_ps = &cx.sched().all_ps;
    if heaps.clone().all(|heap| all_ps.get(heap).is_none_or(|half| half.timers.first() == NEVER)) {
        return;
    }
    let now = monotonic_ns();
    let owned = inside.owned();
    owned.timer_polling.record_reading(owned.tick, now);
    for heap in heaps {
        let _any = timers::fire(cx, inside, heap, now);
    }
}

/// A woken or yielded G. The two kinds take turns as well, or one settled G that yields in a loop
/// kept the P's migratory ones from running.
#[inline]
fn take_woken(owned: &mut MOwned, p: &P) -> Option<Runnable> {
    if owned.tick & 2 == 0 {
        owned.pop_settled().or_else(|| p.pop_migratory())
    } else {
        p.pop_migratory().or_else(|| owned.pop_settled())
    }
}

#[inline]
fn take_unstarted(
    cx: &Current,
    owned: &mut MOwned,
    p: &P,
    end: End,
    wants: Wants,
) -> Option<Runnable> {
    if !p.has_unstarted() || !wants.start || resident_is_free(cx) {
        return None;
    }
    let may_start = has_room(cx);
    p.offer(!may_start);
    if !may_start {
        return None;
    }
    take_admitted(cx.sched(), owned, || p.pop_unstarted(end))
}

/// Takes a G that has not started, if new ones are let in.
#[inline]
fn take_admitted(
    sched: &Sched,
    owned: &mut MOwned,
    take: impl FnOnce() -> Option<Runnable>,
) -> Option<Runnable> {
    let admission = sched.start_gate.admit()?;
    let taken = take();
    if taken.is_some() {
        owned.admission = admission;
    } else {
        let _it_looks_itself = sched.start_gate.give_back(admission);
    }
    taken
}

/// Whether this M only helps out, and a home M sleeps: what this one started would stay on its
/// thread.
#[inline]
fn resident_is_free(cx: &Current) -> bool {
    !cx.m.remote.is_resident() && cx.sched().dispatch.residents_asleep() > 0
}

/// Whether there is something to start, and a home M to do it instead of this one.
#[inline]
pub(crate) fn leaves_work_to_resident(cx: &Current) -> bool {
    resident_is_free(cx) && cx.sched().has_unstarted()
}

/// Whether this M may start a G that has no M yet. If not, its search (`scan_p`) wakes the M that
/// should.
#[inline]
fn has_room(cx: &Current) -> bool {
    let mine = cx.m.load();
    if mine <= policy::START_SLACK {
        return true;
    }
    let (_, least) = cx.sched().least_loaded_resident();
    policy::may_start(mine, least)
}

/// What others left in the inbox queues up behind what is ready. In each round, for rounds may be
/// long: a ticker beside a goroutine that computes for 3 ms between its yields had gaps of 200 ms
/// when it was done in every 61st.
#[inline]
fn take_inbox(m: &M, owned: &mut MOwned) {
    if !m.inbox.is_empty() {
        owned.queue.append(m.inbox.take_all());
    }
}

/// The same for an M that has nothing else.
fn take_inbox_and_pop(m: &M, owned: &mut MOwned) -> Option<Runnable> {
    take_inbox(m, owned);
    owned.pop_settled()
}

/// What is otherwise looked at last goes first: see `policy::looks_everywhere`.
#[cold]
fn look_everywhere(cx: &Current, owned: &mut MOwned, p: &mut P, wants: Wants) -> Option<Runnable> {
    if wants.start
        && !resident_is_free(cx)
        && let Some(g) = take_global(cx, owned)
    {
        return Some(g);
    }
    let waited = p.has_unstarted().then(|| {
        p.take_if_due(monotonic_ns(), |p| take_unstarted(cx, owned, p, End::Oldest, wants))
    });
    waited
        .flatten()
        .or_else(|| take_overdue(cx, owned, p, wants))
        .or_else(|| take_offered(cx, owned, p, wants))
}

/// What others offer, by an M that is busy and comes to no search; but not before those that have
/// less.
fn take_offered(cx: &Current, owned: &mut MOwned, p: &P, wants: Wants) -> Option<Runnable> {
    let sched = cx.sched();
    if !wants.start || resident_is_free(cx) {
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

/// What lies in the global queues. Who comes back goes before who is new.
fn take_global(cx: &Current, owned: &mut MOwned) -> Option<Runnable> {
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

/// An M that owns more than its share and always has something ready comes to no search. If nobody
/// else comes either, as when no M can be made, it starts the oldest all the same.
fn take_overdue(cx: &Current, owned: &mut MOwned, p: &P, wants: Wants) -> Option<Runnable> {
    let sched = cx.sched();
    let mine = p.has_unstarted() && !has_room(cx);
    if !wants.start || !(mine || sched.has_global_unstarted()) || resident_is_free(cx) {
        return None;
    }
    let now = monotonic_ns();
    match if mine { scan_p(sched, cx.m, owned, p.index, now) } else { Scan::Nothing } {
        Scan::Found(g) | Scan::Due(g) => Some(g),
        Scan::TooYoung | Scan::Nothing => scan_global(sched, owned, now),
    }
}

/// What a look at the other queues found.
enum Scan {
    Found(Runnable),
    /// The same, and nobody brought it: its time has come. Only where timers are looked at.
    Due(Runnable),
    /// Something is there that may not be taken yet, or not by this M.
    TooYoung,
    Nothing,
}

impl Scan {
    /// What lay in a queue for any M. The clock may have brought it there, by way of an M that
    /// found several due at a time.
    fn of(g: Runnable) -> Self {
        if g.has_begun() && g.g().wait_reason() == WaitReason::Sleep {
            Scan::Due(g)
        } else {
            Scan::Found(g)
        }
    }
}

/// Looks everywhere else, patiently. The M counts as searching; the caller ends that.
pub(crate) fn search(cx: &Current, inside: &mut InsideWithP, wants: Wants) -> Option<Runnable> {
    let sched = cx.sched();
    let spin_budget = inside.owned().spin.spin_budget(sched.spin_budget());
    inside.owned().found_due = false;
    let began = monotonic_ns();
    let mut spun = false;
    loop {
        let now = monotonic_ns();
        let (found, useful, too_young) = match scan(cx, inside, wants, now) {
            Scan::Found(g) => (Some(g), true, false),
            Scan::Due(g) => (Some(g), false, false),
            Scan::TooYoung => (None, false, true),
            Scan::Nothing => (None, false, false),
        };
        let waited = now.saturating_sub(began);
        if found.is_some() || (waited >= spin_budget.total_ns && !too_young) {
            let owned = inside.owned();
            if spun {
                owned.spin.searched(useful);
            }
            if let Some(ns) = owned.woken_after.take().filter(|_| useful) {
                owned.spin.woken_after(ns);
            }
            return found;
        }
        spun = true;
        spin_or_yield(spin_budget, waited);
    }
}

/// Waits a while for mail, where others search already: a settled G that talks to one on a
/// searching M is answered within a microsecond, and sleeping in between would cost both of them a
/// futex round trip. Nobody relies on this M meanwhile; it looks at everything once more when it
/// gives up, as every M does.
pub(crate) fn await_inbox(cx: &Current, inside: &mut InsideWithP) -> Option<Runnable> {
    if cx.m.settled() == 0 {
        return None;
    }
    let spin_budget = inside.owned().spin.spin_budget(cx.sched().spin_budget());
    let began = monotonic_ns();
    let mut spun = false;
    loop {
        let found = take_inbox_and_pop(cx.m, inside.owned());
        let waited = monotonic_ns().saturating_sub(began);
        if found.is_some() || waited >= spin_budget.total_ns {
            if spun {
                inside.owned().spin.searched(found.is_some() && !cx.m.take_timer_wake());
            }
            return found;
        }
        spun = true;
        spin_or_yield(spin_budget, waited);
    }
}

/// Between two looks: spins at first, then offers the core to whoever else is ready on it.
fn spin_or_yield(spin_budget: SpinBudget, waited: u64) {
    if waited < spin_budget.spin_ns {
        std::hint::spin_loop();
    } else {
        yield_thread();
    }
}

fn scan(cx: &Current, inside: &mut InsideWithP, wants: Wants, now: u64) -> Scan {
    let sched = cx.sched();
    if let Some(g) = take_inbox_and_pop(cx.m, inside.owned()) {
        return if cx.m.take_timer_wake() { Scan::Due(g) } else { Scan::Found(g) };
    }
    if !wants.start || leaves_work_to_resident(cx) {
        return Scan::Nothing;
    }
    if let Some(g) =
        take_global(cx, inside.owned()).or_else(|| scan_global(sched, inside.owned(), now))
    {
        return Scan::of(g);
    }
    // What it left to others is its own again once they have as much.
    if let (owned, Some(p)) = inside.split()
        && p.shared.offers()
        && let Some(g) = take_unstarted(cx, owned, p, End::Newest, wants)
    {
        return Scan::Found(g);
    }
    let me = inside.p.as_ref().map_or(0, |p| p.index);
    let ps = sched.all_ps.len();
    let mut too_young = sched.has_global_unstarted() && sched.start_gate.admits();
    for i in 0..ps {
        let victim = (me + i) % ps;
        if timers::fire(cx, inside, victim, now)
            && let (owned, Some(p)) = inside.split()
            && let Some(g) = take_woken(owned, p).or_else(|| take_inbox_and_pop(cx.m, owned))
        {
            owned.found_due = true;
            return Scan::Due(g);
        }
        match scan_p(sched, cx.m, inside.owned(), victim, now) {
            Scan::TooYoung => too_young = true,
            Scan::Nothing => {}
            found @ (Scan::Found(_) | Scan::Due(_)) => {
                if victim != me {
                    cx.m.count_stolen();
                }
                return found;
            }
        }
    }
    if too_young { Scan::TooYoung } else { Scan::Nothing }
}

fn scan_p(sched: &Sched, m: &M, owned: &mut MOwned, victim: usize, now: u64) -> Scan {
    let Some(shared) = sched.all_ps.get(victim) else { return Scan::Nothing };
    if let Some(g) = shared.steal_migratory() {
        return Scan::of(g);
    }
    owned.head_ages.resize(sched.all_ps.len(), HeadAge::default());
    let seen = &mut owned.head_ages[victim];
    // Its M writes the lines that a look reads, with each G it starts: two cores would pass them to
    // and fro.
    if seen.is_too_young(now) && !shared.offers() {
        return Scan::TooYoung;
    }
    if !shared.has_unstarted() || !sched.start_gate.admits() {
        return Scan::Nothing;
    }
    let mine = policy::may_start(m.load(), sched.least_loaded_resident().1);
    if seen.observe(shared.head(), now) && !mine {
        wake::kick_least_loaded(sched);
    }
    if policy::may_take_head(seen.first_seen(), now, mine, shared.offers()) {
        seen.clear();
        return take_admitted(sched, owned, || shared.steal_unstarted())
            .map_or(Scan::Nothing, Scan::Found);
    }
    seen.hold_for(policy::STEAL_AGE_NS);
    Scan::TooYoung
}

/// Looks at the oldest G of the global queue, for an M that has its share: it sees to it that the
/// one with the fewest comes, and takes it if that does not.
fn scan_global(sched: &Sched, owned: &mut MOwned, now: u64) -> Option<Runnable> {
    if !sched.has_global_unstarted() || !sched.start_gate.admits() {
        return None;
    }
    if owned.global_head_age.observe(sched.global_head(), now) {
        wake::kick_least_loaded(sched);
    }
    if !policy::may_take_head(owned.global_head_age.first_seen(), now, false, false) {
        return None;
    }
    owned.global_head_age.clear();
    take_admitted(sched, owned, || sched.pop_unstarted())
}

/// The last look before the M sleeps, after its P was counted idle and the fence that goes with it.
/// What it finds, it does not take: it has no P any more.
pub(crate) fn work_was_published(cx: &Current) -> bool {
    cx.sched().has_free_work()
}

/// Ends this M's search, which found something. If it was the last one, somebody else may have
/// relied on it for the rest.
pub(crate) fn found_while_searching(cx: &Current, inside: &mut InsideWithP) {
    let sched = cx.sched();
    let due = mem::take(&mut inside.owned().found_due);
    if sched.idle.stop_search()
        && sched.has_free_work()
        && !(due && is_left_to_sysmon(sched, inside))
    {
        wake::wake_p(sched);
    }
}

/// Whether the rest is nothing but what this M found due with the one that it runs now. That is its
/// own to run, mostly within microseconds, which is sooner than another M would be there; if not,
/// sysmon sees it lie (`policy::retake::LEFT_NS`).
///
/// Nobody else has relied on this search for any of it: what came before the search ended is in
/// other queues, and those are empty.
fn is_left_to_sysmon(sched: &Sched, inside: &InsideWithP) -> bool {
    let Some(p) = &inside.p else { return false };
    sched.has_sysmon.load(Relaxed) && !p.has_unstarted() && !sched.has_free_work_beside(p.index)
}
