//! What lies under a channel's lock: the buffer, those who wait, and the steps that both ends take.
//!
//! # Invariants
//!
//! At every point where the lock is free, not counting nodes of selects that were served elsewhere:
//!
//! 1. Somebody is in `receivers` only if the buffer is empty, nobody else waits to send, and
//!    nothing is disconnected. So a sender that finds a receiver waiting hands the value over
//!    directly: nothing older is overtaken.
//! 2. Somebody waits to send only if the buffer is full (without a buffer: always) and nothing is
//!    disconnected. A receiver that frees a slot moves the value of the longest waiting sender in,
//!    and lets that sender go. So values come out in the order in which the sends began to wait,
//!    and a `try_send` cannot overtake a waiting one.
//! 3. The buffer never holds more than the capacity, and is grown outside the lock: under it,
//!    pushing does not allocate.
//! 4. `disconnected` is set once. It means: one side is gone. Which one, the caller knows, for it
//!    is of the other; the last receiver takes the buffered values with it, the last sender leaves
//!    them.
//! 5. A channel with a clock ([`Clock`]) has no senders. A value that is due
//!    is put into the buffer by who looks for one; who waits in `receivers` comes by itself at that
//!    moment, so 1 does not hold for such a value.
//! 6. Futures that wait to receive are in `polling`, apart from who is served directly, and are let
//!    go one for each value that nobody took at once: one put into the buffer, or one whose sender
//!    began to wait. A future that was let go tries again; one that is dropped before it could lets
//!    the next one go, if there still is a value. Goroutines and threads that wait come before
//!    futures that do: they never depend on a future's being polled.
//!
//! Nothing of the user's runs under the lock: values are moved, never dropped, cloned, compared or
//! printed; who was let go is woken after it.
//!
//! Rejected: one list for all receivers. With a future at its head a value would lie in the buffer
//! until that future is polled, and a goroutine behind it would wait for somebody else's executor,
//! or for ever if the future was forgotten.

use std::collections::VecDeque;
use std::task::Waker;
use std::time::{Duration, Instant};

use super::clock::Clock;
use crate::wait::owed::Owed;
use crate::wait::waiter::{Popped, Unpark, WaitList, Wakeup};

/// The state of a channel of values `T`. `K` is what wakes a goroutine or thread that waits.
pub(crate) struct State<T, K: Unpark> {
    buffer: VecDeque<T>,
    /// None: as many as memory holds.
    capacity: Option<usize>,
    senders: WaitList<T, K>,
    receivers: WaitList<T, K>,
    /// Futures that receive.
    polling: WaitList<(), K>,
    /// What the values come from, if nobody sends them.
    clock: Option<Clock<T>>,
    disconnected: bool,
}

/// What came of [`State::put`].
pub(crate) enum Put<T> {
    /// The value is with a receiver or in the buffer.
    Done,
    /// There is no room.
    Full(T),
    /// There is room that has not been allocated yet, see [`State::adopt`].
    Grow(T),
    Disconnected(T),
}

/// Why there is no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Nothing {
    Empty,
    Disconnected,
}

impl<T, K: Unpark> State<T, K> {
    pub(super) fn new(capacity: Option<usize>) -> Self {
        Self {
            buffer: VecDeque::with_capacity(capacity.unwrap_or(0)),
            capacity,
            senders: WaitList::new(),
            receivers: WaitList::new(),
            polling: WaitList::new(),
            clock: None,
            disconnected: false,
        }
    }

    /// Of a channel that holds the last value that the clock gave.
    pub(super) fn of_clock(clock: Clock<T>) -> Self {
        Self { clock: Some(clock), ..Self::new(Some(1)) }
    }

    /// Takes from the clock what is due.
    #[inline]
    fn strike(&mut self) {
        if let Some(clock) = &mut self.clock {
            clock.strike(Instant::now(), &mut self.buffer);
        }
    }

    /// When the clock gives the next value.
    #[inline]
    pub(super) fn due(&self) -> Option<Instant> {
        self.clock.as_ref().and_then(Clock::next)
    }

    /// Sets the clock, if there is one. First: whether a value would have come, or was there; it is
    /// gone. Second: whether the next one comes sooner now than those who wait expect.
    pub(super) fn set_clock(
        &mut self,
        next: Option<Instant>,
        period: Option<Duration>,
    ) -> (bool, bool) {
        let Some(clock) = &mut self.clock else { return (false, false) };
        let before = clock.next();
        let came = clock.set(next, period, &mut self.buffer);
        (came, next.is_some_and(|next| before.is_none_or(|before| next < before)))
    }

