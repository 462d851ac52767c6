//! How a select comes to its one case.
//!
//! 1. Take the locks of all channels, in the order of their addresses, so that two selects cannot
//!    hold one another up.
//! 2. Look which cases are ready. If some are, choose one of them at random, do it, give the locks
//!    back, done.
//! 3. Otherwise, if it may wait: a node into a list of each channel, all in one [`Race`]. Give the
//!    locks back and park.
//! 4. Whoever serves a node has won the race first, so there is one. Woken, take the other nodes
//!    off their lists, one lock after the other. A wait that is given up must win the race as well.
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
use std::ptr::NonNull;
use std::time::Instant;

use crate::chan::case::{Case, Tried};
use crate::gmp::wait_reason::WaitReason;
use crate::wait::owed::{Panics, wake_each};
use crate::wait::park::Park;
use crate::wait::parked::wake_linked;
use crate::wait::race::Race;
use crate::wait::waiter::Unpark;

/// One case, and how its caller numbers it.
pub(crate) struct Entry<'c, K> {
    pub(in crate::chan) case: &'c dyn Case<K>,
    pub(in crate::chan) index: usize,
}

/// What to do while no case is ready.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Wait {
    /// Return at once.
    No,
    /// Wait, at longest until the deadline.
    Until(Option<Instant>),
}

/// Chooses one of `n`.
pub(crate) type Choose = fn(usize) -> usize;

/// Does one of the cases, and says which.
pub(crate) fn select<P: Park>(
    entries: &mut [Entry<'_, P::Target>],
    wait_mode: Wait,
    choose: Choose,
    begin: impl FnOnce() -> P,
) -> Option<usize> {
    entries.sort_unstable_by_key(|entry| entry.case.channel());
    let entries = &*entries;
    let mut parking: Option<P> = None;
    let mut begin = Some(begin);
    loop {
        lock_all(entries);
        match attempt(entries, choose) {
            Attempt::Done(position) => {
                unlock_all(entries);
                let done = &entries[position];
                let mut each = done.case.wakeup().into_iter().flatten();
                // The case is done, and may have a value: it is the caller's.
                wake_each(|| each.next()).give_up();
                return Some(done.index);
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
            match wait(entries, &begun, deadline, choose) {
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

enum Attempt {
    /// The case at this position has its outcome.
    Done(usize),
    Grow(usize),
    Nothing,
}

/// With all locks: does one of the ready cases, each with the same chance.
fn attempt<K: Unpark>(entries: &[Entry<'_, K>], choose: Choose) -> Attempt {
    loop {
        let (mut ready, mut chosen) = (0, None);
        for (position, entry) in entries.iter().enumerate() {
            // SAFETY: the state of this case's channel, under its lock.
            if unsafe { entry.case.is_ready(state_of(entries, position)) } {
                ready += 1;
                // The last of n replaces the one chosen so far with a chance of 1/n: so all have
                // the same.
                if ready == 1 || choose(ready) == 0 {
                    chosen = Some(position);
                }
            }
        }
        let Some(position) = chosen else { return Attempt::Nothing };
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
    choose: Choose,
) -> Ended {
    let race = Race::new();
    let dues = entries.iter().enumerate().filter_map(|(position, entry)| {
        // SAFETY: the state of this case's channel, under its lock.
        unsafe { entry.case.due(state_of(entries, position)) }
    });
    let due = dues.min();
    let first = deadline.into_iter().chain(due).min();
    for position in 0..entries.len() {
        for position in same_list_shuffled(entries, position, choose) {
            // SAFETY: the state of this case's channel, under its lock. Case and race outlive this
            // function, which withdraws each case below unless it was served, and does not unwind
            // before.
            unsafe {
                entries[position].case.wait(
                    state_of(entries, position),
                    parking.target(),
                    &race,
                    position,
                )
            };
        }
    }
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
/// of them: so each is that with the same chance.
fn same_list_shuffled<K: Unpark>(
    entries: &[Entry<'_, K>],
    position: usize,
    choose: Choose,
) -> impl Iterator<Item = usize> + Clone {
    let (channel, direction) =
        (entries[position].case.channel(), entries[position].case.direction());
    let here = lock_holder(entries, position);
    let same_list_shuffled = entries
        .iter()
        .enumerate()
        .skip(here)
        .take_while(move |(_, other)| other.case.channel() == channel);
    let same_list_shuffled = same_list_shuffled
        .filter(move |(_, other)| other.case.direction() == direction)
        .map(|(position, _)| position);
    let count = if same_list_shuffled.clone().next() == Some(position) {
        same_list_shuffled.clone().count()
    } else {
        0
    };
    let start = if count > 1 { choose(count) } else { 0 };
    same_list_shuffled.cycle().skip(start).take(count)
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

/// The position of the case that keeps the lock for the one at `position`: the first of the same
/// channel.
fn lock_holder<K: Unpark>(entries: &[Entry<'_, K>], position: usize) -> usize {
    let channel = entries[position].case.channel();
    let same = entries[..position]
        .iter()
        .rev()
        .take_while(|entry| entry.case.channel() == channel)
        .count();
    position - same
}

/// The state of a case's channel; all locks are held.
fn state_of<K: Unpark>(entries: &[Entry<'_, K>], position: usize) -> NonNull<()> {
    entries[lock_holder(entries, position)].case.state()
}

fn lock_all<K: Unpark>(entries: &[Entry<'_, K>]) {
    for (position, entry) in entries.iter().enumerate() {
        if lock_holder(entries, position) == position {
            entry.case.lock();
        }
    }
}

fn unlock_all<K: Unpark>(entries: &[Entry<'_, K>]) {
    entries.iter().for_each(|entry| entry.case.unlock());
}
