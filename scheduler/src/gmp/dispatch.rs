//! Which M has which P: idle Ps, idle Ms, and the line of Ms that own ready Gs but have no P.
//!
//! # The problem
//!
//! A settled G runs on its M only. If that M sleeps without a P when the G is readied, the waker
//! must bring the two together. It gives the M an idle P. If all Ps are busy, it makes sure that
//! the M gets its turn. No order of events may leave a ready G on a sleeping M while a P is idle.
//!
//! # The protocol
//!
//! One word says how an M stands, [`Remote::status`]: it has a P, has none, stands in the line, or
//! sleeps. The word leaves `ASLEEP` and `IN_LINE` only under the lock of [`Dispatch`]. A waker
//! reads the word without the lock.
//!
//! ```text
//! waker                                  M
//!   push G to M's inbox       (Push)       status = ASLEEP, under the lock   (Sleep)
//!   fence                                  fence
//!   status == ASLEEP?         (Look)       inbox empty?                      (Check)
//!   then, under the lock,                  if not: under the lock, take the status back
//!   hand a P or put it in line             else sleep
//! ```
//!
//! By the two `SeqCst` fences, Look sees Sleep or Check sees Push. The party that finds `ASLEEP`
//! under the lock acts, once: it hands over an idle P, or puts the M into the line.
//!
//! If a P is released while an M stands in the line, the line's head is woken, and the P lies idle.
//! The first M to want it takes it: the head, or a running M. (A direct hand-off would make every
//! release wait until a thread has woken, a convoy.) A head that was passed over for too long gets
//! the next P directly.
//!
//! Published work goes to sleepers that accept any work ([`Dispatch::give_to_sleeper`]). A lent
//! thread that is about to leave does not: two such threads would wake each other for ever. If no M
//! sleeps and none can be made, publishers have relied on a search that no M carries out. Then an M
//! that has just looked may be on its way to sleep. It finds the flag of
//! [`Dispatch::ask_next_sleeper_to_look`], and looks again.
//!
//! # Resident and spare Ms
//!
//! The first `procs` Ms are resident. The others, the spare Ms, were made because a resident M was
//! kept too long by a goroutine. An idle P goes to a resident M first. A resident M that returns
//! from such a goroutine stands before the others in the line. So goroutines that live long collect
//! on few threads. An M that was not needed for a while ends: [`Slept::Expired`].
//!
//! # Invariants, whenever the lock is free
//!
//! - A P is on the idle list, or in the revocable slot of one M, or acquired by that M, or on its
//!   way to an M in `next_p`, or retired (`resize`).
//! - A remote is in `asleep` iff its status is `ASLEEP`, and in `line` iff it is `IN_LINE`.
//! - If a P is idle and the line is not empty, the line's head has been woken and has not looked
//!   yet.
//!
//! # Rejected
//!
//! - A lock-free line: these transitions are rare, since each ends or begins a sleep, and a lock
//!   makes them easy to reason about.
//! - Handing the P off after a number of rounds instead of a time: only 14 % of the throughput was
//!   left.

mod line;
mod outcome;
mod remote;
mod resize;
mod sleep;
mod state;

use std::ops::Deref;

use gosched_runtime_sys::sync::lock::{Mutex, MutexGuard};
use gosched_runtime_sys::sync::primitive::{
    AtomicBool, AtomicUsize,
    Ordering::{Relaxed, SeqCst},
    fence, mutated,
};

use crate::ds::idle::Idle;

pub(crate) use outcome::{Kicked, Slept, Started, WaitedForP, until_woken};
use remote::{ASLEEP, HAS_P, HAS_P_SEARCHING, IN_LINE};
pub(crate) use remote::{NextP, Remote};
pub(crate) use resize::Grown;
use state::{Room, State};
pub(crate) use state::{Takes, Why};

