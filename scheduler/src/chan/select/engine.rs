//! How a select comes to its one case.
//!
//! 1. Choose a case, by the [`Order`] the first or one at random. If it is ready, do it under the
//!    lock of its channel alone.
//! 2. Otherwise take the locks of all channels, in the order of their addresses, so that two
//!    selects cannot hold one another up.
//! 3. Look which cases are ready. If some are, choose one of them, do it, give the locks back,
//!    done.
//! 4. Otherwise, if it may wait: a node into a list of each channel, all in one [`Race`]. Give the
//!    locks back and park.
//! 5. Whoever serves a node has won the race first, so there is one. Woken, take the other nodes
//!    off their lists, one lock after the other. A wait that is given up must win the race as well.
//!
//! Of n cases, k of which are ready, each of these k is done in step 1 with a chance of 1/n, and in
//! step 3 with a chance of (1 - k/n) / k: in all with 1/k. By their indices, step 1 does the first
//! of all or none, and step 3 the first of those that are ready. A case that was waited for became
//! ready while none was, so no other comes before it.
//!
//! All locks at once is what makes the look a moment: a case that became ready on a channel looked
//! at before, while a later one is looked at, would otherwise be waited for in vain, or be done
//! twice. And two selects that meet need no claim on each other: the one that looks waits nowhere
//! yet, so it wins the race of the one that waits and is bound to no other. For the same reason a
//! select never meets itself.
//!
//! Rejected: entering the lists one lock at a time, with a race that the owner takes part in.
//! Meeting another select then takes two claims at once, and somebody has to take one back.
//!
//! # Safety
//!
//! State pointers are asked for anew for each use, of the case that keeps the lock, see
//! [`state_of`]. Nodes and race lie in frames that stay until [`wait`] has taken every node off.

#![expect(unsafe_code, reason = "hands channels' states to their cases")]

use gosched_runtime_sys::sync::primitive::mutated;
use std::ptr::{self, NonNull};
use std::time::Instant;

use crate::chan::case::{Case, Tried};
use crate::wait::owed::{Panics, wake_each};
use crate::wait::park::{Park, WaitReason};
use crate::wait::parked::wake_linked;
use crate::wait::race::Race;
use crate::wait::waiter::Unpark;

/// One case, and how its caller numbers it.
pub(crate) struct Entry<'c, K> {
    pub(super) case: &'c dyn Case<K>,
    pub(super) index: usize,
    /// What tells channels apart, and orders their locks. Null until [`sort`].
    channel: *const (),
    /// The position of the case that keeps the channel's lock: the first of that channel.
    pub(super) keeper: usize,
}

impl<'c, K: Unpark> Entry<'c, K> {
    pub(in crate::chan) fn new(case: &'c dyn Case<K>, index: usize) -> Self {
        Self { case, index, channel: ptr::null(), keeper: 0 }
    }

    /// Gives the case another number.
    pub(super) fn renumber(&mut self, index: usize) {
        self.index = index;
    }

    /// Wakes those whom the case has let go when it was done, without a lock. Returns its index.
    fn end(&self) -> usize {
        let mut each = self.case.wakeup().into_iter().flatten();
        // The case is done, and may have a value: it is the caller's.
        wake_each(|| each.next()).give_up();
        self.index
    }
}

/// What to do while no case is ready.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Wait {
    /// Return at once.
    No,
    /// Wait, at longest until the deadline.
    Until(Option<Instant>),
}

/// Which of several cases that are ready is done.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Order {
    /// Each with the same chance. The function returns a number below its argument.
    Random(fn(usize) -> usize),
    /// The one with the lowest index. The caller numbers the cases in the order of the list.
    ByIndex,
}

impl Order {
    /// Which of `n` cases that stand in the order of their indices comes first.
    #[inline]
    fn first_of(self, n: usize) -> usize {
        match self {
            Self::Random(below) => below(n),
            Self::ByIndex => 0,
        }
    }

    /// True if a case replaces the one that is chosen so far. It is the one with the number `ready`
    /// among those that are ready, counted from one.
    fn replaces<K>(self, case: &Entry<'_, K>, chosen: &Entry<'_, K>, ready: usize) -> bool {
        match self {
            // The last of n replaces the one before with a chance of 1/n: so all have the same.
            Self::Random(below) => below(ready) == 0,
            Self::ByIndex => case.index < chosen.index,
        }
    }
}

