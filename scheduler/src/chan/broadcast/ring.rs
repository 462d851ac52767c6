//! The values that a broadcast holds: a ring, where each receiver has a place of its own.
//!
//! A value has a number, and lies in the slot of that number modulo the capacity. It lies there
//! until each receiver that was there when it was sent has had it, or until a later value needs the
//! slot. A receiver knows the number of the value that it has next. If that value's slot was used
//! again, the receiver has missed all values up to the oldest one that is there, and is told how
//! many.
//!
//! Receivers do not compete, so nothing is handed over: a sender wakes all that wait, and each
//! finds its value by its number. One list is enough for goroutines, threads and futures alike.
//!
//! A value is shared, and not the receivers' own, until a receiver clones it: to clone is to run
//! user code, which the lock may not be held for. The last receiver takes the value itself out of
//! the slot.
//!
//! # Invariants
//!
//! At every point where the lock is free:
//!
//! 1. A slot's `left` counts the receivers whose next number is not above that of its value. If it
//!    is zero, the slot holds no value.
//! 2. A node that is linked, and that no `send` or close is about to wake, is of a receiver that
//!    has had every value.
//!
//! # Rejected
//!
//! A channel for each receiver: a value would be cloned by the sender, for each of them, and a
//! receiver that is slow would keep the sender, or lose the newest values in place of the oldest.
//!
//! # Safety
//!
//! The list lies under the lock and lives as long as the ring, which the waiters borrow.

#![expect(unsafe_code, reason = "waits in its own queue")]

use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::Waker;
use std::time::Instant;

use gosched_runtime_sys::sync::lock::Mutex;
use gosched_runtime_sys::sync::primitive::mutated;

use crate::wait::owed::Panics;
use crate::wait::park::{Park, WaitReason};
use crate::wait::parked::{Look, WaitIn, WaitedFor, wait_for};
use crate::wait::polled::{PolledNode, leave_list, poll_in_list};
use crate::wait::waiter::{Unpark, WaitList};
use crate::wait::wake::wake_all;

pub(crate) struct Ring<T, K: Unpark> {
    state: Mutex<State<T, K>>,
}

struct State<T, K> {
    slots: Box<[Slot<T>]>,
    /// How many values were sent so far: the number of the next one.
    sent: u64,
    senders: usize,
    receivers: usize,
    waiting: WaitList<(), K>,
}

struct Slot<T> {
    value: Option<Arc<T>>,
    /// How many receivers have not had it.
    left: usize,
}

/// The number of the value that a receiver has next. Only its receiver uses it, and that one at a
/// time; it is atomic because a future that is pinned shares it.
pub(crate) struct Next(AtomicU64);

/// What a receiver finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found<V> {
    Value(V),
    /// So many values were sent and are gone.
    Missed(u64),
    /// It has had every value, and all senders are gone.
    Closed,
    /// It has had every value so far.
    Nothing,
}

impl<T, K: Unpark> State<T, K> {
    fn waiting(&mut self) -> &mut WaitList<(), K> {
        &mut self.waiting
    }

    /// Returns the number of the oldest value that may be there.
    fn oldest(&self) -> u64 {
        self.sent.saturating_sub(self.slots.len() as u64)
    }

    fn slot(&mut self, number: u64) -> &mut Slot<T> {
        let at = number % self.slots.len() as u64;
        &mut self.slots[at as usize]
    }

    /// Takes what the receiver has next.
    fn take(&mut self, next: &Next) -> Found<Arc<T>> {
        let (number, oldest) = (next.0.load(Relaxed), self.oldest());
        if number < oldest {
            next.0.store(oldest, Relaxed);
            if !mutated("broadcast.misses_in_silence") {
                return Found::Missed(oldest - number);
            }
        }
        let number = number.max(oldest);
        if number == self.sent {
            return if self.senders == 0 { Found::Closed } else { Found::Nothing };
        }
        next.0.store(number + 1, Relaxed);
        Found::Value(self.had(number).unwrap_or_else(|shared| shared))
    }

