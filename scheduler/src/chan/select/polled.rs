//! A select as a future: how one poll looks, waits and is through.
//!
//! A poll takes the locks of all channels and looks, as a select that parks does
//! ([`engine`](super::engine)). If no case is ready, its nodes wait under those locks, and stay on
//! their lists until the poll that is through with the select, or its drop.
//!
//! - A case that receives waits among its channel's futures. Nothing is handed to it: it is woken,
//!   and the next poll looks again. So it takes no part in the race. A wake-up that a case had and
//!   did not use, because another case was done or the select was dropped, goes to the next future.
//! - A case that sends waits among its channel's senders, with its value. Whoever takes the value
//!   must win the race, as of every select, so of all values one is taken at most, also while
//!   nobody polls. The next poll finds the winner, and does nothing else.
//!
//! A poll that has all the locks need not fear the race: who would win it needs one of them. So the
//! select that looks does a case first and closes its race after that, with the locks still held.
//!
//! **It does not meet itself.** A select that looks again has nodes on lists, and a case that
//! receives would find the value that a case of the same select offers on the same channel. So such
//! values are taken off before the look, and stand behind the others after it. That is no news, and
//! wakes nobody, least of all the select. But if a case that receives was woken for such a value,
//! in place of another future, that one is to hear of it. The cases that receive are taken off then
//! until the value is offered again, and stand behind the others, too.
//!
//! Rejected: a future for each case, polled in turn, as a select over any futures does. Between one
//! poll and the next each of them looks at a moment of its own, two values could be given away, and
//! a case that is ready first in time would not be done first.
//!
//! # Safety
//!
//! As in [`engine`](super::engine). Nodes and race stay in place because the future is pinned, or
//! has them in boxes that it takes along if it is forgotten.

#![expect(unsafe_code, reason = "hands channels' states to their cases")]

use gosched_runtime_sys::sync::primitive::mutated;
use std::task::Waker;
use std::time::Instant;

use super::engine::{
    Attempt, Entry, Order, attempt, lock_all, same_list_ordered, sort, state_of, unlock_all,
};
use crate::chan::case::Direction;
use crate::chan::standby::Standby;
use crate::wait::owed::{Panics, wake_each};
use crate::wait::polled::Standing;
use crate::wait::race::Race;
use crate::wait::waiter::Unpark;

/// What a poll has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Polled {
    /// The case with this index has its outcome, and none waits.
    Done(usize),
    /// The cases wait. A poll at this time finds something, if nothing wakes it before.
    Waits(Option<Instant>),
}

