//! The channel itself: one lock around its [`State`], and waiting for it to change.
//!
//! One lock, as in Go, and no lock-free buffer: direct hand-off, the order of waiting senders and
//! cancellation need the buffer and both lists looked at in one step. A lock-free ring with a
//! waiter list beside it answers "is somebody waiting" a moment too late in each of these cases,
//! and repairs that with a second protocol.
//!
//! # Safety
//!
//! The one unsafe operation is the call of [`wait_until`]: guard and list are of the same channel's
//! state, and a list is never replaced: it lives as long as the state, which the waiting handle
//! keeps alive.

#![expect(unsafe_code, reason = "waiting hands the state's own wait lists to `waiter::wait_until`")]

use gosched_runtime_sys::sync::lock::{Mutex, MutexGuard};
use gosched_runtime_sys::sync::primitive::{AtomicUsize, Ordering, mutated};
use std::time::{Duration, Instant};

use super::blocks::Block;
use super::clock::Clock;
use super::error::{RecvTimeoutError, SendTimeoutError, TryRecvError, TrySendError};
use super::place::{Place, PlaceRef, with_room};
use super::results;
use super::state::{Nothing, Put, State};
use crate::wait::owed::Owed;
use crate::wait::park::{Park, WaitReason};
use crate::wait::parked::{WaitIn, Waited, is_over, wait_until};
use crate::wait::waiter::{Unpark, Wakeup};
use crate::wait::wake::wake_all;

/// What senders and receivers share. `K` is what wakes a waiter: in every real channel,
/// `proc::target::Target`.
pub(crate) struct Channel<T, K: Unpark> {
    pub(super) state: Mutex<State<T, K>>,
    /// None: as many as memory holds.
    capacity: Option<usize>,
    /// Whether the values come from a clock; such a channel is disconnected only if it is closed.
    has_clock: bool,
    pub(super) senders: AtomicUsize,
    pub(super) receivers: AtomicUsize,
}

/// Why a value was not taken; with the lock still held where the next step is to wait.
pub(super) enum Refused<'a, T, K: Unpark> {
    Full(MutexGuard<'a, State<T, K>>),
    Disconnected,
}

/// Why a wait with a deadline had no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotDone {
    TimedOut,
    Disconnected,
    /// A receiver is to look again.
    Again,
}

impl<T, K: Unpark> Channel<T, K> {
    /// A channel with one sender and one receiver.
    pub(crate) fn new(capacity: Option<usize>) -> Self {
        Self {
            state: Mutex::new(State::new(capacity)),
            capacity,
            has_clock: false,
            senders: AtomicUsize::new(1),
            receivers: AtomicUsize::new(1),
        }
    }

    /// A channel with one receiver, into which nobody sends but the clock.
    pub(crate) fn of_clock(clock: Clock<T>) -> Self {
        Self { state: Mutex::new(State::of_clock(clock)), has_clock: true, ..Self::new(Some(1)) }
    }

    pub(super) fn has_clock(&self) -> bool {
        self.has_clock
    }

    /// Sets the clock. True: a value would have come, or was there; now it does not.
    pub(crate) fn set_clock(&self, next: Option<Instant>, period: Option<Duration>) -> bool {
        let mut state = self.state.lock();
        let (came, sooner) = state.set_clock(next, period);
        if sooner && !mutated("clock.set_unheard") {
            // Who waits does so for another moment, or for none: they look again.
            let woken = wake_all(&self.state, state, State::receivers);
            let woken = woken.and(wake_all(&self.state, self.state.lock(), State::polling));
            woken.and(wake_all(&self.state, self.state.lock(), State::observing)).go_on();
        }
        came
    }

    pub(crate) fn capacity(&self) -> Option<usize> {
        self.capacity
    }

    pub(crate) fn len(&self) -> usize {
        self.state.lock().len()
    }