    /// A receiver has had this value, or never will. The value itself, if it was the last one to
    /// have it; else the value shared.
    fn had(&mut self, number: u64) -> Result<Arc<T>, Arc<T>> {
        let slot = self.slot(number);
        slot.left -= 1;
        let is_last = slot.left == 0;
        let value = if is_last { slot.value.take() } else { slot.value.clone() };
        let value = value.expect("a value stays until each receiver has had it");
        if is_last { Ok(value) } else { Err(value) }
    }
}

impl<T, K: Unpark> Ring<T, K> {
    /// Returns a ring with one sender and one receiver, whose place is [`Next::first`].
    pub(crate) fn new(capacity: usize) -> Self {
        let slots = (0..capacity).map(|_| Slot { value: None, left: 0 }).collect();
        let waiting = WaitList::new();
        Self { state: Mutex::new(State { slots, sent: 0, senders: 1, receivers: 1, waiting }) }
    }

    /// Sends a value. Returns how many receivers there are; the value, if there is none.
    pub(crate) fn send(&self, value: T) -> Result<usize, T> {
        let value = Arc::new(value);
        let mut state = self.state.lock();
        let receivers = state.receivers;
        if receivers == 0 {
            drop(state);
            return Err(Arc::into_inner(value).expect("nobody has it"));
        }
        let mut panics = Panics::none();
        if mutated("broadcast.wakes_first") {
            panics = wake_all(&self.state, state, State::waiting);
            state = self.state.lock();
        }
        let number = state.sent;
        state.sent += 1;
        let sent = Slot { value: Some(value), left: receivers };
        let old = mem::replace(state.slot(number), sent);
        panics = panics.and(wake_all(&self.state, state, State::waiting));
        // Last: its drop is the user's code.
        panics.drop_value(old.value);
        panics.go_on();
        Ok(receivers)
    }

    /// Receives without waiting.
    pub(crate) fn try_recv(&self, next: &Next) -> Found<Arc<T>> {
        self.state.lock().take(next)
    }

    /// Receives, waiting at longest until the deadline. `Nothing`: that has passed.
    pub(crate) fn recv<P: Park<Target = K>>(
        &self,
        next: &Next,
        deadline: Option<Instant>,
        begin: impl FnOnce() -> P,
    ) -> Found<Arc<T>> {
        let place = WaitIn { why: WaitReason::Receive, ..WaitIn::behind(State::waiting) };
        let look = |state: &mut State<T, K>| match state.take(next) {
            Found::Nothing => Look::Wait(None),
            found => Look::Done(found),
        };
        // SAFETY: the list is one field of the state under this lock, which nothing replaces. The
        // closure does nothing.
        match unsafe { wait_for(&self.state, place, begin, deadline, look, || None) } {
            WaitedFor::AtOnce(found) => found,
            // In time or not: a value may be there, and its sender about to wake this.
            WaitedFor::Served(_) | WaitedFor::TimedOut => self.try_recv(next),
            WaitedFor::Cancelled(parking) => parking.raise(),
        }
    }

    /// For a future: receives, or waits with this waker.
    ///
    /// # Safety
    ///
    /// The node is pinned, waits for this ring only, and [`leave`](Self::leave) is called before
    /// its memory goes.
    pub(crate) unsafe fn poll(
        &self,
        node: &PolledNode<(), K>,
        next: &Next,
        waker: Waker,
    ) -> Found<Arc<T>> {
        let mut found = Found::Nothing;
        let look = |state: &mut State<T, K>| {
            found = state.take(next);
            !matches!(found, Found::Nothing)
        };
        // SAFETY: this function's contract; the list is under the lock.
        unsafe { poll_in_list(&self.state, State::waiting, node, waker, look, |_| None) };
        found
    }

