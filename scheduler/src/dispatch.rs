//! Which M has which P: idle Ps, idle Ms, and the line of Ms that own ready Gs but have no P.
//!
//! # The problem
//!
//! A settled G runs on its M only. If that M sleeps without a P when the G is readied, somebody must bring the two
//! together: give the M an idle P, or, when all are busy, make sure that it gets its turn. And no order of events may
//! leave a ready G on a sleeping M while a P is idle.
//!
//! # The protocol
//!
//! An M's standing is one word, [`Seat::word`]: it has a P, has none, stands in the line, or sleeps. The word leaves
//! `ASLEEP` and `IN_LINE` only under the lock of [`Dispatch`]; a waker reads it without.
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
//! By the two `SeqCst` fences either Look sees Sleep or Check sees Push. Who finds `ASLEEP` under the lock acts, once: it
//! hands over an idle P, or puts the M into the line. A P that is released while an M stands in the line wakes the head
//! and lies idle until the first one comes, the head or a running M that wants it (handing it over directly would make
//! every release wait for a thread to wake, a convoy); a head that was passed over for too long gets the next one
//! directly.
//!
//! # Invariants, whenever the lock is free
//!
//! - A P is on the idle list, on the table or in the hand of one M, or on its way to one in `handed`.
//! - A seat is in `asleep` iff its word is `ASLEEP`, in `line` iff it is `IN_LINE`.
//! - If a P is idle and the line is not empty, the line's head has been woken and has not looked yet.
//!
//! # Rejected
//!
//! A lock-free line: these transitions are rare (each ends or begins a sleep), and a lock makes them one story. Handing
//! the P over by rounds instead of by time: 14 % of the throughput was left.

use std::collections::VecDeque;
use std::fmt;
use std::ops::Deref;
use std::ptr;

use gosched_runtime_sys::note::Note;
use gosched_runtime_sys::primitive::{
    AtomicU32, AtomicUsize, Mutex,
    Ordering::{Acquire, Relaxed, Release, SeqCst},
    fence, mutated,
};

use crate::ds::idle::Idle;
use crate::policy;

/// The M has a P, in hand or on its table - or had: a P that was taken out of the table leaves the word as it is.
const HAS_P: u32 = 0;
/// As `HAS_P`; it was woken to look for work and counts as searching.
const HAS_P_SEARCHING: u32 = 1;
/// It has none and is awake.
const NO_P: u32 = 2;
/// It owns ready Gs and waits for a P.
const IN_LINE: u32 = 3;
/// It has nothing to do.
const ASLEEP: u32 = 4;

/// An M's place in the dispatch: what others need of it to bring it a P.
pub(crate) struct Seat<P> {
    word: AtomicU32,
    /// The P on its way to this M. Written under the dispatch's lock, before the word says so.
    handed: Mutex<Option<Box<P>>>,
    /// What the M's thread sleeps on.
    pub(crate) note: Note,
}

impl<P> fmt::Debug for Seat<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Seat").field("word", &self.word).finish_non_exhaustive()
    }
}

/// A P that came to a waiting M.
pub(crate) struct Given<P> {
    pub(crate) p: Box<P>,
    /// The M was woken to look for work: it counts as searching.
    pub(crate) searching: bool,
}

/// How a wait for a P ended.
pub(crate) enum Waited<P> {
    /// With a P.
    Given(Given<P>),
    /// There is something to do after all; no P yet.
    Retry,
    /// The runtime has ended.
    Closed,
}

/// Who will run an idle P.
pub(crate) enum Roused<P> {
    /// An M that was asleep.
    Woken,
    /// Nobody sleeps: a new M is needed for this P.
    NeedM(Box<P>),
    /// There is no idle P (any more): everybody who has one looks at all queues before letting go.
    NoP,
}

struct InLine<S> {
    seat: S,
    since: u64,
    woken: bool,
}

struct State<P, S> {
    idle: Vec<Box<P>>,
    asleep: Vec<S>,
    line: VecDeque<InLine<S>>,
    closed: bool,
}

/// The meeting place of Ps and Ms. `S` is how a seat is referred to.
pub(crate) struct Dispatch<P, S> {
    state: Mutex<State<P, S>>,
    line_len: AtomicUsize,
}

impl<P> Seat<P> {
    pub(crate) fn new() -> Self {
        Self { word: AtomicU32::new(NO_P), handed: Mutex::new(None), note: Note::new() }
    }

