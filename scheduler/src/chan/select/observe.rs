//! How a select waits until one of its cases is ready, and does none.
//!
//! The look is that of [`engine`](super::engine): with the locks of all channels. If no case is
//! ready, a node observes each channel, all in one [`Race`]. The waker that tells one of them has
//! won the race, as if it served it. Woken, the select takes its nodes off, tells those that are to
//! hear of the same event, and looks again.
//!
//! # Safety
//!
//! As in [`engine`](super::engine). The nodes lie on the heap, and the race in the frame of
//! [`wait`], until that has taken every node off.

#![expect(unsafe_code, reason = "hands channels' states to their cases")]

use std::time::Instant;

use super::engine::{Entry, Order, Wait, choose, lock_all, sort, state_of, unlock_all};
use crate::wait::observers::Observer;
use crate::wait::owed::wake_each;
use crate::wait::park::{Park, WaitReason};
use crate::wait::race::Race;
use crate::wait::waiter::Unpark;

/// Returns the index of a case that is ready.
pub(crate) fn ready<P: Park>(
    entries: &mut [Entry<'_, P::Target>],
    wait_mode: Wait,
    order: Order,
    begin: impl FnOnce() -> P,
) -> Option<usize> {
    sort(entries);
    let entries = &*entries;
    let nodes: Vec<_> = entries.iter().map(|_| Observer::new(None)).collect();
    let (mut parking, mut begin): (Option<P>, _) = (None, Some(begin));
    loop {
        lock_all(entries);
        // SAFETY: the state of the case's channel, under its lock.
        let is_ready = |at: usize| unsafe { entries[at].case.is_ready(state_of(entries, at)) };
        if let Some(position) = choose(entries, order, is_ready) {
            unlock_all(entries);
            return Some(entries[position].index);
        }
        let Wait::Until(deadline) = wait_mode else {
            unlock_all(entries);
            return None;
        };
        let Some(begun) = parking.take().or_else(P::begin_at_once) else {
            // It takes a lock of its own.
            unlock_all(entries);
            parking = begin.take().map(|begin| begin());
            continue;
        };
        begun.set_wait_reason(WaitReason::Select);
        if wait(entries, &nodes, &begun, deadline) {
            return None;
        }
        begun.renew();
        parking = Some(begun);
    }
}

/// Waits, with all locks held at first, until a case may be ready. True: the deadline has passed
/// first.
fn wait<P: Park>(
    entries: &[Entry<'_, P::Target>],
    nodes: &[Observer<P::Target>],
    parking: &P,
    deadline: Option<Instant>,
) -> bool {
    let (race, mut due) = (Race::new(), None);
    for (position, (entry, node)) in entries.iter().zip(nodes).enumerate() {
        let (state, target) = (state_of(entries, position), parking.target());
        // SAFETY: the state of this case's channel, under its lock. Node and race outlive this
        // function, which stops each case below, and does not unwind before.
        let look = unsafe { entry.case.observe(state, node, target, &race, position) };
        due = due.into_iter().chain(look).min();
    }
    unlock_all(entries);
    let first = deadline.into_iter().chain(due).min();
    while race.winner().is_none() {
        parking.park_until(first);
        if race.winner().is_some() {
            break;
        }
        let cancelled = parking.cancelled();
        if (cancelled || first.is_some_and(|first| parking.expired(first))) && race.give_up() {
            stop(entries, nodes);
            if cancelled {
                parking.raise();
            }
            return deadline.is_some_and(|deadline| due.is_none_or(|due| deadline < due));
        }
        if race.winner().is_none() {
            // Notified, and nobody has won: as in `engine`.
            lock_all(entries);
            if race.winner().is_none() {
                parking.renew();
            }
            unlock_all(entries);
        }
    }
    let told = race.winner().expect("somebody won");
    while !nodes[told].is_served() {
        // The waker has the lock in its hands.
        entries[told].case.wait_for_waker();
    }
    stop(entries, nodes);
    false
}

/// Takes all nodes off, and tells whoever is to be told next.
fn stop<K: Unpark>(entries: &[Entry<'_, K>], nodes: &[Observer<K>]) {
    let mut cases = entries.iter().zip(nodes);
    let mut next = || cases.find_map(|(entry, node)| entry.case.stop_observing(node));
    // Those that observe park: no user's code is run.
    wake_each(&mut next).go_on();
}