    /// A future goes.
    pub(crate) fn leave(&self, node: &PolledNode<(), K>) {
        // SAFETY: it waits in this list, if at all.
        unsafe { leave_list(&self.state, State::waiting, node, |_, _| None) }
    }

    /// Adds a receiver, which has what is sent from now on.
    pub(crate) fn add_receiver(&self) -> Next {
        let mut state = self.state.lock();
        state.receivers += 1;
        Next(AtomicU64::new(state.sent))
    }

    /// Takes a receiver away. What nobody else has yet to have is dropped, one value at a time,
    /// without the lock.
    pub(crate) fn remove_receiver(&self, next: &Next) {
        let mut state = self.state.lock();
        state.receivers -= 1;
        // What is sent later does not count this receiver.
        let (mut number, end) = (next.0.load(Relaxed), state.sent);
        let mut panics = Panics::none();
        loop {
            number = number.max(state.oldest());
            let mut unwanted = None;
            while number < end && unwanted.is_none() && !mutated("broadcast.awaits_the_gone") {
                // One that is shared is still in its slot: nothing is dropped here.
                unwanted = state.had(number).ok();
                number += 1;
            }
            drop(state);
            match unwanted {
                Some(value) => panics.drop_value(value),
                None => break,
            }
            state = self.state.lock();
        }
        panics.go_on();
    }

    pub(crate) fn add_sender(&self) {
        self.state.lock().senders += 1;
    }

    /// Takes a sender away. With the last one, those that wait leave with nothing.
    pub(crate) fn remove_sender(&self) {
        let mut state = self.state.lock();
        state.senders -= 1;
        if state.senders == 0 {
            wake_all(&self.state, state, State::waiting).go_on();
        }
    }

    /// Returns how many values the receiver has not had, those that it has missed included.
    pub(crate) fn len(&self, next: &Next) -> u64 {
        self.state.lock().sent - next.0.load(Relaxed)
    }

    /// Returns how many senders and receivers there are.
    pub(crate) fn counts(&self) -> (usize, usize) {
        let state = self.state.lock();
        (state.senders, state.receivers)
    }

    /// Returns how many wait, and how many values there are.
    #[cfg(test)]
    pub(crate) fn held(&self) -> (usize, usize) {
        let mut state = self.state.lock();
        let values = state.slots.iter().filter(|slot| slot.value.is_some()).count();
        (state.waiting().len(), values)
    }
}

impl Next {
    /// The place of a receiver that has had nothing.
    #[inline]
    pub(crate) fn first() -> Self {
        Self(AtomicU64::new(0))
    }
}

#[cfg(all(test, not(gosched_loom)))]
mod tests {
    use super::*;
    use crate::proc::target::Target;

    #[test]
    fn a_value_goes_with_the_last_receiver_that_it_is_for() {
        let (ring, one) = (Ring::<_, Target>::new(3), Next::first());
        let value = Arc::new(());
        let send = |ring: &Ring<_, Target>| ring.send(value.clone()).map_err(drop);
        assert_eq!(send(&ring), Ok(1));
        let other = ring.add_receiver();
        assert_eq!((send(&ring), ring.held()), (Ok(2), (0, 2)));
        drop(ring.try_recv(&one));
        assert_eq!((ring.held(), ring.len(&one), ring.len(&other)), ((0, 1), 1, 1));
        drop(ring.try_recv(&one));
        assert_eq!((ring.held(), Arc::strong_count(&value)), ((0, 1), 2));
        (0..5).for_each(|_| assert_eq!(send(&ring), Ok(2)));
        assert_eq!((ring.held(), Arc::strong_count(&value)), ((0, 3), 4));
        assert!(matches!(ring.try_recv(&one), Found::Missed(2)));
        ring.remove_receiver(&other);
        ring.remove_receiver(&one);
        assert_eq!((ring.held(), Arc::strong_count(&value)), ((0, 0), 1));
        assert_eq!((send(&ring), ring.counts()), (Err(()), (1, 0)));
    }
}