    #[inline(always)]
    pub(super) fn senders(&mut self) -> &mut WaitList<T, K> {
        &mut self.senders
    }

    #[inline(always)]
    pub(super) fn receivers(&mut self) -> &mut WaitList<T, K> {
        &mut self.receivers
    }

    pub(super) fn polling(&mut self) -> &mut WaitList<(), K> {
        &mut self.polling
    }

    pub(super) fn len(&mut self) -> usize {
        self.strike();
        self.buffer.len()
    }

    #[inline(always)]
    fn is_full(&self) -> bool {
        self.capacity.is_some_and(|capacity| self.buffer.len() >= capacity)
    }

    /// Gets `value` to a waiting receiver or into the buffer.
    #[inline(always)]
    pub(super) fn put(&mut self, value: T, owed: &mut Owed<K>) -> Put<T> {
        if self.disconnected {
            return Put::Disconnected(value);
        }
        if let Some(receiver) = self.receivers.pop() {
            owed.wake(Some(receiver.give(value)));
            return Put::Done;
        }
        if self.is_full() {
            return Put::Full(value);
        }
        if self.buffer.len() == self.buffer.capacity() {
            return Put::Grow(value);
        }
        self.buffer.push_back(value);
        owed.call(self.let_poll());
        Put::Done
    }

    /// Takes the oldest value, from the buffer or from a waiting sender; else see
    /// [`nothing`](Self::nothing).
    #[inline(always)]
    pub(super) fn take(&mut self, owed: &mut Owed<K>) -> Option<T> {
        self.strike();
        let sender = if self.is_full() { self.senders.pop() } else { None };
        let oldest = self.buffer.pop_front();
        let Some(sender) = sender else { return oldest };
        let (offered, served) = sender.take();
        owed.wake(Some(served));
        if oldest.is_some() {
            self.buffer.extend(offered);
            owed.call(self.let_poll());
            return oldest;
        }
        debug_assert!(offered.is_some(), "a waiting sender offers a value");
        offered
    }

    /// Why there is no value, when [`take`](Self::take) found none.
    #[inline(always)]
    pub(super) fn nothing(&self) -> Nothing {
        if self.disconnected { Nothing::Disconnected } else { Nothing::Empty }
    }

    /// Whether [`put`](Self::put) would not say [`Put::Full`].
    pub(super) fn can_put(&mut self) -> bool {
        self.disconnected || !self.is_full() || self.receivers.has_waiter()
    }

    /// Whether [`take`](Self::take) would not say [`Nothing::Empty`].
    pub(super) fn can_take(&mut self) -> bool {
        self.disconnected || self.has_value()
    }

    fn has_value(&mut self) -> bool {
        self.strike();
        !self.buffer.is_empty() || self.senders.has_waiter()
    }

    /// Lets the longest waiting future try again.
    #[inline(always)]
    pub(super) fn let_poll(&mut self) -> Option<Waker> {
        if self.polling.is_empty() { None } else { self.let_one_poll() }
    }

    #[cold]
    fn let_one_poll(&mut self) -> Option<Waker> {
        match self.polling.pop().map(Popped::finish)? {
            Wakeup::Polls(waker) => Some(waker),
            Wakeup::Parked(_) => unreachable!("futures wait here, and nobody else"),
        }
    }

    /// The same, if there is a value that it could find.
    pub(super) fn pass_on(&mut self) -> Option<Waker> {
        if self.has_value() { self.let_poll() } else { None }
    }

    /// How many values the buffer should have room for, when [`put`](Self::put) said [`Put::Grow`].
    pub(super) fn wanted(&self) -> usize {
        self.buffer.len().saturating_mul(2).max(4)
    }

    /// Moves into a larger buffer, which was allocated without the lock; leaves there what is to be
    /// freed without it.
    pub(super) fn adopt(&mut self, larger: &mut VecDeque<T>) {
        if self.buffer.capacity() < larger.capacity() {
            larger.append(&mut self.buffer);
            std::mem::swap(larger, &mut self.buffer);
        }
    }

    pub(super) fn disconnect(&mut self) {
        self.disconnected = true;
    }

    /// The values that nobody will receive, to be dropped without the lock.
    pub(super) fn unreceived(&mut self) -> VecDeque<T> {
        std::mem::take(&mut self.buffer)
    }
}
