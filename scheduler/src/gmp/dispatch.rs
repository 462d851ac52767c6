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
//! An M's standing is one word, [`Seat::word`]: it has a P, has none, stands in the line, or
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
//! Free work goes to sleepers that take any ([`Dispatch::rouse`]): a lent thread that is about to
//! leave does not, and two of them would send each other for ever. Where no M sleeps and none can
//! be made, publishers have relied on a search that nobody carries out, and an M that has just
//! looked may be on its way to sleep: it finds [`Dispatch::recall`] there, and looks again.
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
//! - A P is on the idle list, on the table or in the hand of one M, on its way to one in `handed`,
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

mod outcome;
mod remote;
mod resize;
mod state;

use std::mem;
use std::ops::Deref;

use gosched_runtime_sys::lock::Mutex;
use gosched_runtime_sys::note::Note;
use gosched_runtime_sys::primitive::{
    AtomicUsize,
    Ordering::{Acquire, Relaxed, SeqCst},
    fence, mutated,
};

use crate::ds::idle::Idle;
use crate::policy;

pub(crate) use outcome::{Roused, Slept, Waited, until_woken};
use remote::{ASLEEP, HAS_P, HAS_P_SEARCHING, IN_LINE};
pub(crate) use remote::{Given, Seat};
pub(crate) use resize::Grown;
use state::{Room, State};

/// The meeting place of Ps and Ms. `S` is how a seat is referred to.
pub(crate) struct Dispatch<P, S> {
    state: Mutex<State<P, S>>,
    line_len: AtomicUsize,
    /// Home Ms that came back and stand in the line.
    returning: AtomicUsize,
    /// Home Ms that sleep and would run anything.
    homes_asleep: AtomicUsize,
    /// How many Ps are asked for, and how many there are beyond that.
    procs: AtomicUsize,
    excess: AtomicUsize,
}

