//! What an M runs next.
//!
//! Each round looks in turn at what this M alone may run (its woken settled Gs), at its P's
//! migratory ones and at its P's unstarted ones; woken and unstarted take turns at being first, so
//! that a loop of yields starves no new G. What came into the inbox queues up behind the woken ones
//! before. Then come the global queue, and the other Ps.

use std::mem;
use std::ops::Range;
use std::sync::atomic::Ordering::Relaxed;

use gosched_runtime_sys::thread::{monotonic_ns, yield_thread};

use crate::ds::timers::NEVER;
use crate::gmp::current::{Current, Entered};
use crate::gmp::g::Runnable;
use crate::gmp::m::{Local, M, Seen};
use crate::gmp::p::{End, P};
use crate::gmp::sched::Sched;
use crate::gmp::wait_reason::Why;
use crate::policy::{self, Patience};
use crate::proc::{timers, wake};

/// What an M may run, and what it wants besides.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wants {
    /// It may start Gs that would then be its own.
    pub(crate) start: bool,
}

/// The next G among what this M and its P have.
#[inline]
pub(crate) fn local(cx: &Current, hand: &mut Entered, wants: Wants) -> Option<Runnable> {
    look_at_timers(cx, hand);
    let (local, p) = hand.split();
    let p = p.as_deref_mut()?;
    take_mail(cx.m, local);
    let urged = cx.m.pulse.urged();
    local.asked |= urged;
    if policy::looks_everywhere(local.tick, local.asked) {
        local.asked = false;
        if let Some(g) = look_round(cx, local, p, wants) {
            return Some(g);
        }
    }
    if let Some(g) = local.pop_next(urged) {
        return Some(g);
    }
    if local.tick % 2 == 0 {
        unstarted(cx, local, p, End::Newest, wants).or_else(|| woken(local, p))
    } else {
        woken(local, p).or_else(|| unstarted(cx, local, p, End::Newest, wants))
    }
}

/// Begins a round with what is due. Without timers it reads no clock, and one word.
#[inline]
fn look_at_timers(cx: &Current, hand: &mut Entered) {
    let (local, p) = hand.split();
    let Some(p) = p else { return };
    local.tick = local.tick.wrapping_add(1);
    if local.tick % policy::LOOK_ROUND == 0 {
        // Those of an idle P are nobody's else, as long as the others have work.
        fire_due(cx, hand, 0..cx.sched().shared.len());
    } else if p.shared.timers.first() != NEVER && local.clock.wanted(local.tick) {
        let own = p.index;
        fire_due(cx, hand, own..own + 1);
    }
}

#[cold]
fn fire_due(cx: &Current, hand: &mut Entered, heaps: Range<usize>) {
    let shared = &cx.sched().shared;
    if heaps.clone().all(|heap| shared.get(heap).is_none_or(|half| half.timers.first() == NEVER)) {
        return;
    }
    let now = monotonic_ns();
    let local = hand.local();
    local.clock.was_read(local.tick, now);
    for heap in heaps {
        let _any = timers::fire(cx, hand, heap, now);
    }
}

/// A woken or yielded G. The two kinds take turns as well, or one settled G that yields in a loop
/// kept the P's migratory ones from running.
#[inline]
fn woken(local: &mut Local, p: &P) -> Option<Runnable> {
    if local.tick & 2 == 0 {
        local.pop_settled().or_else(|| p.pop_migratory())
    } else {
        p.pop_migratory().or_else(|| local.pop_settled())
    }
}

#[inline]
fn unstarted(cx: &Current, local: &mut Local, p: &P, end: End, wants: Wants) -> Option<Runnable> {
    if !p.has_unstarted() || !wants.start || is_relieved(cx) {
        return None;
    }
    let may_start = has_room(cx);
    p.offer(!may_start);
    if !may_start {
        return None;
    }
    admitted(cx.sched(), local, || p.pop_unstarted(end))
}

