//! The data under the dispatch's lock: idle Ps, sleeping Ms, and the line.

use std::collections::VecDeque;
use std::mem;
use std::ops::Deref;
use std::ptr;

use super::remote::{ASLEEP, IN_LINE, Remote};
use crate::policy;
use gosched_runtime_sys::sync::primitive::Ordering::Relaxed;

/// An M that owns ready Gs and waits for a P.
pub(super) struct InLine<S> {
    pub(super) remote: S,
    /// When the M joined the line, in nanoseconds on the monotonic clock.
    pub(super) since: u64,
    /// The M, as the line's head, was woken for an idle P and has not looked yet.
    pub(super) woken: bool,
    why: Why,
    takes: Takes,
}

/// Why an M stands in the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    /// It is a resident M whose P was revoked, and returns to the Gs that it owns.
    Returns,
    /// One of its Gs was made ready since it last had a P.
    Woken,
    /// Its Gs have had a turn, or it has none and is to start one. It lets those pass that were
    /// woken, for a while.
    LetsPass,
}

/// What an M without a P may be woken for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Takes {
    /// What comes into its inbox. So it is with a lent thread that is about to leave.
    Inbox,
    /// Any work but that which is to begin apart: goroutines have settled on the M.
    Any,
    /// Any work: nothing has settled on the M.
    Vacant,
}

struct Asleep<S> {
    remote: S,
    takes: Takes,
    /// The M was resident when it fell asleep, and accepts any work.
    resident: bool,
}

