//! Whether, and under which conditions, an M starts a G.

use crate::gmp::admission::Admission;
use crate::gmp::current::{Current, InsideWithP};
use crate::gmp::dispatch::Takes;
use crate::gmp::g::Runnable;
use crate::gmp::m::{FirstRun, M, MOwned};
use crate::gmp::p::{End, P};
use crate::gmp::sched::Sched;
use crate::policy;
use crate::proc::apart;

/// What an M may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wants {
    /// It may run free work, and start Gs, which would then be its own. Not so an M that is about
    /// to leave, or whose thread is locked.
    pub(crate) free: bool,
}

impl Wants {
    /// Returns what the M may be woken for while it has no P.
    pub(crate) fn takes(self, m: &M) -> Takes {
        match (self.free, m.settled()) {
            (false, _) => Takes::Inbox,
            (true, 0) => Takes::Vacant,
            (true, _) => Takes::Any,
        }
    }
}

/// Takes an unstarted G of the P, if this M may start one, or one that is to begin apart. Offers
/// the others of the P to other Ms if not.
#[inline(always)]
pub(super) fn take_unstarted(
    cx: &Current,
    owned: &mut MOwned,
    p: &P,
    end: End,
    wants: Wants,
) -> Option<Runnable> {
    if p.has_unstarted()
        && !resident_is_free(cx)
        && let Some(g) = take_own(cx, owned, p, end, wants)
    {
        return Some(g);
    }
    // After its own, and seldom while there is other work: each of these may keep the M for long.
    // Where others compute anyway, each round is long.
    if owned.choices.is_multiple_of(policy::behaviour::APART_ROUNDS) || owned.company.computes {
        take_apart(cx, owned, wants)
    } else {
        None
    }
}

/// Takes an unstarted G of the P for [`take_unstarted`].
#[inline]
fn take_own(cx: &Current, owned: &mut MOwned, p: &P, end: End, wants: Wants) -> Option<Runnable> {
    let may_start = wants.free && has_room(cx, p);
    p.offer(!may_start);
    if !may_start {
        return None;
    }
    take_admitted(cx.sched(), owned, || p.pop_unstarted(end))
}

/// Takes a G that is to begin apart, for an M that may have been brought for it. What was woken
/// before goes first.
#[cold]
pub(crate) fn arrive_for_apart(
    cx: &Current,
    inside: &mut InsideWithP,
    wants: Wants,
) -> Option<Runnable> {
    let (owned, p) = inside.split();
    let woken = cx.sched().global_migratory() > 0 || p.as_ref().is_some_and(|p| p.has_woken());
    apart::arrive(cx, owned, wants.free && !woken)
}

/// Takes a G that is to begin apart, if this M may start it.
#[inline]
pub(super) fn take_apart(cx: &Current, owned: &mut MOwned, wants: Wants) -> Option<Runnable> {
    if !cx.sched().apart.waits() || !wants.free {
        return None;
    }
    apart::take(cx, owned)
}

/// Takes an unstarted G with `take`, if the start gate admits one.
#[inline]
pub(super) fn take_admitted(
    sched: &Sched,
    owned: &mut MOwned,
    take: impl FnOnce() -> Option<Runnable>,
) -> Option<Runnable> {
    let admission = sched.start_gate.admit()?;
    let taken = take();
    if taken.is_some() {
        if admission != Admission::Free {
            owned.first_run = Some(FirstRun::on_terms(admission));
        }
    } else {
        let _it_looks_itself = sched.start_gate.give_back(admission);
    }
    taken
}

/// True if this M may start a G of `p` that has no M yet: it does not own more settled Gs than its
/// share. If it may not, its search kicks the M that should (`others::scan_p`).
#[inline]
pub(super) fn has_room(cx: &Current, p: &P) -> bool {
    let mine = cx.m.load();
    if p.spreads() {
        return policy::keeps_evenly(mine, cx.sched().least_load_beside(cx.m));
    }
    mine <= policy::START_SLACK
        || policy::may_start(mine, cx.sched().least_loaded_resident().1, false)
}

/// True if this M is a spare one and a resident M sleeps, or gets the next P. What the spare M
/// starts would stay on its thread, so the resident M shall start it.
#[inline]
pub(super) fn resident_is_free(cx: &Current) -> bool {
    !cx.m.remote.is_resident() && cx.sched().dispatch.resident_is_free()
}

/// True if there is something to start and a free resident M to start it in place of this one.
#[inline]
pub(crate) fn leaves_work_to_resident(cx: &Current) -> bool {
    resident_is_free(cx) && cx.sched().has_unstarted()
}

/// True if the M gives its P to a resident M: it has nothing to run but what that one is to start,
/// or it has decided so.
#[inline]
pub(crate) fn leaves_p_to_resident(cx: &Current, owned: &MOwned) -> bool {
    owned.leaves_p || leaves_work_to_resident(cx)
}