/// Does one of the cases, and says which.
pub(crate) fn select<P: Park>(
    entries: &mut [Entry<'_, P::Target>],
    wait_mode: Wait,
    order: Order,
    begin: impl FnOnce() -> P,
) -> Option<usize> {
    if let Some(index) = attempt_one(entries, order) {
        return Some(index);
    }
    sort(entries);
    let entries = &*entries;
    let mut parking: Option<P> = None;
    let mut begin = Some(begin);
    loop {
        lock_all(entries);
        // SAFETY: the state of the case's channel, under its lock.
        let is_ready = |at: usize| unsafe { entries[at].case.is_ready(state_of(entries, at)) };
        match attempt(entries, order, is_ready) {
            Attempt::Done(position) => {
                unlock_all(entries);
                return Some(entries[position].end());
            }
            Attempt::Grow(position) => {
                unlock_all(entries);
                entries[position].case.grow();
                continue;
            }
            Attempt::Nothing => {}
        }
        let Wait::Until(deadline) = wait_mode else {
            unlock_all(entries);
            return None;
        };
        if mutated("select.unlocked_between") {
            unlock_all(entries);
            lock_all(entries);
        }
        if let Some(begun) = parking.take().or_else(P::begin_at_once) {
            begun.set_wait_reason(WaitReason::Select);
            match wait(entries, &begun, deadline, order) {
                Ended::Served(position) => return Some(entries[position].index),
                Ended::TimedOut => return None,
                Ended::LookAgain => {
                    begun.renew();
                    parking = Some(begun);
                    continue;
                }
            }
        }
        // It takes a lock of its own.
        unlock_all(entries);
        parking = begin.take().map(|begin| begin());
    }
}

/// How a wait ended.
enum Ended {
    /// The case at this position has its outcome.
    Served(usize),
    TimedOut,
    /// The time has come for a channel's clock, or one was set.
    LookAgain,
}

pub(super) enum Attempt {
    /// The case at this position has its outcome.
    Done(usize),
    Grow(usize),
    Nothing,
}

/// Does the case that is chosen first, under the lock of its channel alone, if it is ready. The
/// list is in the caller's order. Returns its index.
fn attempt_one<K: Unpark>(entries: &[Entry<'_, K>], order: Order) -> Option<usize> {
    if entries.len() < 2 {
        return None;
    }
    let entry = &entries[order.first_of(entries.len())];
    entry.case.lock();
    // SAFETY: the state of this case's channel, under its lock.
    let ready = unsafe { entry.case.is_ready(entry.case.state()) };
    // SAFETY: likewise.
    let done = ready && unsafe { entry.case.attempt(entry.case.state()) } == Tried::Done;
    entry.case.unlock();
    done.then(|| entry.end())
}

/// With all locks: returns the position of the one of the ready cases that the order says.
pub(super) fn choose<K: Unpark>(
    entries: &[Entry<'_, K>],
    order: Order,
    is_ready: impl Fn(usize) -> bool,
) -> Option<usize> {
    let (mut ready, mut chosen) = (0, None::<usize>);
    for (position, entry) in entries.iter().enumerate() {
        if is_ready(position) {
            ready += 1;
            if chosen.is_none_or(|so_far| order.replaces(entry, &entries[so_far], ready)) {
                chosen = Some(position);
            }
        }
    }
    chosen
}

/// With all locks: does the one of the ready cases that the order says. `is_ready` is asked for
/// each position.
pub(super) fn attempt<K: Unpark>(
    entries: &[Entry<'_, K>],
    order: Order,
    is_ready: impl Fn(usize) -> bool,
) -> Attempt {
    loop {
        let Some(position) = choose(entries, order, &is_ready) else { return Attempt::Nothing };
        // SAFETY: the state of this case's channel, under its lock.
        match unsafe { entries[position].case.attempt(state_of(entries, position)) } {
            Tried::Done => return Attempt::Done(position),
            Tried::Grow => return Attempt::Grow(position),
            // Each time another select was done, and its node is gone from the list.
            Tried::Lost => {}
        }
    }
}

/// Waits, with all locks held at first, until one case was served, at longest until the deadline.
fn wait<P: Park>(
    entries: &[Entry<'_, P::Target>],
    parking: &P,
    deadline: Option<Instant>,
    order: Order,
) -> Ended {
    let race = Race::new();
    let mut due = None;
    for position in 0..entries.len() {
        for position in same_list_ordered(entries, position, order) {
            let (case, state) = (entries[position].case, state_of(entries, position));
            // SAFETY: the state of this case's channel, under its lock. Case and race outlive this
            // function, which withdraws each case below unless it was served, and does not unwind
            // before.
            let look = unsafe { case.wait(state, parking.target(), &race, position) };
            due = due.into_iter().chain(look).min();
        }
    }
    let first = deadline.into_iter().chain(due).min();
    unlock_all(entries);
    let panics = wake_pollers(entries, parking, &race);
    if panics.raises() && race.give_up() {
        withdraw(entries, None);
        panics.go_on();
    } else {
        // A case that was served has its outcome, and may have a value: it is the caller's.
        panics.give_up();
    }
    while race.winner().is_none() {
        parking.park_until(first);
        if race.winner().is_some() {
            break;
        }
        let cancelled = parking.cancelled();
        if (cancelled || first.is_some_and(|first| parking.expired(first))) && race.give_up() {
            withdraw(entries, None);
            if cancelled {
                parking.raise();
            }
            let over = deadline.is_some_and(|deadline| due.is_none_or(|due| deadline < due));
            return if over { Ended::TimedOut } else { Ended::LookAgain };
        }
        // Notified, and nobody has won: the notification is that of an outer wait on the same park
        // word, whose waker runs this select. It would refuse every commit.
        if race.winner().is_none() && !mutated("select.notification_sticks") {
            renew(entries, parking, &race);
        }
    }
    finish(entries, &race)
}

/// The positions of the cases that wait for the same as the one at `position`, in the order in
/// which they enter the list; none if one before it has named them. Whoever comes serves the first
/// of them: at random, each is that with the same chance.
pub(super) fn same_list_ordered<'e, K: Unpark>(
    entries: &'e [Entry<'_, K>],
    position: usize,
    order: Order,
) -> impl Iterator<Item = usize> + Clone + 'e {
    let keeper = entries[position].keeper;
    let of_channel = entries[keeper..].iter().take_while(|other| other.keeper == keeper).count();
    // As a rule a channel has one case, and no way is compared.
    let goes_my_way = move |other: &usize| {
        *other == position || entries[*other].case.direction() == entries[position].case.direction()
    };
    let same_list = (keeper..keeper + of_channel).filter(goes_my_way);
    let first = same_list.clone().next() == Some(position);
    let count = if first { same_list.clone().count() } else { 0 };
    let start = if count > 1 { order.first_of(count) } else { 0 };
    same_list.cycle().skip(start).take(count)
}

/// Somebody won: waits until it is through, and leaves the other lists.
fn finish<K: Unpark>(entries: &[Entry<'_, K>], race: &Race) -> Ended {
    let position = race.winner().expect("somebody won");
    let served = entries[position].case;
    while !served.is_served() {
        // The waker has the lock in its hands.
        served.wait_for_waker();
    }
    withdraw(entries, Some(position));
    if served.take_outcome() { Ended::Served(position) } else { Ended::LookAgain }
}

/// Wakes the futures for which a case's beginning to wait is news: all of them.
fn wake_pollers<P: Park>(entries: &[Entry<'_, P::Target>], parking: &P, race: &Race) -> Panics {
    let wakeups = entries.iter().flat_map(|entry| entry.case.wakeup()).flatten();
    wake_linked(wakeups, || renew(entries, parking, race))
}

/// Begins the wait again, unless somebody has won. The locks are free.
fn renew<P: Park>(entries: &[Entry<'_, P::Target>], parking: &P, race: &Race) {
    // With all locks in hand no waker is between winning, notifying and its last store.
    lock_all(entries);
    if race.winner().is_none() {
        parking.renew();
    }
    unlock_all(entries);
}

fn withdraw<K: Unpark>(entries: &[Entry<'_, K>], except: Option<usize>) {
    for (position, entry) in entries.iter().enumerate() {
        if Some(position) != except {
            entry.case.withdraw();
        }
    }
}

/// Puts the cases in the order of their channels' locks, those of one channel side by side, in the
/// order of their indices.
pub(super) fn sort<K: Unpark>(entries: &mut [Entry<'_, K>]) {
    entries.iter_mut().for_each(|entry| entry.channel = entry.case.channel());
    entries.sort_unstable_by_key(|entry| (entry.channel, entry.index));
    let (mut keeper, mut channel) = (0, ptr::null());
    for (position, entry) in entries.iter_mut().enumerate() {
        if entry.channel != channel {
            (keeper, channel) = (position, entry.channel);
        }
        entry.keeper = keeper;
    }
}

/// The state of a case's channel; all locks are held.
pub(super) fn state_of<K: Unpark>(entries: &[Entry<'_, K>], position: usize) -> NonNull<()> {
    entries[entries[position].keeper].case.state()
}

pub(super) fn lock_all<K: Unpark>(entries: &[Entry<'_, K>]) {
    for (position, entry) in entries.iter().enumerate() {
        if entry.keeper == position {
            entry.case.lock();
        }
    }
}

pub(super) fn unlock_all<K: Unpark>(entries: &[Entry<'_, K>]) {
    entries.iter().for_each(|entry| entry.case.unlock());
}
