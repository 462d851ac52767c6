//! Who sleeps, who stands in the line, which Ps are idle: what the dispatch keeps under its lock.

use std::collections::VecDeque;
use std::mem;
use std::ops::Deref;
use std::ptr;

use super::remote::{ASLEEP, IN_LINE, Seat};
use gosched_runtime_sys::primitive::Ordering::Relaxed;

/// An M that owns ready Gs and waits for a P.
pub(super) struct InLine<S> {
    pub(super) seat: S,
    pub(super) since: u64,
    pub(super) woken: bool,
    /// A home M whose P was taken from it, and which comes back to what it owns.
    returns: bool,
}

struct Asleep<S> {
    seat: S,
    /// It runs what any M may run; not so a lent thread that is about to leave.
    takes_any: bool,
    /// It was a home M when it fell asleep, and runs anything.
    home: bool,
}

/// Nothing here is allocated or freed but by `make_room` and `make_room_for_ps`.
pub(super) struct State<P, S> {
    pub(super) idle: Vec<Box<P>>,
    pub(super) retired: Vec<Box<P>>,
    /// How many Ps are asked for, how many there are that are not retired, and how many were ever
    /// made.
    pub(super) target: usize,
    pub(super) live: usize,
    pub(super) made: usize,
    asleep: Vec<Asleep<S>>,
    line: VecDeque<InLine<S>>,
    /// How many in the line return, and how many of those asleep are home Ms that run anything.
    pub(super) returning: usize,
    pub(super) homes_asleep: usize,
    /// No M could be made for published work: the next one that would sleep looks again.
    pub(super) recall: bool,
    pub(super) closed: bool,
}

impl<P, S: Deref<Target = Seat<P>>> State<P, S> {
    pub(super) fn new(idle: Vec<Box<P>>) -> Self {
        let made = idle.len();
        Self {
            idle,
            retired: Vec::new(),
            target: made,
            live: made,
            made,
            asleep: Vec::new(),
            line: VecDeque::new(),
            returning: 0,
            homes_asleep: 0,
            recall: false,
            closed: false,
        }
    }

    /// Whether there is room for `ms` Ms.
    pub(super) fn has_room(&self, ms: usize) -> bool {
        self.asleep.capacity() >= ms && self.line.capacity() >= ms
    }

    /// Moves the Ms over to `room`, which is larger, and leaves there what they were in.
    pub(super) fn grow(&mut self, room: &mut Room<S>) {
        mem::swap(&mut self.asleep, &mut room.asleep);
        mem::swap(&mut self.line, &mut room.line);
        self.asleep.append(&mut room.asleep);
        self.line.append(&mut room.line);
    }

    /// Whether so many Ps could be idle, or retired. Moves them over to `room` if that is larger,
    /// and leaves there what they were in.
    pub(super) fn has_room_for_ps(&mut self, ps: usize, room: &mut [Vec<Box<P>>; 2]) -> bool {
        for (list, room) in [&mut self.idle, &mut self.retired].into_iter().zip(room) {
            if list.capacity() < ps && room.capacity() >= ps {
                room.append(list);
                mem::swap(list, room);
            }
        }
        self.idle.capacity() >= ps && self.retired.capacity() >= ps
    }

    pub(super) fn line_len(&self) -> usize {
        self.line.len()
    }

    /// The M stands in the line from here on: at its end, or, if it returns, behind the others that
    /// do.
    pub(super) fn stand_in_line(&mut self, seat: S, since: u64, returns: bool) {
        seat.word.store(IN_LINE, Relaxed);
        let at = if returns { self.returning } else { self.line.len() };
        self.line.insert(at, InLine { seat, since, woken: false, returns });
        self.returning += usize::from(returns);
    }

    pub(super) fn head(&mut self) -> Option<&mut InLine<S>> {
        self.line.front_mut()
    }

    pub(super) fn pop_line(&mut self) -> Option<S> {
        self.leave_line(0)
    }

    pub(super) fn leave_line(&mut self, at: usize) -> Option<S> {
        let left = self.line.remove(at)?;
        self.returning -= usize::from(left.returns);
        Some(left.seat)
    }

    /// Where in the line an M stands.
    pub(super) fn place(&mut self, seat: &S) -> Option<(usize, &mut InLine<S>)> {
        self.line.iter_mut().enumerate().find(|(_, l)| ptr::eq(&*l.seat, &**seat))
    }

    /// The M sleeps from here on.
    pub(super) fn fall_asleep(&mut self, seat: S, takes_any: bool) {
        seat.word.store(ASLEEP, Relaxed);
        let home = takes_any && seat.is_home();
        self.homes_asleep += usize::from(home);
        self.asleep.push(Asleep { seat, takes_any, home });
    }

    /// An M that runs anything: a home M if one sleeps, for what it starts stays with it; else the
    /// one that fell asleep last.
    pub(super) fn pop_asleep(&mut self) -> Option<S> {
        let home = if self.homes_asleep > 0 {
            self.asleep.iter().rposition(|sleeper| sleeper.home)
        } else {
            None
        };
        let at = home.or_else(|| self.asleep.iter().rposition(|sleeper| sleeper.takes_any))?;
        Some(self.wake(at))
    }

    /// How many Ms sleep.
    pub(super) fn asleep_count(&self) -> usize {
        self.asleep.len()
    }

    /// This very M, if it is asleep.
    pub(super) fn take_asleep(&mut self, seat: &S) -> Option<S> {
        let at = self.asleep.iter().position(|sleeper| ptr::eq(&*sleeper.seat, &**seat))?;
        Some(self.wake(at))
    }

    fn wake(&mut self, at: usize) -> S {
        let woken = self.asleep.swap_remove(at);
        self.homes_asleep -= usize::from(woken.home);
        woken.seat
    }

    /// Whether an M sleeps that runs anything.
    pub(super) fn somebody_sleeps(&self) -> bool {
        self.asleep.iter().any(|sleeper| sleeper.takes_any)
    }

    pub(super) fn asleep(&self) -> usize {
        self.asleep.len()
    }

    /// The M that fell asleep last.
    pub(super) fn last_asleep(&self) -> Option<&S> {
        self.asleep.last().map(|sleeper| &sleeper.seat)
    }

    pub(super) fn sleeper(&self, at: usize) -> Option<&S> {
        self.asleep.get(at).map(|sleeper| &sleeper.seat)
    }
}

/// Room for more Ms, allocated before the lock is taken and freed after it was given back.
pub(super) struct Room<S> {
    asleep: Vec<Asleep<S>>,
    line: VecDeque<InLine<S>>,
}

impl<S> Room<S> {
    pub(super) fn for_ms(ms: usize) -> Self {
        Self { asleep: Vec::with_capacity(ms), line: VecDeque::with_capacity(ms) }
    }
}