    /// The M has given its P away or never had one.
    pub(crate) fn without_p(&self) {
        self.word.store(NO_P, Relaxed);
    }

    /// The M starts with a P.
    pub(crate) fn with_p(&self) {
        self.word.store(HAS_P, Relaxed);
    }

    /// An M that is about to be made finds its P here.
    pub(crate) fn start_with(&self, p: Box<P>, searching: bool) {
        self.hand(p, if searching { HAS_P_SEARCHING } else { HAS_P });
    }

    /// The P that was handed over, if one was.
    pub(crate) fn take_handed(&self) -> Option<Given<P>> {
        let p = self.handed.lock().take()?;
        Some(Given { p, searching: self.word.load(Relaxed) == HAS_P_SEARCHING })
    }

    fn hand(&self, p: Box<P>, word: u32) {
        *self.handed.lock() = Some(p);
        // ORDERING[dispatch.word]: what the giver did before is seen by the M that reads the word in `wait`.
        self.word.store(word, Release);
    }
}

impl<P, S: Clone + Deref<Target = Seat<P>>> Dispatch<P, S> {
    /// All of `ps` are idle; `idle` counts them.
    pub(crate) fn new(ps: Vec<Box<P>>, idle: &Idle) -> Self {
        let _nobody_searches_yet = idle.add_idle_p(ps.len());
        Self {
            state: Mutex::new(State { idle: ps, asleep: Vec::new(), line: VecDeque::new(), closed: false }),
            line_len: AtomicUsize::new(0),
        }
    }