/// Assigns Ps to Ms. `S` is a reference to an M's [`Remote`].
///
/// The atomics are hints for threads without the lock: copies of what is in `state`.
pub(crate) struct Dispatch<P, S> {
    state: Mutex<State<P, S>>,
    /// Ms that stand in the line.
    line_len: AtomicUsize,
    /// Resident Ms that returned and stand in the line.
    returning: AtomicUsize,
    /// A resident M that accepts any work sleeps, or is the line's head.
    resident_is_free: AtomicBool,
    /// How many Ps are asked for.
    procs: AtomicUsize,
    /// How many Ps there are beyond `procs`.
    excess: AtomicUsize,
}

impl<P, S: Clone + Deref<Target = Remote<P>>> Dispatch<P, S> {
    /// Makes a dispatch in which all of `ps` are idle. Adds them to the count in `idle`.
    pub(crate) fn new(ps: Vec<Box<P>>, idle: &Idle) -> Self {
        let procs = ps.len();
        let _nobody_searches_yet = idle.add_idle_p(procs);
        Self {
            state: Mutex::new(State::new(ps)),
            line_len: AtomicUsize::new(0),
            returning: AtomicUsize::new(0),
            resident_is_free: AtomicBool::new(false),
            procs: AtomicUsize::new(procs),
            excess: AtomicUsize::new(0),
        }
    }

    /// Makes room for `ms` Ms. Called before they join.
    ///
    /// So nothing is allocated or freed under the lock: an allocator that readies goroutines would
    /// enter this code again.
    pub(crate) fn make_room(&self, ms: usize) {
        if self.state.lock().has_room(ms) {
            return;
        }
        let mut room = Room::for_ms(2 * ms);
        let mut state = self.state.lock();
        if !state.has_room(ms) {
            state.grow(&mut room);
        }
        drop(state);
    }

    /// Returns how many Ms stand in the line. A hint.
    #[inline]
    pub(crate) fn line_len(&self) -> usize {
        self.line_len.load(Relaxed)
    }

    /// Returns how many resident Ms returned from goroutines that kept them too long, and stand in
    /// the line. A hint.
    #[inline]
    pub(crate) fn returning(&self) -> usize {
        self.returning.load(Relaxed)
    }

    /// True if a resident M that accepts any work sleeps, or gets the next P. A hint.
    #[inline]
    pub(crate) fn resident_is_free(&self) -> bool {
        self.resident_is_free.load(Relaxed)
    }

    /// True if an existing M could run a P that is [handed off](Self::hand_off).
    pub(crate) fn has_receiver(&self) -> bool {
        let state = self.state.lock();
        state.line_len() > 0 || state.somebody_sleeps()
    }

    /// Updates the hints. Called before the lock is freed, if the line or the sleepers changed.
    fn publish(&self, state: &State<P, S>) {
        self.line_len.store(state.line_len(), Relaxed);
        self.returning.store(state.returning, Relaxed);
        let resident_is_free = state.residents_asleep > 0 || state.resident_is_next();
        self.resident_is_free.store(resident_is_free, Relaxed);
    }

    /// Takes an idle P for an M that is awake and has none.
    pub(crate) fn try_take(&self, remote: &Remote<P>, idle: &Idle) -> Option<Box<P>> {
        let mut state = self.state.lock();
        let p = state.idle.pop()?;
        idle.sub_idle_p(1);
        remote.with_p();
        Some(p)
    }

    /// Takes the P of an M that has nothing to run. `now` matters only if the line is not empty.
    pub(crate) fn release(&self, p: Box<P>, remote: &Remote<P>, idle: &Idle, now: u64) {
        remote.without_p();
        self.put_back(p, idle, now);
    }

    /// Makes the M at `remote` look at its inbox. Called after a G was pushed there.
    ///
    /// The G may wait for user code to end if the M now stands in the line, or does not sleep: it
    /// may run a goroutine with no further look into its inbox before. An M without work
    /// [watches](Remote::begin_watch) it.
    pub(crate) fn kick(&self, remote: &S, idle: &Idle, now: impl FnOnce() -> u64) -> Kicked {
        if !mutated("dispatch.push_without_fence") {
            // ORDERING[dispatch.sleep]: after Push, before Look; pairs with the fence in `sleep`.
            // ORDERING[dispatch.watch]: likewise; pairs with the fence in `Remote::end_watch`.
            fence(SeqCst);
        }
        match remote.status.load(Relaxed) {
            ASLEEP => {}
            IN_LINE => return self.kick_in_line(remote, now()),
            _ => return if remote.watches() { Kicked::Given } else { Kicked::Nobody },
        }
        let mut state = self.state.lock();
        // The M may have been woken meanwhile, or have gone to another runtime. So only a waker
        // that finds it among this runtime's sleepers acts.
        let Some((remote, takes)) = state.take_asleep(remote) else { return Kicked::Nobody };
        self.bring_in(state, remote, idle, now, Why::Woken, takes)
    }