    /// Sends the value in a full place, if that is possible without waiting. Else calls `failed`,
    /// before the value is moved to the result.
    #[inline]
    pub(super) fn try_send_from(
        &self,
        value: &mut Place<T>,
        failed: impl FnOnce(),
    ) -> Result<(), TrySendError<T>> {
        let is_full = match self.offer(value) {
            Ok(()) => return Ok(()),
            Err(Refused::Full(state)) => {
                if Self::offer_held_back(state, value) {
                    return Ok(());
                }
                true
            }
            Err(Refused::Disconnected) => false,
        };
        failed();
        if is_full { results::full(value) } else { results::disconnected(value) }
    }

    #[cfg(test)]
    pub(crate) fn send_until<P: Park<Target = K>>(
        &self,
        value: T,
        deadline: Option<Instant>,
        begin: impl FnOnce() -> P,
    ) -> Result<(), SendTimeoutError<T>> {
        self.send_from(&mut Place::Full(value), deadline, begin)
    }

    /// Sends the value in a full place. If it has to wait, the wait begins under the lock where it
    /// can, else with `begin`, without the lock.
    pub(super) fn send_from<P: Park<Target = K>>(
        &self,
        value: &mut Place<T>,
        deadline: Option<Instant>,
        begin: impl FnOnce() -> P,
    ) -> Result<(), SendTimeoutError<T>> {
        let sent = match self.offer(value) {
            Ok(()) => return Ok(()),
            Err(Refused::Disconnected) => Err(NotDone::Disconnected),
            Err(Refused::Full(state)) => self.wait_to_send(value, state, deadline, begin),
        };
        match sent {
            Ok(()) => Ok(()),
            Err(NotDone::TimedOut) => results::timed_out(value),
            Err(NotDone::Disconnected | NotDone::Again) => results::disconnected_in_time(value),
        }
    }

    /// The rest of `send_until`, where it has to wait.
    #[inline]
    pub(super) fn wait_to_send<P: Park<Target = K>>(
        &self,
        value: &mut Place<T>,
        state: MutexGuard<'_, State<T, K>>,
        deadline: Option<Instant>,
        begin: impl FnOnce() -> P,
    ) -> Result<(), NotDone> {
        let (parking, mut state) = match P::begin_at_once() {
            Some(parking) => (parking, state),
            None => {
                drop(state);
                let parking = begin();
                match self.offer(value) {
                    Ok(()) => return Ok(()),
                    Err(Refused::Disconnected) => return Err(NotDone::Disconnected),
                    Err(Refused::Full(state)) => (parking, state),
                }
            }
        };
        let slot = Some(PlaceRef::new(value));
        parking.set_wait_reason(WaitReason::Send);
        // Without a buffer the value is to be had as soon as its sender waits.
        let (polls, told) = (state.let_poll(), state.tell());
        let place = WaitIn::behind(State::senders);
        // SAFETY: the guard is of this lock; `State::senders` is one field of it, which nothing
        // replaces. The closure moves a value.
        match unsafe {
            wait_until(&self.state, state, place, slot, &parking, deadline, || {
                told.into_iter().for_each(Wakeup::now);
                polls.map(Wakeup::Polls)
            })
        } {
            Waited::Served(None) => Ok(()),
            Waited::Served(Some(_untouched)) => Err(NotDone::Disconnected),
            Waited::TimedOut(_) => Err(NotDone::TimedOut),
            // The caller's place drops the value.
            Waited::Cancelled(_) => parking.raise(),
        }
    }

    /// Takes a value that is there; else calls `failed`.
    pub(crate) fn try_recv(&self, failed: impl FnOnce()) -> Result<T, TryRecvError> {
        with_room!(T, |place| self.try_recv_by(place, failed))
    }

    #[inline]
    fn try_recv_by(&self, place: &mut Place<T>, failed: impl FnOnce()) -> Result<T, TryRecvError> {
        let error = match self.accept(place) {
            Ok(()) | Err((Nothing::Disconnected, _)) => TryRecvError::Disconnected,
            Err((Nothing::Empty, _unlocks)) => TryRecvError::Empty,
        };
        if !place.is_full() {
            failed();
        }
        results::received(place, error)
    }