/// Takes a G that has not started, if new ones are let in.
#[inline]
fn admitted(
    sched: &Sched,
    local: &mut Local,
    take: impl FnOnce() -> Option<Runnable>,
) -> Option<Runnable> {
    let admission = sched.crowd.admit()?;
    let taken = take();
    if taken.is_some() {
        local.admission = admission;
    } else {
        let _it_looks_itself = sched.crowd.give_back(admission);
    }
    taken
}

/// Whether this M only helps out, and a home M sleeps: what this one started would stay on its
/// thread.
#[inline]
fn is_relieved(cx: &Current) -> bool {
    !cx.m.seat.is_home() && cx.sched().dispatch.homes_asleep() > 0
}

/// Whether there is something to start, and a home M to do it instead of this one.
#[inline]
pub(crate) fn leaves_work(cx: &Current) -> bool {
    is_relieved(cx) && cx.sched().has_new()
}

/// Whether this M may start a G that has no M yet. If not, its search (`look_at`) wakes the M that
/// should.
#[inline]
fn has_room(cx: &Current) -> bool {
    let mine = cx.m.load();
    if mine <= policy::START_SLACK {
        return true;
    }
    let (_, least) = cx.sched().least_home();
    policy::may_start(mine, least)
}

/// What others left in the inbox queues up behind what is ready. In each round, for rounds may be
/// long: a ticker beside a goroutine that computes for 3 ms between its yields had gaps of 200 ms
/// when it was done in every 61st.
#[inline]
fn take_mail(m: &M, local: &mut Local) {
    if !m.inbox.is_empty() {
        local.queue.append(m.inbox.take_all());
    }
}

/// The same for an M that has nothing else.
fn mail(m: &M, local: &mut Local) -> Option<Runnable> {
    take_mail(m, local);
    local.pop_settled()
}

/// What is otherwise looked at last goes first: see `policy::looks_everywhere`.
#[cold]
fn look_round(cx: &Current, local: &mut Local, p: &mut P, wants: Wants) -> Option<Runnable> {
    if wants.start
        && !is_relieved(cx)
        && let Some(g) = global(cx, local)
    {
        return Some(g);
    }
    let waited = p
        .has_unstarted()
        .then(|| p.take_if_due(monotonic_ns(), |p| unstarted(cx, local, p, End::Oldest, wants)));
    waited
        .flatten()
        .or_else(|| overdue(cx, local, p, wants))
        .or_else(|| offered(cx, local, p, wants))
}

/// What others offer, by an M that is busy and comes to no search; but not before those that have
/// less.
fn offered(cx: &Current, local: &mut Local, p: &P, wants: Wants) -> Option<Runnable> {
    let sched = cx.sched();
    if !wants.start || is_relieved(cx) {
        return None;
    }
    let ps = sched.shared.len();
    let others = (1..ps).filter_map(|i| sched.shared.get((p.index + i) % ps));
    let offers = others.filter(|other| other.offers()).find(|other| other.has_unstarted())?;
    if !policy::may_relieve(cx.m.load(), sched.least_home().1) {
        return None;
    }
    let taken = admitted(sched, local, || offers.steal_unstarted());
    if taken.is_some() {
        cx.m.count_stolen();
    }
    taken
}

/// What lies in the global queues. Who comes back goes before who is new.
fn global(cx: &Current, local: &mut Local) -> Option<Runnable> {
    let sched = cx.sched();
    if let Some(woken) = sched.pop_woken() {
        return Some(woken);
    }
    if !sched.has_global_new() || !policy::may_start_global(cx.m.load(), sched.least_home().1) {
        return None;
    }
    admitted(sched, local, || sched.pop_new())
}

