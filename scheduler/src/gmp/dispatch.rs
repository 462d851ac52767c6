//! Which M has which P: idle Ps, idle Ms, and the line of Ms that own ready Gs but have no P.
//!
//! # The problem
//!
//! A settled G runs on its M only. If that M sleeps without a P when the G is readied, somebody
//! must bring the two together: give the M an idle P, or, when all are busy, make sure that it gets
//! its turn. And no order of events may leave a ready G on a sleeping M while a P is idle.
//!
//! # The protocol
//!
//! An M's standing is one word, [`Remote::status`]: it has a P, has none, stands in the line, or
//! sleeps. The word leaves `ASLEEP` and `IN_LINE` only under the lock of [`Dispatch`]; a waker
//! reads it without.
//!
//! ```text
//! waker                                  M
//!   push G to M's inbox       (Push)       word = ASLEEP, under the lock   (Sleep)
//!   fence                                  fence
//!   word == ASLEEP?           (Look)       inbox empty?                    (Check)
//!   then, under the lock,                  if not: under the lock, take the word back
//!   hand a P or put it in line             else sleep
//! ```
//!
//! By the two `SeqCst` fences either Look sees Sleep or Check sees Push. Who finds `ASLEEP` under
//! the lock acts, once: it hands over an idle P, or puts the M into the line. A P that is released
//! while an M stands in the line wakes the head and lies idle until the first one comes, the head
//! or a running M that wants it (handing it over directly would make every release wait for a
//! thread to wake, a convoy); a head that was passed over for too long gets the next one directly.
//!
//! Free work goes to sleepers that take any ([`Dispatch::give_to_sleeper`]): a lent thread that is
//! about to leave does not, and two of them would send each other for ever. Where no M sleeps and
//! none can be made, publishers have relied on a search that nobody carries out, and an M that has
//! just looked may be on its way to sleep: it finds [`Dispatch::ask_next_sleeper_to_look`] there,
//! and looks again.
//!
//! # Home Ms and rescues
//!
//! The first `procs` Ms are home Ms; others were made because home Ms kept their goroutines'
//! company for too long. What an idle P needs is given to home Ms first, and a home M that comes
//! back stands before the others in the line, so that what lives long collects on few threads. Ms
//! that nobody needed for a while end: [`Slept::Expired`].
//!
//! # Invariants, whenever the lock is free
//!
//! - A P is on the idle list, on the table or in the hand of one M, on its way to one in `next_p`,
//!   or retired (`resize`).
//! - A seat is in `asleep` iff its word is `ASLEEP`, in `line` iff it is `IN_LINE`.
//! - If a P is idle and the line is not empty, the line's head has been woken and has not looked
//!   yet.
//!
//! # Rejected
//!
//! A lock-free line: these transitions are rare (each ends or begins a sleep), and a lock makes
//! them one story. Handing the P over by rounds instead of by time: 14 % of the throughput was
//! left.

mod line;
mod outcome;
mod remote;
mod resize;
mod sleep;
mod state;

use std::ops::Deref;

use gosched_runtime_sys::sync::lock::Mutex;
use gosched_runtime_sys::sync::primitive::{
    AtomicUsize,
    Ordering::{Relaxed, SeqCst},
    fence, mutated,
};

use crate::ds::idle::Idle;

pub(crate) use outcome::{Slept, Started, WaitedForP, until_woken};
use remote::{ASLEEP, HAS_P, HAS_P_SEARCHING};
pub(crate) use remote::{NextP, Remote};
pub(crate) use resize::Grown;
use state::{Room, State};

/// The meeting place of Ps and Ms. `S` is how a seat is referred to.
pub(crate) struct Dispatch<P, S> {
    state: Mutex<State<P, S>>,
    line_len: AtomicUsize,
    /// Home Ms that came back and stand in the line.
    returning: AtomicUsize,
    /// Home Ms that sleep and would run anything.
    residents_asleep: AtomicUsize,
    /// How many Ps are asked for, and how many there are beyond that.
    procs: AtomicUsize,
    excess: AtomicUsize,
}