    /// Receives a value; waits as [`send_from`](Self::send_from) does.
    pub(crate) fn recv_until<P: Park<Target = K>>(
        &self,
        deadline: Option<Instant>,
        begin: impl Fn() -> P,
    ) -> Result<T, RecvTimeoutError> {
        with_room!(T, |place| self.recv_by(place, deadline, begin))
    }

    fn recv_by<P: Park<Target = K>>(
        &self,
        place: &mut Place<T>,
        deadline: Option<Instant>,
        begin: impl Fn() -> P,
    ) -> Result<T, RecvTimeoutError> {
        let error = match self.recv_into(place, deadline, begin) {
            Ok(()) | Err(NotDone::Disconnected | NotDone::Again) => RecvTimeoutError::Disconnected,
            Err(NotDone::TimedOut) => RecvTimeoutError::Timeout,
        };
        results::received(place, error)
    }

    /// As `recv_until`, into an empty place.
    pub(super) fn recv_into<P: Park<Target = K>>(
        &self,
        into: &mut Place<T>,
        deadline: Option<Instant>,
        begin: impl Fn() -> P,
    ) -> Result<(), NotDone> {
        loop {
            match self.recv_unless_due(into, deadline, &begin) {
                // The clock's value is due or set anew, a future's turn is over, or the time is.
                Err(NotDone::TimedOut | NotDone::Again) if !mutated("clock.seems_gone") => {
                    if is_over(deadline) {
                        // The value may have been due first, and this have been late for both.
                        return self.accept(into).map_err(|_nothing| NotDone::TimedOut);
                    }
                }
                result => return result,
            }
        }
    }

    /// As `recv`; without a value, too, when the clock has one to look for.
    fn recv_unless_due<P: Park<Target = K>>(
        &self,
        into: &mut Place<T>,
        deadline: Option<Instant>,
        begin: impl FnOnce() -> P,
    ) -> Result<(), NotDone> {
        match self.accept(into) {
            Ok(()) => Ok(()),
            Err((Nothing::Disconnected, _)) => Err(NotDone::Disconnected),
            Err((Nothing::Empty, state)) => self.wait_to_recv(into, state, deadline, begin),
        }
    }

    /// The rest of `recv_unless_due`, where it has to wait.
    #[inline]
    pub(super) fn wait_to_recv<P: Park<Target = K>>(
        &self,
        into: &mut Place<T>,
        state: MutexGuard<'_, State<T, K>>,
        deadline: Option<Instant>,
        begin: impl FnOnce() -> P,
    ) -> Result<(), NotDone> {
        let (parking, mut state) = match P::begin_at_once() {
            Some(parking) => (parking, state),
            None => {
                drop(state);
                let parking = begin();
                match self.accept(into) {
                    Ok(()) => return Ok(()),
                    Err((Nothing::Disconnected, _)) => return Err(NotDone::Disconnected),
                    Err((Nothing::Empty, state)) => (parking, state),
                }
            }
        };
        let keeps_back = state.keeps_back();
        let deadline = deadline.into_iter().chain(state.due()).chain(keeps_back).min();
        parking.set_wait_reason(WaitReason::Receive);
        let place =
            WaitIn::behind(if keeps_back.is_none() { State::receivers } else { State::held_back });
        let slot = Some(PlaceRef::new(into));
        // Without a buffer a value can be sent as soon as its receiver waits.
        let told = state.tell();
        // SAFETY: the guard is of this lock; either list is one field of it, which nothing
        // replaces.
        match unsafe { wait_until(&self.state, state, place, slot, &parking, deadline, || told) } {
            Waited::Served(None) => Ok(()),
            Waited::Served(Some(_untouched)) => Err(NotDone::Again),
            Waited::TimedOut(_) => Err(NotDone::TimedOut),
            Waited::Cancelled(_) => parking.raise(),
        }
    }