/// An M that owns more than its share and always has something ready comes to no search. If nobody
/// else comes either, as when no M can be made, it starts the oldest all the same.
fn overdue(cx: &Current, local: &mut Local, p: &P, wants: Wants) -> Option<Runnable> {
    let sched = cx.sched();
    let own = p.has_unstarted() && !has_room(cx);
    if !wants.start || !(own || sched.has_global_new()) || is_relieved(cx) {
        return None;
    }
    let now = monotonic_ns();
    match if own { look_at(sched, cx.m, local, p.index, now) } else { Look::Nothing } {
        Look::Found(g) | Look::Due(g) => Some(g),
        Look::Young | Look::Nothing => look_at_global(sched, local, now),
    }
}

/// What a look at the other queues found.
enum Look {
    Found(Runnable),
    /// The same, and nobody brought it: its time has come. Only where timers are looked at.
    Due(Runnable),
    /// Something is there that may not be taken yet, or not by this M.
    Young,
    Nothing,
}

impl Look {
    /// What lay in a queue for any M. The clock may have brought it there, by way of an M that
    /// found several due at a time.
    fn of(g: Runnable) -> Self {
        if g.has_begun() && g.g().waited_for() == Why::Sleep {
            Look::Due(g)
        } else {
            Look::Found(g)
        }
    }
}

/// Looks everywhere else, patiently. The M counts as searching; the caller ends that.
pub(crate) fn search(cx: &Current, hand: &mut Entered, wants: Wants) -> Option<Runnable> {
    let sched = cx.sched();
    let patience = hand.local().thrift.patience(sched.patience());
    hand.local().found_due = false;
    let began = monotonic_ns();
    let mut spun = false;
    loop {
        let now = monotonic_ns();
        let (found, paid, young) = match look(cx, hand, wants, now) {
            Look::Found(g) => (Some(g), true, false),
            Look::Due(g) => (Some(g), false, false),
            Look::Young => (None, false, true),
            Look::Nothing => (None, false, false),
        };
        let waited = now.saturating_sub(began);
        if found.is_some() || (waited >= patience.total_ns && !young) {
            let local = hand.local();
            if spun {
                local.thrift.searched(paid);
            }
            if let Some(ns) = local.woken_after.take().filter(|_| paid) {
                local.thrift.woken_after(ns);
            }
            return found;
        }
        spun = true;
        pause(patience, waited);
    }
}

/// Waits a while for mail, where others search already: a settled G that talks to one on a
/// searching M is answered within a microsecond, and sleeping in between would cost both of them a
/// futex round trip. Nobody relies on this M meanwhile; it looks at everything once more when it
/// gives up, as every M does.
pub(crate) fn await_mail(cx: &Current, hand: &mut Entered) -> Option<Runnable> {
    if cx.m.settled() == 0 {
        return None;
    }
    let patience = hand.local().thrift.patience(cx.sched().patience());
    let began = monotonic_ns();
    let mut spun = false;
    loop {
        let found = mail(cx.m, hand.local());
        let waited = monotonic_ns().saturating_sub(began);
        if found.is_some() || waited >= patience.total_ns {
            if spun {
                hand.local().thrift.searched(found.is_some() && !cx.m.was_brought_by_time());
            }
            return found;
        }
        spun = true;
        pause(patience, waited);
    }
}

/// Between two looks: spins at first, then offers the core to whoever else is ready on it.
fn pause(patience: Patience, waited: u64) {
    if waited < patience.spin_ns {
        std::hint::spin_loop();
    } else {
        yield_thread();
    }
}