    /// How many Ms wait for a P; a hint.
    #[inline]
    pub(crate) fn line_len(&self) -> usize {
        self.line_len.load(Relaxed)
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

    /// A P that nobody has: to the line's head if it was passed over for long, else it lies idle and the head is woken.
    pub(crate) fn put_back(&self, p: Box<P>, idle: &Idle, now: u64) {
        let mut state = self.state.lock();
        let passed_over = state.line.pop_front_if(|head| policy::passed_over(head.since, now)).map(|head| head.seat);
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

    /// Restores the third invariant after the line or the idle Ps changed: who is to be woken once the lock is free.
    fn line_changed(&self, state: &mut State<P, S>) -> Option<S> {
        self.line_len.store(state.line.len(), Relaxed);
        if state.idle.is_empty() || mutated("dispatch.release_without_wake") {
            return None;
        }
        let head = state.line.front_mut().filter(|head| !head.woken)?;
        head.woken = true;
        Some(head.seat.clone())
    }

    /// An M with ready work gives its P to the line's head and stands behind. Gives the P back if nobody waits.
    pub(crate) fn give_way(&self, p: Box<P>, seat: &S, now: u64) -> Result<(), Box<P>> {
        let mut state = self.state.lock();
        let Some(head) = state.line.pop_front() else { return Err(p) };
        head.seat.hand(p, HAS_P);
        seat.word.store(IN_LINE, Relaxed);
        state.line.push_back(InLine { seat: seat.clone(), since: now, woken: false });
        let next = self.line_changed(&mut state);
        drop(state);
        for seat in [head.seat].into_iter().chain(next) {
            seat.note.wake();
        }
        Ok(())
    }

    /// After a G was pushed to the inbox of the M at `seat`: sees to it that the M looks.
    pub(crate) fn rouse_for_inbox(&self, seat: &S, idle: &Idle, now: impl FnOnce() -> u64) {
        if !mutated("dispatch.push_without_fence") {
            // ORDERING[dispatch.sleep]: after Push, before Look; pairs with the fence in `sleep`.
            fence(SeqCst);
        }
        if seat.word.load(Relaxed) != ASLEEP {
            return;
        }
        let mut state = self.state.lock();
        // Only who finds it among this runtime's sleepers acts: the M may have been woken meanwhile, or have gone to
        // another runtime.
        let Some(at) = state.asleep.iter().position(|s| ptr::eq(&**s, &**seat)) else { return };
        let seat = state.asleep.swap_remove(at);
        if let Some(p) = state.idle.pop() {
            idle.sub_idle_p(1);
            seat.hand(p, HAS_P);
            drop(state);
            seat.note.wake();
        } else {
            seat.word.store(IN_LINE, Relaxed);
            state.line.push_back(InLine { seat, since: now(), woken: false });
            self.line_len.store(state.line.len(), Relaxed);
        }
    }

    /// Brings an idle P to an idle M, which comes back searching. The caller holds a searching token for it.
    pub(crate) fn rouse(&self, idle: &Idle) -> Roused<P> {
        let mut state = self.state.lock();
        let Some(p) = state.idle.pop() else { return Roused::NoP };
        idle.sub_idle_p(1);
        let Some(seat) = state.asleep.pop() else { return Roused::NeedM(p) };
        seat.hand(p, HAS_P_SEARCHING);
        drop(state);
        seat.note.wake();
        Roused::Woken
    }

    /// Somebody to run `p`, which has work: the line's head, or an M that sleeps (neither searching), or a new one.
    pub(crate) fn hand_off(&self, p: Box<P>) -> Roused<P> {
        let mut state = self.state.lock();
        let seat = match state.line.pop_front() {
            Some(head) => Some(head.seat),
            None => state.asleep.pop(),
        };
        let Some(seat) = seat else { return Roused::NeedM(p) };
        seat.hand(p, HAS_P);
        let next = self.line_changed(&mut state);
        drop(state);
        for seat in [seat].into_iter().chain(next) {
            seat.note.wake();
        }
        Roused::Woken
    }

    /// An M without a P that owns ready Gs waits for its turn.
    pub(crate) fn wait_in_line(&self, seat: &S, idle: &Idle, now: u64) -> Box<P> {
        let mut state = self.state.lock();
        if let Some(p) = state.idle.pop() {
            idle.sub_idle_p(1);
            seat.with_p();
            return p;
        }
        seat.word.store(IN_LINE, Relaxed);
        state.line.push_back(InLine { seat: seat.clone(), since: now, woken: false });
        self.line_len.store(state.line.len(), Relaxed);
        drop(state);
        self.wait_for_turn(seat, idle)
    }

    /// Waits for the turn of an M that already stands in the line.
    pub(crate) fn wait_for_turn(&self, seat: &S, idle: &Idle) -> Box<P> {
        match self.wait(seat, idle) {
            Waited::Given(given) => given.p,
            Waited::Retry | Waited::Closed => unreachable!("a runtime does not end while an M owns ready goroutines"),
        }
    }

    /// An M without a P and without work sleeps until it gets a P. `has_mail` looks at its inbox.
    pub(crate) fn sleep(&self, seat: &S, idle: &Idle, has_mail: impl Fn() -> bool) -> Waited<P> {
        let mut state = self.state.lock();
        if state.closed {
            return Waited::Closed;
        }
        seat.word.store(ASLEEP, Relaxed);
        state.asleep.push(seat.clone());
        drop(state);
        if !mutated("dispatch.sleep_without_fence") {
            // ORDERING[dispatch.sleep]: after Sleep, before Check; pairs with the fence in `rouse_for_inbox`.
            fence(SeqCst);
        }
        if has_mail() && self.wake_up(seat) {
            return Waited::Retry;
        }
        self.wait(seat, idle)
    }

    /// Takes the own word back from `ASLEEP`; false if somebody was faster.
    fn wake_up(&self, seat: &S) -> bool {
        let mut state = self.state.lock();
        let Some(at) = state.asleep.iter().position(|s| ptr::eq(&**s, &**seat)) else { return false };
        state.asleep.swap_remove(at);
        seat.without_p();
        true
    }

    fn wait(&self, seat: &S, idle: &Idle) -> Waited<P> {
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
                }
                _ => {
                    if self.state.lock().closed && self.wake_up(seat) {
                        return Waited::Closed;
                    }
                }
            }
            seat.note.sleep();
        }
    }

    /// An M in the line was woken, or is about to sleep: an idle P is its, wherever in the line it stands (the head was
    /// woken for it, but who comes first has it; who is left is woken by the next release).
    fn take_turn(&self, seat: &S, idle: &Idle) -> Option<Box<P>> {
        let mut state = self.state.lock();
        let at = state.line.iter().position(|l| ptr::eq(&*l.seat, &**seat))?;
        let Some(p) = state.idle.pop() else {
            state.line[at].woken = false;
            return None;
        };
        idle.sub_idle_p(1);
        state.line.remove(at);
        let next = self.line_changed(&mut state);
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
        let asleep = state.asleep.clone();
        drop(state);
        for seat in asleep {
            seat.note.wake();
        }
    }
}