    /// Gets `value` to a waiting receiver or into the buffer.
    #[cfg_attr(not(debug_assertions), inline(always))]
    pub(super) fn offer(&self, value: &mut Place<T>) -> Result<(), Refused<'_, T, K>> {
        loop {
            let (mut state, mut owed) = (self.state.lock(), Owed::nothing());
            match state.put(value, &mut owed) {
                Put::Done => {
                    drop(state);
                    owed.pay();
                    return Ok(());
                }
                Put::Full => return Err(Refused::Full(state)),
                Put::Disconnected => return Err(Refused::Disconnected),
                Put::Grow => {
                    let wanted = state.wanted();
                    drop(state);
                    self.grow(wanted);
                }
            }
        }
    }

    /// Moves the oldest value into an empty place. The lock comes back with the reason why there is
    /// none.
    #[cfg_attr(not(debug_assertions), inline(always))]
    pub(super) fn accept(
        &self,
        into: &mut Place<T>,
    ) -> Result<(), (Nothing, MutexGuard<'_, State<T, K>>)> {
        let (mut state, mut owed) = (self.state.lock(), Owed::nothing());
        if !state.is_open() || !state.take(into, &mut owed) {
            return Err((state.nothing(), state));
        }
        let retired = state.has_retired();
        drop(state);
        if retired {
            self.tidy();
        }
        owed.pay_for_value();
        Ok(())
    }

    /// Gives an unbounded buffer room for `wanted` more values. What is allocated and freed is so
    /// outside the lock.
    #[cold]
    #[inline(never)]
    pub(super) fn grow(&self, wanted: usize) {
        let block = Block::new(wanted);
        let _dropped_without_the_lock = self.state.lock().adopt(block);
    }

    /// Frees what an unbounded buffer needs no more. Called without the lock, after a value was
    /// taken.
    #[cold]
    #[inline(never)]
    pub(super) fn tidy(&self) {
        let _dropped_without_the_lock = self.state.lock().take_retired();
    }

    pub(crate) fn add_sender(&self) {
        // Relaxed: the caller's own handle keeps the count above zero.
        self.senders.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn add_receiver(&self) {
        // Relaxed: the caller's own handle keeps the count above zero.
        self.receivers.fetch_add(1, Ordering::Relaxed);
    }

    /// Drops one sender; the last one disconnects, and receivers that wait leave with nothing.
    pub(crate) fn remove_sender(&self) {
        // ORDERING[chan.last]: pairs with itself in the other handles of this side: what they sent
        // lies in the buffer before the last one disconnects.
        if self.senders.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.state.lock().disconnect();
            // Nobody joins them: the channel is disconnected.
            let woken = wake_all(&self.state, self.state.lock(), State::receivers).and(wake_all(
                &self.state,
                self.state.lock(),
                State::held_back,
            ));
            let woken = woken.and(wake_all(&self.state, self.state.lock(), State::polling));
            woken.and(wake_all(&self.state, self.state.lock(), State::observing)).go_on();
        }
    }

    /// Drops one receiver; the last one disconnects, senders that wait leave with their values, and
    /// what is in the buffer is dropped.
    pub(crate) fn remove_receiver(&self) {
        // ORDERING[chan.last]: pairs with itself in the other handles of this side: the last one
        // finds what they left.
        if self.receivers.fetch_sub(1, Ordering::AcqRel) == 1 {
            let mut state = self.state.lock();
            state.disconnect();
            let unreceived = state.unreceived();
            drop(state);
            let panics = wake_all(&self.state, self.state.lock(), State::senders);
            let mut panics = panics.and(wake_all(&self.state, self.state.lock(), State::observing));
            // Last: a value's drop may panic, or use this channel.
            panics.drop_value(unreceived);
            panics.go_on();
        }
    }

    /// How many wait to send, and how many to receive or to be told.
    #[cfg(test)]
    pub(crate) fn waiting(&self) -> (usize, usize) {
        let mut state = self.state.lock();
        let told = state.observing().len();
        let receivers = state.receivers().len() + state.held_back().len() + told;
        (state.senders().len(), receivers + state.polling().len())
    }
}