impl<P, S: Clone + Deref<Target = Remote<P>>> Dispatch<P, S> {
    /// All of `ps` are idle; `idle` counts them.
    pub(crate) fn new(ps: Vec<Box<P>>, idle: &Idle) -> Self {
        let procs = ps.len();
        let _nobody_searches_yet = idle.add_idle_p(procs);
        Self {
            state: Mutex::new(State::new(ps)),
            line_len: AtomicUsize::new(0),
            returning: AtomicUsize::new(0),
            residents_asleep: AtomicUsize::new(0),
            procs: AtomicUsize::new(procs),
            excess: AtomicUsize::new(0),
        }
    }

    /// Makes room for `ms` Ms, before they come: nothing is allocated or freed under the lock, for
    /// an allocator that readies goroutines comes by here.
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

    /// How many Ms wait for a P; a hint.
    #[inline]
    pub(crate) fn line_len(&self) -> usize {
        self.line_len.load(Relaxed)
    }

    /// How many home Ms came back from goroutines that kept them too long, and wait for a P; a
    /// hint.
    #[inline]
    pub(crate) fn returning(&self) -> usize {
        self.returning.load(Relaxed)
    }

    /// How many home Ms sleep; a hint.
    #[inline]
    pub(crate) fn residents_asleep(&self) -> usize {
        self.residents_asleep.load(Relaxed)
    }

    /// Whether somebody would run a P that is [handed off](Self::hand_off), without a new M.
    pub(crate) fn has_receiver(&self) -> bool {
        let state = self.state.lock();
        state.line_len() > 0 || state.somebody_sleeps()
    }

    /// Publishes the hints. At the end of each stretch under the lock in which the line or the
    /// sleepers changed.
    fn publish(&self, state: &State<P, S>) {
        self.line_len.store(state.line_len(), Relaxed);
        self.returning.store(state.returning, Relaxed);
        self.residents_asleep.store(state.residents_asleep, Relaxed);
    }

    /// An idle P for an M that is awake and has none.
    pub(crate) fn try_take(&self, remote: &Remote<P>, idle: &Idle) -> Option<Box<P>> {
        let mut state = self.state.lock();
        let p = state.idle.pop()?;
        idle.sub_idle_p(1);
        remote.with_p();
        Some(p)
    }

    /// An M lets its P go: it has nothing to run. `now` is needed only when the line is not empty.
    pub(crate) fn release(&self, p: Box<P>, remote: &Remote<P>, idle: &Idle, now: u64) {
        remote.without_p();
        self.put_back(p, idle, now);
    }

    /// After a G was pushed to the inbox of the M at `remote`: sees to it that the M looks. True:
    /// no P is idle, and the M stands in the line.
    pub(crate) fn kick(&self, remote: &S, idle: &Idle, now: impl FnOnce() -> u64) -> bool {
        if !mutated("dispatch.push_without_fence") {
            // ORDERING[dispatch.sleep]: after Push, before Look; pairs with the fence in `sleep`.
            fence(SeqCst);
        }
        if remote.status.load(Relaxed) != ASLEEP {
            return false;
        }
        let mut state = self.state.lock();
        // Only who finds it among this runtime's sleepers acts: the M may have been woken
        // meanwhile, or have gone to another runtime.
        let Some(remote) = state.take_asleep(remote) else { return false };
        let Some(p) = state.idle.pop() else {
            state.stand_in_line(remote, now(), false);
            self.publish(&state);
            return true;
        };
        idle.sub_idle_p(1);
        remote.hand(p, HAS_P);
        self.publish(&state);
        drop(state);
        remote.note.wake();
        false
    }

    /// Brings an idle P to an idle M, which comes back searching. The caller holds a searching
    /// token for it.
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

    /// Somebody to run `p`, which has work: the line's head, or an M that sleeps (neither
    /// searching), or a new one.
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