impl<P, S: Clone + Deref<Target = Seat<P>>> Dispatch<P, S> {
    /// All of `ps` are idle; `idle` counts them.
    pub(crate) fn new(ps: Vec<Box<P>>, idle: &Idle) -> Self {
        let procs = ps.len();
        let _nobody_searches_yet = idle.add_idle_p(procs);
        Self {
            state: Mutex::new(State::new(ps)),
            line_len: AtomicUsize::new(0),
            returning: AtomicUsize::new(0),
            homes_asleep: AtomicUsize::new(0),
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
    pub(crate) fn homes_asleep(&self) -> usize {
        self.homes_asleep.load(Relaxed)
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
        self.homes_asleep.store(state.homes_asleep, Relaxed);
    }

    /// An idle P for an M that is awake and has none.
    pub(crate) fn try_take(&self, seat: &Seat<P>, idle: &Idle) -> Option<Box<P>> {
        let mut state = self.state.lock();
        let p = state.idle.pop()?;
        idle.sub_idle_p(1);
        seat.with_p();
        Some(p)
    }

    /// An M lets its P go: it has nothing to run. `now` is needed only when the line is not empty.
    pub(crate) fn release(&self, p: Box<P>, seat: &Seat<P>, idle: &Idle, now: u64) {
        seat.without_p();
        self.put_back(p, idle, now);
    }

    /// A P that nobody has: to the line's head if it was passed over for long, else it lies idle
    /// and the head is woken.
    pub(crate) fn put_back(&self, p: Box<P>, idle: &Idle, now: u64) {
        let mut state = self.state.lock();
        let overdue = state.head().is_some_and(|head| policy::passed_over(head.since, now));
        let passed_over = if overdue { state.pop_line() } else { None };
        if let Some(head) = &passed_over {
            head.hand(p, HAS_P);
        } else {
            state.idle.push(p);
            let _the_caller_looks_anyway = idle.add_idle_p(1);
        }
        let head = self.line_changed(&mut state);
        drop(state);
        for seat in passed_over.into_iter().chain(head) {
            seat.note.wake();
        }
    }

    /// Restores the third invariant after the line or the idle Ps changed: who is to be woken once
    /// the lock is free.
    fn line_changed(&self, state: &mut State<P, S>) -> Option<S> {
        self.publish(state);
        if state.idle.is_empty() || mutated("dispatch.release_without_wake") {
            return None;
        }
        let head = state.head().filter(|head| !head.woken)?;
        head.woken = true;
        Some(head.seat.clone())
    }

    /// An M with ready work gives its P to the line's head and stands behind. Gives the P back if
    /// nobody waits.
    pub(crate) fn give_way(&self, p: Box<P>, seat: &S, now: u64) -> Result<(), Box<P>> {
        let mut state = self.state.lock();
        let Some(head) = state.pop_line() else { return Err(p) };
        head.hand(p, HAS_P);
        state.stand_in_line(seat.clone(), now, false);
        let next = self.line_changed(&mut state);
        drop(state);
        for seat in [head].into_iter().chain(next) {
            seat.note.wake();
        }
        Ok(())
    }

    /// After a G was pushed to the inbox of the M at `seat`: sees to it that the M looks. True: no
    /// P is idle, and the M stands in the line.
    pub(crate) fn rouse_for_inbox(&self, seat: &S, idle: &Idle, now: impl FnOnce() -> u64) -> bool {
        if !mutated("dispatch.push_without_fence") {
            // ORDERING[dispatch.sleep]: after Push, before Look; pairs with the fence in `sleep`.
            fence(SeqCst);
        }
        if seat.word.load(Relaxed) != ASLEEP {
            return false;
        }
        let mut state = self.state.lock();
        // Only who finds it among this runtime's sleepers acts: the M may have been woken
        // meanwhile, or have gone to another runtime.
        let Some(seat) = state.take_asleep(seat) else { return false };
        let Some(p) = state.idle.pop() else {
            state.stand_in_line(seat, now(), false);
            self.publish(&state);
            return true;
        };
        idle.sub_idle_p(1);
        seat.hand(p, HAS_P);
        self.publish(&state);
        drop(state);
        seat.note.wake();
        false
    }

    /// Brings an idle P to an idle M, which comes back searching. The caller holds a searching
    /// token for it.
    pub(crate) fn rouse(&self, idle: &Idle) -> Roused<P> {
        let mut state = self.state.lock();
        let Some(p) = state.idle.pop() else { return Roused::NoP };
        idle.sub_idle_p(1);
        let Some(seat) = state.pop_asleep() else { return Roused::NeedM(p) };
        seat.hand(p, HAS_P_SEARCHING);
        self.publish(&state);
        drop(state);
        seat.note.wake();
        Roused::Woken
    }

    /// Somebody to run `p`, which has work: the line's head, or an M that sleeps (neither
    /// searching), or a new one.
    pub(crate) fn hand_off(&self, p: Box<P>) -> Roused<P> {
        let mut state = self.state.lock();
        let Some(seat) = state.pop_line().or_else(|| state.pop_asleep()) else {
            return Roused::NeedM(p);
        };
        seat.hand(p, HAS_P);
        let next = self.line_changed(&mut state);
        drop(state);
        for seat in [seat].into_iter().chain(next) {
            seat.note.wake();
        }
        Roused::Woken
    }

    /// An M without a P that owns ready Gs takes an idle P, or stands in the line, where it
    /// [waits](Self::wait_for_turn). A home M that `returns` from a G that kept it too long comes
    /// before the others.
    pub(crate) fn join_line(
        &self,
        seat: &S,
        idle: &Idle,
        now: u64,
        returns: bool,
    ) -> Option<Box<P>> {
        let mut state = self.state.lock();
        if let Some(p) = state.idle.pop() {
            idle.sub_idle_p(1);
            seat.with_p();
            return Some(p);
        }
        state.stand_in_line(seat.clone(), now, returns);
        self.publish(&state);
        None
    }

    /// Waits for the turn of an M that stands in the line.
    pub(crate) fn wait_for_turn(&self, seat: &S, idle: &Idle) -> Box<P> {
        // Who stands in the line keeps no time: all Ps are with Ms that are awake.
        match self.wait(seat, idle, until_woken) {
            Waited::Given(given) => given.p,
            Waited::Retry | Waited::Expired | Waited::Closed => {
                unreachable!("a runtime does not end while an M owns ready goroutines")
            }
        }
    }

    /// An M without a P and without work sleeps until it gets a P. `takes_any`: for whatever work
    /// there is, and not only for what `has_mail` sees in its inbox. `sleep` sleeps on the note;
    /// what it says is done if nobody was faster.
    pub(crate) fn sleep(
        &self,
        seat: &S,
        idle: &Idle,
        takes_any: bool,
        has_mail: impl Fn() -> bool,
        sleep: impl Fn(&Note) -> Slept,
    ) -> Waited<P> {
        let mut state = self.state.lock();
        if takes_any && mem::take(&mut state.recall) {
            return Waited::Retry;
        }
        state.fall_asleep(seat.clone(), takes_any);
        self.publish(&state);
        drop(state);
        if !mutated("dispatch.sleep_without_fence") {
            // ORDERING[dispatch.sleep]: after Sleep, before Check; pairs with the fence in
            // `rouse_for_inbox`.
            fence(SeqCst);
        }
        if has_mail() && self.wake_up(seat) {
            return Waited::Retry;
        }
        self.wait(seat, idle, sleep)
    }

    /// Whether all of the runtime's Ms, of which there are `ms`, sleep: nobody runs a G, at this
    /// moment.
    pub(crate) fn all_asleep(&self, ms: usize) -> bool {
        let state = self.state.lock();
        state.asleep_count() == ms && state.line_len() == 0
    }

    /// Has an M that sleeps look until when it is to sleep. False: none does.
    pub(crate) fn nudge(&self) -> bool {
        let seat = self.state.lock().last_asleep().cloned();
        if let Some(seat) = &seat {
            seat.note.wake();
        }
        seat.is_some()
    }

    /// A new M, before its thread is made, counts as one that sleeps and runs anything: from here
    /// on it may be handed a P. Its thread begins with [`wait_enlisted`](Self::wait_enlisted).
    pub(crate) fn enlist(&self, seat: &S) {
        let mut state = self.state.lock();
        state.fall_asleep(seat.clone(), true);
        self.publish(&state);
    }

    /// The first sleep of an enlisted M.
    pub(crate) fn wait_enlisted(
        &self,
        seat: &S,
        idle: &Idle,
        sleep: impl Fn(&Note) -> Slept,
    ) -> Waited<P> {
        self.wait(seat, idle, sleep)
    }

    /// The thread of an enlisted M could not be made. The P that it was handed meanwhile, if it
    /// was.
    pub(crate) fn strike(&self, seat: &S) -> Option<Box<P>> {
        if self.wake_up(seat) || mutated("dispatch.strike_loses_p") {
            return None;
        }
        seat.take_handed().map(|given| given.p)
    }

    /// No M could be made for work that is published. True: nobody sleeps who could run it, and
    /// whoever would is sent back to look again; else the caller had better wake one.
    pub(crate) fn recall(&self) -> bool {
        let mut state = self.state.lock();
        let nobody = !state.somebody_sleeps();
        state.recall |= nobody && !mutated("dispatch.recall_forgotten");
        nobody
    }

    /// Takes the own word back from `ASLEEP`; false if somebody was faster.
    fn wake_up(&self, seat: &S) -> bool {
        let mut state = self.state.lock();
        let found = state.take_asleep(seat).is_some();
        if found {
            seat.without_p();
            self.publish(&state);
        }
        found
    }

    fn wait(&self, seat: &S, idle: &Idle, sleep: impl Fn(&Note) -> Slept) -> Waited<P> {
        loop {
            // ORDERING[dispatch.word]: what the giver did before is seen by this M.
            match seat.word.load(Acquire) {
                word @ (HAS_P | HAS_P_SEARCHING) => {
                    let p = seat.handed.lock().take().expect("a P was handed over with the word");
                    return Waited::Given(Given { p, searching: word == HAS_P_SEARCHING });
                }
                IN_LINE => {
                    if let Some(p) = self.take_turn(seat, idle) {
                        return Waited::Given(Given { p, searching: false });
                    }
                    seat.note.sleep();
                }
                _ => {
                    let closed =
                        self.state.lock().closed && !mutated("dispatch.sleep_ignores_close");
                    if closed && self.wake_up(seat) {
                        return Waited::Closed;
                    }
                    let slept = sleep(&seat.note);
                    if slept != Slept::Woken
                        && (self.wake_up(seat) || mutated("dispatch.expires_unseen"))
                    {
                        return if slept == Slept::Look { Waited::Retry } else { Waited::Expired };
                    }
                }
            }
        }
    }

    /// An M in the line was woken, or is about to sleep: an idle P is its, wherever in the line it
    /// stands (the head was woken for it, but who comes first has it; who is left is woken by the
    /// next release).
    fn take_turn(&self, seat: &S, idle: &Idle) -> Option<Box<P>> {
        let mut state = self.state.lock();
        let has_idle = !state.idle.is_empty();
        let (at, place) = state.place(seat)?;
        if !has_idle {
            place.woken = mutated("dispatch.passed_over_unnoticed");
            return None;
        }
        let p = state.idle.pop()?;
        idle.sub_idle_p(1);
        let _own = state.leave_line(at);
        let next = self.line_changed(&mut state).filter(|_| !mutated("dispatch.turn_wakes_nobody"));
        drop(state);
        seat.with_p();
        if let Some(next) = next {
            next.note.wake();
        }
        Some(p)
    }

    /// Ends the idle Ms, now and from now on. Ms that have Gs are not idle.
    pub(crate) fn close(&self) {
        let mut state = self.state.lock();
        state.closed = true;
        let asleep = state.asleep();
        drop(state);
        // Who comes from here on sees that it is closed. Those before are woken from the list and
        // stay in it until they take themselves out, which moves others to the front only.
        for at in (0..asleep).rev().filter(|_| !mutated("dispatch.close_wakes_nobody")) {
            let seat = self.state.lock().sleeper(at).cloned();
            if let Some(seat) = seat {
                seat.note.wake();
            }
        }
    }
}

#[cfg(test)]
mod tests;
