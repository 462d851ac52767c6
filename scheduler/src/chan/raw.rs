//! The channel itself: one lock, one buffer, two wait lists.
//!
//! # Invariants
//!
//! At every point where the lock is free:
//!
//! 1. Somebody waits to receive only if the buffer is empty, nobody waits to send, and nothing is disconnected.
//!    So a sender that finds a receiver waiting hands the value over directly: nothing older is overtaken.
//! 2. Somebody waits to send only if the buffer is full (without a buffer: always) and nothing is disconnected. A
//!    receiver that frees a slot moves the value of the longest waiting sender in, and lets that sender go. So values
//!    come out in the order in which the sends began to wait, and a `try_send` cannot overtake a waiting one.
//! 3. The buffer never holds more than `capacity` values, and is grown outside the lock: under it, pushing does not
//!    allocate.
//! 4. `disconnected` is set once. It means: one side is gone. Which one, the caller knows, for it is of the other;
//!    the last receiver takes the buffered values with it, the last sender leaves them.
//!
//! Nothing of the user's runs under the lock: values are moved, never dropped, cloned, compared or printed; who was
//! notified is made runnable after it.
//!
//! One lock, as in Go, and no lock-free buffer: direct hand-off, the order of waiting senders and cancellation need
//! the buffer and both lists looked at in one step. A lock-free ring with a waiter list beside it answers "is
//! somebody waiting" a moment too late in each of these cases, and repairs that with a second protocol.
//!
//! # Safety
//!
//! The one unsafe operation is the call of [`wait`]: guard and list are of the same channel's state, and a list is
//! never replaced: it lives as long as the state, which the waiting handle keeps alive.

#![expect(unsafe_code, reason = "waiting hands the state's own wait lists to `waiter::wait`")]

use gosched_runtime_sys::primitive::{AtomicUsize, Mutex, MutexGuard, Ordering};
use std::collections::VecDeque;

use super::error::{RecvError, SendError, TryRecvError, TrySendError};
use crate::waiter::{Parks, Rouse, WaitList, Waited, wait};

/// What senders and receivers share. `K` is what wakes a waiter: in every real channel, `proc::park::Target`.
pub(crate) struct Channel<T, K: Rouse> {
    state: Mutex<State<T, K>>,
    /// None: as many as memory holds.
    capacity: Option<usize>,
    senders: AtomicUsize,
    receivers: AtomicUsize,
}

struct State<T, K: Rouse> {
    buffer: VecDeque<T>,
    senders: WaitList<T, K>,
    receivers: WaitList<T, K>,
    disconnected: bool,
}

impl<T, K: Rouse> State<T, K> {
    fn senders(&mut self) -> &mut WaitList<T, K> {
        &mut self.senders
    }

    fn receivers(&mut self) -> &mut WaitList<T, K> {
        &mut self.receivers
    }
}

/// Why a value was not taken, and it; with the lock still held where the next step is to wait.
enum Refused<'a, T, K: Rouse> {
    Full(T, MutexGuard<'a, State<T, K>>),
    Disconnected(T),
}

/// Why there is no value; with the lock still held where the next step is to wait.
enum Nothing<'a, T, K: Rouse> {
    Empty(MutexGuard<'a, State<T, K>>),
    Disconnected,
}

impl<T, K: Rouse> Channel<T, K> {
    /// A channel with one sender and one receiver.
    pub(crate) fn new(capacity: Option<usize>) -> Self {
        let state = State {
            buffer: VecDeque::with_capacity(capacity.unwrap_or(0)),
            senders: WaitList::new(),
            receivers: WaitList::new(),
            disconnected: false,
        };
        Self { state: Mutex::new(state), capacity, senders: AtomicUsize::new(1), receivers: AtomicUsize::new(1) }
    }

    pub(crate) fn capacity(&self) -> Option<usize> {
        self.capacity
    }

    pub(crate) fn len(&self) -> usize {
        self.state.lock().buffer.len()
    }

    pub(crate) fn try_send(&self, value: T) -> Result<(), TrySendError<T>> {
        self.offer(value).map_err(|refused| match refused {
            Refused::Full(value, _unlocks) => TrySendError::Full(value),
            Refused::Disconnected(value) => TrySendError::Disconnected(value),
        })
    }

    /// Sends `value`. If it has to wait, the wait begins under the lock where it can, else with `begin`, without the lock.
    pub(crate) fn send<P: Parks<Target = K>>(&self, value: T, begin: impl FnOnce() -> P) -> Result<(), SendError<T>> {
        let (value, state) = match self.offer(value) {
            Ok(()) => return Ok(()),
            Err(Refused::Disconnected(value)) => return Err(SendError(value)),
            Err(Refused::Full(value, state)) => (value, state),
        };
        let (parking, value, state) = match P::begin_at_once() {
            Some(parking) => (parking, value, state),
            None => {
                drop(state);
                let parking = begin();
                match self.offer(value) {
                    Ok(()) => return Ok(()),
                    Err(Refused::Disconnected(value)) => return Err(SendError(value)),
                    Err(Refused::Full(value, state)) => (parking, value, state),
                }
            }
        };
        // SAFETY: the guard is of this lock; `State::senders` is one field of it, which nothing replaces.
        match unsafe { wait(&self.state, state, State::senders, Some(value), &parking) } {
            Waited::Served(None) => Ok(()),
            Waited::Served(Some(value)) => Err(SendError(value)),
            Waited::Cancelled(_dropped_by_unwinding) => parking.raise(),
        }
    }