/// Looks, and waits with this waker if no case is ready.
///
/// # Safety
///
/// The entries are of the same cases at each call, with the same indices, which are those of their
/// standbys. Cases, standbys and race stay in place until this has returned [`Polled::Done`] or
/// [`leave`] was called.
pub(in crate::chan) unsafe fn poll<K: Unpark>(
    entries: &mut [Entry<'_, K>],
    standbys: &[Standby<K>],
    race: &Race,
    order: Order,
    waker: &Waker,
) -> Polled {
    standbys.iter().for_each(|standby| standby.prepare(waker.clone()));
    sort(entries);
    let entries = &*entries;
    let standby = |position: usize| &standbys[entries[position].index];
    let done = loop {
        lock_all(entries);
        if let Some(position) = winner(entries, race) {
            break Some(position);
        }
        if !mutated("select.polled_meets_itself") {
            retreat(entries, standbys);
        }
        // SAFETY: the state of the case's channel, under its lock.
        let is_ready = |at: usize| unsafe {
            entries[at].case.is_ready_polled(state_of(entries, at), standby(at))
        };
        match attempt(entries, order, is_ready) {
            Attempt::Done(position) => {
                race.give_up();
                break Some(position);
            }
            Attempt::Nothing => break None,
            Attempt::Grow(position) => {
                unlock_all(entries);
                entries[position].case.grow();
            }
        }
    };
    let Some(position) = done else {
        hand_on(entries, standbys);
        let due = [Direction::Send, Direction::Recv].map(|direction| {
            // SAFETY: this function's contract.
            unsafe { wait(entries, standbys, race, order, direction) }
        });
        unlock_all(entries);
        pay(entries, standbys).go_on();
        return Polled::Waits(due.into_iter().flatten().min());
    };
    leave_all(entries, standbys, Some(position));
    unlock_all(entries);
    // The case is done, and may have a value: it is the caller's.
    pay(entries, standbys).give_up();
    Polled::Done(entries[position].index)
}

/// Ends a select that has been polled, and is not done yet as far as its polls tell. Returns the
/// case that was served meanwhile, if one was, and the panics of wakers.
pub(in crate::chan) fn leave<K: Unpark>(
    entries: &mut [Entry<'_, K>],
    standbys: &[Standby<K>],
    race: &Race,
) -> (Option<usize>, Panics) {
    sort(entries);
    lock_all(entries);
    let served = winner(entries, race);
    race.give_up();
    leave_all(entries, standbys, served);
    unlock_all(entries);
    (served.map(|position| entries[position].index), pay(entries, standbys))
}

/// The position of the case that was served, which has its outcome then. All locks are held, so its
/// waker is through with it.
fn winner<K: Unpark>(entries: &[Entry<'_, K>], race: &Race) -> Option<usize> {
    let index = race.winner()?;
    let position = entries.iter().position(|entry| entry.index == index)?;
    let has_outcome = entries[position].case.take_outcome();
    debug_assert!(has_outcome, "only cases that send take part in the race");
    Some(position)
}

/// Takes off their lists the values that cases of this very select would find. All locks are held.
fn retreat<K: Unpark>(entries: &[Entry<'_, K>], standbys: &[Standby<K>]) {
    for position in 0..entries.len() {
        let (entry, mut met) = (&entries[position], meet(entries, position));
        if entry.case.direction() == Direction::Send && met.next().is_some() {
            let state = state_of(entries, position);
            // SAFETY: the state of this case's channel, under its lock.
            unsafe { entry.case.leave_polled(state, &standbys[entry.index], false) };
        }
    }
}

/// The positions of the cases that go the other way on the channel of the one at `position`.
fn meet<'e, K: Unpark>(
    entries: &'e [Entry<'_, K>],
    position: usize,
) -> impl Iterator<Item = usize> + 'e {
    let entry = &entries[position];
    let of_channel =
        (entry.keeper..entries.len()).take_while(|other| entries[*other].keeper == entry.keeper);
    of_channel.filter(|other| entries[*other].case.direction() != entry.case.direction())
}

/// Where a case that receives was woken and has found nothing but this select's own values, makes
/// those news for another future. All locks are held.
fn hand_on<K: Unpark>(entries: &[Entry<'_, K>], standbys: &[Standby<K>]) {
    let standby = |position: usize| &standbys[entries[position].index];
    for position in 0..entries.len() {
        let was_woken = |other: usize| standby(other).node.standing() == Standing::Woken;
        let sends = entries[position].case.direction() == Direction::Send;
        if !sends || !meet(entries, position).any(was_woken) {
            continue;
        }
        standby(position).is_known.set(false);
        for other in meet(entries, position) {
            let state = state_of(entries, other);
            // SAFETY: the state of this case's channel, under its lock. The wake-up is not its own.
            unsafe { entries[other].case.leave_polled(state, standby(other), true) };
        }
    }
}

/// Has the cases of one direction wait, or go on waiting. Returns when to look again.
///
/// # Safety
///
/// As for [`poll`]; all locks are held.
unsafe fn wait<K: Unpark>(
    entries: &[Entry<'_, K>],
    standbys: &[Standby<K>],
    race: &Race,
    order: Order,
    direction: Direction,
) -> Option<Instant> {
    let mut due = None;
    let lists = (0..entries.len()).filter(|at| entries[*at].case.direction() == direction);
    for position in lists.flat_map(|position| same_list_ordered(entries, position, order)) {
        let (entry, state) = (&entries[position], state_of(entries, position));
        // SAFETY: the state of this case's channel, under its lock; this function's contract.
        let look =
            unsafe { entry.case.wait_polled(state, &standbys[entry.index], race, entry.index) };
        due = due.into_iter().chain(look).min();
    }
    due
}

/// Takes all nodes off their lists: those of values first, which are not there any more for a
/// future that is woken in place of a case that receives. All locks are held.
fn leave_all<K: Unpark>(entries: &[Entry<'_, K>], standbys: &[Standby<K>], done: Option<usize>) {
    for direction in [Direction::Send, Direction::Recv] {
        for (position, entry) in entries.iter().enumerate() {
            if entry.case.direction() == direction {
                let (state, standby) = (state_of(entries, position), &standbys[entry.index]);
                // SAFETY: the state of this case's channel, under its lock.
                unsafe { entry.case.leave_polled(state, standby, done == Some(position)) };
            }
        }
    }
}

/// Wakes whom the cases have let go, ends turns, and drops wakers, without a lock.
fn pay<K: Unpark>(entries: &[Entry<'_, K>], standbys: &[Standby<K>]) -> Panics {
    let mut wakeups = entries.iter().flat_map(|entry| entry.case.wakeup()).flatten();
    let mut panics = wake_each(|| wakeups.next());
    for entry in entries {
        if standbys[entry.index].turn_is_over.take() {
            panics = panics.and(entry.case.end_turn());
        }
    }
    standbys.iter().for_each(|standby| standby.drop_wakers(&mut panics));
    panics
}