fn look(cx: &Current, hand: &mut Entered, wants: Wants, now: u64) -> Look {
    let sched = cx.sched();
    if let Some(g) = mail(cx.m, hand.local()) {
        return if cx.m.was_brought_by_time() { Look::Due(g) } else { Look::Found(g) };
    }
    if !wants.start || leaves_work(cx) {
        return Look::Nothing;
    }
    if let Some(g) = global(cx, hand.local()).or_else(|| look_at_global(sched, hand.local(), now)) {
        return Look::of(g);
    }
    // What it left to others is its own again once they have as much.
    if let (local, Some(p)) = hand.split()
        && p.shared.offers()
        && let Some(g) = unstarted(cx, local, p, End::Newest, wants)
    {
        return Look::Found(g);
    }
    let me = hand.p.as_ref().map_or(0, |p| p.index);
    let ps = sched.shared.len();
    let mut young = sched.has_global_new() && sched.crowd.admits();
    for i in 0..ps {
        let victim = (me + i) % ps;
        if timers::fire(cx, hand, victim, now)
            && let (local, Some(p)) = hand.split()
            && let Some(g) = woken(local, p).or_else(|| mail(cx.m, local))
        {
            local.found_due = true;
            return Look::Due(g);
        }
        match look_at(sched, cx.m, hand.local(), victim, now) {
            Look::Young => young = true,
            Look::Nothing => {}
            found @ (Look::Found(_) | Look::Due(_)) => {
                if victim != me {
                    cx.m.count_stolen();
                }
                return found;
            }
        }
    }
    if young { Look::Young } else { Look::Nothing }
}

fn look_at(sched: &Sched, m: &M, local: &mut Local, victim: usize, now: u64) -> Look {
    let Some(shared) = sched.shared.get(victim) else { return Look::Nothing };
    if let Some(g) = shared.steal_migratory() {
        return Look::of(g);
    }
    local.heads.resize(sched.shared.len(), Seen::default());
    let seen = &mut local.heads[victim];
    // Its M writes the lines that a look reads, with each G it starts: two cores would pass them to
    // and fro.
    if seen.is_early(now) && !shared.offers() {
        return Look::Young;
    }
    if !shared.has_unstarted() || !sched.crowd.admits() {
        return Look::Nothing;
    }
    let mine = policy::may_start(m.load(), sched.least_home().1);
    if seen.again(shared.head(), now) && !mine {
        wake::wake_least_home(sched);
    }
    if policy::may_take_head(seen.since(), now, mine, shared.offers()) {
        seen.forget();
        return admitted(sched, local, || shared.steal_unstarted())
            .map_or(Look::Nothing, Look::Found);
    }
    seen.rests(policy::HEAD_STILL_NS);
    Look::Young
}

/// Looks at the oldest G of the global queue, for an M that has its share: it sees to it that the
/// one with the fewest comes, and takes it if that does not.
fn look_at_global(sched: &Sched, local: &mut Local, now: u64) -> Option<Runnable> {
    if !sched.has_global_new() || !sched.crowd.admits() {
        return None;
    }
    if local.global_head.again(sched.global_head(), now) {
        wake::wake_least_home(sched);
    }
    if !policy::may_take_head(local.global_head.since(), now, false, false) {
        return None;
    }
    local.global_head.forget();
    admitted(sched, local, || sched.pop_new())
}

/// The last look before the M sleeps, after its P was counted idle and the fence that goes with it.
/// What it finds, it does not take: it has no P any more.
pub(crate) fn missed_something(cx: &Current) -> bool {
    cx.sched().has_free_work()
}

/// Ends this M's search, which found something. If it was the last one, somebody else may have
/// relied on it for the rest.
pub(crate) fn found_while_searching(cx: &Current, hand: &mut Entered) {
    let sched = cx.sched();
    let due = mem::take(&mut hand.local().found_due);
    if sched.idle.stop_search() && sched.has_free_work() && !(due && is_left_to_sysmon(sched, hand))
    {
        wake::submit(sched);
    }
}

/// Whether the rest is nothing but what this M found due with the one that it runs now. That is its
/// own to run, mostly within microseconds, which is sooner than another M would be there; if not,
/// sysmon sees it lie (`policy::retake::LEFT_NS`).
///
/// Nobody else has relied on this search for any of it: what came before the search ended is in
/// other queues, and those are empty.
fn is_left_to_sysmon(sched: &Sched, hand: &Entered) -> bool {
    let Some(p) = &hand.p else { return false };
    sched.is_overseen.load(Relaxed) && !p.has_unstarted() && !sched.has_free_work_beside(p.index)
}