    /// Does [`kick`](Self::kick) for an M that stands in the line. What was woken there does not
    /// wait behind what was not.
    #[cold]
    fn kick_in_line(&self, remote: &S, now: u64) -> Kicked {
        let mut state = self.state.lock();
        if !state.cease_to_let_pass(remote, now) {
            return Kicked::Nobody;
        }
        let head = self.line_changed(&mut state);
        drop(state);
        if let Some(head) = head {
            head.note.wake();
        }
        Kicked::InLine
    }

    /// Brings a resident M that sleeps to a P, as [`kick`](Self::kick) does. In the line it stands
    /// before those that do not return: a spare M gives way to it at once.
    ///
    /// True if there was one, and no P is idle: it now stands in the line.
    pub(crate) fn kick_resident(&self, idle: &Idle, now: impl FnOnce() -> u64) -> bool {
        let mut state = self.state.lock();
        let Some(remote) = state.pop_resident() else { return false };
        self.bring_in(state, remote, idle, now, Why::Returns, Takes::Any) == Kicked::InLine
    }

    /// Brings an M that sleeps, and on which nothing has settled, to a P. `passes`: in the line it
    /// stands before those that have had a turn, as an M that was woken.
    pub(crate) fn kick_vacant(
        &self,
        passes: bool,
        idle: &Idle,
        now: impl FnOnce() -> u64,
    ) -> Kicked {
        let why = if passes { Why::Woken } else { Why::LetsPass };
        let mut state = self.state.lock();
        let Some(remote) = state.pop_vacant() else { return Kicked::Nobody };
        self.bring_in(state, remote, idle, now, why, Takes::Vacant)
    }

    /// Gives an M that slept an idle P and wakes it, or puts it into the line.
    fn bring_in(
        &self,
        mut state: MutexGuard<'_, State<P, S>>,
        remote: S,
        idle: &Idle,
        now: impl FnOnce() -> u64,
        why: Why,
        takes: Takes,
    ) -> Kicked {
        let Some(p) = state.idle.pop() else {
            state.stand_in_line(remote, now(), why, takes);
            self.publish(&state);
            return Kicked::InLine;
        };
        idle.sub_idle_p(1);
        remote.hand(p, HAS_P);
        self.publish(&state);
        drop(state);
        remote.note.wake();
        Kicked::Given
    }

    /// Hands an idle P to a sleeping M and wakes it. That M counts as searching: the caller has
    /// counted it.
    pub(crate) fn give_to_sleeper(&self, idle: &Idle) -> Started<P> {
        let mut state = self.state.lock();
        let Some(p) = state.idle.pop() else { return Started::NoP };
        idle.sub_idle_p(1);
        let Some(remote) = state.pop_asleep() else { return Started::NeedM(p) };
        remote.hand(p, HAS_P_SEARCHING);
        self.publish(&state);
        drop(state);
        remote.note.wake();
        Started::Woken
    }

    /// Hands `p`, which has work, to the line's head, or else to a sleeping M. Neither counts as
    /// searching. If there is no such M, the caller makes one.
    pub(crate) fn hand_off(&self, p: Box<P>) -> Started<P> {
        let mut state = self.state.lock();
        let Some(remote) = state.pop_line().or_else(|| state.pop_asleep()) else {
            return Started::NeedM(p);
        };
        remote.hand(p, HAS_P);
        let next = self.line_changed(&mut state);
        drop(state);
        for remote in [remote].into_iter().chain(next) {
            remote.note.wake();
        }
        Started::Woken
    }
}

#[cfg(test)]
mod tests;
