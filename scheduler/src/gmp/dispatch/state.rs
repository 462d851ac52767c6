//! Who sleeps, who stands in the line, which Ps are idle: what the dispatch keeps under its lock.

use std::collections::VecDeque;
use std::mem;
use std::ops::Deref;
use std::ptr;

use super::remote::{ASLEEP, IN_LINE, Remote};
use gosched_runtime_sys::sync::primitive::Ordering::Relaxed;

/// An M that owns ready Gs and waits for a P.
pub(super) struct InLine<S> {
    pub(super) remote: S,
    pub(super) since: u64,
    pub(super) woken: bool,
    /// A home M whose P was taken from it, and which comes back to what it owns.
    returns: bool,
}

struct Asleep<S> {
    remote: S,
    /// It runs what any M may run; not so a lent thread that is about to leave.
    takes_any: bool,
    /// It was a home M when it fell asleep, and runs anything.
    resident: bool,
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
    pub(super) residents_asleep: usize,
    /// No M could be made for published work: the next one that would sleep looks again.
    pub(super) look_again: bool,
    pub(super) closed: bool,
}

impl<P, S: Deref<Target = Remote<P>>> State<P, S> {
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
            residents_asleep: 0,
            look_again: false,
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
    pub(super) fn stand_in_line(&mut self, remote: S, since: u64, returns: bool) {
        remote.status.store(IN_LINE, Relaxed);
        let at = if returns { self.returning } else { self.line.len() };
        self.line.insert(at, InLine { remote, since, woken: false, returns });
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
        Some(left.remote)
    }

    /// Where in the line an M stands.
    pub(super) fn place(&mut self, remote: &S) -> Option<(usize, &mut InLine<S>)> {
        self.line.iter_mut().enumerate().find(|(_, l)| ptr::eq(&*l.remote, &**remote))
    }

    /// The M sleeps from here on.
    pub(super) fn fall_asleep(&mut self, remote: S, takes_any: bool) {
        remote.status.store(ASLEEP, Relaxed);
        let resident = takes_any && remote.is_resident();
        self.residents_asleep += usize::from(resident);
        self.asleep.push(Asleep { remote, takes_any, resident });
    }

    /// An M that runs anything: a home M if one sleeps, for what it starts stays with it; else the
    /// one that fell asleep last.
    pub(super) fn pop_asleep(&mut self) -> Option<S> {
        let resident = if self.residents_asleep > 0 {
            self.asleep.iter().rposition(|sleeper| sleeper.resident)
        } else {
            None
        };
        let at = resident.or_else(|| self.asleep.iter().rposition(|sleeper| sleeper.takes_any))?;
        Some(self.wake(at))
    }

    /// How many Ms sleep.
    pub(super) fn sleepers(&self) -> usize {
        self.asleep.len()
    }

    /// This very M, if it is asleep.
    pub(super) fn take_asleep(&mut self, remote: &S) -> Option<S> {
        let at = self.asleep.iter().position(|sleeper| ptr::eq(&*sleeper.remote, &**remote))?;
        Some(self.wake(at))
    }

    fn wake(&mut self, at: usize) -> S {
        let woken = self.asleep.swap_remove(at);
        self.residents_asleep -= usize::from(woken.resident);
        woken.remote
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
        self.asleep.last().map(|sleeper| &sleeper.remote)
    }

    pub(super) fn sleeper(&self, at: usize) -> Option<&S> {
        self.asleep.get(at).map(|sleeper| &sleeper.remote)
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