/// The data under the lock. Only `make_room` and `make_room_for_ps` allocate or free here.
pub(super) struct State<P, S> {
    pub(super) idle: Vec<Box<P>>,
    pub(super) retired: Vec<Box<P>>,
    /// How many Ps are asked for.
    pub(super) target: usize,
    /// How many Ps are not retired.
    pub(super) live: usize,
    /// How many Ps were ever made.
    pub(super) made: usize,
    asleep: Vec<Asleep<S>>,
    /// How often an M fell asleep.
    pub(super) fell_asleep: u64,
    line: VecDeque<InLine<S>>,
    /// How many Ms at the front of `line` return.
    pub(super) returning: usize,
    /// How many Ms in `asleep` are resident and accept any work.
    pub(super) residents_asleep: usize,
    /// No M could be made for published work: the next M that would sleep looks again.
    pub(super) look_again: bool,
    /// The runtime has ended: idle Ms end.
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
            fell_asleep: 0,
            line: VecDeque::new(),
            returning: 0,
            residents_asleep: 0,
            look_again: false,
            closed: false,
        }
    }

    /// True if there is room for `ms` Ms.
    pub(super) fn has_room(&self, ms: usize) -> bool {
        self.asleep.capacity() >= ms && self.line.capacity() >= ms
    }

    /// Moves the Ms into the larger `room`. The old buffers are in `room` afterwards, for the
    /// caller to free without the lock.
    pub(super) fn grow(&mut self, room: &mut Room<S>) {
        mem::swap(&mut self.asleep, &mut room.asleep);
        mem::swap(&mut self.line, &mut room.line);
        self.asleep.append(&mut room.asleep);
        self.line.append(&mut room.line);
    }

    /// True if `ps` Ps could be idle, and `ps` Ps retired.
    ///
    /// Moves the Ps into `room` first, if it is large enough and needed. The old buffers are in
    /// `room` afterwards, for the caller to free without the lock.
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

    /// Puts the M into the line. One that returns stands behind the others that return. One that
    /// was woken stands before those that let it pass, which is until they have waited for
    /// `policy::LETS_PASS_NS`. These stand at the end.
    pub(super) fn stand_in_line(&mut self, remote: S, since: u64, why: Why, takes: Takes) {
        remote.status.store(IN_LINE, Relaxed);
        let at = match why {
            Why::Returns => self.returning,
            Why::Woken => self.end_of_woken(since),
            Why::LetsPass => self.line.len(),
        };
        self.line.insert(at, InLine { remote, since, woken: false, why, takes });
        self.returning += usize::from(why == Why::Returns);
    }

    /// Has an M in the line that lets others pass stand where one does that was woken, because one
    /// of its Gs was. True if it did let others pass.
    pub(super) fn cease_to_let_pass(&mut self, remote: &S, now: u64) -> bool {
        let Some((at, one)) = self.place(remote) else { return false };
        if one.why != Why::LetsPass {
            return false;
        }
        let Some(one) = self.line.remove(at) else { return false };
        let at = self.end_of_woken(now);
        self.line.insert(at, InLine { why: Why::Woken, ..one });
        true
    }

    /// Returns the place in the line of an M that was woken.
    fn end_of_woken(&self, now: u64) -> usize {
        let lets_pass =
            |one: &InLine<S>| one.why == Why::LetsPass && policy::lets_pass(one.since, now);
        self.line.iter().position(lets_pass).unwrap_or(self.line.len())
    }

    pub(super) fn head(&mut self) -> Option<&mut InLine<S>> {
        self.line.front_mut()
    }

    /// True if the line's head is a resident M that accepts any work.
    pub(super) fn resident_is_next(&self) -> bool {
        let head = self.line.front();
        head.is_some_and(|head| head.takes != Takes::Inbox && head.remote.is_resident())
    }

    pub(super) fn pop_line(&mut self) -> Option<S> {
        self.leave_line(0)
    }

    pub(super) fn leave_line(&mut self, at: usize) -> Option<S> {
        let left = self.line.remove(at)?;
        self.returning -= usize::from(left.why == Why::Returns);
        Some(left.remote)
    }

    /// Returns the M's entry in the line, and its index.
    pub(super) fn place(&mut self, remote: &S) -> Option<(usize, &mut InLine<S>)> {
        self.line.iter_mut().enumerate().find(|(_, l)| ptr::eq(&*l.remote, &**remote))
    }

    /// Puts the M among the sleepers.
    pub(super) fn fall_asleep(&mut self, remote: S, takes: Takes) {
        remote.status.store(ASLEEP, Relaxed);
        let resident = takes != Takes::Inbox && remote.is_resident();
        self.residents_asleep += usize::from(resident);
        self.asleep.push(Asleep { remote, takes, resident });
        self.fell_asleep += 1;
    }

    /// Takes a sleeper that accepts any work.
    ///
    /// A resident M goes first, because goroutines stay where they start; otherwise the M that fell
    /// asleep last.
    pub(super) fn pop_asleep(&mut self) -> Option<S> {
        self.pop_resident().or_else(|| {
            let at = self.asleep.iter().rposition(|sleeper| sleeper.takes != Takes::Inbox)?;
            Some(self.wake(at))
        })
    }

    /// Takes a resident sleeper that accepts any work.
    pub(super) fn pop_resident(&mut self) -> Option<S> {
        if self.residents_asleep == 0 {
            return None;
        }
        let at = self.asleep.iter().rposition(|sleeper| sleeper.resident)?;
        Some(self.wake(at))
    }

    /// Takes a sleeper that accepts any work and on which nothing has settled; a resident one goes
    /// first.
    pub(super) fn pop_vacant(&mut self) -> Option<S> {
        let is_vacant = |sleeper: &Asleep<S>, resident| {
            sleeper.takes == Takes::Vacant && sleeper.resident == resident
        };
        let found = |resident| self.asleep.iter().rposition(|one| is_vacant(one, resident));
        let at = found(true).or_else(|| found(false))?;
        Some(self.wake(at))
    }

    /// Takes the M at `remote`, if it sleeps.
    pub(super) fn take_asleep(&mut self, remote: &S) -> Option<(S, Takes)> {
        let at = self.asleep.iter().position(|sleeper| ptr::eq(&*sleeper.remote, &**remote))?;
        let takes = self.asleep[at].takes;
        Some((self.wake(at), takes))
    }

    fn wake(&mut self, at: usize) -> S {
        let woken = self.asleep.swap_remove(at);
        self.residents_asleep -= usize::from(woken.resident);
        woken.remote
    }

    /// True if an M sleeps that accepts any work.
    pub(super) fn somebody_sleeps(&self) -> bool {
        self.asleep.iter().any(|sleeper| sleeper.takes != Takes::Inbox)
    }

    /// Returns how many Ms sleep.
    pub(super) fn asleep(&self) -> usize {
        self.asleep.len()
    }

    /// Returns the sleeper at the end of the list: mostly the M that fell asleep last.
    pub(super) fn last_asleep(&self) -> Option<&S> {
        self.asleep.last().map(|sleeper| &sleeper.remote)
    }

    pub(super) fn sleeper(&self, at: usize) -> Option<&S> {
        self.asleep.get(at).map(|sleeper| &sleeper.remote)
    }
}

/// Buffers for more Ms. Allocated before the lock is taken, and freed after it is released.
pub(super) struct Room<S> {
    asleep: Vec<Asleep<S>>,
    line: VecDeque<InLine<S>>,
}

impl<S> Room<S> {
    pub(super) fn for_ms(ms: usize) -> Self {
        Self { asleep: Vec::with_capacity(ms), line: VecDeque::with_capacity(ms) }
    }
}