    pub(crate) fn try_recv(&self) -> Result<T, TryRecvError> {
        self.accept().map_err(|nothing| match nothing {
            Nothing::Empty(_unlocks) => TryRecvError::Empty,
            Nothing::Disconnected => TryRecvError::Disconnected,
        })
    }

    /// Receives a value; waits as [`send`](Self::send) does.
    pub(crate) fn recv<P: Parks<Target = K>>(&self, begin: impl FnOnce() -> P) -> Result<T, RecvError> {
        let state = match self.accept() {
            Ok(value) => return Ok(value),
            Err(Nothing::Disconnected) => return Err(RecvError),
            Err(Nothing::Empty(state)) => state,
        };
        let (parking, state) = match P::begin_at_once() {
            Some(parking) => (parking, state),
            None => {
                drop(state);
                let parking = begin();
                match self.accept() {
                    Ok(value) => return Ok(value),
                    Err(Nothing::Disconnected) => return Err(RecvError),
                    Err(Nothing::Empty(state)) => (parking, state),
                }
            }
        };
        // SAFETY: the guard is of this lock; `State::receivers` is one field of it, which nothing replaces.
        match unsafe { wait(&self.state, state, State::receivers, None, &parking) } {
            Waited::Served(Some(value)) => Ok(value),
            Waited::Served(None) => Err(RecvError),
            Waited::Cancelled(_) => parking.raise(),
        }
    }

    /// Gets `value` to a waiting receiver or into the buffer.
    fn offer(&self, value: T) -> Result<(), Refused<'_, T, K>> {
        loop {
            let mut state = self.state.lock();
            if state.disconnected {
                return Err(Refused::Disconnected(value));
            }
            if let Some(receiver) = state.receivers.pop() {
                let wake = receiver.give(value);
                drop(state);
                K::wake(wake);
                return Ok(());
            }
            let held = state.buffer.len();
            if self.capacity.is_some_and(|capacity| held >= capacity) {
                return Err(Refused::Full(value, state));
            }
            if held < state.buffer.capacity() {
                state.buffer.push_back(value);
                return Ok(());
            }
            drop(state);
            self.grow(held.saturating_mul(2).max(4));
        }
    }

    /// Takes the oldest value, from the buffer or from a waiting sender.
    fn accept(&self) -> Result<T, Nothing<'_, T, K>> {
        let mut guard = self.state.lock();
        let state = &mut *guard;
        if let Some(value) = state.buffer.pop_front() {
            let wake = state.senders.pop().map(|sender| {
                let (offered, wake) = sender.take();
                state.buffer.extend(offered);
                wake
            });
            drop(guard);
            if let Some(wake) = wake {
                K::wake(wake);
            }
            return Ok(value);
        }
        if let Some(sender) = state.senders.pop() {
            let (offered, wake) = sender.take();
            drop(guard);
            K::wake(wake);
            return Ok(offered.expect("a waiting sender offers a value"));
        }
        if state.disconnected { Err(Nothing::Disconnected) } else { Err(Nothing::Empty(guard)) }
    }

    /// Gives an unbounded buffer room for `wanted` values. What is allocated and freed is so outside the lock.
    #[cold]
    fn grow(&self, wanted: usize) {
        let mut buffer = VecDeque::with_capacity(wanted);
        let mut state = self.state.lock();
        if state.buffer.capacity() < wanted {
            buffer.append(&mut state.buffer);
            std::mem::swap(&mut buffer, &mut state.buffer);
        }
        // The guard goes before the buffer that is left over.
        drop(state);
        drop(buffer);
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
        // ORDERING[chan.last]: pairs with itself in the other handles of this side: what they sent lies in the buffer
        // before the last one disconnects.
        if self.senders.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.state.lock().disconnected = true;
            self.dismiss(State::receivers);
        }
    }

    /// Drops one receiver; the last one disconnects, senders that wait leave with their values, and what is in the
    /// buffer is dropped.
    pub(crate) fn remove_receiver(&self) {
        // ORDERING[chan.last]: pairs with itself in the other handles of this side: the last one finds what they left.
        if self.receivers.fetch_sub(1, Ordering::AcqRel) == 1 {
            let mut state = self.state.lock();
            state.disconnected = true;
            let unreceived = std::mem::take(&mut state.buffer);
            drop(state);
            self.dismiss(State::senders);
            // Last: a value's drop may panic, or use this channel.
            drop(unreceived);
        }
    }

    /// How many wait to send and to receive.
    #[cfg(test)]
    pub(crate) fn waiting(&self) -> (usize, usize) {
        let state = self.state.lock();
        (state.senders.len(), state.receivers.len())
    }

    /// Lets everybody in the list go. The lock is dropped between them: a list has no bound, and what is collected
    /// from it would have to be allocated under the lock. Nobody joins it: `disconnected` is set.
    fn dismiss(&self, list: fn(&mut State<T, K>) -> &mut WaitList<T, K>) {
        loop {
            let mut state = self.state.lock();
            let Some(waiter) = list(&mut state).pop() else { return };
            let wake = waiter.dismiss();
            drop(state);
            K::wake(wake);
        }
    }
}
